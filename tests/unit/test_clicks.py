"""Judged requests from clicks: what enough readers opened after a query, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.queries import trec_set
from viberary_pipeline.query_lines import log_files
from viberary_pipeline.tuning.clicks import judged_clicks
from viberary_pipeline.web.query_log import QueryLog

NOON = datetime.now(UTC).replace(hour=12)


@pytest.fixture
def log(tmp_path: Path) -> QueryLog:
    return QueryLog(tmp_path / "logs" / "queries.jsonl")


def searched(
    log: QueryLog, query: str, opened: str, *, shown: tuple[str, ...] = ("1", "2"), day: int = 0, minute: int = 0
) -> None:
    """A search so many days ago, and a click on one of its works, or on one that it did not show."""
    log.append(query=query, build="b1", k=10, milliseconds=1, work_ids=shown, status=200)
    log.click(query=" ".join(query.split()), filters={}, work_id=opened, rank=1)
    then = (NOON - timedelta(days=day, minutes=minute)).isoformat(timespec="milliseconds")
    lines = log.path.read_text().splitlines()
    dated = [json.dumps({**json.loads(line), "time": then}) for line in lines[-2:]]
    log.path.write_text("".join(f"{line}\n" for line in [*lines[:-2], *dated]))


def learned(log: QueryLog, tmp_path: Path) -> dict[str, dict[str, int]]:
    files = judged_clicks(log.path.parent, tmp_path / "made", DuckLimits("500MB", 1), days=2, clicks=3)
    return {query.text: dict(query.grades) for query in trec_set(*files).queries}


def test_a_work_that_enough_readers_opened_is_an_answer_to_their_query(log: QueryLog, tmp_path: Path) -> None:
    for day in range(3):
        searched(log, "The  Sea" if day else "the sea", "2", day=day)
        searched(log, "the sea", "1", day=day)
        searched(log, "a garden\u2028 in spring", "1", day=day)
    searched(log, "the sea", "3", shown=("3",))
    assert learned(log, tmp_path) == {"the sea": {"1": 1, "2": 1}, "a garden in spring": {"1": 1}}


def test_what_may_be_one_readers_clicks_teaches_nothing(log: QueryLog, tmp_path: Path) -> None:
    for number in range(9):
        searched(log, "all in one day", "1", minute=number)
        searched(log, "not shown", "9", day=number)
        searched(log, "back and forth", "1", day=number % 2)
        log.click(query="never searched", filters={}, work_id="1", rank=1)
        if number < 2:
            searched(log, "too seldom", "1", day=number)
    with pytest.raises(EvaluationError, match="no clicks to learn from") as caught:
        learned(log, tmp_path)
    assert caught.value.found == "38 clicks, but no such work"


def test_clicks_are_joined_over_rotated_files_and_damage(log: QueryLog, tmp_path: Path) -> None:
    for day in range(3):
        searched(log, "the sea", "2", day=day)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(line for line in lines if b'"click"' in line) + b"\xff\n{\n")
    log.path.with_name("queries.20261126T093000000000Z.jsonl").write_bytes(
        b"".join(line for line in lines if b'"click"' not in line)
    )
    assert len(log_files(log.path)) == 2
    assert learned(log, tmp_path) == {"the sea": {"2": 1}}


def test_an_empty_folder_has_no_clicks(log: QueryLog, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no clicks to learn from"):
        learned(log, tmp_path)
