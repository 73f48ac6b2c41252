"""Weak labels: what the data itself says belongs together. similar_books are never embedded, and where a recipe embeds
shelves they judge nothing.

They are noisy, and tell two ways of searching one catalogue apart; their level says nothing.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits, connect, duckdb_errors, parquet_glob, sql
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet

SIMILAR = "similar books"
SHELVES = "shelves"

_LEAST_WORKS = 5
_ROWS_AT_ONCE = 10_000
_ASKED_FOR_ONE = 8  # candidates that are looked at for one query
_MOST_USED = 20  # shelves of a book that are looked at: below them stands what few readers call it
_LARGEST_SHARE, _MOST_WORKS = 0.1, 10_000  # of a shelf: one that holds more of the works says nothing
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
        limits, scratch: DuckDB's. Beside it, memory grows with `most`, not with the number of books.
        shelves: Whether shelves may judge: not where the texts hold their names.

    Raises:
        RawDataError: DuckDB has no room for it.
    """
    with duckdb_errors("The books cannot be searched for weak labels"), connect(limits, scratch) as connection:
        for name, path in (("books", books), ("documents", documents)):
            pattern = parquet_glob(path).replace("'", "''")
            connection.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet('{pattern}')")
        sets = [_similar(connection, most), *([_shelves(connection, most)] if shelves else [])]
    return [found for found in sets if found.queries]


def _similar(connection: duckdb.DuckDBPyConnection, most: int) -> QuerySet:
    """A work asks for the works that its editions call similar."""

    def candidates() -> Iterator[str]:
        return _names(connection, sql("evaluation", "with_similar"))

    def judged(names: list[str]) -> Iterator[tuple[str, str]]:
        return _rows(connection, sql("evaluation", "similar_works"), names=names)

    like = _drawn(candidates, judged, most)
    queries = (JudgedQuery("", SIMILAR, grades, like=work) for work, grades in like.items())
    return QuerySet(SIMILAR, tuple(queries), guards=False)


def _shelves(connection: duckdb.DuckDBPyConnection, most: int) -> QuerySet:
    """A shelf's name asks for the works on it."""
    (works,) = connection.execute("SELECT count(*) FROM documents").fetchone() or (0,)
    largest = min(max(_LEAST_WORKS, int(_LARGEST_SHARE * works)), _MOST_WORKS)
    bounds = {"used": _MOST_USED, "least": _LEAST_WORKS}

    def candidates() -> Iterator[str]:
        names = _names(connection, sql("evaluation", "shelves"), **bounds)
        return (name for name in names if _SHELF.fullmatch(name) and not _HOUSEKEEPING.search(name))

    def judged(names: list[str]) -> Iterator[tuple[str, str]]:
        return _rows(connection, sql("evaluation", "shelved_works"), names=names, most=largest, **bounds)

    on = _drawn(candidates, judged, most)
    queries = (JudgedQuery(shelf.replace("-", " "), SHELVES, grades) for shelf, grades in on.items())
    return QuerySet(SHELVES, tuple(queries), guards=False)


def _drawn(
    candidates: Callable[[], Iterable[str]], judged: Callable[[list[str]], Iterable[tuple[str, str]]], most: int
) -> dict[str, dict[str, int]]:
    """{name: its works, with their grade} of the `most` names with the lowest checksums, of those that are judged.

    Args:
        candidates: Gives all names, in a fixed order.
        judged: Gives (name, work) of some names. A name without a work is no query, which is not known before.
        most: Names.
    """
    portion = most * _ASKED_FOR_ONE
    while True:
        names = nsmallest(portion, candidates(), key=lambda name: zlib.crc32(name.encode()))
        grades: dict[str, dict[str, int]] = {}
        for name, work in judged(names):
            grades.setdefault(name, {})[work] = 1
        found = [name for name in names if name in grades]
        if len(found) >= most or len(names) < portion:
            return {name: grades[name] for name in found[:most]}
        portion *= _ASKED_FOR_ONE


def _names(connection: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Iterator[str]:
    return (name for (name,) in _rows(connection, query, **parameters))


def _rows(connection: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Iterator[Any]:
    """The rows of a query, a portion in memory at a time."""
    found = connection.execute(query, parameters)
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        yield from rows
