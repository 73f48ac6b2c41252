"""DuckDB connections with bounded memory, and SQL statements from files."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb


@dataclass(frozen=True)
class DuckLimits:
    """What one connection may use. `memory_limit` is in DuckDB's spelling ('4GB')."""

    memory_limit: str = "4GB"
    threads: int = 2


@contextmanager
def connect(limits: DuckLimits, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose tables live in a file under `scratch` and spill there; both go with it."""
    with tempfile.TemporaryDirectory(prefix=".duckdb-", dir=scratch) as folder:
        connection = duckdb.connect(
            str(Path(folder) / "scratch.duckdb"),
            config={
                "memory_limit": limits.memory_limit,
                "threads": limits.threads,
                "temp_directory": str(Path(folder) / "spill"),
                # Nothing is ever fetched: json, parquet and icu are built in.
                "autoinstall_known_extensions": False,
            },
        )
        try:
            yield connection
        finally:
            connection.close()


def sql(package: str, name: str) -> str:
    """The text of `{name}.sql` in the sql folder of a package of ours ('catalogue')."""
    return (files("viberary_pipeline") / package / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def copy_to_parquet(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, parameters: dict[str, Any] | None = None
) -> int:
    """Write the rows of `query` to a zstd Parquet file; returns how many."""
    target = str(path).replace("'", "''")
    result = connection.execute(
        f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)",
        parameters or {},
    ).fetchone()
    return int(result[0]) if result else 0
