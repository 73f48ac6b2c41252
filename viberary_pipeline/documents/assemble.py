"""Books, authors and reviews joined into documents: one row per work, with the text that is embedded.

The statements in `sql/` run in the order below. Each makes one temporary table; wide rows (texts) are read once and
sorted once, and every choice is made on narrow tables before.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow.parquet as pq

from viberary_pipeline.documents.recipes import Recipe
from viberary_pipeline.documents.rules import LIMITS, DocumentRules
from viberary_pipeline.documents.shelves import shelf_variables
from viberary_pipeline.duck import DuckLimits, connect, copy_to_parquet, duckdb_errors, parquet_glob, sql
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.cleaning import register_text
from viberary_pipeline.sources.languages import register_languages

TABLES = ("books", "authors", "reviews", "works", "genres", "series")
"""What documents are made of; the last three may be empty."""
SAME = ("same_works", "same_editions")
"""What two sources have in common (`sources/same_works`); absent where the catalogue is of one."""

# Each makes the temporary table of its name.
_STEPS = (
    "known_works",
    "editions",
    "joined_works",
    "wanted_works",
    "wanted_editions",
    "eligible_reviews",
    "distinct_reviews",
    "review_candidates",
    "review_texts",
    "usable_reviews",
    "review_languages",
    "chosen_reviews",
    "book_texts",
    "credits",
    "genre_lists",
    "series_lists",
    "other_names",
    "edition_lists",
    "shelf_names",
    "shelf_votes",
    "shelf_lists",
)
# Their texts would fill the memory, and what DuckDB spills it reads again for every portion.
_ON_DISK = ("review_texts", "book_texts")
# {step: the table that it is the last to read}: the largest make room at once.
_LAST_READ_BY = {
    "distinct_reviews": "eligible_reviews",
    "review_candidates": "distinct_reviews",
    "review_texts": "review_candidates",
    "shelf_lists": "shelf_votes",
}
_STATEMENTS = ("macros", *_STEPS, "documents", "same_title_author", "exclusions")

CODE = (
    "documents",
    "sources/cleaning.py",
    "sources/languages.py",
    "sources/sql/text.sql",
    "sources/sql/languages.sql",
    "sources/sql/origin.sql",
)
"""What of this package shapes documents (`code_digest`)."""

_MAY_LACK = (
    "SELECT NULL::VARCHAR[] AS popular_shelves, NULL::INTEGER[] AS shelf_counts, NULL::VARCHAR AS image_url, "
    "NULL::VARCHAR[] AS other_isbns LIMIT 0"
)
_SAME_COLUMNS = {
    "same_works": ("open_library_work_id", "work_id"),
    "same_editions": ("open_library_book_id", "book_id"),
}

# Of about 3 kB each: what DuckDB holds as lists, which cannot spill, and what is sorted at a time.
_WORKS_AT_ONCE = 100_000
_ROWS_PER_GROUP = 25_000


def build_documents(
    tables: Mapping[str, Path], out: Path, limits: DuckLimits, recipe: Recipe, rules: DocumentRules
) -> dict[str, Any]:
    """Write `out/documents.parquet`, and `out/same_title_author.parquet` (works that may be the same).

    Args:
        tables: Each of `TABLES`, and of `SAME` where the catalogue is of two sources, to its Parquet file, or folder of
            them.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        recipe: How the text is put together.
        rules: Which works become documents, and whose words they hold.

    Returns:
        `rows`, `thin` (of them: works with neither description nor review), `editions` (their books), `reviews_used`
        (those in the texts), `excluded` ({reason: count}: what the joins and the choice of reviews left out),
        `reviews_not_needed` (sound reviews beyond the places of their work), `filtered` ({filter: works}: 'left_out',
        'language', 'min_ratings', 'thin', in this order), `same_title_author` (groups in that file), `joined` (works of
        Open Library that are one with a work of UCSD).

    Raises:
        RawDataError: there is no document at all; says which filter took how many.
    """
    with duckdb_errors("The documents cannot be made"), connect(limits, out) as connection, ExitStack() as stack:
        prepare(connection, recipe)
        _set_variables(
            connection,
            {
                **LIMITS,
                **shelf_variables(),
                **asdict(rules),
                "candidates": rules.candidates,
                "most_review": recipe.review_characters,
                "works_at_once": _WORKS_AT_ONCE,
            },
        )
        for name in TABLES:
            _create_view(connection, name, tables[name])
        for name, columns in _SAME_COLUMNS.items():
            connection.execute(f"CREATE TEMP TABLE {name} ({', '.join(f'{column} VARCHAR' for column in columns)})")
            if name in tables:
                connection.execute(
                    f"INSERT INTO {name} SELECT {', '.join(columns)} FROM read_parquet($path)",
                    {"path": str(tables[name])},
                )
        texts = stack.enter_context(TemporaryDirectory(prefix=".texts-", dir=out))
        for step in _STEPS:
            if step in _ON_DISK:
                _keep_on_disk(connection, step, Path(texts))
            else:
                connection.execute(sql("documents", step))
            if step == "distinct_reviews":
                eligible, distinct = (_count(connection, table) for table in ("eligible_reviews", "distinct_reviews"))
            if step in _LAST_READ_BY:
                connection.execute(f"DROP TABLE {_LAST_READ_BY[step]}")
        filtered = _counts(
            connection,
            "SELECT left_out_by, count(*) FROM joined_works WHERE left_out_by IS NOT NULL GROUP BY 1 ORDER BY 1",
        )
        wanted = _count(connection, "wanted_works")
        rows = _write_documents(connection, out / "documents.parquet", wanted)
        if wanted > rows:
            filtered["thin"] = wanted - rows
        if rows == 0:
            raise _nothing_left(rules, filtered)
        thin, editions, used = connection.execute(
            "SELECT count(*) FILTER (thin), sum(editions)::BIGINT, sum(reviews_used)::BIGINT FROM read_parquet($path)",
            {"path": str(out / "documents.parquet")},
        ).fetchone() or (0, 0, 0)
        return {
            "rows": rows,
            "thin": thin,
            "editions": editions,
            "reviews_used": used,
            **_excluded(connection, eligible=eligible, distinct=distinct, used=used),
            "filtered": filtered,
            "joined": _count(connection, "same_works"),
            "same_title_author": copy_to_parquet(
                connection, sql("documents", "same_title_author"), out / "same_title_author.parquet"
            ),
        }


def prepare(connection: duckdb.DuckDBPyConnection, recipe: Recipe) -> None:
    """Give a connection the macros and functions that the statements of this folder use."""
    register_text(connection)
    register_languages(connection)
    connection.execute(sql("sources", "origin"))
    connection.execute(sql("documents", "macros"))
    parts = "title, author, description, genres, series, shelves, reviews"
    connection.execute(f"CREATE OR REPLACE TEMP MACRO text_of({parts}) AS {recipe.macro}({parts})")


def _set_variables(connection: duckdb.DuckDBPyConnection, values: Mapping[str, Any]) -> None:
    # CREATE TABLE AS cannot take a prepared parameter, a variable it can.
    for name, value in values.items():
        if isinstance(value, tuple):
            connection.execute(f"SET VARIABLE {name} = CAST($value AS VARCHAR[])", {"value": list(value)})
        else:
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    pattern = parquet_glob(path).replace("'", "''")
    # `review_row` finds a review's text again: the file in the folder, and the row in the file.
    review_row = ", (file_index::BIGINT << 40) | file_row_number AS review_row" if name == "reviews" else ""
    # Books of a source without shelves lack these columns, and tables that an older version left, which are evaluated.
    lacking = f"FROM ({_MAY_LACK}) UNION ALL BY NAME" if name == "books" else ""
    connection.execute(f"CREATE TEMP VIEW {name} AS {lacking} SELECT *{review_row} FROM read_parquet('{pattern}')")


def _keep_on_disk(connection: duckdb.DuckDBPyConnection, step: str, folder: Path) -> None:
    """The rows of a step as Parquet, a file or more per portion of the works, under a view of the step's name."""
    target = str(folder / step).replace("'", "''")
    statement = sql("documents", step)
    connection.execute(
        f"COPY ({statement}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (portion), OVERWRITE)"
    )
    if any((folder / step).glob("*/*.parquet")):
        connection.execute(
            f"CREATE TEMP VIEW {step} AS FROM read_parquet('{target}/*/*.parquet', "
            "hive_partitioning = true, hive_types = {'portion': 'INTEGER'})"
        )
    else:
        connection.execute(f"CREATE TEMP TABLE {step} AS SELECT * FROM ({statement}) LIMIT 0")


def _write_documents(connection: duckdb.DuckDBPyConnection, path: Path, works: int) -> int:
    """Write the documents portion by portion; returns how many. One batch is written while the next is made."""
    rows = 0
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        thread: ThreadPoolExecutor | None = None
        written: Future[None] | None = None
        for first in range(0, works, _WORKS_AT_ONCE):
            portion = connection.execute(
                sql("documents", "documents"),
                {"portion": first // _WORKS_AT_ONCE, "first": first, "end": first + _WORKS_AT_ONCE},
            ).to_arrow_reader(_ROWS_PER_GROUP)
            if writer is None or thread is None:
                writer = stack.enter_context(pq.ParquetWriter(path, portion.schema, compression="zstd"))
                # After the writer, so that it ends before the writer is closed, whatever happens.
                thread = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="write documents"))
            for batch in portion:
                if written is not None:
                    written.result()
                written = thread.submit(writer.write_batch, batch)
                rows += batch.num_rows
        if written is not None:
            written.result()
    return rows


def _excluded(connection: duckdb.DuckDBPyConnection, *, eligible: int, distinct: int, used: int) -> dict[str, Any]:
    """`excluded` ({reason: count} of what was left out for a reason of its own; reasons that did not occur are
    absent) and `reviews_not_needed` (sound ones beyond the places of their work). With those used, every review is
    in exactly one of these counts."""
    found = connection.execute(sql("documents", "exclusions"))
    names = [column[0] for column in found.description or ()]
    counts = dict(zip(names, found.fetchone() or (), strict=True))
    candidates, clean = connection.execute("SELECT count(*), count(review_hash) FROM review_texts").fetchone() or (0, 0)
    usable = _count(connection, "usable_reviews")
    counts |= {
        "review_of_filtered_work": counts.pop("long_enough") - eligible,
        "review_repeated": eligible - distinct,
        # Of the reviews that were looked at closely.
        "review_too_short_when_clean": candidates - clean,
        "review_repeated_when_clean": clean - usable,
    }
    return {
        "excluded": {name: count for name, count in counts.items() if count},
        "reviews_not_needed": distinct - candidates + usable - used,
    }


def _nothing_left(rules: DocumentRules, filtered: Mapping[str, int]) -> RawDataError:
    if not filtered:
        return RawDataError(
            "There are no documents",
            expected="at least one book with a book_id and a title",
            found="none",
            todo="look at the rejects of the books (books_rejects.parquet) for the reasons",
        )
    return RawDataError(
        "There are no documents left after the filters",
        expected=f"at least one work that passes languages={','.join(rules.languages) or 'all'}, "
        f"min_ratings={rules.min_ratings}, keep_thin={rules.keep_thin}",
        found=f"{sum(filtered.values()):,} works, left out by "
        + ", ".join(f"{name}: {count:,}" for name, count in filtered.items()),
        todo="relax the filter that left out the most",
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int((connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,))[0])


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return dict(connection.execute(query).fetchall())
