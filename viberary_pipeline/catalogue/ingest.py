"""Raw JSON lines to a typed table and a table of rejects: every line is in exactly one of them."""

from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.artifacts import digest
from viberary_pipeline.catalogue.duck import DuckLimits, connect, copy_to_parquet, sql
from viberary_pipeline.catalogue.stream import decompressed, lines_at
from viberary_pipeline.errors import RawDataError

TABLES = ("books", "authors", "reviews")
_EXAMPLES = 1000
_ALWAYS_ALLOWED = 10


def statements_digest(table: str) -> str:
    """A digest of the SQL that makes `table`, so that changed SQL makes a new artifact."""
    names = ("macros", f"{table}_staged", f"{table}_rejects", table)
    return digest([sql("catalogue", name) for name in names])


def ingest(table: str, raw: Path, out: Path, limits: DuckLimits, *, reject_ceiling: float) -> dict[str, Any]:
    """Read one raw file into `out/{table}.parquet` and `out/{table}_rejects.parquet`.

    Args:
        table: 'books', 'authors' or 'reviews'.
        raw: The gzipped JSON lines.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        reject_ceiling: Largest share of malformed lines, in [0, 1]. Ten malformed lines are always allowed: in a
            small file they say nothing about the file.

    Returns:
        `lines`, `rows` and `rejected` ({reason: count}); lines = rows + rejects, always.

    Raises:
        RawDataError: the file is damaged or unreadable, holds lines and not one record (a file of another kind),
            or more of it is malformed than the ceiling allows; or there are no books.
    """
    with connect(limits, out) as connection:
        connection.execute(sql("catalogue", "macros"))
        _stage(connection, table, raw, out)
        connection.execute(f"CREATE TEMP TABLE {table}_rejects AS {sql('catalogue', f'{table}_rejects')}")
        lines = _count(connection, f"{table}_staged")
        rejected = dict(
            connection.execute(
                f"SELECT reason, count(*) FROM {table}_rejects GROUP BY reason ORDER BY reason"
            ).fetchall()
        )
        _add_raw_text(connection, table, raw)
        _check_ceiling(connection, table, raw, lines, rejected, reject_ceiling)
        copy_to_parquet(connection, f"SELECT * FROM {table}_rejects ORDER BY line", out / f"{table}_rejects.parquet")
        rows = copy_to_parquet(connection, sql("catalogue", table), out / f"{table}.parquet")
    if rows + sum(rejected.values()) != lines:
        raise AssertionError(f"{table}: {lines} lines, but {rows} rows and {rejected} rejects")
    return {"lines": lines, "rows": rows, "rejected": rejected}


def _stage(connection: duckdb.DuckDBPyConnection, table: str, raw: Path, out: Path) -> None:
    # One streaming pass. CREATE TABLE AS cannot take a prepared parameter, a variable it can.
    staged = sql("catalogue", f"{table}_staged").replace("$path", "getvariable('path')")
    try:
        with decompressed(raw, out) as pipe:
            connection.execute("SET VARIABLE path = $path", {"path": pipe})
            connection.execute(f"CREATE TEMP TABLE {table}_staged AS {staged}")
    except duckdb.Error as error:
        raise RawDataError(
            f"The {table} file cannot be read",
            expected=f"{raw} to hold one JSON object per line, and memory and disk for them",
            found=f"{type(error).__name__}: {error}",
            todo="look at the file; if it speaks of memory or disk, raise VIBERARY_DUCKDB_MEMORY_LIMIT or make room",
        ) from error


def _count(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _add_raw_text(connection: Any, table: str, raw: Path) -> None:
    """Give the malformed lines (the first thousand) their text: DuckDB keeps none of what it could not parse."""
    numbers = connection.execute(
        f"SELECT line FROM {table}_rejects WHERE reason = 'malformed_json' ORDER BY line LIMIT {_EXAMPLES}"
    ).fetchall()
    if numbers:
        texts = lines_at(raw, {number for (number,) in numbers})
        connection.executemany(
            f"UPDATE {table}_rejects SET raw = ? WHERE line = ?",
            [[text, number] for number, text in texts.items()],
        )


def _check_ceiling(
    connection: Any, table: str, raw: Path, lines: int, rejected: dict[str, int], ceiling: float
) -> None:
    if lines == 0 and table == "books":
        raise RawDataError(
            "There are no books",
            expected=f"{raw} to hold one JSON object per line",
            found="no line",
            todo="check that this is the file you meant",
        )
    malformed = rejected.get("malformed_json", 0)
    if malformed > max(_ALWAYS_ALLOWED, ceiling * lines):
        raise RawDataError(
            f"Too much of the {table} file is malformed",
            expected=f"at most {ceiling:.2%} of the lines of {raw} to be no JSON object",
            found=f"{malformed:,} of {lines:,}, for example {_examples(connection, table, 'malformed_json')}",
            todo="look at the file, or raise VIBERARY_REJECT_CEILING if it is meant to be so",
        )
    if lines and lines == sum(rejected.values()):
        reasons = sorted(rejected.items(), key=lambda item: -item[1])
        raise RawDataError(
            f"There is not one record in the {table} file",
            expected=f"{raw} to hold {table}, one JSON object per line",
            found=f"{lines:,} lines rejected ("
            + ", ".join(f"{count:,} {reason}" for reason, count in reasons[:3])
            + f"), for example {_examples(connection, table)}",
            todo="check that this is the file you meant, and not one of another kind under its name",
        )


def _examples(connection: Any, table: str, reason: str | None = None) -> str:
    """The first three rejects, of one reason or of all, as a message shows them."""
    rows = connection.execute(
        f"SELECT line, left(raw, 80) FROM {table}_rejects "
        "WHERE reason = coalesce($reason, reason) ORDER BY line LIMIT 3",
        {"reason": reason},
    ).fetchall()
    return "; ".join(f"line {line}: {text!r}" for line, text in rows)
