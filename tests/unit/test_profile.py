"""Profiles: what DuckDB measures of whole tables, and of the texts in tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from table_rows import author, book, document, review, write

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.encoders.files import resolve
from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.distributions import DISTRIBUTIONS, Distribution, counting
from viberary_pipeline.quality.profile import distribution, profile, profiled, shares
from viberary_pipeline.quality.tokens import token_lengths

LIMITS = DuckLimits("1GB", 2)


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(table: str, rows: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
        path = write(tmp_path / f"{table}.parquet", table, rows)
        return profile(table, path, scratch=tmp_path, limits=LIMITS, facts=facts)

    return run


def filled(bins: list[list[Any]]) -> dict[str, int]:
    return {label: count for label, count in bins if count}


def test_books(measure: Callable[..., dict[str, Any]]) -> None:
    found = measure(
        "books",
        [
            book(1, work_id="w", series=["s1"], similar_books=[], num_pages=49),
            book(2, work_id="w", language="fr", language_source="detected", language_code=None, num_pages=None),
            book(3, work_id=None, language=None, language_source=None, description=None, average_rating=0.0),
            book(4, publication_year=1999, average_rating=4.75, authors=[], is_ebook=True),
        ],
        lines=6,
        rejected={"malformed": 1, "missing_title": 1},
    )
    assert (found["table"], found["rows"], found["lines"], found["rejected"]) == ("books", 4, 6, 2)
    assert {column: found["fill"][column] for column in ("title", "description", "language_code", "language")} == {
        "title": 4,
        "description": 3,
        "language_code": 3,
        "language": 3,
    }
    assert {column: found["fill"][column] for column in ("authors", "series", "similar_books", "num_pages")} == {
        "authors": 3,
        "series": 1,
        "similar_books": 0,
        "num_pages": 3,
    }
    bins = {name: filled(measured["bins"]) for name, measured in found["distributions"].items()}
    assert bins == {
        "languages": {"en": 2, "fr": 1},
        "languages_given": {"en": 2},
        "languages_detected": {"fr": 1},
        "years": {"to 1899": 3, "1990s": 1},
        "pages": {"1–49": 1, "600–999": 2},
        "ratings": {"3.5–3.75": 2, "4.75–5": 1},
        "authors_per_book": {"0": 1, "1": 3},
        "description_length": {"50–99": 3},
        "editions_per_work": {"1": 2, "2": 1},
    }
    without = {name: measured["without"] for name, measured in found["distributions"].items()}
    assert {name: rows for name, rows in without.items() if rows} == {
        "languages": 1,
        "pages": 1,
        "ratings": 1,
        "description_length": 1,
    }
    assert found["distributions"]["pages"]["quantiles"] == {
        "p5": 49,
        "p25": 49,
        "p50": 635,
        "p75": 635,
        "p95": 635,
        "max": 635,
    }
    assert found["numbers"] == {"works": 3, "books_without_work_id": 1, "ebooks": 1, "ratings": 40}


def test_reviews(measure: Callable[..., dict[str, Any]]) -> None:
    found = measure(
        "reviews",
        [
            review(1, book_id="b1"),
            review(2, book_id="b1", rating=None, review_text=None),
            review(3, book_id="b2", rating=1, review_text="x" * 5_000, date_added="2007-01-01 00:30:00+01"),
            review(4, book_id=None, date_added=None),
        ],
    )
    assert found["rows"] == 4
    assert found["lines"] is found["rejected"] is None
    bins = {name: filled(measured["bins"]) for name, measured in found["distributions"].items()}
    assert bins == {
        "ratings": {"1": 1, "5": 2},
        "text_length": {"100–199": 2, "5,000+": 1},
        "years": {"to 2006": 1, "2017": 2},  # in UTC
        "reviews_per_book": {"1": 1, "2–5": 1},
    }
    assert found["fill"]["review_text"] == 3
    assert found["distributions"]["text_length"]["quantiles"]["max"] == 5_000
    assert found["numbers"]["books"] == 2


def test_authors_and_documents(measure: Callable[..., dict[str, Any]]) -> None:
    authors = measure("authors", [author(1), author(2, name=None, average_rating=0.0)])
    assert authors["fill"] == {
        "author_id": 2,
        "name": 1,
        "average_rating": 2,
        "ratings_count": 0,
        "text_reviews_count": 0,
    }
    found = measure(
        "documents",
        [
            document(1, genres=["poetry", "fiction"], title="Candide", author="Voltaire"),
            document(2, genres=["fiction"], title="CANDIDE", author="voltaire", language="fr"),
            document(3, genres=[], editions=3, review_count=0, thin=True, author=""),
            document(4, title="Candide", author="", review_count=700),
        ],
    )
    assert {name: filled(found["distributions"][name]["bins"]) for name in ("languages", "genres")} == {
        "languages": {"en": 3, "fr": 1},
        "genres": {"fiction": 2, "poetry": 1},
    }
    assert filled(found["distributions"]["editions_per_work"]["bins"]) == {"1": 3, "3": 1}
    assert filled(found["distributions"]["reviews_per_work"]["bins"]) == {"0": 1, "1": 2, "501–1,000": 1}
    assert found["numbers"] == {"thin": 1, "with_review": 3, "same_title_author": 2}
    assert found["examples"] == {"same_title_author": [{"title": "CANDIDE", "author": "Voltaire", "works": 2}]}
    assert (found["fill"]["author"], found["fill"]["genres"]) == (2, 2)


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_has_a_profile(table: str, measure: Callable[..., dict[str, Any]]) -> None:
    found = measure(table, [])
    assert found["rows"] == 0
    assert set(found["fill"].values()) == {0}
    assert set(found["numbers"].values()) <= {0}
    assert [filled(found["distributions"][shape.name]["bins"]) for shape in DISTRIBUTIONS[table]] == [
        {} for _ in DISTRIBUTIONS[table]
    ]


def test_bins_categories_and_shares() -> None:
    counted = counting(1, 2, 4, 10)
    assert counted.labels == ("1", "2–3", "4–9", "10+")
    numbers = Distribution("x", "X", counted)
    found = distribution(numbers, {-1: 1, 1: 1, 3: 2, 10: 1, 99: 5}, rows=20)
    assert found == {
        "bins": [["1", 2], ["2–3", 2], ["4–9", 0], ["10+", 6]],
        "without": 10,
        "quantiles": {"p5": -1, "p25": 3, "p50": 10, "p75": 99, "p95": 99, "max": 99},
    }
    assert shares(found) == {"1": 0.1, "2–3": 0.1, "10+": 0.3, "": 0.5}

    categories = distribution(Distribution("y", "Y"), {f"{i:03}": 1 for i in range(250)} | {"en": 9}, rows=259)
    assert categories["bins"][:3] == [["en", 9], ["000", 1], ["001", 1]]
    assert categories["bins"][-1] == ["other", 51]  # 200 are kept
    assert (len(categories["bins"]), categories["without"], categories["quantiles"]) == (201, 0, None)
    assert shares(distribution(numbers, {}, rows=0)) == {}


def test_a_profile_is_found_again_until_its_table_changes(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def make(count: int) -> None:
        def build(out: Path) -> dict[str, Any]:
            write(out / "authors.parquet" / "part-00000.parquet", "authors", [author(n) for n in range(count)])
            return {"rows": count, "lines": count + 1, "rejected": {"malformed": 1}}

        store.produce("authors", inputs={"raw": str(count)}, settings={}, build=build)

    make(2)
    first = profiled(store, "authors", LIMITS)
    assert (first.facts["rows"], first.facts["lines"], first.facts["rejected"]) == (2, 3, 1)
    assert profiled(store, "authors", LIMITS).path == first.path
    assert profiled(store, "authors", LIMITS, force=True).path != first.path
    make(3)
    assert profiled(store, "authors", LIMITS).facts["rows"] == 3


def test_what_cannot_be_profiled_says_why(tmp_path: Path) -> None:
    authors = write(tmp_path / "authors.parquet", "authors", [author(1)])
    with pytest.raises(QualityError, match="There is no such table to profile"):
        profile("works", authors, scratch=tmp_path, limits=LIMITS)
    with pytest.raises(QualityError, match="The table reviews cannot be profiled") as wrong:
        profile("reviews", authors, scratch=tmp_path, limits=LIMITS)
    assert "review_id" in wrong.value.found


def test_tokens_are_counted_as_the_encoder_counts_them(tmp_path: Path) -> None:
    tokenizer = read_layout(resolve("all-MiniLM-L6-v2").folder).tokenizer
    texts = ["whale", "the white whale", "whale " * 300, ""]
    path = write(tmp_path / "documents.parquet", "documents", [document(n, text=text) for n, text in enumerate(texts)])

    def count(**changes: Any) -> dict[str, Any]:
        chosen: dict[str, Any] = {"tokenizer": tokenizer, "max_tokens": 256, "scratch": tmp_path, "limits": LIMITS}
        return token_lengths(path, **(chosen | changes))

    found = count()  # [CLS] and [SEP] are two of them, and nothing is cut here
    assert {key: found[key] for key in ("documents", "max_tokens", "cut", "without")} == {
        "documents": 3,
        "max_tokens": 256,
        "cut": 1,
        "without": 0,
    }
    assert found["quantiles"] == {"p5": 3, "p25": 3, "p50": 5, "p75": 302, "p95": 302, "max": 302}
    assert filled(found["bins"]) == {"1–32": 2, "257–384": 1}
    assert count(prefix="passage: ")["quantiles"]["p5"] == 5
    assert count(max_tokens=4)["cut"] == 2
    sample = count(most=2)
    assert sample["documents"] == 2
    assert count(most=2) == sample
