"""Workers: the same from processes as from one, ended with their parent, and an error that can be acted on."""

import os
import signal
import subprocess
import sys
from functools import partial

import duckdb
import psutil
import pytest
from ucsd_records import AUTHOR, BOOK, counts, run

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources import workers
from viberary_pipeline.sources.blocks import blocks


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0)


def die(_: object) -> None:
    os._exit(1)  # as the system does to a process when memory runs out


def test_processes_give_the_same_table(tmp_path, write_gz, monkeypatch):
    text = "A long and quiet story about a family on an island, told by the youngest of its daughters. " * 20
    books = [{**BOOK, "book_id": str(n // 2 * 2), "language_code": "", "description": text} for n in range(3000)]
    raw = write_gz(tmp_path / "b.json.gz", [*books, "{broken", {**BOOK, "book_id": ""}])
    monkeypatch.setattr("viberary_pipeline.sources.ingest.blocks", partial(blocks, block_bytes=1 << 20))
    here = run("books", raw, out=tmp_path / "here")
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0)
    there = run("books", raw, out=tmp_path / "there")
    assert there == here
    assert counts(there[0]) == {
        "lines": 3002,
        "rows": 1500,
        "rejected": {"duplicate_book_id": 1500, "missing_book_id": 1, "truncated_line": 1},
    }


def test_an_error_in_a_process_names_the_file(tmp_path, write_gz, processes):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n), "title": f"{n}" * 2000} for n in range(20000)])
    with pytest.raises(RawDataError, match="The books file cannot be read") as caught:
        run("books", raw, out=tmp_path / "out", limits=DuckLimits("40MB", 2))
    assert str(raw) in caught.value.expected
    assert "OutOfMemoryException" in caught.value.found


@pytest.mark.parametrize(
    ("limit", "threads", "processes"),
    [("4GB", 2, 2), ("4GB", 64, 14), ("4GiB", 64, 16), ("1GB", 16, 3), ("100MB", 8, 1), ("512MiB", 1, 1)],
)
def test_there_are_no_more_processes_than_the_memory_limit_feeds(limit, threads, processes):
    limits = DuckLimits(limit, threads)
    assert workers.processes_within(limits) == processes
    share = limits.share(processes)
    assert (share.bytes, share.threads) == (limits.bytes // processes, 1)
    with duckdb.connect(config={"memory_limit": share.memory_limit}):
        pass  # DuckDB reads it


def test_a_worker_that_dies_is_told(tmp_path, write_gz, processes, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.ingest.do", die)
    with pytest.raises(RawDataError, match="The authors file cannot be read") as caught:
        run("authors", write_gz(tmp_path / "a.json.gz", [AUTHOR]), out=tmp_path / "out")
    assert "BrokenProcessPool" in caught.value.found


PARENT = """
import sys, time
from pathlib import Path
from viberary_pipeline.sources import workers
from viberary_pipeline.sources.blocks import blocks
from viberary_pipeline.duck import DuckLimits

if __name__ == "__main__":
    with workers.workers(1 << 30, DuckLimits("1GB", 2), Path(sys.argv[1])) as pool:
        print(pool.submit(len, "ready").result(), flush=True)
        time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout.readline() == "5\n"
            family = psutil.Process(parent.pid).children(recursive=True)
            assert family
        finally:
            parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
