"""What the history makes of Dagster's events: runs of small assets under the names of the real ones."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from viberary_pipeline.errors import EncoderError, GateRefused
from viberary_pipeline.history.records import History
from viberary_pipeline.resources.run_record import recorded, recording_failure
from viberary_pipeline.resources.run_reporter import RunReporter, in_its_words
from viberary_pipeline.settings import Settings, load_settings

REFUSAL = GateRefused("The table books was refused", expected="e", found="f", todo="t")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose Redis cannot be reached: a record needs none."""
    return load_settings(home=tmp_path, redis_url="redis://:secret@127.0.0.1:1/0", raw="/data", hnsw_m=32)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def run(settings: Settings, instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs `search_index` and then `published_index`, which do what they are told."""

    def materialize(
        index: Callable[[], Any] = lambda: None,
        *,
        switched: bool = True,
        passed: bool = True,
        publishes: bool = True,
        untold: BaseException | None = None,
    ) -> dg.ExecuteInProcessResult:
        reporter = RunReporter(settings, None, "")

        @dg.resource
        def home_lock(context: dg.InitResourceContext) -> Iterator[None]:
            with recorded(context.dagster_run, context.instance, settings, reporter):
                yield

        @dg.asset(name="search_index", required_resource_keys={"home_lock"}, check_specs=[check])
        def first(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            index()
            result = dg.AssetCheckResult(passed=passed, check_name="recall_at_10", description="0.5, bound 1: too low")
            return dg.MaterializeResult(check_results=[result])

        @dg.asset(name="published_index", deps=[first], output_required=False)
        def second(home_lock: dg.ResourceParam[object]) -> Iterator[dg.MaterializeResult]:
            if untold is not None:
                reporter.failed("published_index", untold)
            if publishes:
                yield dg.MaterializeResult(metadata={"switched": switched})

        return dg.materialize(
            [first, second], resources={"home_lock": home_lock}, instance=instance, raise_on_error=False
        )

    check = dg.AssetCheckSpec("recall_at_10", asset="search_index", blocking=True)
    return materialize


def fails(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("told", "verdict", "why"),
    [
        ({}, "published", ""),
        ({"switched": False}, "unchanged", ""),
        ({"passed": False}, "refused", "recall_at_10: 0.5, bound 1: too low"),
        ({"index": fails(REFUSAL)}, "refused", "search_index: The table books was refused"),
        ({"index": fails(in_its_words(REFUSAL))}, "refused", "search_index: The table books was refused"),
        ({"index": fails(OSError("no room"))}, "failed", "search_index: no room"),
        ({"index": fails(dg.DagsterExecutionInterruptedError())}, "interrupted", None),
        # As on a full disk: what stops a run is not among its events.
        ({"publishes": False}, "interrupted", "in published_index"),
        ({"publishes": False, "untold": OSError("no room\nat all")}, "failed", "published_index: no room"),
        ({"publishes": False, "untold": REFUSAL}, "refused", "The table books was refused"),
    ],
)
def test_a_run_ends_with_its_verdict(run: Any, tmp_path: Path, told: dict[str, Any], verdict: str, why: str) -> None:
    result = run(**told)
    (record,) = History(tmp_path).all()
    assert (record.verdict, record.run, record.raw) == (verdict, result.run_id, "/data")
    assert why is None or record.why == why
    assert record.settings == {
        "VIBERARY_RAW": "/data",
        "VIBERARY_HNSW_M": "32",
        "VIBERARY_REDIS_URL": "***",
        "VIBERARY_EVALUATION_ITEMS": record.settings.get("VIBERARY_EVALUATION_ITEMS"),
    }
    # Of a stage that a check refuses Dagster says no seconds: it counts as failed.
    assert ("search_index" in record.seconds) != bool({"index", "passed"} & told.keys())
    assert (tmp_path / "quality" / "trends.html").is_file()


def test_a_killed_run_is_completed_by_the_next_from_its_events(run: Any, tmp_path: Path) -> None:
    run(passed=False)
    history = History(tmp_path)
    (refused,) = history.all()
    # As its process would have left it: begun, and never ended.
    history.write(replace(refused, verdict="under way", why="", seconds={}))
    run(fails(OSError("no room")))
    assert [(record.number, record.verdict) for record in history.all()] == [(2, "failed"), (1, "refused")]
    assert history.find("1").why == "recall_at_10: 0.5, bound 1: too low"


def test_a_run_of_other_stages_leaves_no_record(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    @dg.resource
    def home_lock(context: dg.InitResourceContext) -> Iterator[None]:
        with recorded(context.dagster_run, context.instance, settings, RunReporter(settings, None, "")):
            yield

    @dg.asset(required_resource_keys={"home_lock"})
    def documents() -> None:
        pass

    assert dg.materialize([documents], resources={"home_lock": home_lock}, instance=instance).success
    assert History(tmp_path).all() == []


def test_where_no_record_can_be_written_the_build_goes_on(run: Any, tmp_path: Path, caplog) -> None:
    (tmp_path / "history").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert run().success
    assert "this run will have no record in the history" in caplog.text


def test_a_build_that_cannot_begin_is_in_the_history(settings: Settings, tmp_path: Path) -> None:
    error = EncoderError("The encoder is unknown", expected="e", found="'nope'", todo="t")
    with pytest.raises(EncoderError), recording_failure(settings, None):
        raise error
    (record,) = History(tmp_path).all()
    assert (record.verdict, record.why) == ("failed", "The encoder is unknown: 'nope'")
