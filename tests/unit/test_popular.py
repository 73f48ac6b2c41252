"""What is popular in a query log: counted so that no one reader's query shows, whatever became of the log."""

import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web.log_counts import Popular, count
from viberary_pipeline.web.popular import Counts
from viberary_pipeline.web.query_log import QueryLog

NOW = datetime.now(UTC).replace(hour=12)


def line(query: Any, day: int = 0, minute: int = 0, works: Any = (), **fields: Any) -> str:
    """A search so many days ago."""
    when = (NOW - timedelta(days=day, minutes=minute)).isoformat(timespec="milliseconds")
    entry = {
        "time": when,
        "event": "search",
        "search": "0" * 16,
        "query": query,
        "work_ids": list(works),
        "status": 200,
    }
    return json.dumps({**entry, **fields})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "queries.jsonl"


def counted(log: Path, *lines: str) -> Popular:
    log.write_text("".join(f"{each}\n" for each in lines))
    return count(log, days=2, searches=3)


def often(query: str, times: int = 3, **fields: Any) -> list[str]:
    """A query that was searched on as many days."""
    return [line(query, day, **fields) for day in range(times)]


def test_the_chart_has_what_was_searched_most_often_first(log: Path) -> None:
    found = counted(log, *often("sea"), *often("revenge", 5), *often("calm", 4))
    assert found.queries == (("revenge", 5), ("calm", 4), ("sea", 3))


def test_a_query_is_the_same_however_it_is_written(log: Path) -> None:
    assert counted(log, line("The  Sea", 0), line("the sea", 1), line(" THE\tSEA ", 2)).queries == (("the sea", 3),)


@pytest.mark.parametrize(
    "lines",
    [
        often("rare", 2),
        [line("all in one day", 0, minute) for minute in range(9)],
        [line("reloaded", day % 2, 0) for day in range(9)],  # the same minutes
        often("long ago", 3, time="2020-01-01T00:00:00+00:00"),
        often("refused", 5, status=400),
        often("not a search", 5, event="click"),
        often("x" * 81, 5),
        often("  ", 5),
    ],
)
def test_what_may_be_one_readers_query_is_not_shown(log: Path, lines: list[str]) -> None:
    assert counted(log, *lines, *often("shown")).queries == (("shown", 3),)


def test_a_book_counts_for_the_different_queries_that_it_was_shown_for(log: Path) -> None:
    lines = [line(f"vibe {n}", n % 2, works=["1", *(["2"] if n < 3 else []), "3" if n == 0 else "4"]) for n in range(6)]
    lines += [line("one reader's", n, works=["5"]) for n in range(9)]
    lines += [line(f"deep {n}", n % 2, works=[*map(str, range(100, 110)), "6"]) for n in range(2)]
    assert counted(log, *lines).works == (("1", 6), ("4", 5), ("2", 3))


def test_the_chart_has_at_most_ten(log: Path) -> None:
    assert len(counted(log, *(each for number in range(30) for each in often(f"vibe {number}"))).queries) == 10


def test_all_files_of_the_log_count(log: Path) -> None:
    (log.parent / "queries.20261126T093000000000Z.jsonl").write_text("\n".join(often("sea", 2)) + "\n")
    assert counted(log, line("sea", 5)).queries == (("sea", 3),)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\n\n\n",
        b"{}\n[]\nnull\n5\n",
        b'{"time": "yesterday", "event": "search", "query": "x", "status": 200}\n',
        b'{"event": "search", "query": {"a": [1]}, "work_ids": "5", "status": "many"}\n',
        b'{"' + b"a" * (3 << 20) + b'"}\n',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b"\x00\xff\xfe" * 1000 + b"\n",
        '{"query": "\u00e9\ud7ff"}\n'.encode("utf-16"),
        random.Random(0).randbytes(1 << 20),
    ],
    ids=["empty", "blank", "other JSON", "no time", "other types", "a long line", "deep", "NUL", "UTF-16", "noise"],
)
def test_damage_leaves_the_rest_to_be_counted(log: Path, damage: bytes) -> None:
    whole = "".join(f"{each}\n" for each in often("sea")).encode()
    log.write_bytes(whole[:-1] + b"\n" + damage + (b"" if damage.endswith(b"\n") or not damage else b"\n") + whole)
    assert count(log, days=2, searches=3).queries == (("sea", 3),)
    log.write_bytes(whole + b'{"time": "2026-11-2')  # the machine lost its power
    assert count(log, days=2, searches=3).queries == (("sea", 3),)


def test_a_log_that_is_not_there_or_no_file_is_empty(log: Path) -> None:
    assert count(log, days=1, searches=1) == Popular()
    log.mkdir()
    assert count(log, days=1, searches=1) == Popular()


class HeldCounts(Counts):
    """Counts that are under way until they are let go."""

    def __init__(self, log: Path) -> None:
        super().__init__(QueryLog(log), WebSettings())
        self.begun, self.go = threading.Event(), threading.Event()

    def _count(self) -> None:
        self.begun.set()
        self.go.wait(60)
        super()._count()


def test_while_the_log_is_counted_one_reader_waits_and_no_other(log: Path) -> None:
    counts = HeldCounts(log)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(counts.get)
        assert counts.begun.wait(60)
        assert [counts.get() for _ in range(3)] == [None] * 3
        assert not first.done()
        counts.go.set()
    counts._background.shutdown()
    assert counts.get() == Popular()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(log: Path) -> None:
    """A log of 100 MB, all of whose queries differ."""
    for part in range(4):
        rows = (line(f"{part} {row} " + "x" * 60, row % 20, works=range(row, row + 10)) for row in range(100_000))
        (log.parent / f"queries.{part}.jsonl").write_text("".join(f"{row}\n" for row in rows))
    command = [sys.executable, "-m", "viberary_pipeline.web.log_counts", str(log), "3", "5"]
    process, most = subprocess.Popen(command, stdout=subprocess.PIPE), 0
    while process.poll() is None:
        with psutil.Process(process.pid).oneshot():
            most = max(most, psutil.Process(process.pid).memory_info().rss if process.poll() is None else 0)
    assert process.stdout is not None
    assert json.loads(process.stdout.read())["queries"] == []
    assert most < 500e6
