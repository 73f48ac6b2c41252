"""What Great Expectations looks at: views of a table in DuckDB, and figures of the table as a whole.

`ROWS` is what `sql/{table}.sql` selects: one row per row of the full table. `FIGURES` is a table of one row with one
column per figure: how tables fit together (`sql/documents_figures.sql`) and how far they have drifted (drift.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.errors import QualityError

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits

# documents is downstream of the other three tables, so how the tables fit together is measured there.
RELATED: Mapping[str, tuple[str, ...]] = {"documents": ("books", "authors", "reviews")}

ROWS, FIGURES = "checked_rows", "checked_figures"
"""The names of the two in the database."""


@dataclass(frozen=True)
class Metric:
    """One measured figure.

    Args:
        value: The number; None where there is nothing to measure or to compare with.
        against: How many rows speak against it; None if rows do not.
        total: How many rows were looked at; None as above.
        examples: Some of the rows against, as texts such as "book 42".
        undefined: Why it has no value.
    """

    value: float | None
    against: int | None = None
    total: int | None = None
    examples: Sequence[str] = ()
    undefined: str = "no rows to measure"


@dataclass(frozen=True)
class Measured:
    """What `measure` wrote into a database: the table's rows, their columns, and its figures by name."""

    rows: int
    columns: tuple[str, ...]
    figures: Mapping[str, Metric]


def measure(
    table: str,
    parquet: Path,
    database: Path,
    *,
    drift: Mapping[str, Metric],
    related: Mapping[str, Path] | None = None,
    limits: "DuckLimits",
    works_left_out: int = 0,
) -> Measured:
    """Create a DuckDB database with `ROWS` over a whole table, and the table `FIGURES`.

    Args:
        table: One of `bounds.TABLES`.
        parquet: The table's Parquet file, or folder of them.
        database: The file to create; DuckDB spills beside it.
        drift: Further figures.
        related: The other tables' Parquet files or folders, as `RELATED[table]` names them.
        limits: DuckDB's memory and threads.
        works_left_out: Of documents: how many works its filters left out on purpose.

    Raises:
        QualityError: a file is missing, is not Parquet, or has other columns than the SQL reads.
    """
    import duckdb

    from viberary_pipeline.duck import config, parquet_glob, sql

    missing = [name for name in RELATED.get(table, ()) if name not in (related or {})]
    if missing:
        raise QualityError(
            f"The table {table} cannot be checked without its related tables",
            expected=f"the Parquet files of {', '.join(RELATED[table])} as well",
            found=f"none for {', '.join(missing)}",
            todo="pass them as `related`",
        )
    files = {table: parquet, **{name: (related or {})[name] for name in RELATED.get(table, ())}}
    with duckdb.connect(str(database), config=config(limits, database.parent)) as connection:
        try:
            connection.execute(sql("quality", "macros"))
            for name, path in files.items():
                literal = parquet_glob(path).replace("'", "''")
                connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{literal}')")
            # A table where columns are dear (the SHA-256 of every text): each is read about three times.
            kind = "TABLE" if table == "documents" else "VIEW"
            connection.execute(f"CREATE {kind} {ROWS} AS {sql('quality', table)}")
            columns = tuple(row[0] for row in connection.execute(f"DESCRIBE {ROWS}").fetchall())
            (rows,) = connection.execute(f"SELECT count(*) FROM {ROWS}").fetchone() or (0,)
            fitting: dict[str, Metric] = {}
            if table == "documents":
                cursor = connection.execute(sql("quality", "documents_figures"), {"works_left_out": works_left_out})
                names = [column[0] for column in cursor.description or ()]
                fitting = dict(zip(names, map(_metric, cursor.fetchone() or ()), strict=True))
        except duckdb.Error as error:
            raise QualityError(
                f"The table {table} cannot be measured",
                expected=f"Parquet files with the columns that quality/sql/{table}.sql reads",
                found=f"{type(error).__name__}: {error}",
                todo=f"look at {', '.join(str(path) for path in files.values())}; if they are damaged, build them "
                "again",
            ) from error
        figures = {**fitting, **drift}
        values = ", ".join(f"?::DOUBLE AS {name}" for name in figures)
        connection.execute(
            f"CREATE TABLE {FIGURES} AS SELECT '{table}' AS label, {values}",
            [metric.value for metric in figures.values()],
        )
    return Measured(rows, columns, figures)


def _metric(value: Any) -> Metric:
    if isinstance(value, dict):
        return Metric(value["value"], value["against"], value["total"], tuple(value["examples"] or ()))
    return Metric(float(value))
