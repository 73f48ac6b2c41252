"""Dagster's own store under VIBERARY_HOME: where it lies, which runs it keeps, and runs whose process is gone."""

import contextlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage

from viberary_pipeline.owner import start_of
from viberary_pipeline.storage import write_atomically

PROCESS = ".dagster/viberary_process"
"""The tag that says which process a run is: host, pid, start (`owner.start_of`). The UI hides tags of this prefix."""

_FIRST_YAML = """\
# Written by viberary where it was missing; edit it freely.
telemetry:
  enabled: false
nux:
  enabled: false
"""
"""What version 0.1.0 wrote; where nobody edited it, it is replaced."""
_GOING_ON = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_MOST_FREE = 0.25


def dagster_home(home: Path) -> Path:
    """DAGSTER_HOME, or a folder of VIBERARY_HOME, so that the UI shows what the command line ran and vice versa."""
    folder = Path(os.environ.get("DAGSTER_HOME") or home / "dagster").expanduser().absolute()
    os.environ["DAGSTER_HOME"] = str(folder)  # Dagster refuses a relative one
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dagster.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") == _FIRST_YAML:
        write_atomically(path, files("viberary_pipeline").joinpath("dagster.yaml").read_text(encoding="utf-8"))
    return folder


@contextlib.contextmanager
def kept_connections() -> Iterator[None]:
    """Keep Dagster's connections to its SQLite files open, and write events without waiting for the disk after each.

    Dagster makes an engine and a connection for each event and closes both. So SQLAlchemy compiles each statement anew,
    and SQLite writes its log back into the file when the last connection closes. Here each file has one engine. SQLite
    waits for the disk only when it writes its log back. A loss of power may cost the last events; the files stay whole.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine, create_engine

    engines: dict[str, Engine] = {}

    def engine_of(url: str, **options: Any) -> Engine:
        if url not in engines:
            options.pop("poolclass", None)  # Dagster's keeps no connection
            engines[url] = engine = create_engine(url, **options)
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
            # Dagster disposes of an engine after each use, and that would close what is kept.
            engine.dispose = lambda close=True: None  # type: ignore[method-assign]
        return engines[url]

    # A Dagster that makes its engines elsewhere works as before, without this.
    modules = [vars(module) for module in (sqlite_event_log, sqlite_run_storage) if hasattr(module, "create_engine")]
    before = [module["create_engine"] for module in modules]
    try:
        for module in modules:
            module["create_engine"] = engine_of
        yield
    finally:
        for module, create in zip(modules, before, strict=True):
            module["create_engine"] = create
        for engine in engines.values():
            Engine.dispose(engine)


def this_process() -> str:
    """What the tag `PROCESS` of a run of this process says."""
    return _process(os.getpid())


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine as failed whose process is gone without a word: killed, or lost with a restart.

    They would be shown as going on for ever, and others would wait for them. Returns their ids.
    """
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_GOING_ON)):
        told = run.tags.get(PROCESS, "")
        host, _, rest = told.rpartition("/")
        pid = rest.partition("@")[0]
        if host == socket.gethostname() and pid.isdigit() and _process(int(pid)) != told:
            instance.add_run_tags(run.run_id, {"verdict": "failed"})
            instance.report_run_failed(
                run,
                f"Its process {pid} is gone: it was killed, or the machine was restarted. Build again: finished "
                "stages are found again.",
            )
            forget_untouched(instance, run.run_id)
            dead.append(run.run_id)
    return dead


def forget_untouched(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Let assets that a failed run planned and never came to look as they did before it; returns their names.

    The UI shows an asset as failed where the last run that planned it has failed. Which run that is, it reads from the
    index of events; the run's own log stays whole. Another store than SQLite has no such index, and stays as it is.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, sqlite_event_log.SqliteEventLogStorage):
        return []
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    started = {entry.step_key for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)}
    events = (entry.dagster_event for entry in instance.all_logs(run_id, of_type=planned))
    untouched = [event.asset_key for event in events if event and event.asset_key and event.step_key not in started]
    with storage.index_connection() as connection:
        table = SqlEventLogStorageTable
        of_run = (table.c.run_id == run_id) & (table.c.dagster_event_type == planned.value)
        connection.execute(table.delete().where(of_run & table.c.asset_key.in_([key.to_string() for key in untouched])))
    return [key.to_python_identifier() for key in untouched]


def prune_runs(instance: dg.DagsterInstance, kept: int, *, dry_run: bool = False) -> list[str]:
    """Delete all but the newest runs that are over, with their events and logs; returns their ids, oldest last.

    Args:
        instance: The instance.
        kept: How many stay; runs that go on are not counted.
        dry_run: Delete nothing.
    """
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=_OVER))
    old = [record.dagster_run.run_id for record in records[kept:]]
    if dry_run or not old:
        return old
    for run_id in old:
        instance.delete_run(run_id)
    # Dagster leaves the results of their checks, a third of what a run weighs.
    if isinstance(instance.event_log_storage, SqlEventLogStorage):
        with instance.event_log_storage.index_connection() as connection:
            of_old_runs = AssetCheckExecutionsTable.c.run_id.in_(old)
            connection.execute(AssetCheckExecutionsTable.delete().where(of_old_runs))
    with contextlib.suppress(Exception):  # another store than SQLite in this folder keeps nothing there
        folder = Path(instance.root_directory)
        for run_id in old:
            for path in (folder / "history" / "runs").glob(f"{run_id}.db*"):
                path.unlink(missing_ok=True)
            shutil.rmtree(folder / "storage" / run_id, ignore_errors=True)
        for path in (folder / "history" / "runs.db", folder / "history" / "runs" / "index.db"):
            _compact(path)
    return old


def prune_home(home: Path, kept: int, *, dry_run: bool = False) -> list[str]:
    """`prune_runs` for the instance of a home."""
    with dg.DagsterInstance.from_config(str(dagster_home(home))) as instance:
        return prune_runs(instance, kept, dry_run=dry_run)


def _compact(database: Path) -> None:
    """Give back what deleted rows left free, where it is much and nobody is writing."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database, timeout=5)) as connection:
        (free,), (pages,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count")
        )
        if free > _MOST_FREE * pages:
            connection.execute("VACUUM")


def _process(pid: int) -> str:
    """`host/pid@start`, or '' where there is no such process: another may have the same number later."""
    try:
        return f"{socket.gethostname()}/{pid}@{start_of(pid).replace(' ', '+')}"
    except psutil.NoSuchProcess:
        return ""
