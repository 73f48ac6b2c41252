"""Runs as Dagster's users see them: their code location, their tags, and what a failed one says."""

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from homes import Built, Cli, Published, published_copy, write_gz

from viberary_pipeline.assets.ol_selection import ol_selection
from viberary_pipeline.assets.openlibrary import openlibrary
from viberary_pipeline.assets.raw_files import raw_assets
from viberary_pipeline.assets.typed_tables import table_assets
from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.redis_contract import read_pointer
from viberary_pipeline.resources import Pipeline, home_lock
from viberary_pipeline.settings import load_settings
from viberary_pipeline.sources.raw_files import FILES


@contextmanager
def instance_of(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        yield instance


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, str, list[str]]:
    """The step that failed, its message, and the frames under it, of a run with one such step."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    (failed,) = [event for event in events if event.is_step_failure]
    error = failed.step_failure_data.error
    return failed.step_key, error.message, [*error.stack, *(error.cause.stack if error.cause else ())]


def test_a_run_of_the_command_line_belongs_to_the_code_location_of_the_ui_and_is_tagged(published: Published):
    with instance_of(published.home) as instance:
        of_the_ui = dg.RunsFilter(tags={"dagster/code_location": "viberary_pipeline"})
        run = instance.get_runs(filters=of_the_ui)[-1]
    assert (run.job_name, run.status) == ("rebuild", dg.DagsterRunStatus.SUCCESS)
    assert run.remote_job_origin.repository_origin.get_label() == "__repository__@viberary_pipeline"
    tags = {name: value for name, value in run.tags.items() if "/" not in name}
    assert tags == {
        "source": "sample",
        "encoder": "viberary-minilm-v1",
        "build": published.build,
        "verdict": "published",
    }


def test_assets_show_rows_columns_size_and_links_that_open(published: Published):
    with instance_of(published.home) as instance:

        def shown(asset: str) -> dict[str, Any]:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            return {name: value.value for name, value in event.asset_materialization.metadata.items()}

        books, report, live = shown("books"), shown("data_quality_report"), shown("published_index")
    columns = {column.name: column for column in books["dagster/column_schema"].columns}
    assert columns["book_id"].description == "Goodreads' id of the edition. Unique."
    assert (columns["book_id"].constraints.nullable, columns["work_id"].constraints.nullable) == (False, True)
    assert books["dagster/row_count"] == 480
    assert books["bytes"] > 10_000
    name = Path(report["report"]).name
    assert report["report_url"] == f"http://127.0.0.1:8001/report/{name}"
    assert (live["dagster/row_count"], live["evaluation_url"]) == (
        published.outcome["documents"],
        "http://127.0.0.1:8001/evaluation/latest.html",
    )


def test_a_build_that_cannot_begin_is_a_run_that_says_why(tmp_path: Path):
    home = tmp_path / "home"
    done = Cli(home)("build", VIBERARY_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "viberary: rebuild: Redis cannot be used\n  expected:   an answer from redis://127.0.0.1:1/0" in done.stderr
    with instance_of(home) as instance:
        (run,) = instance.get_runs()
        (failed,) = [
            entry.dagster_event
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event and entry.dagster_event.is_job_failure
        ]
    assert (run.status, run.tags["verdict"]) == (dg.DagsterRunStatus.FAILURE, "failed")
    error = failed.job_failure_data.error
    assert (error.message.splitlines()[0], list(error.stack), error.cause) == ("Redis cannot be used", [], None)


def test_the_sample_never_replaces_a_catalogue_of_ones_own(tmp_path: Path, built_files: Built):
    """A cron job or a UI without VIBERARY_RAW."""
    with published_copy(built_files, tmp_path / "home") as own:
        done = own.cli("build", "--json")
        assert done.returncode == 1
        assert "The bundled sample would replace a catalogue of your own" in done.stderr
        assert f"VIBERARY_RAW to be set, as the build {own.build} was made from files of yours" in done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["published"] is False
        assert read_pointer(own.redis).live == own.build

        # Not by a stage alone either, nor where Redis has lost the live build.
        sample = build_definitions(load_settings(home=own.home, redis_url=own.settings.redis.url))
        job = sample.resolve_implicit_global_asset_job_def()
        own.redis.flushall()
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey("published_index")], raise_on_error=False
            )
            _, message, _ = failure_of(instance, result.dagster_run)
        assert message.startswith("The bundled sample would replace a catalogue of your own")
        assert own.redis.dbsize() == 0


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (None, "The folder with the raw files is missing"),
        (["raw_books", "books"], "The folder with the raw files is missing"),
        (["documents"], "has not run in this VIBERARY_HOME"),
    ],
)
def test_missing_files_are_told_before_the_first_stage_of_a_run_that_reads_them(tmp_path: Path, stages, message):
    """And of none that does not: the files may be elsewhere by then."""
    settings = load_settings(home=tmp_path / "home", raw=str(tmp_path / "nowhere"))
    job = build_definitions(settings).resolve_job_def("catalogue")
    selected = stages and [dg.AssetKey(stage) for stage in stages]
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, asset_selection=selected, raise_on_error=False)
    assert not result.success
    steps = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    (ended,) = [event.job_failure_data.error for event in result.all_events if event.is_job_failure]
    assert bool(steps) == (stages == ["documents"])
    assert message in (steps[0] if steps else ended).message


def test_a_failed_check_says_figure_and_bound_and_no_frames(tmp_path: Path, built_files: Built):
    with published_copy(built_files, tmp_path / "home") as own:
        raw = Path(shutil.copytree(built_files.raw, tmp_path / "raw"))
        lines = gzip.decompress((raw / FILES["books"]).read_bytes()).splitlines(keepends=True)
        (raw / FILES["books"]).write_bytes(gzip.compress(b"".join(lines[::2])))
        done = own.cli("build", "--raw", str(raw))
        assert done.returncode == 3
        with instance_of(own.home) as instance:
            run = instance.get_runs(limit=1)[0]
            step, message, frames = failure_of(instance, run)
    assert step == "books_quality"
    assert re.fullmatch(
        r"books\.drift_rows: 2\d\d rows, 480 in the live build; .*must remain.*", message.splitlines()[0]
    )
    assert re.search(r"^  books: 2\d\d rows, 480 in the live build; at least 90% must remain$", done.stderr, re.M)
    assert frames == []
    assert (run.status, run.tags["verdict"]) == (dg.DagsterRunStatus.FAILURE, "refused")


def test_a_file_of_which_too_much_is_rejected_has_its_report(tmp_path: Path):
    raw = tmp_path / "raw"
    write_gz(raw / FILES["books"], [{"book_id": "1", "title": "One"}, *[{"title": "Lost"}] * 30])
    write_gz(raw / FILES["authors"], [{"author_id": "7", "name": "Ann Author"}])
    write_gz(raw / FILES["reviews"], [])
    pipeline = Pipeline(load_settings(home=tmp_path / "home", raw=str(raw)))
    resources = {"pipeline": pipeline, "home_lock": home_lock(pipeline.settings)}
    result = dg.materialize(
        [*raw_assets, ol_selection, openlibrary, *table_assets], resources=resources, raise_on_error=False
    )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    message = failed.step_failure_data.error.message
    assert "Too much of the books file is rejected" in message
    page = Path(message.rpartition("; report ")[2].strip())
    assert page.is_file()
    latest = pipeline.home / "quality" / "report" / "latest.html"
    assert "Refused, no index is built. books: Too much of the books file is rejected: 30 of 31" in latest.read_text()
