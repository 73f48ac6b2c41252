"""Blocks of lines into parts of a typed table: what a worker does with one block, and what it says of it."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from viberary_pipeline.duck import copy_to_parquet, sql
from viberary_pipeline.sources.cleaning import register_text
from viberary_pipeline.sources.languages import register_languages

REJECT_CHARACTERS = 500
"""How much of a rejected line is kept."""


@dataclass(frozen=True)
class Job:
    """One block, written to a file, and where its part goes.

    Attributes:
        table: 'books': the statement is `sql/books.sql`.
        key: The column that identifies a row.
        lines: The file with the block's lines, each from '{' to '}'. Removed by whoever does the job.
        file: Name of the raw file that they come from.
        rows: How many lines those are.
        first_line: The number, from 1, of the first one in the raw file.
        numbers: The numbers of all of them where they do not follow on each other, else None.
        part: Where the Parquet goes.
    """

    table: str
    key: str
    lines: Path
    file: str
    rows: int
    first_line: int
    numbers: list[int] | None
    part: Path


@dataclass(frozen=True)
class Reject:
    """A line that is no row of its table; the fields are the columns of X_rejects.parquet."""

    file: str
    line: int
    reason: str
    record_id: str | None
    raw: str


@dataclass(frozen=True)
class Loaded:
    """What became of a block: `rows` in its part, and the others."""

    rows: int
    rejects: list[Reject]


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, with the functions and macros that the statements use."""
    register_text(connection)
    register_languages(connection)
    connection.execute(sql("sources", "macros"))
    return connection


def load_block(connection: duckdb.DuckDBPyConnection, job: Job) -> Loaded:
    """Parse, type, clean and write one block. Raises `duckdb.Error` for want of memory or disk."""
    statement = sql("sources", job.table)
    variables = {
        "path": str(job.lines),
        "file": job.file,
        "first_line": job.first_line,
        "numbers": job.numbers,
    }
    try:
        for name, value in variables.items():
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
        rows = copy_to_parquet(
            connection, f"SELECT * EXCLUDE (place, reason) FROM ({statement}) WHERE reason IS NULL", job.part
        )
        # Nearly always every line is a row; only where one is not, the block is read once more.
        rejects = _rejects(connection, statement, job) if rows < job.rows else []
    finally:
        job.lines.unlink(missing_ok=True)
    return Loaded(rows, rejects)


def _rejects(connection: duckdb.DuckDBPyConnection, statement: str, job: Job) -> list[Reject]:
    found = connection.execute(
        f"SELECT line, place, reason, {job.key} FROM ({statement}) WHERE reason IS NOT NULL ORDER BY place"
    ).fetchall()
    lines = job.lines.read_bytes().split(b"\n")
    return [
        Reject(
            job.file,
            line,
            _fault(lines[place - 1]) if reason == "malformed_json" else reason,
            record_id,
            readable(lines[place - 1]),
        )
        for line, place, reason, record_id in found
    ]


def _fault(line: bytes) -> str:
    """Why DuckDB found no record in a line from '{' to '}'."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    if "\0" in text:
        return "nul_byte"
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "lone_surrogate"  # half of a character, as an escape: Python takes it, Unicode does not
    except (ValueError, RecursionError):
        return "malformed_json"
    return "no_known_field"  # JSON, but none of the fields that identify a record


def readable(line: bytes) -> str:
    """A line as the table of rejects keeps it."""
    return line[: 4 * REJECT_CHARACTERS].decode("utf-8", "backslashreplace").rstrip("\r")[:REJECT_CHARACTERS]
