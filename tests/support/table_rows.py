"""Rows of the catalogue's tables, sound unless a test changes them, written as the Parquet files that quality reads."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.quality.validation import ValidationReport

COLUMNS = {
    "books": """file VARCHAR, line BIGINT, book_id VARCHAR, work_id VARCHAR, title VARCHAR,
        title_without_series VARCHAR, description VARCHAR, language_code VARCHAR, "language" VARCHAR,
        language_source VARCHAR, isbn13 VARCHAR, format VARCHAR, publisher VARCHAR, is_ebook BOOLEAN,
        publication_year INT, publication_month INT, publication_day INT, num_pages INT,
        average_rating DOUBLE, ratings_count BIGINT, text_reviews_count BIGINT, link VARCHAR,
        authors STRUCT(author_id VARCHAR, "role" VARCHAR)[], series VARCHAR[], similar_books VARCHAR[],
        popular_shelves VARCHAR[]""",
    "authors": """file VARCHAR, line BIGINT, author_id VARCHAR, name VARCHAR, average_rating DOUBLE,
        ratings_count BIGINT, text_reviews_count BIGINT""",
    "reviews": """file VARCHAR, line BIGINT, review_id VARCHAR, book_id VARCHAR, user_id VARCHAR, rating INT,
        review_text VARCHAR, text_length INT, text_hash UBIGINT, date_added TIMESTAMPTZ, n_votes INT,
        n_comments INT""",
    "documents": """work_id VARCHAR, book_id VARCHAR, title VARCHAR, author VARCHAR, authors VARCHAR,
        description VARCHAR, link VARCHAR, language VARCHAR, publication_year INT, average_rating DOUBLE,
        ratings_count BIGINT, review_count BIGINT, editions INT, reviews_used INT, thin BOOLEAN,
        genres VARCHAR[], series VARCHAR[], shelves VARCHAR[], text VARCHAR, text_hash VARCHAR""",
}
TEXT = "A whaling captain hunts the white whale that took his leg, and takes ship and crew down with him."
Row = dict[str, Any]


def book(number: int, **changes: Any) -> Row:
    row = {
        "line": number,
        "book_id": f"b{number}",
        "work_id": f"w{number}",
        "title": f"Book {number}",
        "description": TEXT,
        "language_code": "eng",
        "language": "en",
        "language_source": "given",
        "isbn13": "9780142437247",
        "publisher": "Harper",
        "publication_year": 1851,
        "publication_month": 10,
        "publication_day": 18,
        "num_pages": 635,
        "link": f"https://example.org/{number}",
        "average_rating": 3.5,
        "ratings_count": 10,
        "text_reviews_count": 2,
        "authors": [{"author_id": f"a{number}", "role": ""}],
    }
    return row | changes


def author(number: int, **changes: Any) -> Row:
    row = {"line": number, "author_id": f"a{number}", "name": f"Author {number}", "average_rating": 4.0}
    return row | changes


def review(number: int, **changes: Any) -> Row:
    row: Row = {
        "line": number,
        "review_id": f"r{number}",
        "book_id": f"b{number}",
        "rating": 5,
        "review_text": f"{TEXT} ({number})",
        "date_added": "2017-07-30 07:44:10-07",
    } | changes
    text = row["review_text"]
    # DuckDB's own hash is not needed here: any number that tells texts apart will do.
    text_hash = None if text is None else int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return {"text_length": len(text or ""), "text_hash": text_hash} | row


def document(number: int, **changes: Any) -> Row:
    row: Row = {
        "work_id": f"w{number}",
        "book_id": f"b{number}",
        "title": f"Book {number}",
        "author": f"Author {number}",
        "language": "en",
        "review_count": 1,
        "reviews_used": 1,
        "editions": 1,
        "thin": False,
        "shelves": ["dystopia"],
        "text": f"Book {number}. {TEXT}",
    } | changes
    text = row["text"]
    return {"text_hash": None if text is None else hashlib.sha256(text.encode()).hexdigest()} | row


MAKE: dict[str, Callable[..., Row]] = {
    "books": book,
    "authors": author,
    "reviews": review,
    "documents": document,
}


def sound(table: str, count: int = 2) -> list[Row]:
    return [MAKE[table](number) for number in range(1, count + 1)]


def write(path: Path, table: str, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({COLUMNS[table]})")
        for row in rows:
            marks = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO t ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


def failed(report: ValidationReport) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """The failed expectations: name to (severity, observed, examples)."""
    return {
        result.name: (result.severity, result.observed, result.examples)
        for result in report.results
        if result.outcome == "failed"
    }


def names(report: ValidationReport, badge: str) -> list[str]:
    """The expectations with that badge."""
    return [result.name for result in report.results if result.badge == badge]
