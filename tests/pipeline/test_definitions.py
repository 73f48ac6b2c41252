"""The definitions load, and hold what the flow says."""

from datetime import timedelta
from importlib.resources import files

import dagster as dg
import pytest
import yaml

from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.index.gate_result import EVALUATION, INDEX_GATES
from viberary_pipeline.quality.bounds import TABLES, expectation_specs
from viberary_pipeline.settings import load_settings
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> dg.Definitions:
    return build_definitions(load_settings(home=tmp_path_factory.mktemp("home")))


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_the_graph_is_the_flow(definitions):
    graph = definitions.resolve_asset_graph()
    parents = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    assert parents == {
        "raw_books": [],
        "raw_authors": [],
        "raw_reviews": [],
        "raw_works": [],
        "raw_genres": [],
        "raw_series": [],
        **{f"raw_{table.name}": [] for table in OPENLIBRARY},
        **{table.name: [f"raw_{table.name}"] for table in OPENLIBRARY},
        "ol_selection": [
            *("ol_authors", "ol_ratings", "ol_reading_log", "ol_redirects", "raw_ol_editions", "raw_ol_works"),
        ],
        "ol_works": ["ol_selection", "raw_ol_works"],
        "ol_editions": ["ol_selection", "raw_ol_editions"],
        "openlibrary": [
            *("ol_authors", "ol_editions", "ol_ratings", "ol_reading_log", "ol_redirects", "ol_selection", "ol_works"),
            "raw_ol_works",
        ],
        "books": ["openlibrary", "raw_books"],
        "authors": ["openlibrary", "raw_authors"],
        "reviews": ["raw_reviews"],
        "works": ["openlibrary", "raw_works"],
        "genres": ["raw_genres"],
        "series": ["raw_series"],
        "same_works": ["authors", "books", "works"],
        "documents": ["authors", "books", "genres", "reviews", "same_works", "series", "works"],
        "data_quality_report": ["authors", "books", "documents", "reviews"],
        "embeddings": ["documents", "query_encoder"],
        "query_encoder": [],
        "search_index": ["documents", "embeddings", "query_encoder"],
        "evaluation_report": [
            *("authors", "books", "documents", "genres", "query_encoder", "reviews", "search_index", "series", "works"),
        ],
        "tuned_encoder": ["authors", "books", "documents", "genres", "reviews", "series", "works"],
        "published_index": ["data_quality_report", "documents", "evaluation_report", "search_index"],
    }


def test_every_expectation_and_gate_is_a_check_and_errors_block(definitions):
    graph = definitions.resolve_asset_graph()
    found = {(key.asset_key.to_user_string(), key.name): graph.get(key).blocking for key in graph.asset_check_keys}
    expected = {("search_index", name): True for name in INDEX_GATES}
    expected[("evaluation_report", EVALUATION)] = True
    expected[("tuned_encoder", "better_than_its_base")] = False
    for table in TABLES:
        expected |= {(table, spec.name): spec.severity == "ERROR" for spec in expectation_specs(table)}
    assert found == expected


def test_jobs_and_the_weekly_schedule(definitions):
    repository = definitions.get_repository_def()
    jobs = {job.name: sorted(job.asset_layer.executable_asset_keys) for job in repository.get_all_jobs()}
    assert jobs.keys() - {"__ASSET_JOB"} == {
        *("rebuild", "catalogue", "reembed", "reindex", "evaluate", "publish", "rollback", "tune")
    }
    assert len(jobs["rebuild"]) == 34
    assert [key.to_user_string() for key in jobs["reembed"]] == ["embeddings", "query_encoder"]
    assert [key.to_user_string() for key in jobs["evaluate"] + jobs["publish"]] == [
        "evaluation_report",
        "published_index",
    ]
    assert [key.to_user_string() for key in jobs["tune"]] == ["tuned_encoder"]
    (schedule,) = repository.schedule_defs
    assert (schedule.name, schedule.cron_schedule, schedule.job_name) == (
        "weekly_rebuild",
        "0 3 * * 0",
        "rebuild",
    )


def test_sensors_watch_runs_without_being_asked_and_files_only_when_asked(definitions):
    sensors = {sensor.name: sensor.default_status for sensor in definitions.get_repository_def().sensor_defs}
    always = ("machines_of_failed_runs", "machines_of_cancelled_runs", "failed_runs_told", "runs_without_a_process")
    assert sensors == {
        **dict.fromkeys([*always, "late_build"], dg.DefaultSensorStatus.RUNNING),
        "new_raw_files": dg.DefaultSensorStatus.STOPPED,
    }


def test_the_schedule_is_a_setting_and_a_wrong_one_is_refused(tmp_path):
    defs = build_definitions(
        load_settings(home=tmp_path, schedule_cron="30 4 * * 1", schedule_timezone="Europe/Berlin")
    )
    (schedule,) = defs.get_repository_def().schedule_defs
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * 1", "Europe/Berlin")
    with pytest.raises(SettingsError, match="VIBERARY_SCHEDULE_CRON as cron takes it"):
        build_definitions(load_settings(home=tmp_path, schedule_cron="every monday"))
    with pytest.raises(SettingsError, match="there is no time zone 'Mars/Base'"):
        load_settings(schedule_timezone="Mars/Base")


def test_every_asset_says_what_it_is_whose_and_of_what_kind(definitions):
    specs = definitions.resolve_all_asset_specs()
    assert len(specs) == 35
    for spec in specs:
        assert spec.description
        assert spec.owners in (["team:catalogue"], ["team:search"])
        assert spec.kinds
    policies = {spec.key.to_user_string(): spec.freshness_policy for spec in specs if spec.freshness_policy}
    assert policies.keys() == {"published_index"}
    assert policies["published_index"].fail_window.to_timedelta() == timedelta(days=8)


def test_runs_that_write_to_the_home_wait_for_each_other(definitions):
    """The tag that dagster.yaml limits; a rollback waits for nobody."""
    repository = definitions.get_repository_def()
    writing = {job.name for job in repository.get_all_jobs() if job.tags.get("viberary/writes") == "home"}
    assert writing == {"rebuild", "catalogue", "reembed", "reindex", "evaluate", "publish"}
    yaml_file = files("viberary_pipeline").joinpath("dagster.yaml").read_text()
    (limit,) = yaml.safe_load(yaml_file)["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limit == {"key": "viberary/writes", "value": "home", "limit": 1}


def test_the_settings_are_shown_and_a_redis_password_is_in_no_resource(tmp_path, monkeypatch):
    """The UI shows the description of resources."""
    monkeypatch.setenv("VIBERARY_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    definitions = build_definitions(load_settings(home=tmp_path, hnsw_m=32, documents_languages="en,fr"))
    shown = definitions.resources["pipeline"].description
    assert set(shown.splitlines()[2:]) == {
        f"- `VIBERARY_HOME` = `{tmp_path}`",
        "- `VIBERARY_REDIS_URL` = ***",
        "- `VIBERARY_EVALUATION_ITEMS` = `5`",
        "- `VIBERARY_DOCUMENTS_LANGUAGES` = `en,fr`",
        "- `VIBERARY_HNSW_M` = `32`",
    }
    assert "secret" not in repr(definitions.resources) + shown


def test_an_unwritable_home_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SettingsError, match="VIBERARY_HOME cannot be used"):
        build_definitions(load_settings(home=blocked / "home"))
