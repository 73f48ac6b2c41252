"""The query log: what a line holds, and that no line is lost, whoever writes and whatever is rotated meanwhile."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from viberary_pipeline.query_lines import log_files
from viberary_pipeline.web.query_log import QueryLog

DAY = 24 * 3600


def search(log: QueryLog, query: str, **fields: Any) -> None:
    given = {"build": "b1", "k": 10, "milliseconds": 1.0, "work_ids": [], "status": 200, **fields}
    log.append(query=query, **given)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in log_files(path) for line in file.read_text(encoding="ascii").splitlines()]


def queries(path: Path) -> list[str]:
    return [entry["query"] for entry in entries(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "queries.jsonl"


def test_a_search_and_a_click_are_lines_that_the_query_joins(path: Path) -> None:
    log, asked = QueryLog(path), {"query": "sea\u2028\n", "filters": {"languages": ("en",)}}
    search(log, **asked, work_ids=["7", "8"], milliseconds=1.234)
    log.click(**asked, work_id="8", rank=2)
    shown, clicked = entries(path)
    logged = {"query": "sea\u2028\n", "filters": {"languages": ["en"]}}
    assert shown == {
        "time": shown["time"],
        "event": "search",
        **logged,
        "build": "b1",
        "k": 10,
        "milliseconds": 1.23,
        "work_ids": ["7", "8"],
        "status": 200,
    }
    assert clicked == {"time": clicked["time"], "event": "click", **logged, "work_id": "8", "rank": 2}
    assert shown["time"] <= clicked["time"]


def test_the_log_is_for_its_owner_alone(path: Path) -> None:
    log = QueryLog(path, max_bytes=1000)
    for _ in range(20):
        search(log, "private")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) > 1
    path.chmod(0o644)  # as an older version left it
    search(QueryLog(path), "private")
    assert path.stat().st_mode & 0o777 == 0o600


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from viberary_pipeline.web.query_log import QueryLog

def write(number):
    query = f"{sys.argv[2]}/{number} " + "x" * 300
    log.append(query=query, build="b1", k=10, milliseconds=1.0, work_ids=[], status=200)

log = QueryLog(Path(sys.argv[1]), max_bytes=20_000)
with ThreadPoolExecutor(4) as threads:
    list(threads.map(write, range(200)))
"""


def test_the_log_keeps_every_line_of_many_processes_and_threads_while_it_is_rotated(path: Path) -> None:
    commands = [[sys.executable, "-c", WRITER, str(path), str(writer)] for writer in range(4)]
    assert [process.wait(60) for process in [subprocess.Popen(command) for command in commands]] == [0] * 4
    written = [f"{writer}/{number}" for writer in range(4) for number in range(200)]
    assert sorted(query.split()[0] for query in queries(path)) == sorted(written)
    sizes = [file.stat().st_size for file in log_files(path)]
    assert len(sizes) > 10
    assert max(sizes) <= 20_000


def test_the_log_is_rotated_by_size_and_its_oldest_part_goes(path: Path) -> None:
    log = QueryLog(path, max_bytes=1000, total_bytes=3000)
    for number in range(60):
        search(log, f"query {number}")
    sizes = [file.stat().st_size for file in log_files(path)]
    assert all(0 < size <= 1000 for size in sizes)
    assert 2000 < sum(sizes) <= 3000
    kept = queries(path)
    assert kept == [f"query {number}" for number in range(60 - len(kept), 60)]


def test_a_small_bound_on_all_files_leaves_the_newest_lines(path: Path) -> None:
    log = QueryLog(path, total_bytes=2000)
    for number in range(60):
        search(log, f"query {number}")
    log.prune()
    kept = queries(path)
    assert kept == [f"query {number}" for number in range(60 - len(kept), 60)]
    assert 0 < sum(file.stat().st_size for file in log_files(path)) <= 2000
    assert path.exists()


def test_each_day_has_files_of_its_own_which_go_when_they_are_too_old(path: Path) -> None:
    log = QueryLog(path, days=7)
    for age in (9, 8, 6, 1):
        search(log, f"{age} days ago")
        then = time.time() - age * DAY
        os.utime(path, (then, then))
    search(log, "today")
    assert queries(path) == ["6 days ago", "1 days ago", "today"]
    assert len(log_files(path)) == 3


def test_a_log_that_nobody_writes_grows_too_old_as_well(path: Path) -> None:
    log = QueryLog(path, days=7)
    search(log, "long ago")
    then = time.time() - 8 * DAY
    os.utime(path, (then, then))
    log.prune()
    assert log_files(path) == []


def test_a_log_that_is_written_is_not_removed_meanwhile(path: Path) -> None:
    log = QueryLog(path, days=7)
    search(log, "long ago")
    then = time.time() - 8 * DAY
    os.utime(path, (then, then))
    remover = threading.Thread(target=log.prune)
    with log._locked() as descriptor:
        remover.start()
        remover.join(0.5)
        os.write(descriptor, b"\n")  # as of today
        assert path.exists()
    remover.join()
    assert log_files(path) == [path]


def test_a_line_after_a_torn_one_begins_a_line_of_its_own(path: Path) -> None:
    log = QueryLog(path)
    search(log, "before")
    path.write_bytes(path.read_bytes()[:-20])  # the machine lost its power
    search(log, "after")
    torn, whole = path.read_text().splitlines()
    assert json.loads(whole)["query"] == "after"
    with pytest.raises(json.JSONDecodeError):
        json.loads(torn)
