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
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from table_rows import Row, author, book, document, missed, review, sound, write

from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality import (
    BOUNDS,
    TABLES,
    ExpectationResult,
    ValidationReport,
    data_docs,
    expectation_specs,
    validate,
    validation,
)
from viberary_pipeline.quality.metrics import Metric
from viberary_pipeline.quality.wording import expected_text, number_text, percent_against


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
    assert missed(report) == {}
    assert (report.table, report.run_name, report.row_count) == (table, "run", 2)
    assert [result.name for result in report.results] == [spec.name for spec in expectation_specs(table)]
    assert report.errors == report.warnings == ()


def test_one_result_says_everything_about_its_expectation(check: Callable[..., ValidationReport]) -> None:
    rows = [book(1), book(2, title=None), book(3), book(4)]
    results = {result.name: result for result in check("books", books=rows).results}
    assert results["title_present"] == ExpectationResult(
        name="title_present",
        severity="ERROR",
        success=False,
        expected="at most 0",
        observed="1",
        unexpected_count=1,
        unexpected_percent=25.0,
        examples=("book b2",),
        reason="The title is the one thing that every document and every result shows.",
    )


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
            {"has_rows": ("ERROR", "0", None, None, ())},
            id="no books",
        ),
        pytest.param(
            "books",
            {"books": ROTTEN_BOOKS},
            {
                "book_id_present": ("ERROR", "1", 1, 7.1, ("line 3",)),
                "book_id_unique": ("ERROR", "1", 1, 8.3, ("book b1",)),
                "title_present": ("ERROR", "1", 1, 7.1, ("book b4",)),
                "title_share": ("WARN", "92.86%", 1, 7.1, ("book b4",)),
                "average_rating_in_range": ("ERROR", "2", 2, 14.3, ("book b5: 5.01", "book b6: -1.0")),
                "counts_not_negative": ("ERROR", "1", 1, 7.1, ("book b7: -4",)),
                "publication_year_in_range": ("ERROR", "2", 2, 14.3, ("book b8: 0", "book b9: 65535")),
                "publication_date_in_range": (
                    "ERROR",
                    "2",
                    2,
                    14.3,
                    ("book b10: month 25, day 18", "book b11: month 10, day 127"),
                ),
                "pages_in_range": ("ERROR", "1", 1, 7.1, ("book b11: 0",)),
                "language_source_stated": ("ERROR", "1", 1, 7.1, ("book b12",)),
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
                "title_share": ("WARN", "66.67%", 1, 33.3, ("book b3",)),
                "description_share": ("WARN", "33.33%", 2, 66.7, ("book b1", "book b2")),
                "author_share": ("WARN", "33.33%", 2, 66.7, ("book b1", "book b2")),
                "work_id_share": ("WARN", "33.33%", 2, 66.7, ("book b1", "book b2")),
            },
            id="sparse books",
        ),
        pytest.param(
            "authors",
            {"authors": []},
            {"has_rows": ("WARN", "0", None, None, ())},
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
                "author_id_present": ("ERROR", "1", 1, 16.7, ("line 3",)),
                "author_id_unique": ("ERROR", "1", 1, 25.0, ("author a1",)),
                "name_present": ("ERROR", "2", 2, 33.3, ("author a4", "author a5")),
                "average_rating_in_range": ("ERROR", "1", 1, 16.7, ("author a5: 7.5",)),
                "counts_not_negative": ("ERROR", "1", 1, 16.7, ("author a6: -2",)),
                "names_used_once_share": ("WARN", "75%", 1, 25.0, ("2 times Author 1",)),
            },
            id="rotten authors",
        ),
        pytest.param(
            "reviews",
            {"reviews": []},
            {"has_rows": ("WARN", "0", None, None, ())},
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
                "review_id_present": ("ERROR", "1", 1, 12.5, ("line 3",)),
                "review_id_unique": ("ERROR", "1", 1, 16.7, ("review r1",)),
                "book_id_present": ("ERROR", "1", 1, 12.5, ("review r4",)),
                "rating_in_range": ("ERROR", "1", 1, 12.5, ("review r7: 0",)),
                "text_share": ("WARN", "87.5%", 1, 12.5, ("review r6",)),
                "text_measured": ("ERROR", "2", 2, 25.0, ("review r5", "review r6")),
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
                "text_share": ("WARN", "87.5%", 1, 12.5, ("review r8",)),
                "text_length_median": ("WARN", "9", None, None, ()),
                "text_new_share": (
                    "WARN",
                    "28.57%",
                    5,
                    71.4,
                    ("5 times the text of review r1", "2 times the text of review r6"),
                ),
                "rating_share": ("WARN", "25%", 6, 75.0, ("review r1", "review r2", "review r3")),
                "date_share": ("WARN", "87.5%", 1, 12.5, ("review r6",)),
            },
            id="poor reviews",
        ),
        pytest.param(
            "documents",
            {"books": [], "authors": [], "reviews": [], "documents": []},
            {"has_rows": ("ERROR", "0", None, None, ())},
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
                "one_per_work": ("ERROR", "2", None, None, ()),
                "work_id_present": ("ERROR", "1", 1, 12.5, ("book b1",)),
                "work_id_unique": ("ERROR", "1", 1, 16.7, ("work w1",)),
                "book_id_unique": ("ERROR", "2", 2, 33.3, ("book b1", "book b6")),
                "book_known": ("ERROR", "2", 2, 25.0, ("work w4", "work w8")),
                "text_present": ("ERROR", "2", 2, 25.0, ("work w5", "work w6")),
                "text_hash_well_formed": ("ERROR", "2", 2, 25.0, ("work w6", "work w8")),
                "text_hash_matches": ("ERROR", "2", 2, 25.0, ("work w7", "work w8")),
                "author_links_found_share": (
                    "WARN",
                    "33.33%",
                    4,
                    66.7,
                    ("book b3: author a3", "book b4: author a4", "book b5: author a5"),
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
            {"one_per_work": ("ERROR", "-2", None, None, ())},
            id="works without a document",
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
                "text_unique_share": ("WARN", "0%", 1, 100.0, ("work w1",)),
                "text_length_median": ("WARN", "6", None, None, ()),
                "author_share": ("WARN", "0%", 2, 100.0, ("work w1", "work w2")),
                "not_thin_share": ("WARN", "0%", 2, 100.0, ("work w1", "work w2")),
                "reviews_match_books_share": ("WARN", "33.33%", 2, 66.7, ("review r2", "review r3")),
            },
            id="poor documents",
        ),
        pytest.param(
            "documents",
            {"reviews": [review(1, book_id="other"), review(2, book_id=None)]},
            {
                "reviews_match_books": ("ERROR", "0%", 2, 100.0, ("review r1", "review r2")),
                "reviews_match_books_share": ("WARN", "0%", 2, 100.0, ("review r1", "review r2")),
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
    assert missed(report) == expected
    assert [result.name for result in report.errors] == [n for n, value in expected.items() if value[0] == "ERROR"]
    assert [result.name for result in report.warnings] == [n for n, value in expected.items() if value[0] == "WARN"]


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
    assert {table: report.errors for table, report in reports.items()} == dict.fromkeys(TABLES, ())
    assert {table: [result.name for result in report.warnings] for table, report in reports.items()} == {
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
    undefined = {result.name for result in reports["documents"].results if result.observed == "undefined"}
    assert undefined == {
        "reviews_match_books",
        "reviews_match_books_share",
        "author_links_found_share",
        "title_and_author_unique_share",
        "english_share",
    }


def test_works_that_the_filters_left_out_are_not_lost_ones(check: Callable[..., ValidationReport]) -> None:
    tables = {"books": sound("books", 5), "authors": sound("authors", 5), "documents": sound("documents", 2)}
    assert missed(check("documents", works_left_out=3, **tables)) == {}
    assert missed(check("documents", works_left_out=2, **tables)) == {"one_per_work": ("ERROR", "-1", None, None, ())}


def test_languages_and_twins_are_looked_at(check: Callable[..., ValidationReport]) -> None:
    foreign = [document(n, title="Candide", author="voltaire" if n == 1 else "Voltaire", language="fr") for n in (1, 2)]
    books = [book(n, language="fr", language_source="detected", language_code=None) for n in (1, 2)]
    assert missed(check("documents", documents=foreign)) == {
        "title_and_author_unique_share": ("WARN", "0%", 1, 100.0, ("2 times work w1",)),
        "english_share": ("WARN", "0%", 2, 100.0, ("work w1: fr", "work w2: fr")),
    }
    assert missed(check("books", books=books)) == {
        "language_share": ("WARN", "0%", 2, 100.0, ("book b1", "book b2")),
        "english_share": ("WARN", "0%", 2, 100.0, ("book b1: fr", "book b2: fr")),
    }


def test_a_table_in_several_files_is_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "authors.parquet"
    for number in (1, 2, 3):
        write(folder / f"part-0000{number}.parquet", "authors", [author(number)])
    report = validate("authors", folder, docs=tmp_path / "quality" / "docs", run_name="run")
    assert (report.row_count, missed(report)) == (3, {})


# ------------------------------------------------------------------------------------------------ Data Docs


def test_data_docs_name_what_failed_and_need_no_network(
    check: Callable[..., ValidationReport], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check("authors", run_name="first")
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


def test_only_the_newest_results_are_kept(check: Callable[..., ValidationReport], tmp_path: Path) -> None:
    reports = [check("authors", run_name=f"run-{number}", keep_runs=2) for number in (1, 2, 3)]
    other = check("reviews", run_name="other", keep_runs=2)
    docs = tmp_path / "quality" / "docs"
    kept = {path.relative_to(docs) for path in (docs / "validations").rglob("*.html")}
    assert kept == {report.page.relative_to(docs) for report in (*reports[1:], other)}
    stored = {path.stem for path in (tmp_path / "quality" / "gx" / "results").rglob("viberary-*.json")}
    assert stored == {"viberary-authors", "viberary-reviews"}
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
    results = tmp_path / "quality" / "gx" / "results" / "authors"
    (torn,) = (results / "torn").rglob("*.json")
    torn.write_bytes(torn.read_bytes()[:100])
    (foreign,) = (results / "foreign").rglob("*.json")
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
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pages = pool.starmap(_validate, [(table, paths, docs) for table in TABLES])
    assert pages == [f"viberary-{table}.html" for table in TABLES]
    index = (docs / "index.html").read_text()
    assert index.count("<code>together</code>") == len(TABLES)
    assert {path.name for path in docs.rglob("viberary-*.html")} == set(pages)


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
    check: Callable[..., ValidationReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_docs, "TEMPLATES", tmp_path / "lost")
    with pytest.raises(QualityError, match="Data Docs were not written") as error:
        check("authors")
    assert "TemplateNotFound: \"'result.html' not found" in error.value.found


# --------------------------------------------------------------------------------------------------- bounds


def test_the_bounds_are_declared_without_great_expectations() -> None:
    code = (
        "import sys; from viberary_pipeline.quality import expectation_specs, validate;"
        "print([spec.name for spec in expectation_specs('authors')]);"
        "print('great_expectations' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, heavy = done.stdout.splitlines()
    assert names.startswith("['has_rows', 'author_id_present', 'author_id_unique', 'name_present', ")
    assert heavy == "False False"


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
arguments = { column = "row_count", min_value = 1 }
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
            "authors.x: arguments: Value error, needs `column`",
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
    assert error.value.todo == "correct or unset VIBERARY_BOUNDS"


@pytest.mark.parametrize("blank", ["", " \t\r\n", "\u200b\u00a0", "\ufeff\x07"])
def test_what_cannot_be_seen_is_no_text(check: Callable[..., ValidationReport], blank: str) -> None:
    failed = {
        "authors": check("authors", authors=[author(1, name=blank)]),
        "documents": check("documents", documents=[document(1, text=blank)], books=[book(1)]),
        "books": check("books", books=[book(1, title=blank)]),
    }
    named = {table: {result.name for result in (*report.errors, *report.warnings)} for table, report in failed.items()}
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
            GOOD.replace("row_count", "rows"),
            "column = 'rows'; the metrics are row_count, rows_without_author_id",
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


def test_any_column_expectation_may_be_used(tmp_path: Path) -> None:
    entry = GOOD.replace("to_be_between", "to_be_in_set").replace("min_value = 1", "value_set = [1, 3]")
    parquet = write(tmp_path / "authors.parquet", "authors", sound("authors"))
    bounds = bounds_with(tmp_path, f"[authors.one_or_three]{entry}")
    report = validate("authors", parquet, docs=tmp_path / "q" / "docs", run_name="run", bounds=bounds)
    assert missed(report) == {"one_or_three": ("WARN", "2", None, None, ())}
    assert report.results[0].expected == "expect_column_values_to_be_in_set {'value_set': [1, 3]}"


def test_tables_that_cannot_be_measured_say_why(tmp_path: Path) -> None:
    docs = tmp_path / "q" / "docs"
    books = write(tmp_path / "books.parquet", "books", sound("books"))
    with pytest.raises(QualityError, match="The table documents cannot be checked alone"):
        validate("documents", books, docs=docs, run_name="run")
    with pytest.raises(QualityError, match="The table authors cannot be measured") as wrong:
        validate("authors", books, docs=docs, run_name="run")
    assert "author_id" in wrong.value.found
    with pytest.raises(QualityError, match="The table authors cannot be measured"):
        validate("authors", tmp_path / "absent.parquet", docs=docs, run_name="run")
    with pytest.raises(QualityError, match="There is no such table to check"):
        validate("works", books, docs=docs, run_name="run")


def test_numbers_and_bounds_read_well() -> None:
    texts = {f"{spec.table}.{spec.name}": expected_text(spec) for table in TABLES for spec in expectation_specs(table)}
    assert texts["books.has_rows"] == "at least 1"
    assert texts["books.title_share"] == "at least 99.9%"
    assert texts["documents.one_per_work"] == "exactly 0"
    assert texts["documents.text_length_median"] == "at least 100 and at most 10,000"
    assert texts["documents.reviews_match_books"] == "more than 0%"
    assert number_text("row_count", 15_739_967.0) == "15,739,967"
    assert number_text("median_text_length", 812.5) == "812.5"
    assert number_text("share_with_author", 0.99964) == "99.96%"
    assert number_text("share_with_author", None) == "undefined"
    assert percent_against(Metric(3.0, 3, 12)) == 25.0
    assert percent_against(Metric(0.0, 0, 0)) is None
