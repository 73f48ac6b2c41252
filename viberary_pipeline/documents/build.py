"""Books, authors and reviews joined into documents: one row per work, with the text that is embedded."""

import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import ARROW

from viberary_pipeline.artifacts import digest
from viberary_pipeline.catalogue.duck import DuckLimits, connect, copy_to_parquet, sql
from viberary_pipeline.documents.recipes import Recipe
from viberary_pipeline.errors import RawDataError

MOST_CHARACTERS = 4000
"""Longest text of a work, in characters: several times what any registered encoder reads."""

MOST_TITLE = 500
"""Longest title, and longest name of an author, in characters."""

MOST_DESCRIPTION = 5000
"""Longest description, in characters."""

READER_LANGUAGE = "eng"


def statements_digest(recipe: Recipe) -> str:
    """A digest of everything in the code that shapes documents."""
    names = ("macros", "documents", "exclusions")
    limits = [MOST_CHARACTERS, MOST_TITLE, MOST_DESCRIPTION]
    return digest([[sql("documents", name) for name in names], asdict(recipe), limits, READER_LANGUAGE])


def build_documents(
    tables: dict[str, Path], out: Path, limits: DuckLimits, recipe: Recipe, *, reviews_per_work: int
) -> dict[str, Any]:
    """Write `out/documents.parquet`.

    Args:
        tables: 'books', 'authors' and 'reviews' to their Parquet files.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        recipe: How the text is put together.
        reviews_per_work: Most reviews that may enter it.

    Returns:
        `rows`, `thin` (works with neither description nor review), `editions`, and `excluded`
        ({reason: count}: what the joins left out).

    Raises:
        RawDataError: there is no document at all.
    """
    with connect(limits, out) as connection:
        prepare(connection, recipe)
        for name, path in tables.items():
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{str(path).replace(chr(39), chr(39) * 2)}')"
            )
        rows = copy_to_parquet(
            connection,
            sql("documents", "documents"),
            out / "documents.parquet",
            {
                "reviews_per_work": reviews_per_work,
                "reader_language": READER_LANGUAGE,
                "most_characters": MOST_CHARACTERS,
                "most_title": MOST_TITLE,
                "most_description": MOST_DESCRIPTION,
            },
        )
        excluded = connection.execute(sql("documents", "exclusions")).fetchone() or (0, 0)
        thin, editions = connection.execute(
            "SELECT count(*) FILTER (thin), coalesce(sum(editions), 0)::BIGINT FROM read_parquet($path)",
            {"path": str(out / "documents.parquet")},
        ).fetchone() or (0, 0)
    if rows == 0:
        raise RawDataError(
            "There are no documents",
            expected="at least one book with a book_id and a title",
            found="none",
            todo="look at the rejects of the books (books_rejects.parquet) for the reasons",
        )
    names = ("review_of_unknown_book", "unknown_author_id")
    return {
        "rows": rows,
        "thin": thin,
        "editions": editions,
        "excluded": {name: count for name, count in zip(names, excluded, strict=True) if count},
    }


def prepare(connection: duckdb.DuckDBPyConnection, recipe: Recipe) -> None:
    """Give a connection the macros and functions that the statements of this folder use."""
    connection.create_function(
        "resolve_entities",
        _resolve_entities,
        [duckdb.sqltypes.VARCHAR],
        duckdb.sqltypes.VARCHAR,
        type=ARROW,
    )
    connection.execute(sql("documents", "macros"))
    connection.execute(
        "CREATE OR REPLACE TEMP MACRO text_of(title, author, description, reviews) AS "
        f"{recipe.macro}(title, author, description, reviews)"
    )


def _resolve_entities(texts: pa.ChunkedArray) -> pa.Array:
    """HTML entities resolved, by the standard library's table (HTML 5)."""
    return pa.array([html.unescape(text) if text and "&" in text else text for text in texts.to_pylist()], pa.string())
