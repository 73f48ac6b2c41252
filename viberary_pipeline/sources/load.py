"""Blocks of lines into parts of a typed table: what a worker does with one block, and what it says of it."""

import json
import mmap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from viberary_pipeline.duck import copy_to_parquet, sql
from viberary_pipeline.sources.cleaning import register_text
from viberary_pipeline.sources.columns import Table
from viberary_pipeline.sources.ids import register_ids
from viberary_pipeline.sources.irregular import regular
from viberary_pipeline.sources.languages import register_languages
from viberary_pipeline.sources.statements import statement
from viberary_pipeline.sources.table_specs import TABLES

_SOUND = "reason IS NULL AND NOT irregular"
REJECT_CHARACTERS = 500
"""How much of a rejected line is kept."""


@dataclass(frozen=True)
class Job:
    """One block, written to a file, and where its part goes.

    Attributes:
        table: A name of `TABLES`.
        lines: The file with the block's lines, sound by their looks. Removed by whoever does the job.
        file: Name of the raw file that they come from.
        rows: How many lines those are.
        first_line: The number, from 1, of the first one in the raw file.
        numbers: The numbers of all of them where they do not follow on each other, else None.
        part: Where the Parquet goes.
    """

    table: str
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
    """What became of a block: `rows` in its part, the other lines, and {column: values read from another shape}."""

    rows: int
    rejects: list[Reject]
    repaired: Counter[str]


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, with the functions and macros that the statements use."""
    register_text(connection)
    register_languages(connection)
    register_ids(connection)
    connection.execute(sql("sources", "macros"))
    connection.execute(sql("sources/openlibrary", "macros"))
    return connection


def load_block(connection: duckdb.DuckDBPyConnection, job: Job) -> Loaded:
    """Parse, type, clean and write one block. Raises `duckdb.Error` for want of memory or disk."""
    table = TABLES[job.table]
    select = statement(table)
    variables = {
        "path": str(job.lines),
        "file": job.file,
        "first_line": job.first_line,
        "numbers": job.numbers,
        "present": _list_fields(job.lines, table),
    }
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    given = None
    try:
        if table.layout.columns:
            if _write_as_written(connection, table, job):
                return Loaded(job.rows, [], Counter())
            given = job.lines.read_bytes()
            job.lines.write_bytes(b"\n".join(map(table.layout.to_json, given.split(b"\n")[:-1])) + b"\n")
        rows = _write(connection, select, job.part, _SOUND)
        if rows == job.rows:
            return Loaded(rows, [], Counter())
        # Nearly always every line is a row; only where one is not, the block is read again.
        lines = (given or job.lines.read_bytes()).split(b"\n")
        repaired = _rewrite_irregular(connection, select, table, lines, job.lines)
        if repaired is not None:
            rows = _write(connection, select, job.part, "reason IS NULL")
        rejects = _rejects(connection, select, job, lines) if rows < job.rows else []
    finally:
        job.lines.unlink(missing_ok=True)
    return Loaded(rows, rejects, repaired or Counter())


def _write_as_written(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> bool:
    """Write a block whose lines have columns before their object; whether every line became a row, as nearly always.

    It saves the way through Python, but one line with a tab too many, or a byte that is no UTF-8, stops it.
    """
    try:
        return _write(connection, statement(table, as_written=True), job.part, _SOUND) == job.rows
    except duckdb.Error:
        return False


def _write(connection: duckdb.DuckDBPyConnection, select: str, part: Path, condition: str) -> int:
    columns = "* EXCLUDE (block_line, irregular, reason)"
    return copy_to_parquet(connection, f"SELECT {columns} FROM ({select}) WHERE {condition}", part)


def _list_fields(path: Path, table: Table) -> list[str]:
    """The list fields that occur in a block. (One that a catalogue lacks altogether need not be looked for.)"""
    names = [name for name, column in table.fields.items() if column.is_list]
    if not names or path.stat().st_size == 0:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return [name for name in names if text.find(f'"{name}"'.encode()) >= 0]


def _rewrite_irregular(
    connection: duckdb.DuckDBPyConnection, select: str, table: Table, lines: list[bytes], path: Path
) -> Counter[str] | None:
    """Write the block again with its irregular lines made regular; what was repaired, or None if there are none."""
    found = connection.execute(f"SELECT block_line FROM ({select}) WHERE irregular").fetchall()
    if not found:
        return None
    repaired = Counter[str]()
    rewritten = lines.copy()
    for (number,) in found:
        line = regular(lines[number - 1], table)
        rewritten[number - 1] = line[0] if line else b"{}"  # which is no record
        repaired += line[1] if line else Counter()
    path.write_bytes(b"\n".join(rewritten))
    return repaired


def _rejects(connection: duckdb.DuckDBPyConnection, select: str, job: Job, lines: list[bytes]) -> list[Reject]:
    table = TABLES[job.table]
    found = connection.execute(
        f"SELECT line, block_line, reason, {table.key} FROM ({select}) WHERE reason IS NOT NULL ORDER BY block_line"
    ).fetchall()
    return [
        Reject(
            job.file,
            line,
            _fault(lines[number - 1], table) if reason == "malformed_json" else reason,
            record_id,
            readable(lines[number - 1]),
        )
        for line, number, reason, record_id in found
    ]


def _fault(line: bytes, table: Table) -> str:
    """Why DuckDB found no record in a line that looked sound."""
    if (seen := table.layout.fault(line)) is not None:
        return seen
    try:
        text = table.layout.to_json(line).decode()
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
