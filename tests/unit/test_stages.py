"""How a stage of the flow behaves as an asset: what is tried again, and what its failure says."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from viberary_pipeline.assets import stages
from viberary_pipeline.assets.metadata import counts_in_words, sample_table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.errors import GateRefused, RedisServerError, StorageError, ViberaryError
from viberary_pipeline.redis_server.failures import explained
from viberary_pipeline.resources import Pipeline, home_lock
from viberary_pipeline.resources.console import stage_console
from viberary_pipeline.settings import load_settings

ABOUT = {"expected": "this", "found": "that", "todo": "look"}


def explained_as(error: redis.RedisError) -> RedisServerError:
    """What the lock of the index makes of an error of Redis that is met while it is held."""
    with pytest.raises(RedisServerError) as raised, explained():
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "tries", "verdict"),
    [
        (redis.ConnectionError("away"), 3, "failed"),
        (redis.AuthenticationError("wrong password"), 1, "failed"),
        (explained_as(redis.ConnectionError("away")), 3, "failed"),
        (explained_as(redis.BusyLoadingError("loading")), 3, "failed"),
        (explained_as(redis.AuthenticationError("wrong password")), 1, "failed"),
        (explained_as(redis.OutOfMemoryError("maxmemory")), 1, "failed"),
        (StorageError("S3 is busy", **ABOUT, passing=True), 3, "failed"),
        (StorageError("no such bucket", **ABOUT), 1, "failed"),
        (GateRefused("books.drift_rows: 120 rows", **ABOUT), 1, "refused"),
        (ViberaryError("a wrong setting", **ABOUT), 1, "failed"),
        (ZeroDivisionError("a fault of ours"), 1, "failed"),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(
    error: Exception, tries: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stages, "_RETRY_SECONDS", 0)
    tried = []

    @stage(group="index", kinds={"redis"}, name="thing")
    def thing(work: Work) -> Result:
        """Something."""
        tried.append(work.run_id)
        raise error

    pipeline = Pipeline(load_settings(home=tmp_path, raw="/data"))
    resources = {"pipeline": pipeline, "home_lock": home_lock(pipeline.settings)}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([thing], resources=resources, instance=instance, raise_on_error=False)
        run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert (len(tried), run.tags["verdict"]) == (tries, verdict)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.error
    if isinstance(error, ViberaryError) and tries == 1:
        assert (told.message, list(told.stack), told.cls_name) == (str(error), [], type(error).__name__)
    else:
        assert str(error) in (told.cause or told).message


@pytest.mark.parametrize(("quiet", "told"), [(False, ["  thing               no dump"]), (True, [])])
def test_a_stage_without_work_is_silent_on_the_console(
    quiet: bool, told: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    @stage(group="raw", kinds={"gzip"}, name="thing")
    def thing(work: Work) -> Result:
        """Something."""
        return Result(work.note("absent", {"absent": True}), "no dump", quiet=quiet)

    pipeline = Pipeline(load_settings(home=tmp_path, raw="/data"))
    resources = {"pipeline": pipeline, "home_lock": home_lock(pipeline.settings)}
    definitions = dg.Definitions(
        assets=[thing], resources=resources, loggers={"console": stage_console}, executor=dg.in_process_executor
    )
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process({"loggers": {"console": {}}}, instance=instance).success
    assert [line for line in capfd.readouterr().err.splitlines() if "no dump" in line] == told


def test_counts_are_told_most_first() -> None:
    assert counts_in_words({"unknown_author_id": 3, "review_too_short": 1657}) == (
        "1,657 review_too_short, 3 unknown_author_id"
    )
    assert counts_in_words({}) == "nothing"


def test_a_redis_that_comes_back_loses_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stages, "_RETRY_SECONDS", 0)
    answers = [redis.ConnectionError("away"), None]

    @stage(group="index", kinds={"redis"}, name="thing")
    def thing(work: Work) -> Result:
        """Something."""
        if (error := answers.pop(0)) is not None:
            raise error
        return Result(work.note("key-1", {"answer": 42}), "done", rows=7, metadata={"answer": 42})

    pipeline = Pipeline(load_settings(home=tmp_path, raw="/data"))
    resources = {"pipeline": pipeline, "home_lock": home_lock(pipeline.settings)}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([thing], resources=resources, instance=instance)
        run = instance.get_run_by_id(result.run_id)
        event = instance.get_latest_materialization_event(dg.AssetKey("thing"))
    assert result.success
    assert run is not None
    assert "verdict" not in run.tags
    assert event is not None
    made = event.asset_materialization
    assert list(made.metadata)[:2] == ["dagster/row_count", "answer"]
    assert made.metadata["key"].value == "key-1"
    assert made.tags["dagster/data_version"] == "key-1"


def test_a_sample_shows_times_as_python_writes_them_and_imports_no_pandas(tmp_path):
    microseconds = [1178435289_000000, None], [1178435289_500000, None]
    times = [
        pa.array(given, pa.int64()).cast(pa.timestamp("us", zone))
        for given, zone in zip(microseconds, ("UTC", None), strict=True)
    ]
    path = tmp_path / "times.parquet"
    pq.write_table(pa.table([*times, pa.array(["1", "2"])], names=["a", "b", "c"]), path)
    shown = subprocess.run([sys.executable, "-c", SHOW, path], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == {
        "rows": [["2007-05-06 07:08:09+00:00", "2007-05-06 07:08:09.500000", "1"], ["", "", "2"]],
        "pandas": False,
    }


def test_a_sample_of_no_rows_is_empty(tmp_path):
    pq.write_table(pa.table({"title": pa.array([], pa.string())}), tmp_path / "none.parquet")
    assert list(sample_table(tmp_path / "none.parquet").records) == []


SHOW = """
import json, sys
from pathlib import Path
from viberary_pipeline.assets.metadata import sample_table

rows = [list(record.data.values()) for record in sample_table(Path(sys.argv[1])).records]
print(json.dumps({"rows": rows, "pandas": "pandas" in sys.modules}))
"""
