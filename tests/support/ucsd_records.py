"""Records as UCSD writes them, and one table ingested from files of them."""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits, parquet_glob
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.raw_files import RawInput, RawPart
from viberary_pipeline.storage import file_signature

BOOK = {
    "isbn": "",
    "text_reviews_count": "7",
    "series": ["77"],
    "country_code": "US",
    "language_code": "en-US",
    "popular_shelves": [{"count": "12", "name": "to-read"}],
    "asin": "",
    "is_ebook": "false",
    "average_rating": "4.25",
    "kindle_asin": "",
    "similar_books": ["2"],
    "description": " A whale. ",
    "format": "Paperback",
    "link": "https://www.goodreads.com/book/show/1",
    "authors": [{"author_id": "10", "role": ""}, {"author_id": "11", "role": "Illustrator"}],
    "publisher": "Harper",
    "num_pages": "635",
    "publication_day": "18",
    "isbn13": "9780142437247",
    "publication_month": "10",
    "edition_information": "",
    "publication_year": "1851",
    "url": "",
    "image_url": "https://images.example.org/books/1.jpg",
    "book_id": "1",
    "ratings_count": "100",
    "work_id": "5",
    "title": "Moby-Dick",
    "title_without_series": "Moby-Dick",
}
AUTHOR = {
    "average_rating": "3.9",
    "author_id": "10",
    "text_reviews_count": "3",
    "name": "Herman  Melville",
    "ratings_count": "9",
}
REVIEW = {
    "user_id": "u1",
    "book_id": "1",
    "review_id": "r1",
    "rating": 5,
    "review_text": "Call it long.",
    "date_added": "Sun Jul 30 07:44:10 -0700 2017",
    "date_updated": "",
    "read_at": "",
    "started_at": "",
    "n_votes": 3,
    "n_comments": 0,
}


def raw_input(table: str, *paths: Path) -> RawInput:
    parts = [RawPart(table, str(p), p.name, p.stat().st_size, "v", tuple(file_signature(p))) for p in paths]
    return RawInput(table, tuple(parts))


LIMITS = DuckLimits("1GB", 2)


def run(
    table: str, *raw: Path, out: Path, ceiling: float = 1.0, limits: DuckLimits = LIMITS
) -> tuple[dict[str, Any], list[dict], list[dict]]:
    out.mkdir(exist_ok=True)
    facts = ingest(table, raw_input(table, *raw), out, limits, reject_ceiling=ceiling)
    assert {entry.name for entry in out.iterdir()} == {f"{table}.parquet", f"{table}_rejects.parquet"}
    return facts, rows(out / f"{table}.parquet"), rows(out / f"{table}_rejects.parquet")


def rows(parquet: Path) -> list[dict[str, Any]]:
    found = _reader().execute("SELECT * FROM read_parquet($p)", {"p": parquet_glob(parquet)})
    return found.to_arrow_table().to_pylist()


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    """One for all tests: to open a connection takes longer than to read a small file."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def counts(facts: dict[str, Any]) -> dict[str, Any]:
    """The counts of a file that was read, checked against each other."""
    for file in facts["files"]:
        assert file["lines"] == file["rows"] + sum(file["rejected"].values())
    assert facts["lines"] == facts["rows"] + sum(facts["rejected"].values())
    return {name: facts[name] for name in ("lines", "rows", "rejected")}
