"""Drift: this build against the last published one, and what is allowed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from table_rows import MAKE, author, book, document, failed, names, review, sound, write

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.baseline import (
    FORMAT,
    KEEP_PROFILES,
    NO_EARLIER_BUILD,
    Baseline,
    Comparison,
    load_baseline,
    restore_baseline,
    save_baseline,
)
from viberary_pipeline.quality.bounds import TABLES, expectation_specs
from viberary_pipeline.quality.drift import DRIFT_METRICS, distance, drift_metrics
from viberary_pipeline.quality.metrics import Metric
from viberary_pipeline.quality.profile import profile
from viberary_pipeline.quality.validation import ValidationReport, is_drift, validate

LIMITS = DuckLimits("1GB", 2)
Row = dict[str, Any]


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., ValidationReport]:
    """Validate `table` with rows `now`, after a published build that had the rows `then`."""

    def run(
        table: str,
        *,
        now: list[Row],
        then: list[Row] | None,
        facts: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
        accept_drift: bool = False,
    ) -> ValidationReport:
        count = max(len(now), 1)
        paths = {name: write(tmp_path / f"{name}.parquet", name, sound(name, count)) for name in TABLES}
        paths[table] = write(tmp_path / f"{table}.parquet", table, now)
        measured = profile(table, paths[table], scratch=tmp_path, limits=LIMITS, facts=facts[1])
        last = NO_EARLIER_BUILD
        if then is not None:
            path = write(tmp_path / "then" / f"{table}.parquet", table, then)
            earlier = profile(table, path, scratch=tmp_path, limits=LIMITS, facts=facts[0])
            last = Comparison(Baseline("b1", "given", {table: earlier}))
        return validate(
            table,
            paths[table],
            docs=tmp_path / "quality" / "docs",
            run_name="run",
            related={name: paths[name] for name in ("books", "authors", "reviews")},
            drift=drift_metrics(table, measured, last),
            accept_drift=accept_drift,
        )

    return run


def drifted(report: ValidationReport) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """The failed expectations of drift: name to (severity, observed, examples)."""
    return {name: values for name, values in failed(report).items() if name.startswith("drift_")}


@pytest.mark.parametrize("table", TABLES)
def test_without_a_live_build_drift_is_not_compared_and_says_why(
    table: str, check: Callable[..., ValidationReport]
) -> None:
    report = check(table, now=sound(table), then=None)
    drift = {spec.name for spec in expectation_specs(table) if is_drift(spec)}
    outcomes = {(result.outcome, result.observed) for result in report.results if result.name in drift}
    assert outcomes == {("not compared", "no earlier build")}
    assert drifted(report) == {}
    (page,) = (report.index.parent / "validations" / f"{table}_figures").rglob("*.html")
    assert page.read_text().count("– not compared") >= len(drift)
    assert page.read_text().count("no earlier build") == len(drift)


@pytest.mark.parametrize("table", TABLES)
def test_the_same_again_has_not_drifted(table: str, check: Callable[..., ValidationReport]) -> None:
    facts = {"lines": 3, "rejected": {"malformed": 1}}
    report = check(table, now=sound(table), then=sound(table), facts=(facts, facts))
    observed = {result.name: result.observed for result in report.results if result.name.startswith("drift_")}
    assert observed.pop("drift_rows") == "100%"
    observed.pop("drift_rejects", None)
    assert set(observed.values()) == {"0%"}
    assert {r.outcome for r in report.results if r.name.startswith("drift_")} == {"passed"}


FRENCH = {"language": "fr", "language_source": "given"}

DRIFTS = [
    pytest.param(
        "books",
        [book(n) for n in range(1, 9)],
        [book(n) for n in range(1, 11)],
        {"drift_rows": ("ERROR", "80%", ("8 rows, 10 in the live build",))},
        id="a fifth of the books is gone",
    ),
    pytest.param(
        "books",
        [book(n, description=None if n < 2 else "A description that says what the book is like.") for n in range(10)],
        [book(n) for n in range(10)],
        {
            "drift_key_columns": ("ERROR", "20%", ("description: 80.0% filled, 100.0% in the live build",)),
            "drift_columns": ("WARN", "20%", ("description: 80.0% filled, 100.0% in the live build",)),
        },
        id="descriptions are gone",
    ),
    pytest.param(
        "books",
        [book(n, publisher=None, average_rating=1.0, **(FRENCH if n < 2 else {})) for n in range(10)],
        [book(n) for n in range(10)],
        {
            "drift_columns": ("WARN", "100%", ("publisher: 0.0% filled, 100.0% in the live build",)),
            "drift_languages": (
                "WARN",
                "20%",
                ("en: 80.0%, 100.0% in the live build", "fr: 20.0%, 0.0% in the live build"),
            ),
            "drift_ratings": (
                "WARN",
                "100%",
                ("3.5–3.75: 0.0%, 100.0% in the live build", "below 2: 100.0%, 0.0% in the live build"),
            ),
        },
        id="another kind of books",
    ),
    pytest.param(
        "authors",
        [author(1)],
        sound("authors"),
        {"drift_rows": ("ERROR", "50%", ("1 rows, 2 in the live build",))},
        id="half of the authors are gone",
    ),
    pytest.param(
        "reviews",
        [review(n, rating=1, review_text=f"Meh. {n}") for n in range(4)],
        [review(n) for n in range(5)],
        {
            "drift_rows": ("ERROR", "80%", ("4 rows, 5 in the live build",)),
            "drift_ratings": (
                "WARN",
                "100%",
                ("1: 100.0%, 0.0% in the live build", "5: 0.0%, 100.0% in the live build"),
            ),
            "drift_text_length": (
                "WARN",
                "100%",
                ("100–199: 0.0%, 100.0% in the live build", "1–49: 100.0%, 0.0% in the live build"),
            ),
        },
        id="shorter and worse reviews",
    ),
    pytest.param(
        "reviews",
        [review(n, review_text=None, text_length=0) for n in range(5)],
        [review(n) for n in range(5)],
        {
            "drift_key_columns": ("ERROR", "100%", ("review_text: 0.0% filled, 100.0% in the live build",)),
            "drift_columns": ("WARN", "100%", ("review_text: 0.0% filled, 100.0% in the live build",)),
            "drift_text_length": (
                "WARN",
                "100%",
                ("none: 100.0%, 0.0% in the live build", "100–199: 0.0%, 100.0% in the live build"),
            ),
        },
        id="the texts of the reviews are gone",
    ),
    pytest.param(
        "documents",
        [document(n, reviews_used=0) for n in range(10)],
        [document(n, reviews_used=2) for n in range(10)],
        {
            "drift_key_columns": ("ERROR", "100%", ("reviews_used: 0.0% filled, 100.0% in the live build",)),
            "drift_columns": ("WARN", "100%", ("reviews_used: 0.0% filled, 100.0% in the live build",)),
        },
        id="documents without reviews",
    ),
    pytest.param(
        "documents",
        [document(n, author="", language="fr") for n in range(8)],
        [document(n) for n in range(10)],
        {
            "drift_rows": ("ERROR", "80%", ("8 rows, 10 in the live build",)),
            "drift_key_columns": ("ERROR", "100%", ("author: 0.0% filled, 100.0% in the live build",)),
            "drift_columns": ("WARN", "100%", ("author: 0.0% filled, 100.0% in the live build",)),
            "drift_languages": (
                "WARN",
                "100%",
                ("en: 0.0%, 100.0% in the live build", "fr: 100.0%, 0.0% in the live build"),
            ),
        },
        id="documents without authors",
    ),
]


@pytest.mark.parametrize(("table", "now", "then", "expected"), DRIFTS)
def test_what_has_drifted_is_named(
    table: str, now: list[Row], then: list[Row], expected: dict[str, Any], check: Callable[..., ValidationReport]
) -> None:
    report = check(table, now=now, then=then)
    assert drifted(report) == expected
    blocking = {name for name, value in expected.items() if value[0] == "ERROR"}
    assert {name for name in names(report, "error") if name.startswith("drift_")} == blocking


def test_every_drift_that_blocks_has_a_case_above() -> None:
    cases = [case.values for case in DRIFTS]
    failing = {(case[0], name) for case in cases for name, value in case[3].items() if value[0] == "ERROR"}
    assert failing == {
        (table, spec.name)
        for table in TABLES
        for spec in expectation_specs(table)
        if is_drift(spec) and spec.severity == "ERROR"
    }
    assert {spec.column for table in TABLES for spec in expectation_specs(table) if is_drift(spec)} == DRIFT_METRICS


def test_more_rejects_than_last_time_warn(check: Callable[..., ValidationReport]) -> None:
    facts = ({"lines": 1000, "rejected": {"malformed": 1}}, {"lines": 1000, "rejected": {"malformed": 3, "other": 8}})
    report = check("authors", now=sound("authors"), then=sound("authors"), facts=facts)
    assert drifted(report) == {
        "drift_rejects": ("WARN", "1%", ("1.1000% of lines rejected, 0.1000% in the live build",))
    }


def test_a_small_loss_passes_and_growth_too(check: Callable[..., ValidationReport]) -> None:
    tenth_less = check("authors", now=sound("authors", 9), then=sound("authors", 10))
    more = check("authors", now=sound("authors", 30), then=sound("authors", 10))
    assert (drifted(tenth_less), drifted(more)) == ({}, {})


def test_accepted_drift_warns_and_other_errors_block(check: Callable[..., ValidationReport]) -> None:
    now = [book(1, title=None), *(book(n) for n in range(2, 5))]
    report = check("books", now=now, then=sound("books", 10), accept_drift=True)
    assert names(report, "error") == ["title_present"]
    accepted = {result.name: result.badge for result in report.results if result.accepted}
    assert accepted == {"drift_rows": "warning", "drift_key_columns": "warning"}
    assert drifted(report)["drift_rows"] == ("WARN", "40%", ("4 rows, 10 in the live build",))


def test_distance_is_the_share_that_would_have_to_move() -> None:
    assert distance({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}) == 0
    assert distance({"a": 1.0}, {"b": 1.0}) == 1
    assert distance({"a": 0.7, "b": 0.3}, {"a": 0.5, "b": 0.4, "c": 0.1}) == pytest.approx(0.2)


def test_where_there_were_no_rows_nothing_is_compared(tmp_path: Path) -> None:
    def measured(rows: list[Row]) -> dict[str, Any]:
        return profile("books", write(tmp_path / "books.parquet", "books", rows), scratch=tmp_path, limits=LIMITS)

    nothing, something = measured([]), measured(sound("books"))
    compared = drift_metrics("books", something, Comparison(Baseline("b1", "given", {"books": nothing})))
    assert {metric.value for metric in compared.values()} == {None}
    assert compared["share_of_last_rows"] == Metric(None, undefined="the live build had no rows")
    emptied = drift_metrics("books", nothing, Comparison(Baseline("b1", "given", {"books": something})))
    assert emptied["share_of_last_rows"].value == 0
    assert emptied["share_of_key_fill_lost"].value == 1
    other = drift_metrics("books", something, Comparison(Baseline("b1", "given", {})))
    assert other["share_of_last_rows"].undefined == "the live build did not measure this table"


# ------------------------------------------------------------------------------------------------- the baseline


def test_a_published_build_is_what_the_next_is_compared_with(tmp_path: Path) -> None:
    assert load_baseline(tmp_path, "given") == NO_EARLIER_BUILD
    profiles = {table: {"rows": 1} for table in MAKE}
    keys = {table: f"{table}-key" for table in MAKE}
    save_baseline(tmp_path, Baseline("b1", "given", profiles, keys))
    found = load_baseline(tmp_path, "given")
    assert found.baseline == Baseline("b1", "given", profiles, keys)
    assert json.loads((tmp_path / "quality" / "baseline_given.json").read_text()) == {
        "format": FORMAT,
        "build": "b1",
        "source": "given",
        "profiles": profiles,
        "tables": keys,
    }
    # The sample is compared with the sample, and does not replace the catalogue's baseline.
    assert load_baseline(tmp_path, "sample") == NO_EARLIER_BUILD
    save_baseline(tmp_path, Baseline("b2", "sample", profiles, keys))
    assert load_baseline(tmp_path, "given") == found
    # The same tables under another build's name are the same to compare with: nothing is checked anew.
    assert load_baseline(tmp_path, "sample").digest == found.digest
    assert NO_EARLIER_BUILD.digest == "no earlier build"


def test_a_baseline_knows_the_tables_that_it_was_made_of() -> None:
    compared = Comparison(Baseline("b1", "given", {}, {"books": "k1", "authors": "k2"}))
    assert compared.holds({"books": "k1"})
    assert compared.holds({"books": "k1", "authors": "k2"})
    assert not compared.holds({"books": "k1", "authors": "other"})
    assert not compared.holds({"books": "k1", "reviews": "k3"})
    assert not NO_EARLIER_BUILD.holds({"books": "k1"})


def test_a_rollback_restores_its_baseline(tmp_path: Path) -> None:
    for number in (1, 2):
        save_baseline(tmp_path, Baseline(f"b{number}", "given", {"books": {"rows": number}}))
    assert restore_baseline(tmp_path, "b1")
    assert load_baseline(tmp_path, "given").baseline == Baseline("b1", "given", {"books": {"rows": 1}})
    assert not restore_baseline(tmp_path, "of another home")
    assert load_baseline(tmp_path, "given").baseline == Baseline("b1", "given", {"books": {"rows": 1}})


def test_the_last_profiles_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "quality" / "profiles"
    for number in range(KEEP_PROFILES + 2):
        save_baseline(tmp_path, Baseline(f"b{number}", "given", {}))
        os.utime(folder / f"b{number}.json", (number, number))
    save_baseline(tmp_path, Baseline("last", "given", {}))
    kept = [f"b{number}" for number in range(3, KEEP_PROFILES + 2)]
    assert {path.stem for path in folder.iterdir()} == {*kept, "last"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        f'{{"format": {FORMAT}}}',
        f'{{"format": {FORMAT}, "build": "b", "source": "given", "profiles": 3}}',
    ],
)
def test_a_damaged_baseline_stops_the_comparison_and_does_not_pass_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "quality").mkdir()
    path = tmp_path / "quality" / "baseline_given.json"
    path.write_text(text)
    with pytest.raises(QualityError, match="cannot be compared") as error:
        load_baseline(tmp_path, "given")
    assert str(path) in error.value.expected
    assert "or remove it" in error.value.todo


def test_a_baseline_of_another_version_is_nothing_to_compare_with(tmp_path: Path) -> None:
    save_baseline(tmp_path, Baseline("b1", "given", {}))
    path = tmp_path / "quality" / "baseline_given.json"
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', '"format": 0'))
    assert load_baseline(tmp_path, "given") == Comparison(None, "the live build was measured by another version")


def test_a_column_that_is_measured_no_more_has_not_drifted() -> None:
    profile = {"rows": 2, "fill": {"title": 2, "gone": 2}, "distributions": {}}
    now = {**profile, "fill": {"title": 2}}
    drift = drift_metrics("books", now, Comparison(Baseline("b1", "given", {"books": profile})))
    assert drift["share_of_fill_lost"].value == 0
