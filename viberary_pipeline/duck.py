"""DuckDB connections with bounded memory, and SQL statements from files."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.machine import usable_cores

if TYPE_CHECKING:
    import duckdb

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B)", re.IGNORECASE)


@dataclass(frozen=True)
class DuckLimits:
    """Memory and threads of DuckDB."""

    memory_limit: str = Field(
        default="4GB",
        description="The memory beyond which DuckDB writes to disk: a number and a unit (`512MB`, `1.5GiB`).",
    )
    threads: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="Threads of a query; and processes that read tables, if the memory limit leaves 256 MB for each.",
    )

    @field_validator("memory_limit")
    @classmethod
    def _is_an_amount(cls, value: str) -> str:
        # Anything else DuckDB refuses in the middle of a run.
        if not _AMOUNT.fullmatch(value.strip()):
            raise ValueError("expected a number and a unit, such as 512MB, 4GB or 1.5GiB")
        return value.strip()

    @property
    def bytes(self) -> int:
        """The memory limit in bytes: kB is 1,000 of them and KiB 1,024, as DuckDB has it."""
        amount, unit = _AMOUNT.fullmatch(self.memory_limit.strip()).groups()  # type: ignore[union-attr]
        base = 1024 if "i" in unit.lower() else 1000
        return int(float(amount) * base ** ("BKMGT".index(unit[0].upper())))

    def share(self, workers: int) -> "DuckLimits":
        """What each of some workers may use, with one thread: an equal part of the memory."""
        return DuckLimits(memory_limit=f"{self.bytes // workers}B", threads=1)


@contextmanager
def connect(limits: DuckLimits, scratch: Path) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A connection whose tables live in a file under `scratch` and spill there; both go with it."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix=".duckdb-", dir=scratch) as folder:
        connection = _quiet(duckdb.connect(str(Path(folder) / "scratch.duckdb"), config=config(limits, Path(folder))))
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def duckdb_errors(what: str) -> Iterator[None]:
    """Turn DuckDB's errors into one that a person can act on. `what` could not be done: 'books cannot be made'."""
    import duckdb

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise RawDataError(
            what,
            expected="enough memory (VIBERARY_DUCKDB_MEMORY_LIMIT) and disk space (VIBERARY_HOME) for it",
            found=f"{type(error).__name__}: {error}",
            todo="raise VIBERARY_DUCKDB_MEMORY_LIMIT, or free some disk space",
        ) from error
    except duckdb.Error as error:
        raise RawDataError(
            what,
            expected="DuckDB to run the pipeline's own statement",
            found=f"{type(error).__name__}: {error}",
            todo="check that the installed duckdb is the one in constraints.txt; if it is, report this as a bug",
        ) from error


def open_in_memory(limits: DuckLimits, scratch: Path) -> "duckdb.DuckDBPyConnection":
    """A connection without a file of its own, for work that passes through; what it spills goes to `scratch`."""
    import duckdb

    return _quiet(duckdb.connect(":memory:", config=config(limits, scratch)))


def _quiet(connection: "duckdb.DuckDBPyConnection") -> "duckdb.DuckDBPyConnection":
    """The connection, without the progress bar that DuckDB showed on the standard output of worker processes."""
    connection.execute("SET enable_progress_bar = false")
    return connection


def config(limits: DuckLimits, folder: Path) -> dict[str, str | bool | int | float | list[str]]:
    """The configuration of a connection that spills to `folder`."""
    return {
        "memory_limit": limits.memory_limit,
        "threads": limits.threads,
        "temp_directory": str(folder / ".spill"),
        # Nothing is ever fetched: json, parquet and icu are built in.
        "autoinstall_known_extensions": False,
    }


def sql(package: str, name: str) -> str:
    """The text of `{name}.sql` in the sql folder of a package of ours ('catalogue')."""
    return (files("viberary_pipeline") / package / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def copy_to_parquet(
    connection: "duckdb.DuckDBPyConnection", query: str, path: Path, parameters: dict[str, Any] | None = None
) -> int:
    """Write the rows of `query` to a zstd Parquet file; returns how many.

    Level 1 instead of DuckDB's 3: writing a part of Open Library's editions takes a fifth less time, and as many bytes.
    """
    target = str(path).replace("'", "''")
    result = connection.execute(
        f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880)",
        parameters or {},
    ).fetchone()
    return int(result[0]) if result else 0


def view_parquet(connection: "duckdb.DuckDBPyConnection", name: str, path: Path) -> None:
    """Give the connection a view of a table's Parquet files, for as long as it is open."""
    pattern = parquet_glob(path).replace("'", "''")
    connection.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet('{pattern}')")


def parquet_glob(path: Path) -> str:
    """What `read_parquet` takes for a table: a folder of parts as a pattern, a single file as it is."""
    return str(path / "*.parquet") if path.is_dir() else str(path)
