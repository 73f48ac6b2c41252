"""Weak labels: what the data itself says belongs together. similar_books are never embedded, and where a recipe embeds
shelves they judge nothing.

They are noisy, and tell two ways of searching one catalogue apart; their level says nothing.
"""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import duckdb

from viberary_pipeline.duck import parquet_glob
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet

SIMILAR = "similar books"
SHELVES = "shelves"

_LEAST_WORKS = 5
_MOST_USED = 20  # shelves of a book that are looked at: below them stands what few readers call it
_LARGEST_SHARE = 0.1  # of the works: a shelf that holds more of them says nothing
_SHELF = re.compile(r"[a-z]{3,}(?:-[a-z]{2,}){0,3}")
# How readers keep house, not what the books are like.
_HOUSEKEEPING = re.compile(
    r"read|own|wish|buy|librar|kindle|ebook|e-book|audio|favo|shelf|shelve|default|series|book|have|review|finish|"
    r"abandon|dnf|maybe|collection|challenge|borrow|gave|home|all-|my-|\bto-|star|list|done|club|print|paper|hard|tbr"
)


def weak_sets(books: Path, works: Sequence[str], most: int, *, shelves: bool = True) -> list[QuerySet]:
    """Up to `most` queries from similar_books and as many from shelves; a set without queries is left out.

    Args:
        books: The books table (`books.parquet`).
        works: The works that can be found.
        most: Queries of each set, drawn by a checksum.
        shelves: Whether shelves may judge: not where the texts hold their names.
    """
    known = set(works)
    sets = [_similar(books, known, most), *([_shelves(books, known, most)] if shelves else [])]
    return [found for found in sets if found.queries]


def _similar(books: Path, known: set[str], most: int) -> QuerySet:
    """A work asks for the works that its editions call similar."""
    rows = duckdb.sql(f"""
        WITH books AS (SELECT coalesce(work_id, 'b' || book_id) AS work, * FROM '{parquet_glob(books)}'),
        links AS (SELECT work, unnest(similar_books) AS book_id FROM books)
        SELECT DISTINCT l.work, b.work FROM links AS l JOIN books AS b USING (book_id) WHERE l.work <> b.work
        ORDER BY ALL
    """).fetchall()
    like: dict[str, dict[str, int]] = {}
    for work, other in rows:
        if work in known and other in known:
            like.setdefault(work, {})[other] = 1
    drawn = sorted(like, key=lambda work: zlib.crc32(work.encode()))[:most]
    return QuerySet(SIMILAR, tuple(JudgedQuery("", SIMILAR, like[work], like=work) for work in drawn), guards=False)


def _shelves(books: Path, known: set[str], most: int) -> QuerySet:
    """A shelf's name asks for the works on it."""
    rows = duckdb.sql(f"""
        WITH shelves AS (
            SELECT DISTINCT
                coalesce(work_id, 'b' || book_id) AS work, lower(unnest(popular_shelves[:{_MOST_USED}])) AS shelf
            FROM '{parquet_glob(books)}'
        )
        SELECT shelf, list(work ORDER BY work)
        FROM shelves GROUP BY shelf HAVING count(*) >= {_LEAST_WORKS} ORDER BY shelf
    """).fetchall()
    on: dict[str, dict[str, int]] = {}
    for shelf, held in rows:
        grades = {work: 1 for work in held if work in known}
        plain = _SHELF.fullmatch(shelf) and not _HOUSEKEEPING.search(shelf)
        if plain and _LEAST_WORKS <= len(grades) <= max(_LEAST_WORKS, _LARGEST_SHARE * len(known)):
            on[shelf] = grades
    drawn = sorted(on, key=lambda shelf: zlib.crc32(shelf.encode()))[:most]
    return QuerySet(
        SHELVES, tuple(JudgedQuery(shelf.replace("-", " "), SHELVES, on[shelf]) for shelf in drawn), guards=False
    )
