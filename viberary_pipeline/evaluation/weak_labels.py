"""Weak labels: what the data itself says belongs together. similar_books are never embedded, and where a recipe embeds
shelves they judge nothing.

They are noisy, and tell two ways of searching one catalogue apart; their level says nothing.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits, connect, duckdb_errors, sql, view_parquet
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet

SIMILAR = "similar books"
SHELVES = "shelves"

_LEAST_WORKS = 5
_ROWS_AT_ONCE = 10_000
_MOST_USED = 20  # shelves of a book that are looked at: below them stands what few readers call it
# A shelf that holds more of the works, or more works, says nothing.
_LARGEST_SHARE = 0.1
_MOST_WORKS = 10_000
_SHELF = re.compile(r"[a-z]{3,}(?:-[a-z]{2,}){0,3}")
# How readers keep house, not what the books are like.
_HOUSEKEEPING = re.compile(
    r"read|own|wish|buy|librar|kindle|ebook|e-book|audio|favo|shelf|shelve|default|series|book|have|review|finish|"
    r"abandon|dnf|maybe|collection|challenge|borrow|gave|home|all-|my-|\bto-|star|list|done|club|print|paper|hard|tbr"
)


def weak_sets(
    books: Path, documents: Path, most: int, limits: DuckLimits, scratch: Path, *, shelves: bool = True
) -> list[QuerySet]:
    """Up to `most` queries from similar_books and as many from shelves; a set without queries is left out.

    Args:
        books: The books table (`books.parquet`).
        documents: The works that can be found (`documents.parquet`).
        most: Queries of each set, drawn by a checksum.
        limits, scratch: DuckDB's. Beside it, memory grows with the works of what is drawn, not with the books.
        shelves: Whether shelves may judge: not where the texts hold their names.

    Raises:
        RawDataError: DuckDB has no room for it.
    """
    with duckdb_errors("The books cannot be searched for weak labels"), connect(limits, scratch) as connection:
        view_parquet(connection, "books", books)
        view_parquet(connection, "documents", documents)
        sets = [_similar(connection, most), *([_shelves(connection, most)] if shelves else [])]
    return [found for found in sets if found.queries]


def _similar(connection: duckdb.DuckDBPyConnection, most: int) -> QuerySet:
    """A work asks for the works that its editions call similar."""
    links = sql("evaluation", "similar_links")
    drawn = _drawn(_names(connection, f"SELECT DISTINCT name FROM ({links}) ORDER BY name"), most)
    like = _grades(connection, links, drawn)
    queries = (JudgedQuery("", SIMILAR, grades, like=work) for work, grades in like.items())
    return QuerySet(SIMILAR, tuple(queries), guards=False)


def _shelves(connection: duckdb.DuckDBPyConnection, most: int) -> QuerySet:
    """A shelf's name asks for the works on it."""
    (works,) = connection.execute("SELECT count(*) FROM documents").fetchone() or (0,)
    largest = min(max(_LEAST_WORKS, int(_LARGEST_SHARE * works)), _MOST_WORKS)
    shelved = sql("evaluation", "shelved_works")
    telling = f"""
        SELECT name FROM ({shelved}) GROUP BY name
        HAVING count(DISTINCT work) BETWEEN {_LEAST_WORKS} AND {largest} ORDER BY name
    """
    names = _names(connection, telling, used=_MOST_USED)
    drawn = _drawn((name for name in names if _SHELF.fullmatch(name) and not _HOUSEKEEPING.search(name)), most)
    on = _grades(connection, shelved, drawn, used=_MOST_USED)
    queries = (JudgedQuery(shelf.replace("-", " "), SHELVES, grades) for shelf, grades in on.items())
    return QuerySet(SHELVES, tuple(queries), guards=False)


def _drawn(names: Iterable[str], most: int) -> list[str]:
    """Those with the lowest checksums, lowest first; of equal ones, those that come first."""
    return nsmallest(most, names, key=lambda name: zlib.crc32(name.encode()))


def _grades(
    connection: duckdb.DuckDBPyConnection, pairs: str, drawn: list[str], **parameters: Any
) -> dict[str, dict[str, int]]:
    """{name: its works, with their grade} of the drawn names, in their order, from a query of pairs (name, work)."""
    grades: dict[str, dict[str, int]] = {name: {} for name in drawn}
    query = f"SELECT DISTINCT name, work FROM ({pairs}) WHERE name IN (SELECT unnest($drawn)) ORDER BY name, work"
    for name, work in _rows(connection, query, drawn=drawn, **parameters):
        grades[name][work] = 1
    return grades


def _names(connection: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Iterator[str]:
    return (name for (name,) in _rows(connection, query, **parameters))


def _rows(connection: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Iterator[Any]:
    """The rows of a query, a portion in memory at a time."""
    found = connection.execute(query, parameters)
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        yield from rows
