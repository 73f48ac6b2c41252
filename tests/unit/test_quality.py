"""The data-quality layer over real Parquet files, with the real Great Expectations.

Outgoing connections are refused in this process: nothing may ask the network.
"""

import hashlib
import json
import multiprocessing
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from table_rows import Row, author, book, document, failed, names, review, sound, write

from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality import data_docs, validation
from viberary_pipeline.quality.bounds import BOUNDS, TABLES, expectation_specs
from viberary_pipeline.quality.results import BADGES, ExpectationResult, badge_of_all, expected_text, number_text
from viberary_pipeline.quality.validation import ValidationReport, validate


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., ValidationReport]:
    """Validate `table` of a sound two-book catalogue in which the given tables are replaced."""

    def run(
        table: str, *, run_name: str = "run", keep_runs: int = 10, works_left_out: int = 0, **tables: list[Row]
    ) -> ValidationReport:
        paths = {
            name: write(tmp_path / "data" / f"{name}.parquet", name, tables.get(name, sound(name))) for name in TABLES
        }
        related = {name: paths[name] for name in ("books", "authors", "reviews")}
        docs = tmp_path / "quality" / "docs"
        return validate(
            table,
            paths[table],
            docs=docs,
            run_name=run_name,
            related=related,
            works_left_out=works_left_out,
            keep_runs=keep_runs,
        )

    return run


@pytest.mark.parametrize("table", TABLES)
def test_a_sound_table_meets_every_expectation(table: str, check: Callable[..., ValidationReport]) -> None:
    report = check(table)
    assert failed(report) == {}
    assert (report.table, report.run_name, report.row_count) == (table, "run", 2)
    assert [result.name for result in report.results] == [spec.name for spec in expectation_specs(table)]
    assert {result.name for result in report.results if result.outcome == "not compared"} == {
        spec.name
        for spec in expectation_specs(table)
        if validation.is_drift(spec) or (table, spec.name) == ("authors", "counts_not_negative")  # they have no counts
    }


def test_one_result_says_everything_about_its_expectation(check: Callable[..., ValidationReport]) -> None:
    rows = [book(1), book(2, title=None), book(3), book(4)]
    results = {result.name: result for result in check("books", books=rows).results}
    assert results["title_present"] == ExpectationResult(
        name="title_present",
        severity="ERROR",
        outcome="failed",
        expected="a value",
        observed="1 of 4 rows failing",
        unexpected_count=1,
        unexpected_percent=25.0,
        examples=("book b2",),
        reason="The title is the one thing that every document and every result shows.",
    )
    assert results["title_present"].sentence("books") == (
        "books.title_present: 1 of 4 rows failing (book b2); expected a value"
    )
    assert (results["average_rating_in_range"].outcome, results["drift_rows"].outcome) == ("passed", "not compared")


ROTTEN_BOOKS = [
    book(1, book_id="b1"),
    book(2, book_id="b1"),
    book(3, book_id=None),
    book(4, title=None),
    book(5, average_rating=5.01),
    book(6, average_rating=-1.0),
    book(7, ratings_count=-4),
    book(8, publication_year=0),
    book(9, publication_year=65535),
    book(10, publication_month=25),
    book(11, publication_day=127, num_pages=0),
    book(12, language_source=None),
    book(13),
    book(14),
]


@pytest.mark.parametrize(
    ("table", "tables", "expected"),
    [
        pytest.param(
            "books",
            {"books": []},
            {"has_rows": ("ERROR", "0", ())},
            id="no books",
        ),
        pytest.param(
            "books",
            {"books": ROTTEN_BOOKS},
            {
                "book_id_present": ("ERROR", "1 of 14 rows failing", ("line 3",)),
                "book_id_unique": ("ERROR", "2 of 13 rows failing", ("book b1",)),
                "title_present": ("ERROR", "1 of 14 rows failing", ("book b4",)),
                "title_share": ("WARN", "92.86% of 14 rows", ("book b4",)),
                "average_rating_in_range": ("ERROR", "2 of 14 rows failing", ("book b5: 5.01", "book b6: -1.0")),
                "counts_not_negative": ("ERROR", "1 of 14 rows failing", ("book b7: -4",)),
                "publication_year_in_range": ("ERROR", "2 of 14 rows failing", ("book b8: 0", "book b9: 65535")),
                "publication_month_in_range": ("ERROR", "1 of 14 rows failing", ("book b10: 25",)),
                "publication_day_in_range": ("ERROR", "1 of 14 rows failing", ("book b11: 127",)),
                "pages_in_range": ("ERROR", "1 of 14 rows failing", ("book b11: 0",)),
                "language_source_stated": ("ERROR", "1 of 14 rows failing", ("book b12",)),
            },
            id="rotten books",
        ),
        pytest.param(
            "books",
            {
                "books": [
                    book(1, description=None, authors=[], work_id=None, language_code=None),
                    book(2, description=None, authors=None, work_id=None, language_code=None),
                    book(3, title=" "),
                ]
            },
            {
                "title_share": ("WARN", "66.67% of 3 rows", ("book b3",)),
                "description_share": ("WARN", "33.33% of 3 rows", ("book b1", "book b2")),
                "author_share": ("WARN", "33.33% of 3 rows", ("book b1", "book b2")),
                "work_id_share": ("WARN", "33.33% of 3 rows", ("book b1", "book b2")),
            },
            id="sparse books",
        ),
        pytest.param(
            "authors",
            {"authors": []},
            {"has_rows": ("WARN", "0", ())},
            id="no authors",
        ),
        pytest.param(
            "authors",
            {
                "authors": [
                    author(1, author_id="a1"),
                    author(2, author_id="a1"),
                    author(3, author_id=None),
                    author(4, name=" "),
                    author(5, name=None, average_rating=7.5),
                    author(6, name="Author 1", ratings_count=-2),
                ]
            },
            {
                "author_id_present": ("ERROR", "1 of 6 rows failing", ("line 3",)),
                "author_id_unique": ("ERROR", "2 of 5 rows failing", ("author a1",)),
                "name_present": ("ERROR", "2 of 6 rows failing", ("author a4", "author a5")),
                "average_rating_in_range": ("ERROR", "1 of 6 rows failing", ("author a5: 7.5",)),
                "counts_not_negative": ("ERROR", "1 of 1 rows failing", ("author a6: -2",)),
                "names_used_once_share": ("WARN", "60% of 5 rows", ("author a1: Author 1", "author a6: Author 1")),
            },
            id="rotten authors",
        ),
        pytest.param(
            "reviews",
            {"reviews": []},
            {"has_rows": ("WARN", "0", ())},
            id="no reviews",
        ),
        pytest.param(
            "reviews",
            {
                "reviews": [
                    review(1, review_id="r1"),
                    review(2, review_id="r1"),
                    review(3, review_id=None),
                    review(4, book_id=None),
                    review(5, text_hash=None),
                    review(6, text_length=0),
                    review(7, rating=0),
                    review(8, rating=None),
                ]
            },
            {
                "review_id_present": ("ERROR", "1 of 8 rows failing", ("line 3",)),
                "review_id_unique": ("ERROR", "2 of 7 rows failing", ("review r1",)),
                "book_id_present": ("ERROR", "1 of 8 rows failing", ("review r4",)),
                "rating_in_range": ("ERROR", "1 of 7 rows failing", ("review r7: 0",)),
                "text_share": ("WARN", "87.5% of 8 rows", ("review r6",)),
                "text_measured": ("ERROR", "2 of 8 rows failing", ("review r5", "review r6")),
            },
            id="rotten reviews",
        ),
        pytest.param(
            "reviews",
            {
                "reviews": [
                    *(review(number, review_text="Loved it.", rating=None) for number in range(1, 6)),
                    review(6, review_text="Hated it.", date_added=None),
                    review(7, review_text="Hated it."),
                    review(8, review_text=None, rating=None),
                ]
            },
            {
                "text_share": ("WARN", "87.5% of 8 rows", ("review r8",)),
                "text_length_median": ("WARN", "9", ()),
                "text_new_share": (
                    "WARN",
                    "0% of 7 rows",
                    (
                        "review r1: 15458877602857340902",
                        "review r2: 15458877602857340902",
                        "review r3: 15458877602857340902",
                        "review r4: 15458877602857340902",
                        "review r5: 15458877602857340902",
                    ),
                ),
                "rating_share": (
                    "WARN",
                    "25% of 8 rows",
                    ("review r1", "review r2", "review r3", "review r4", "review r5"),
                ),
                "date_share": ("WARN", "87.5% of 8 rows", ("review r6",)),
            },
            id="poor reviews",
        ),
        pytest.param(
            "documents",
            {"books": [], "authors": [], "reviews": [], "documents": []},
            {"has_rows": ("ERROR", "0", ())},
            id="nothing at all",
        ),
        pytest.param(
            "documents",
            {
                "books": sound("books", 6),
                "documents": [
                    document(1),
                    document(2, work_id="w1"),
                    document(3, work_id=None, book_id="b1"),
                    document(4, book_id="b99"),
                    document(5, text=""),
                    document(6, text=None),
                    document(7, book_id="b6", text_hash=hashlib.sha256(b"another text").hexdigest()),
                    document(8, book_id="b2x", text_hash="A" * 63),
                ],
            },
            {
                "one_per_work": ("ERROR", "2", ()),
                "work_id_present": ("ERROR", "1 of 8 rows failing", ("book b1",)),
                "work_id_unique": ("ERROR", "2 of 7 rows failing", ("work w1",)),
                "book_id_unique": (
                    "ERROR",
                    "4 of 8 rows failing",
                    ("work w1: b1", "book b1", "work w6: b6", "work w7: b6"),
                ),
                "book_known": ("ERROR", "2 of 8 rows failing", ("work w4", "work w8")),
                "text_present": ("ERROR", "2 of 8 rows failing", ("work w5", "work w6")),
                "text_hash_well_formed": ("ERROR", "2 of 8 rows failing", ("work w6", "work w8")),
                "text_hash_matches": ("ERROR", "2 of 7 rows failing", ("work w7", "work w8")),
                "author_links_found_share": (
                    "WARN",
                    "33.33%",
                    ("book b3: author a3", "book b4: author a4", "book b5: author a5", "book b6: author a6"),
                ),
            },
            id="rotten documents",
        ),
        pytest.param(
            "documents",
            {
                "books": [
                    *sound("books", 3),
                    book(4, work_id="w3"),
                    book(5, work_id=None),
                    book(6, work_id=None),
                ],
                "authors": sound("authors", 6),
                "documents": sound("documents", 3),
            },
            # w1, w2, w3 (two editions) and two books without a work: five works, three documents
            {"one_per_work": ("ERROR", "-2", ())},
            id="works without a document",
        ),
        pytest.param(
            "documents",
            {
                "documents": [
                    document(1, shelves=[f"mood {letter}" for letter in "abcdefghijklmnopqrstu"]),
                    document(2, shelves=["gothic", "gothic"]),
                    document(3, shelves=["to read"]),
                    document(4, shelves=["read in 2014"]),
                    document(5, shelves=[]),
                ],
                "books": sound("books", 5),
                "authors": sound("authors", 5),
            },
            {
                "shelf_count_in_range": ("ERROR", "1 of 5 rows failing", ("work w1: 21",)),
                "shelves_telling_share": ("WARN", "40% of 5 rows", ("work w2", "work w3", "work w4")),
            },
            id="shelves that say nothing",
        ),
        pytest.param(
            "documents",
            {
                "documents": [
                    document(1, text="Short.", author="", thin=True),
                    document(2, text="Short.", author=None, thin=True),
                ],
                "reviews": [review(1), review(2, book_id="other"), review(3, book_id="other")],
            },
            {
                "text_unique_share": (
                    "WARN",
                    "0% of 2 rows",
                    (
                        "work w1: c9145e654bf3ea4822d6f2a3246ab4e18e28ad6c950bf80d7b1e4d81eb315f6a",
                        "work w2: c9145e654bf3ea4822d6f2a3246ab4e18e28ad6c950bf80d7b1e4d81eb315f6a",
                    ),
                ),
                "text_length_median": ("WARN", "6", ()),
                "author_share": ("WARN", "0% of 2 rows", ("work w1", "work w2")),
                "not_thin_share": ("WARN", "0% of 2 rows", ("work w1", "work w2")),
                "reviews_match_books_share": ("WARN", "33.33%", ("review r2", "review r3")),
            },
            id="poor documents",
        ),
        pytest.param(
            "documents",
            {"reviews": [review(1, book_id="other"), review(2, book_id=None)]},
            {
                "reviews_match_books": ("ERROR", "0%", ("review r1", "review r2")),
                "reviews_match_books_share": ("WARN", "0%", ("review r1", "review r2")),
            },
            id="reviews of other books",
        ),
    ],
)
def test_what_is_wrong_is_named_counted_and_shown(
    table: str,
    tables: dict[str, list[Row]],
    expected: Mapping[str, Any],
    check: Callable[..., ValidationReport],
) -> None:
    report = check(table, **tables)
    assert failed(report) == expected
    assert names(report, "error") == [name for name, value in expected.items() if value[0] == "ERROR"]
    assert names(report, "warning") == [name for name, value in expected.items() if value[0] == "WARN"]


def test_every_blocking_expectation_has_a_failing_case_above() -> None:
    marks = [m for m in test_what_is_wrong_is_named_counted_and_shown.pytestmark if m.name == "parametrize"]
    failing = {
        (case.values[0], name)
        for case in marks[0].args[1]
        for name, value in case.values[2].items()
        if value[0] == "ERROR"
    }
    blocking = {
        (table, spec.name)
        for table in TABLES
        for spec in expectation_specs(table)
        if spec.severity == "ERROR" and not validation.is_drift(spec)  # tests/test_drift.py has those
    }
    assert failing == blocking


def test_a_poor_little_catalogue_blocks_nothing(check: Callable[..., ValidationReport]) -> None:
    """One bare book, no author, no review: every share is at its worst, and the index can be built."""
    bare = {"line": 1, "book_id": "b1", "title": "Book 1", "authors": []}
    tables: dict[str, list[Row]] = {
        "books": [bare],
        "authors": [],
        "reviews": [],
        "documents": [
            document(
                1, work_id="bb1", author="", language=None, review_count=0, reviews_used=0, thin=True, text="Book 1."
            )
        ],
    }
    reports = {table: check(table, **tables) for table in TABLES}
    assert {table: names(report, "error") for table, report in reports.items()} == {table: [] for table in TABLES}
    assert {table: names(report, "warning") for table, report in reports.items()} == {
        "books": [
            "description_share",
            "author_share",
            "work_id_share",
            "language_share",
            "language_known_share",
            "isbn13_share",
            "pages_share",
            "publisher_share",
            "publication_year_share",
            "link_share",
        ],
        "authors": ["has_rows"],
        "reviews": ["has_rows"],
        "documents": [
            "text_length_median",
            "author_share",
            "not_thin_share",
            "language_known_share",
            "review_share",
        ],
    }
    uncompared = {
        result.name: result.observed
        for result in reports["documents"].results
        if result.outcome == "not compared" and not result.name.startswith("drift_")
    }
    assert uncompared == {
        "reviews_match_books": "no rows to measure",
        "reviews_match_books_share": "no rows to measure",
        "author_links_found_share": "no rows to measure",
        "title_and_author_unique_share": "no row has a value",
        "english_share": "no row has a value",
    }


def test_works_that_the_filters_left_out_are_not_lost_ones(check: Callable[..., ValidationReport]) -> None:
    tables = {"books": sound("books", 5), "authors": sound("authors", 5), "documents": sound("documents", 2)}
    assert failed(check("documents", works_left_out=3, **tables)) == {}
    assert failed(check("documents", works_left_out=2, **tables)) == {"one_per_work": ("ERROR", "-1", ())}


def test_languages_and_twins_are_looked_at(check: Callable[..., ValidationReport]) -> None:
    foreign = [document(n, title="Candide", author="voltaire" if n == 1 else "Voltaire", language="fr") for n in (1, 2)]
    books = [book(n, language="fr", language_source="detected", language_code=None) for n in (1, 2)]
    assert failed(check("documents", documents=foreign)) == {
        "title_and_author_unique_share": (
            "WARN",
            "0% of 2 rows",
            ("work w1: candide by voltaire", "work w2: candide by voltaire"),
        ),
        "english_share": ("WARN", "0% of 2 rows", ("work w1: fr", "work w2: fr")),
    }
    assert failed(check("books", books=books)) == {
        "language_share": ("WARN", "0% of 2 rows", ("book b1", "book b2")),
        "english_share": ("WARN", "0% of 2 rows", ("book b1: fr", "book b2: fr")),
    }


def test_a_table_in_several_files_is_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "authors.parquet"
    for number in (1, 2, 3):
        write(folder / f"part-0000{number}.parquet", "authors", [author(number)])
    report = validate("authors", folder, docs=tmp_path / "quality" / "docs", run_name="run")
    assert (report.row_count, failed(report)) == (3, {})


# ------------------------------------------------------------------------------------------------ Data Docs


def test_data_docs_name_what_failed_and_need_no_network(
    check: Callable[..., ValidationReport], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check("authors", run_name="first", authors=[author(n, ratings_count=n) for n in (1, 2)])
    capfd.readouterr()
    report = check("books", run_name="a profiling run/7", books=[book(1), book(2, book_id="<b>&", title=None)])
    assert capfd.readouterr() == ("", "")  # no progress bars, no log lines

    docs = tmp_path / "quality" / "docs"
    assert report.index == docs / "index.html"
    assert report.run_name == "a-profiling-run-7"
    assert report.page.parent.parent == docs / "validations" / "books" / "a-profiling-run-7"
    page, index = report.page.read_text(), report.index.read_text()
    for html in (page, index):
        assert "title_present" in html
        assert "✗ error" in html
        assert "http://" not in html
        assert "https://" not in html
        assert "<script" not in html
        assert "<b>&" not in html  # what comes from the data is text, never markup
    assert "book &lt;b&gt;&amp;" in page
    assert "The title is the one thing that every document and every result shows." in page
    assert f'href="{report.page.relative_to(docs)}"' in index
    assert (report.page.parent / "../../../../index.html").resolve() == report.index.resolve()
    assert index.count("✓ passed") == 2  # the card and the history line of the authors
    assert index.count("– not compared") == 4  # those of the figures of both, without a live build
    figures = next((docs / "validations" / "books_figures").rglob("*.html")).read_text()
    assert "no earlier build" in figures
    assert "✓ passed" not in figures


def test_only_the_newest_results_are_kept(check: Callable[..., ValidationReport], tmp_path: Path) -> None:
    reports = [check("authors", run_name=f"run-{number}", keep_runs=2) for number in (1, 2, 3)]
    other = check("reviews", run_name="other", keep_runs=2)
    docs = tmp_path / "quality" / "docs"
    kept = {path.relative_to(docs) for path in (docs / "validations").rglob("*.html")}
    pages = {report.page.relative_to(docs) for report in (*reports[1:], other)}
    assert {path for path in kept if "_figures" not in str(path)} == pages
    assert len(kept) == 2 * len(pages)
    stored = {path.stem for path in (tmp_path / "quality" / "gx" / "results").rglob("duckdb-*.json")}
    assert stored == {f"duckdb-{table}{kind}" for table in ("authors", "reviews") for kind in ("", "_figures")}
    folders = [path for path in (tmp_path / "quality").rglob("*") if path.is_dir()]
    assert [folder for folder in folders if not any(folder.iterdir())] == []
    index = other.index.read_text()
    shown = [name for name in ("run-1", "run-2", "run-3", "other") if f"<code>{name}</code>" in index]
    assert shown == ["run-2", "run-3", "other"]


def test_a_torn_or_foreign_stored_result_does_not_stop_the_next_run(
    check: Callable[..., ValidationReport], tmp_path: Path
) -> None:
    for name in ("torn", "foreign"):
        check("authors", run_name=name)
    results = tmp_path / "quality" / "gx" / "results"
    for torn in results.rglob("*/torn/**/*.json"):
        torn.write_bytes(torn.read_bytes()[:100])
    for foreign in results.rglob("*/foreign/**/*.json"):
        content = json.loads(foreign.read_text())
        for result in content["results"]:
            del result["expectation_config"]["meta"]
        foreign.write_text(json.dumps(content))
    index = check("authors", run_name="next").index.read_text()
    assert [f"<code>{name}</code>" in index for name in ("torn", "foreign", "next")] == [False, False, True]


def _validate(table: str, paths: dict[str, Path], docs: Path) -> str:
    related = {name: paths[name] for name in ("books", "authors", "reviews")}
    return validate(table, paths[table], docs=docs, run_name="together", related=related).page.name


def test_processes_may_validate_at_once(tmp_path: Path) -> None:
    paths = {table: write(tmp_path / f"{table}.parquet", table, sound(table)) for table in TABLES}
    docs = tmp_path / "quality" / "docs"
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        pages = list(pool.map(_validate, TABLES, repeat(paths), repeat(docs)))
    assert pages == [f"duckdb-{table}.html" for table in TABLES]
    index = (docs / "index.html").read_text()
    assert index.count("<code>together</code>") == 2 * len(TABLES)
    assert set(pages) < {path.name for path in docs.rglob("duckdb-*.html")}


def test_a_site_that_stays_locked_is_an_error(
    check: Callable[..., ValidationReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check("authors")
    monkeypatch.setattr(validation, "LOCK_SECONDS", 0.05)
    with (
        FileLock(tmp_path / "quality" / "gx" / "lock"),
        pytest.raises(QualityError, match="The data quality report is locked"),
    ):
        check("authors")


def test_a_site_that_cannot_be_rendered_is_an_error(
    check: Callable[..., ValidationReport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(data_docs, "TEMPLATES", tmp_path / "lost")
    with pytest.raises(QualityError, match="Data Docs were not written") as error:
        check("authors")
    assert error.value.found == "a page that is missing or empty; Great Expectations logged the cause above"
    assert "TemplateNotFound: \"'result.html' not found" in caplog.text


# --------------------------------------------------------------------------------------------------- bounds


HEAVY = ("great_expectations", "matplotlib", "pandas", "duckdb", "sqlalchemy")


@pytest.mark.parametrize("module", ["baseline", "bounds", "verdict", "validation", "profile", "drift", "report.make"])
def test_heavy_libraries_are_not_imported_before_they_are_needed(module: str) -> None:
    code = (
        f"import sys, viberary_pipeline.quality.{module};"
        "from viberary_pipeline.quality.bounds import expectation_specs;"
        f"print(len(expectation_specs('authors')), [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "10 []\n"


def bounds_with(tmp_path: Path, entry: str) -> Path:
    """The shipped bounds, in which the authors have one expectation: `entry`."""
    path = tmp_path / "bounds.toml"
    shipped = BOUNDS.read_text()
    others = shipped.split("[authors.")[0] + shipped[shipped.index("[reviews.") :]
    path.write_text(f"{entry}\n{others}")
    return path


GOOD = """
severity = "WARN"
expectation = "expect_column_values_to_be_between"
arguments = { column = "average_rating", min_value = 1 }
reason = "Because."
"""


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (
            "[authors.x]" + GOOD.replace("WARN", "warning"),
            "authors.x: severity: Input should be 'ERROR' or 'WARN'",
        ),
        (
            "[authors.x]" + GOOD.replace("column =", "columns ="),
            "authors.x: : Value error, arguments need `column`",
        ),
        ("[authors.x]" + GOOD.replace('reason = "Because."', ""), "authors.x: reason: Field required"),
        ("[authors.x]" + GOOD + "mostly = 0.5", "authors.x: mostly: Extra inputs are not permitted"),
        ("[authors.BadName]" + GOOD, "authors.BadName: name: String should match"),
        (
            "[authors.x]" + GOOD.replace("expect_column_values_to", "values_to"),
            "authors.x: expectation: String",
        ),
        ("[authors.x]" + GOOD + "[authros.y]" + GOOD, "authros.y: table: Input should be 'books'"),
        ("", "authors: has no expectation"),
        ("[authors", "TOMLDecodeError"),
        ("authors = 3", "authors: severity: Field required"),
        ("[authors]\nx = 3", "authors.x: severity: Field required"),
    ],
)
def test_a_wrong_entry_is_named(entry: str, found: str, tmp_path: Path) -> None:
    path = bounds_with(tmp_path, entry)
    with pytest.raises(QualityError) as error:
        expectation_specs("authors", path)
    assert found in error.value.found
    assert str(path) in error.value.todo


def test_missing_bounds_are_a_matter_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(QualityError, match="The bounds of the data cannot be read") as error:
        expectation_specs("authors", tmp_path / "bounds.toml")
    assert error.value.expected == f"a TOML file at {tmp_path / 'bounds.toml'}"
    assert error.value.todo == "correct or unset VIBERARY_QUALITY_BOUNDS"


@pytest.mark.parametrize("blank", ["", " \t\r\n", "\u200b\u00a0", "\ufeff\x07"])
def test_what_cannot_be_seen_is_no_text(check: Callable[..., ValidationReport], blank: str) -> None:
    reports = {
        "authors": check("authors", authors=[author(1, name=blank)]),
        "documents": check("documents", documents=[document(1, text=blank)], books=[book(1)]),
        "books": check("books", books=[book(1, title=blank)]),
    }
    named = {
        table: {result.name for result in report.results if result.outcome == "failed"}
        for table, report in reports.items()
    }
    expected = {
        "authors": "name_present",
        "documents": "text_present",
        "books": "title_share",
    }
    assert [table for table, name in expected.items() if name not in named[table]] == []


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (
            GOOD.replace("average_rating", "rating"),
            "column = 'rating'; the columns are label, author_id, name",
        ),
        (GOOD.replace("min_value", "min_vale"), "min_vale"),
        (GOOD.replace("to_be_between", "to_be_nice"), "expect_column_values_to_be_nice not found"),
    ],
)
def test_an_entry_that_cannot_be_checked_is_named(entry: str, found: str, tmp_path: Path) -> None:
    parquet = write(tmp_path / "authors.parquet", "authors", sound("authors"))
    bounds = bounds_with(tmp_path, f"[authors.x]{entry}")
    with pytest.raises(QualityError) as error:
        validate("authors", parquet, docs=tmp_path / "q" / "docs", run_name="run", bounds=bounds)
    assert error.value.what == "The expectation authors.x cannot be checked"
    assert found in error.value.found


@pytest.mark.parametrize(
    ("entry", "failed_with", "expected"),
    [
        (
            GOOD.replace("values_to_be_between", "max_to_be_between").replace("min_value", "max_value"),
            ("WARN", "4", ()),
            "at most 1",
        ),
        (
            GOOD.replace("values_to_be_between", "value_lengths_to_equal")
            .replace("average_rating", "name")
            .replace("min_value = 1", "value = 7"),
            ("WARN", "2 of 2 rows failing", ("author a1: Author 1", "author a2: Author 2")),
            "expect_column_value_lengths_to_equal {'value': 7.0}",
        ),
        (
            GOOD.replace("column_values_to_be_between", "table_row_count_to_equal")
            .replace('column = "average_rating", ', "")
            .replace("min_value = 1", "value = 7"),
            ("WARN", "2", ()),
            "expect_table_row_count_to_equal {'value': 7}",
        ),
    ],
)
def test_any_column_or_table_expectation_may_be_used(
    entry: str, failed_with: tuple[Any, ...], expected: str, tmp_path: Path
) -> None:
    parquet = write(tmp_path / "authors.parquet", "authors", sound("authors"))
    bounds = bounds_with(tmp_path, f"[authors.mine]{entry}")
    report = validate("authors", parquet, docs=tmp_path / "q" / "docs", run_name="run", bounds=bounds)
    assert failed(report) == {"mine": failed_with}
    assert report.results[0].expected == expected


def test_a_home_of_any_name_is_checked(tmp_path: Path) -> None:
    home = tmp_path / "o'clock $HOME %20"
    parquet = write(tmp_path / "authors.parquet", "authors", sound("authors"))
    copied = home / "authors.parquet"
    copied.parent.mkdir()
    copied.write_bytes(parquet.read_bytes())
    report = validate("authors", copied, docs=home / "quality" / "docs", run_name="run")
    assert (failed(report), report.row_count) == ({}, 2)


def test_tables_that_cannot_be_measured_say_why(tmp_path: Path) -> None:
    docs = tmp_path / "q" / "docs"
    books = write(tmp_path / "books.parquet", "books", sound("books"))
    with pytest.raises(QualityError, match="The table documents cannot be checked without its related tables"):
        validate("documents", books, docs=docs, run_name="run")
    with pytest.raises(QualityError, match="The table authors cannot be measured") as wrong:
        validate("authors", books, docs=docs, run_name="run")
    assert "author_id" in wrong.value.found
    with pytest.raises(QualityError, match="The table authors cannot be measured"):
        validate("authors", tmp_path / "absent.parquet", docs=docs, run_name="run")
    with pytest.raises(QualityError, match="There is no such table to check"):
        validate("works", books, docs=docs, run_name="run")


def test_numbers_and_bounds_read_well() -> None:
    texts = {
        f"{spec.table}.{spec.name}": expected_text(spec.expectation, spec.arguments)
        for table in TABLES
        for spec in expectation_specs(table)
    }
    assert texts["books.has_rows"] == "at least 1"
    assert texts["books.title_present"] == "a value"
    assert texts["books.title_share"] == "a value in at least 99.9% of rows"
    assert texts["books.book_id_unique"] == "no repeated value"
    assert texts["books.english_share"] == "en in at least 40% of rows"
    assert texts["books.drift_rows"] == "at least 90%"
    assert texts["documents.one_per_work"] == "exactly 0"
    assert texts["documents.book_known"] == "true"
    assert texts["documents.text_length_median"] == "at least 100 and at most 10,000"
    assert texts["documents.reviews_match_books"] == "more than 0%"
    assert number_text("", 15_739_967.0) == "15,739,967"
    assert number_text("", 812.5) == "812.5"
    assert number_text("share_with_author", 0.99964) == "99.96%"


@pytest.mark.parametrize(
    ("counts", "badge"),
    [
        ({}, ""),
        ({"passed": 25}, "passed"),
        ({"passed": 25, "not compared": 6}, "passed"),
        ({"not compared": 6}, "not compared"),
        ({"passed": 25, "not compared": 6, "warning": 1}, "warning"),
        ({"passed": 25, "warning": 1, "error": 1}, "error"),
    ],
)
def test_a_table_has_the_badge_of_what_must_be_seen_first(counts: dict[str, int], badge: str) -> None:
    assert badge_of_all({name: counts.get(name, 0) for name in BADGES}) == badge
