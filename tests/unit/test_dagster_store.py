"""Dagster's own store: bounded, free of runs whose process is gone, and with settings that Dagster takes."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
from click.testing import CliRunner
from sqlalchemy import event
from sqlalchemy.engine import Engine

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.cli import main
from viberary_pipeline.jobs.sensors import late_message, new_raw_files
from viberary_pipeline.resources.dagster_store import (
    PROCESS,
    dagster_home,
    fail_dead_runs,
    forget_untouched,
    kept_connections,
    prune_runs,
    this_process,
)
from viberary_pipeline.settings import load_settings


@dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="something")])
def something() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name="good", metadata={"text": "x" * 20_000})]
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return dagster_home(tmp_path)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_settings_of_the_instance_are_taken_by_dagster(folder: Path):
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        limits = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
    assert limits == [{"key": "viberary/writes", "value": "home", "limit": 1}]


def test_with_kept_connections_a_run_opens_each_database_once(folder: Path):
    opened: list[str] = []

    def note(connection: sqlite3.Connection, _: object) -> None:
        opened.append(Path(next(file for _, name, file in connection.execute("PRAGMA database_list"))).stem)

    event.listen(Engine, "connect", note)
    try:
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            opened.clear()
            with kept_connections():
                run = dg.materialize([something], instance=instance)
            opened_by_run = sorted(opened)
            instance.get_runs()
            assert len(opened) == len(opened_by_run) + 1  # Dagster's own ways are back
    finally:
        event.remove(Engine, "connect", note)
    # Dagster's check of a new file's tables takes a second connection.
    assert set(opened_by_run) == {"index", "runs", run.run_id}
    assert all(opened_by_run.count(name) <= 2 for name in opened_by_run), opened_by_run


def test_with_kept_connections_a_run_is_stored_whole_and_its_log_is_written_back_at_the_end(folder: Path):
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        with kept_connections():
            run = dg.materialize([something], instance=instance)
            logs = sorted(path.name for path in folder.rglob("*.db-wal"))
            assert {f"{run.run_id}.db-wal", "index.db-wal"} <= set(logs)  # what Dagster closed is still open
        assert list(folder.rglob("*.db-wal")) == []
        kinds = [
            record.event_log_entry.dagster_event_type for record in instance.get_records_for_run(run.run_id).records
        ]
    assert kinds.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 1
    assert kinds[-1] == dg.DagsterEventType.RUN_SUCCESS
    for path in folder.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # for others it is as it was


def test_what_an_earlier_version_wrote_is_replaced_and_what_a_person_wrote_is_not(folder: Path, tmp_path: Path):
    path = folder / "dagster.yaml"
    written = path.read_text()
    path.write_text(
        "# Written by viberary where it was missing; edit it freely.\n"
        "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
    )
    dagster_home(tmp_path)
    assert path.read_text() == written
    path.write_text("telemetry:\n  enabled: true\n")
    dagster_home(tmp_path)
    assert path.read_text() == "telemetry:\n  enabled: true\n"


def test_only_the_newest_runs_stay_and_their_number_bounds_the_store(folder: Path):
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        runs = []
        sizes = []
        for _ in range(6):
            runs.append(dg.materialize([something], instance=instance).run_id)
            deleted = prune_runs(instance, 2)
            assert deleted == runs[-3:-2]
            sizes.append(size(folder))
        assert [run.run_id for run in instance.get_runs()] == [runs[5], runs[4]]
        assert prune_runs(instance, 1, dry_run=True) == [runs[4]]
        assert len(instance.get_runs()) == 2
        assert instance.get_latest_materialization_event(dg.AssetKey("something")).run_id == runs[5]
    assert sizes[5] - sizes[2] < (sizes[1] - sizes[0]) / 4
    assert {path.stem for path in (folder / "history" / "runs").glob("*.db")} == {"index", runs[4], runs[5]}
    assert {path.name for path in (folder / "storage").iterdir()} == {runs[4], runs[5]}


def test_a_run_whose_process_is_gone_is_failed_and_one_that_goes_on_is_not(folder: Path):
    dead = subprocess.run(
        [sys.executable, "-c", "from viberary_pipeline.resources.dagster_store import this_process as p; print(p())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    job = dg.Definitions(assets=[something], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    # The pid of this process, which began at another time: numbers come back.
    other = this_process().partition("@")[0] + "@1"
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        runs = {
            name: instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS: process})
            for name, process in {
                "dead": dead,
                "reused": other,
                "going on": this_process(),
                "elsewhere": f"another-host/{os.getpid()}@1",
            }.items()
        }
        assert set(fail_dead_runs(instance)) == {runs["dead"].run_id, runs["reused"].run_id}
        statuses = {name: instance.get_run_by_id(run.run_id).status.value for name, run in runs.items()}
        assert instance.get_run_by_id(runs["dead"].run_id).tags["verdict"] == "failed"
    assert statuses == {"dead": "FAILURE", "reused": "FAILURE", "going on": "STARTED", "elsewhere": "STARTED"}


def test_a_run_goes_on_when_the_clock_of_its_machine_is_set(folder: Path, monkeypatch: pytest.MonkeyPatch):
    job = dg.Definitions(assets=[something], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    created = psutil.Process.create_time
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        tags = {PROCESS: this_process()}
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        # psutil counts it from the start of the machine, which moves with its clock.
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, *_: created(self) + 2)
        assert fail_dead_runs(instance) == []
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_build_is_late_by_its_last_end_whether_or_not_that_published(tmp_path: Path):
    settings = load_settings(home=tmp_path, notify_late_hours=24)
    assert late_message(settings) is None  # nothing was ever built
    ArtifactStore(tmp_path).note("published_index", "b1", inputs={}, facts={"build": "b1", "switched": False})
    now = datetime.now(UTC)
    assert late_message(settings, now + timedelta(hours=23)) is None
    message = late_message(settings, now + timedelta(hours=30))
    assert message is not None
    assert (message.event, message.title) == ("late", "viberary: no build was finished for 30 hours")
    assert message.text == "At most 24 hours are allowed (VIBERARY_NOTIFY_LATE_HOURS). Build b1 stays live."
    assert late_message(load_settings(home=tmp_path), now + timedelta(days=900)) is None  # not asked for


def test_cron_asks_whether_a_build_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIBERARY_HOME", str(tmp_path))
    refused = CliRunner().invoke(main, ["late"])
    assert (refused.exit_code, "VIBERARY_NOTIFY_LATE_HOURS is not set" in refused.output) == (1, True)
    monkeypatch.setenv("VIBERARY_NOTIFY_LATE_HOURS", "24")
    ArtifactStore(tmp_path).note("published_index", "b1", inputs={}, facts={"build": "b1", "switched": True})
    fresh = CliRunner().invoke(main, ["late"])
    assert (fresh.exit_code, fresh.output) == (0, "no build is late\n")
    monkeypatch.setenv("VIBERARY_NOTIFY_LATE_HOURS", "0.0000001")
    late = CliRunner().invoke(main, ["late"])
    assert (late.exit_code, "no build was finished for 0 hours" in late.output) == (1, True)


def looks_at(raw: Path) -> Callable[[], str]:
    """One look of the sensor after the other: 'run', or why it starts none."""
    sensor = new_raw_files(load_settings(home=raw.parent / "home", raw=str(raw)))
    cursor = None

    def look() -> str:
        nonlocal cursor
        context = dg.build_sensor_context(cursor=cursor)
        found = sensor(context)
        cursor = context.cursor
        return "run" if isinstance(found, dg.RunRequest) else found.skip_message

    return look


def test_changed_files_start_one_rebuild_once_they_stay_as_they_are(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "goodreads_books.json.gz").write_bytes(b"one")
    look = looks_at(raw)
    assert look() == "these files are taken as built; the next change starts a run"
    assert look() == "nothing has changed"
    (raw / "goodreads_books.json.gz").write_bytes(b"one, two")
    still = "something has changed, and may still be changing: the next look decides"
    assert look() == still
    (raw / "goodreads_books.json.gz").write_bytes(b"one, two, three")
    assert look() == still
    assert [look(), look()] == ["run", "nothing has changed"]
    (raw / "goodreads_books.json.gz").unlink()
    raw.rmdir()
    assert look().startswith("The folder with the raw files is missing")


def test_a_new_month_of_open_library_starts_one_rebuild_once_it_is_whole(tmp_path: Path):
    raw = tmp_path / "raw"

    def arrive(date: str, *tables: str, ending: str = "") -> None:
        for table in tables:
            (raw / f"ol_dump_{table}_{date}.txt.gz{ending}").write_bytes(f"{table} of {date}".encode())

    raw.mkdir()
    arrive("2026-09-30", "works", "editions", "authors")
    look = looks_at(raw)
    assert [look(), look()] == ["these files are taken as built; the next change starts a run", "nothing has changed"]
    arrive("2026-10-31", "works", "editions", "authors", ending=".part")
    (raw / ".fetch.lock").touch()
    assert look() == "nothing has changed"
    arrive("2026-10-31", "works", "editions")
    assert look() == "nothing has changed"
    arrive("2026-10-31", "authors", "ratings")
    assert look() == "something has changed, and may still be changing: the next look decides"
    assert [look(), look()] == ["run", "nothing has changed"]
    for path in raw.glob("*2026-09-30*"):
        path.unlink()
    assert look() == "nothing has changed"
    arrive("2026-11-30", "works", "editions", "authors")  # the ratings are of another date
    assert look().startswith("The files of Open Library are of different dates")


def test_an_empty_folder_waits_for_its_first_dump(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    look = looks_at(raw)
    assert look() == "these files are taken as built; the next change starts a run"
    (raw / "ol_dump_works_2026-10-31.txt.gz").write_bytes(b"works")
    assert [look(), look()] == ["nothing has changed"] * 2
    for table in ("editions", "authors"):
        (raw / f"ol_dump_{table}_2026-10-31.txt.gz").write_bytes(b"x")
    assert [look(), look()] == ["something has changed, and may still be changing: the next look decides", "run"]


@dg.asset
def first() -> None:
    if os.environ.get("FIRST_FAILS"):
        raise RuntimeError("no")


@dg.asset(deps=[first])
def second() -> None: ...


def test_assets_that_a_failed_run_did_not_come_to_look_as_before(folder, monkeypatch):
    """By what the UI asks: which run planned an asset last, and whether it failed."""

    def look(instance: dg.DagsterInstance) -> list[str | None]:
        planned = [instance.get_latest_planned_materialization_info(dg.AssetKey(name)) for name in ("first", "second")]
        return [info.run_id if info else None for info in planned]

    with dg.DagsterInstance.from_config(str(folder)) as instance:
        good = dg.materialize([first, second], instance=instance).run_id
        assert look(instance) == [good, good]
        monkeypatch.setenv("FIRST_FAILS", "1")
        bad = dg.materialize([first, second], instance=instance, raise_on_error=False).run_id
        assert look(instance) == [bad, bad]
        assert forget_untouched(instance, bad) == ["second"]
        assert look(instance) == [bad, good]
        planned = instance.all_logs(bad, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        assert len(planned) == 2  # the run's own log is whole
        assert forget_untouched(instance, good) == []
        assert look(instance) == [bad, good]
