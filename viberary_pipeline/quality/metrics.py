"""Metrics: what DuckDB measures of a table, over all its rows, for the expectations to look at.

`sql/{table}.sql` returns one row with one column per metric. Most metrics are made by the macros rows_where
and share_where and so carry, beside their value, how many rows speak against it and a few examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from viberary_pipeline.duck import DuckLimits, connect, parquet_glob, sql
from viberary_pipeline.errors import QualityError

# documents is downstream of the other three tables, so how the tables fit together is measured there.
RELATED: Mapping[str, tuple[str, ...]] = {"documents": ("books", "authors", "reviews")}


@dataclass(frozen=True)
class Metric:
    """One measured number.

    Args:
        value: The number; None where it is undefined (a share or a median of no rows).
        against: How many rows speak against it (are repeated, empty, out of range); None if rows do not.
        total: How many rows were looked at; None as above.
        examples: Up to three of the rows against, as texts such as "book 42".
        undefined: What to say of it where it is undefined.
    """

    value: float | None
    against: int | None = None
    total: int | None = None
    examples: tuple[str, ...] = ()
    undefined: str = "undefined"


def measure(
    table: str,
    parquet: Path,
    *,
    related: Mapping[str, Path] | None,
    scratch: Path,
    limits: DuckLimits,
    works_left_out: int = 0,
) -> dict[str, Metric]:
    """Every metric of a table, by name, in the order of its SQL.

    Args:
        table: One of `bounds.TABLES`.
        parquet: The table's Parquet file, or folder of them.
        related: The other tables' Parquet files or folders, as `RELATED[table]` names them.
        scratch: An existing folder, in which DuckDB may spill.
        limits: DuckDB's memory and threads.
        works_left_out: Of documents: how many works its filters left out on purpose.

    Raises:
        QualityError: a file is missing, is not Parquet, or has other columns than the SQL reads.
    """
    files = {table: parquet}
    for name in RELATED.get(table, ()):
        if name not in (related or {}):
            raise QualityError(
                f"The table {table} cannot be checked alone",
                expected=f"the Parquet files of {', '.join(RELATED[table])} beside it",
                found=f"none for {name}",
                todo="pass them as `related`",
            )
        files[name] = (related or {})[name]

    with connect(limits, scratch) as connection:
        connection.execute(sql("quality", "macros"))
        connection.execute("SET VARIABLE works_left_out = $works", {"works": works_left_out})
        try:
            for name, path in files.items():
                connection.read_parquet(parquet_glob(path)).create_view(name)
            cursor = connection.execute(sql("quality", table))
            row = cursor.fetchone()
        except duckdb.Error as error:
            raise QualityError(
                f"The table {table} cannot be measured",
                expected=f"Parquet files with the columns that quality/sql/{table}.sql reads",
                found=f"{type(error).__name__}: {error}",
                todo=f"look at {', '.join(str(path) for path in files.values())}; make them anew if damaged",
            ) from error
        names = [column[0] for column in cursor.description or ()]
    return {name: _metric(cell) for name, cell in zip(names, row or (), strict=True)}


def _metric(cell: object) -> Metric:
    if isinstance(cell, dict):
        return Metric(cell["value"], cell["against"], cell["total"], tuple(cell["examples"] or ()))
    return Metric(None if cell is None else float(str(cell)))
