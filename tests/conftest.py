"""Fixtures: real Redis servers on free ports, one real build of the bundled sample for the whole run, a server of
S3's protocol on loopback, and a browser.

What only a few tests need is imported by their fixtures.
"""

import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import homes
import psutil
import pytest
import redis
from filelock import FileLock
from homes import Built, Cli, Published, built_once, published_copy, warm

from viberary_pipeline import redis_server
from viberary_pipeline.settings import load_settings

if TYPE_CHECKING:
    from aws_cloud import Cloud
    from s3_proxy import Proxy
    from selenium import webdriver

    from viberary_pipeline.embedding.jobs import JobOptions
    from viberary_pipeline.encoders import ResolvedEncoder
    from viberary_pipeline.search.searcher import Searcher

# The machine's own settings must not reach the tests, and what a test imports must not make a ./var.
for name in [name for name in os.environ if name.startswith("VIBERARY_")] + ["DAGSTER_HOME"]:
    os.environ.pop(name, None)
_default_home = tempfile.TemporaryDirectory(prefix="viberary-tests-")
os.environ["VIBERARY_HOME"] = _default_home.name
# Every build of every test is evaluated: few queries are enough, where the evaluation is not what is tested.
os.environ["VIBERARY_EVALUATION_ITEMS"] = "5"
# One process of tests runs per core: threads of torch and OpenBLAS that wait busily for each other would take the cores
# from the other tests. The processes of pytest-xdist inherit this.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def pytest_unconfigure() -> None:
    _default_home.cleanup()


@pytest.fixture(scope="session", autouse=True)
def _nothing_runs_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process that a test started runs on when the tests are over."""
    folder = tmp_path_factory.getbasetemp()
    yield
    left = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or ())]
        if process.pid != os.getpid() and any(word.startswith(f"{folder}/") for word in words):
            left.append(" ".join(words))
            process.kill()
    assert left == []


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def built_sample(shared_folder: Path) -> Built:
    """The bundled sample, built once for all processes of a test run."""
    return built_once(shared_folder / "built-sample")


@pytest.fixture(scope="session")
def built_files(shared_folder: Path, built_sample: Built) -> Built:
    """The sample's files as a catalogue of somebody's own, built once."""
    files = built_sample.home / "sample"
    return built_once(shared_folder / "built-files", raw=partial(shutil.copytree, files), known=built_sample)


@pytest.fixture(scope="session")
def published(built_sample: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """The published sample. Tests read it and leave the live build as it is."""
    with published_copy(built_sample, tmp_path_factory.mktemp("published") / "home") as published:
        yield published


@pytest.fixture(scope="module")
def searcher(published: Published) -> "Searcher":
    """A searcher of the published sample, which the tests of a module share."""
    from viberary_pipeline.search.searcher import Searcher

    return Searcher(published.redis, published.home)


@pytest.fixture
def home_cli(tmp_path: Path) -> Iterator[Cli]:
    """The command in an empty VIBERARY_HOME; its embedded Redis is stopped afterwards."""
    home = tmp_path / "home"
    yield Cli(home)
    if home.is_dir():
        redis_server.stop(home)


@pytest.fixture
def warm_cli(home_cli: Cli, built_sample: Built) -> Cli:
    """The command in a home that knows the sample's vectors and the exported encoder, and nothing else."""
    warm(home_cli.home, built_sample)
    return home_cli


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> "ResolvedEncoder":
    """A real encoder with small seeded weights. Tests read it."""
    from tiny_model import make_tiny_model

    from viberary_pipeline.encoders import resolve

    return resolve(str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="session")
def minilm_export(shared_folder: Path) -> tuple[Path, dict[str, Any]]:
    """The export of all-MiniLM-L6-v2 in float32, made once for all processes of a test run, and what the exporter
    returned. Tests read it."""
    from viberary_pipeline.encoders import resolve
    from viberary_pipeline.encoders.onnx_export import export_query_encoder

    folder, returned = shared_folder / "minilm" / "graph", shared_folder / "minilm" / "returned.json"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / "lock"):
        if not returned.exists():
            returned.write_text(json.dumps(export_query_encoder(resolve("all-MiniLM-L6-v2"), folder)))
    return folder, json.loads(returned.read_text())


@pytest.fixture(scope="session")
def tiny_graph(tiny_encoder: "ResolvedEncoder", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export."""
    from viberary_pipeline.encoders.onnx_export import export_query_encoder

    folder = tmp_path_factory.mktemp("graph")
    export_query_encoder(tiny_encoder, folder)
    return folder


@pytest.fixture
def on_cpu(tiny_graph: Path) -> "JobOptions":
    """Workers start faster without torch."""
    from viberary_pipeline.embedding.jobs import JobOptions

    return JobOptions(graph=str(tiny_graph), threads=1)


@pytest.fixture(scope="session")
def _scratch_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    home = tmp_path_factory.mktemp("scratch-redis")
    redis_server.ensure(home)
    yield redis_server.connect(load_settings(home=home))
    redis_server.stop(home)


@pytest.fixture
def client(_scratch_redis: redis.Redis) -> redis.Redis:
    """An empty Redis with search."""
    _scratch_redis.flushall()
    return _scratch_redis


@pytest.fixture
def write_gz() -> Callable[[Path, list[Any]], Path]:
    """Writes JSON lines as gzip: dicts are dumped, str and bytes are written as they are."""
    return homes.write_gz


@pytest.fixture(scope="module")
def proxy() -> Iterator["Proxy"]:
    """An S3 on loopback, behind a proxy that breaks connections when it is told to."""
    from moto.server import ThreadedMotoServer
    from s3_proxy import Proxy, served

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        with served(Proxy(server.get_host_and_port()[1])) as proxy:
            yield proxy
    finally:
        server.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Cloud"]:
    """An AWS on loopback whose machines are processes; `reset` empties it."""
    from aws_cloud import start_cloud

    with pytest.MonkeyPatch.context() as monkeypatch:
        cloud = start_cloud(tmp_path_factory.mktemp("cloud"), monkeypatch)
        yield cloud
        cloud.reset()
        cloud.server.stop()


@pytest.fixture
def s3(request: pytest.FixtureRequest, proxy: "Proxy", monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client; the module's `BUCKET` is empty. What the code under test needs to get there is in the environment
    alone."""
    import boto3

    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_address[1]}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("NO_PROXY", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket=request.module.BUCKET)
    proxy.cut_next(0, times=0)
    yield client
    urllib.request.urlopen(f"{client.meta.endpoint_url}/moto-api/reset", data=b"").close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator["webdriver.Chrome"]:
    """A browser that keeps a log of its console and of its requests."""
    chromium, driver_path = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
    if not (chromium.exists() and driver_path.exists()):
        pytest.skip(f"{chromium} and {driver_path} are missing (apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--window-size=1280,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(driver_path)))
    yield driver
    driver.quit()
