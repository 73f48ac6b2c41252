"""The record of a run (`history`), from what Dagster knows of it: begun before the first stage, whole after the last.

Keeping records stops no build: what goes wrong here is a warning.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.errors import ArtifactError, GateRefused, ViberaryError, is_full
from viberary_pipeline.history.gather import below_quality, gathered, versions
from viberary_pipeline.history.records import FAILED, History, RunRecord, Verdict
from viberary_pipeline.history.trends import write_trends
from viberary_pipeline.redis_contract import read_pointer
from viberary_pipeline.redis_server import connect
from viberary_pipeline.resources.run_reporter import RunReporter
from viberary_pipeline.settings import Settings, changed_settings

log = logging.getLogger(__name__)

_PLACES = ("VIBERARY_HOME", "VIBERARY_WORKDIR")
_CLASS = r"^[\w.]+: "  # of an exception, which Dagster writes before its message
_RECORDED = {"search_index", "published_index"}
_COST = ("instance_type", "market", "zone", "machine_seconds", "estimated_usd")


@contextmanager
def recorded(
    run: dg.DagsterRun | None, instance: dg.DagsterInstance | None, settings: Settings, reporter: RunReporter
) -> Iterator[None]:
    """Record a run that is to make or publish an index, and complete what killed ones left. Call it holding the home.

    Args:
        run, instance: Dagster's; None where there is none.
        settings: Those of the run.
        reporter: Knows what stopped a stage, even if Dagster could not log it for want of disk space.
    """
    record = _begun(run, instance, settings) if run is not None and instance is not None else None
    try:
        yield
    except ViberaryError as error:
        if record is not None:
            record = replace(record, verdict="failed", why=_first_line(error))
        raise
    finally:
        if record is not None and instance is not None:
            _finish(record, instance, settings, reporter)


@contextmanager
def recording_failure(settings: Settings, run: dg.DagsterRun | None) -> Iterator[None]:
    """Record a build that cannot begin, for want of an encoder or of a Redis: what the block raises."""
    try:
        yield
    except ViberaryError as error:
        _record_failure(settings, run, error)
        raise


def _record_failure(settings: Settings, run: dg.DagsterRun | None, error: ViberaryError) -> None:
    try:
        history, now = History(settings.home_dir), _now()
        values = _settings_of(settings) | {"started": now, "ended": now}
        if run is not None:
            values |= {"run": run.run_id, "job": run.job_name}
        record = history.begin(**values, verdict=_refusal(type(error).__name__), why=_first_line(error))
        history.finish(record, keep=settings.keep.records)
        write_trends(settings.home_dir, history.all())
    except Exception as problem:
        log.warning("the build that failed has no record: %s", problem)


def _begun(run: dg.DagsterRun, instance: dg.DagsterInstance, settings: Settings) -> RunRecord | None:
    try:
        stored = instance.get_run_by_id(run.run_id)
        if stored is not None and stored.is_finished:  # `dagster job execute` opens the resources again at its end
            return None
        history = History(settings.home_dir)
        for left in history.unfinished():
            _finish(left, instance, settings)
        if not _planned(_events(instance, run.run_id)) & _RECORDED:
            return None
        return history.begin(
            **_settings_of(settings), run=run.run_id, job=run.job_name, started=_now(), parent=_live(settings)
        )
    except Exception as error:
        log.warning("this run will have no record in the history: %s", error)
        return None


def _finish(
    record: RunRecord, instance: dg.DagsterInstance, settings: Settings, reporter: RunReporter | None = None
) -> None:
    """Complete the record of this run or, without a `reporter`, of one that was killed."""
    killed = reporter is None
    try:
        events = list(_events(instance, record.run))
        made = _materialized(events)
        verdict, why = _verdict(events, made)
        if record.verdict != "under way":
            verdict, why = record.verdict, record.why
        elif killed and verdict in ("interrupted", "not published"):
            verdict, why = "killed", why or _last_stage(events)
        elif reporter is not None and verdict == "not published":
            verdict, why = _untold(events, reporter, settings.home_dir, Path(instance.root_directory))
        record = replace(
            record,
            verdict=verdict,
            why=why,
            ended="" if killed else _now(),
            seconds=_seconds(events),
            cost={name: made["embeddings"][name] for name in _COST if made.get("embeddings", {}).get(name)},
        )
        history = History(settings.home_dir)
        # First what needs no artifact: a damaged one must not cost the verdict.
        history.write(record)
        store = ArtifactStore(settings.home_dir)
        found = gathered(store, made)
        # Of a table that was refused, or could not be read, another stage makes the report.
        found["pages"] = {**_report_since(store, record.started), **_refused_report(events), **found["pages"]}
        record = replace(record, **found)
        if record.verdict in FAILED and record.made and record.build == _live(settings):
            record = replace(record, verdict="published", why=f"{record.verdict} after the switch {record.why}".strip())
        history.finish(record, keep=settings.keep.records)
        write_trends(settings.home_dir, history.all())
    except Exception as error:
        log.warning("the record of run %s is not whole: %s", record.name, error)


def _settings_of(settings: Settings) -> dict[str, Any]:
    changed = {name: value for name, value in changed_settings(settings).items() if name not in _PLACES}
    encoder = {
        "name": settings.encoder,
        **({"query_encoder": settings.query.encoder} if settings.query.encoder else {}),
    }
    values = {"settings": changed, "versions": versions(), "encoder": encoder, "source": settings.source}
    return values | {"raw": settings.raw or ""}


def _live(settings: Settings) -> str:
    try:
        return read_pointer(connect(settings)).live
    except Exception:  # the check of what a build needs says so, in its own words
        return ""


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    return (entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None)


def _materialized(events: Iterable[dg.DagsterEvent]) -> dict[str, dict[str, Any]]:
    """{stage: what its run said} of the stages that ended well."""
    made = {}
    for event in events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            made[materialization.asset_key.to_python_identifier()] = {
                name: value.value for name, value in materialization.metadata.items()
            }
    return made


def _seconds(events: Iterable[dg.DagsterEvent]) -> dict[str, float]:
    return {
        event.step_key: round(event.step_success_data.duration_ms / 1000, 3)
        for event in events
        if event.is_step_success and event.step_key
    }


def _verdict(events: Iterable[dg.DagsterEvent], made: Mapping[str, Mapping[str, Any]]) -> tuple[Verdict, str]:
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                why = str(check.description or "")
                named = why if why.startswith(check.asset_key.to_user_string()) else f"{check.check_name}: {why}"
                return "refused", named
        if event.is_step_failure and (error := event.step_failure_data.error) is not None:
            error = error.cause or error
            name = str(error.cls_name or "")
            message = error.message.strip().splitlines() or [name]
            return _refusal(name), f"{event.step_key}: {re.sub(_CLASS, '', message[0])}"
    if "published_index" not in made:
        return "not published", ""
    return ("published" if made["published_index"].get("switched") else "unchanged"), ""


def _untold(events: Iterable[dg.DagsterEvent], reporter: RunReporter, *folders: Path) -> tuple[Verdict, str]:
    """How a run ended whose events tell of no failure and of no publish: a full disk stops Dagster's log, too."""
    if reporter.failure:
        return reporter.verdict, reporter.failure.splitlines()[0]
    if "published_index" not in _planned(events):
        return "not published", ""
    if is_full(*folders):
        return "failed", f"the disk is full, {_last_stage(events)}"
    return "interrupted", _last_stage(events)


def _planned(events: Iterable[dg.DagsterEvent]) -> set[str]:
    """The stages that a run is to make."""
    return {
        event.asset_key.to_python_identifier()
        for event in events
        if event.event_type_value == "ASSET_MATERIALIZATION_PLANNED" and event.asset_key is not None
    }


def _report_since(store: ArtifactStore, started: str) -> dict[str, str]:
    """{"report": its place below VIBERARY_HOME/quality} of the current report, if it was made since then."""
    try:
        report = store.current("data_quality_report")
    except ArtifactError:
        return {}
    made = datetime.fromisoformat(report.created) >= datetime.fromisoformat(started).replace(microsecond=0)
    return {"report": below_quality(str(report.facts["page"]))} if made else {}


def _refused_report(events: Iterable[dg.DagsterEvent]) -> dict[str, str]:
    """{"report": its place below VIBERARY_HOME/quality} of the last report that a check made."""
    found = {}
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            page = event.asset_check_evaluation_data.metadata.get("report")
            if page is not None and page.value:
                found["report"] = below_quality(str(page.value))
    return found


def _refusal(error: str) -> Verdict:
    if error == "DagsterExecutionInterruptedError":
        return "interrupted"
    return "refused" if error == GateRefused.__name__ else "failed"


def _last_stage(events: Iterable[dg.DagsterEvent]) -> str:
    """Where a killed run was: the stage that started last."""
    started = [event.step_key for event in events if event.event_type_value == "STEP_START"]
    return f"in {started[-1]}" if started else "before its first stage"


def _first_line(error: ViberaryError) -> str:
    return f"{error.what}: {error.found}".splitlines()[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
