"""kill -9 in every stage: readers keep the old index, and the next plain build completes."""

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from viberary_pipeline import redis_server
from viberary_pipeline.history.records import History
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings
from viberary_pipeline.sources.raw_files import FILES

# Runs a build that kills itself as soon as the named function of ours is entered: in the middle of that stage.
KILLER = """
import importlib, os, signal, sys
module, function = sys.argv.pop(1).rsplit(".", 1)
module = importlib.import_module(module)
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, function, die)
from viberary_pipeline.cli import main
main()
"""

# A function deep inside each stage, called after it has begun to write.
STAGES = {
    "raw": "viberary_pipeline.sources.raw_files._local_part",
    "tables": "viberary_pipeline.sources.ingest.copy_to_parquet",
    "documents": "viberary_pipeline.documents.assemble.copy_to_parquet",
    "index feed": "viberary_pipeline.index.build._document_hash",
    "index gate": "viberary_pipeline.index.build.gate_index",
    "evaluation": "viberary_pipeline.evaluation.build_evaluation.by_query",
    "publish": "viberary_pipeline.index.publish._switch",
    "query_encoder": "viberary_pipeline.encoders.onnx_export._save_tokenizer",
    "after the switch": "viberary_pipeline.index.publish.save",
}
BOOKS = 600
SOME = ("index feed", "after the switch")  # before a publish, and in the middle of it


def write_books(write_gz, raw, *, ratings: int, suffix: str = "") -> None:
    """Other ratings make other tables, documents and indexes of the same texts."""
    books = [{"book_id": str(n), "title": f"Book number {n}{suffix}", "ratings_count": ratings} for n in range(BOOKS)]
    write_gz(raw / FILES["books"], books)


@pytest.fixture
def tiny(tmp_path, write_gz):
    raw = tmp_path / "tiny"
    write_books(write_gz, raw, ratings=0)
    write_gz(raw / FILES["authors"], [])
    write_gz(raw / FILES["reviews"], [])
    return raw


def wait_for_a_shard(home, build) -> None:
    deadline = time.monotonic() + 300
    while not list(home.glob("jobs/*/done/*.json")):
        assert build.poll() is None, "the build ended before a shard was done"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(SOME, id="some", marks=pytest.mark.part),
        pytest.param(tuple(STAGES), id="every stage", marks=pytest.mark.slow),
    ],
)
def test_kill_9_in_a_stage(warm_cli, tiny, write_gz, stages):
    first = warm_cli("build", "--raw", str(tiny), "--json")
    assert first.returncode == 0, first.stderr
    live = json.loads(first.stdout.splitlines()[-1])["build"]
    settings = load_settings(home=warm_cli.home, redis_url=redis_server.ensure(warm_cli.home).url)
    client = redis_server.connect(settings)
    searcher = Searcher(client, warm_cli.home)

    stop, answers, errors = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            try:
                response = searcher.search("book number 7")
                answers.add((response.build, len(response.results)))
            except Exception as error:
                errors.append(error)
            time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for ratings, stage in enumerate(stages, start=1):
            write_books(write_gz, tiny, ratings=ratings)
            force = ["--force"] if stage == "query_encoder" else []
            killed = subprocess.run(
                [sys.executable, "-c", KILLER, STAGES[stage], "build", "--raw", str(tiny), *force],
                env=warm_cli.environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert killed.returncode == -signal.SIGKILL, (stage, killed.stderr)
            if stage != "after the switch":
                assert read_pointer(client).live == live, stage

        # And while the worker embeds new texts.
        write_books(write_gz, tiny, ratings=0, suffix=", revised")
        with subprocess.Popen(
            [sys.executable, "-m", "viberary_pipeline.cli", "build", "--raw", str(tiny)],
            env=warm_cli.environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                wait_for_a_shard(warm_cli.home, process)
            finally:
                process.kill()

        again = warm_cli("build", "--raw", str(tiny), "--json")
        assert again.returncode == 0, again.stderr
        outcome = json.loads(again.stdout.splitlines()[-1])
        # The shards that were done are not embedded again.
        assert outcome["documents"] == BOOKS
        assert 0 < outcome["embedded"] < BOOKS
        assert outcome["embedded"] + outcome["reused"] == BOOKS
        assert outcome["published"] is True
    finally:
        stop.set()
        reader.join()
    assert errors == []
    assert {count for _, count in answers} == {10}
    assert {build for build, _ in answers} >= {live}
    pointer = read_pointer(client)
    assert pointer.live == outcome["build"]
    # Each killed run has its record, completed by the run after it; the one that had switched was published.
    runs = [(run.verdict, run.why) for run in reversed(History(warm_cli.home).all())]
    assert [verdict for verdict, _ in runs] == [
        "published",
        *("published" if stage == "after the switch" else "killed" for stage in stages),
        *("killed", "published"),
    ]
    assert runs[-2] == ("killed", "in embeddings")
    assert read_record(client, pointer.live).saved, "a restart of Redis would lose the publish"
    # Nothing of the killed builds is left. A build has its documents, its record, suggestions, words of sentences.
    assert sorted(known_builds(client)) == sorted([pointer.live, pointer.previous])
    assert client.dbsize() == 2 * (BOOKS + 3) + 1
    assert list(warm_cli.home.glob("artifacts/*/.tmp-*")) == []
    assert list(warm_cli.home.glob("jobs/*/job.json")) == []


@pytest.mark.parametrize(
    "ignored",
    [pytest.param((), id="by itself", marks=pytest.mark.slow), pytest.param((signal.SIGINT,), id="behind a script")],
)
def test_sigterm_ends_a_build_and_the_next_completes(warm_cli, tiny, ignored):
    """A shell starts a background job with SIGINT ignored, and Dagster would let SIGTERM be what SIGINT is."""

    def as_a_shell_does() -> None:
        for end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(end, signal.SIG_IGN if end in ignored else signal.SIG_DFL)

    with subprocess.Popen(
        [sys.executable, "-m", "viberary_pipeline.cli", "build", "--raw", str(tiny)],
        env=warm_cli.environment,
        preexec_fn=as_a_shell_does,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for_a_shard(warm_cli.home, process)
            process.terminate()
            process.wait(30)
        finally:
            process.kill()
    assert process.returncode not in (0, -signal.SIGKILL)
    assert warm_cli("build", "--raw", str(tiny), "--json").returncode == 0
    assert [run.verdict for run in History(warm_cli.home).all()] == ["published", "interrupted"]
