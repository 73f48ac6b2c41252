"""Blocks of lines into parts of a typed table: what a worker does with one block, and what it says of it."""

import json
import mmap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from viberary_pipeline.duck import copy_to_parquet, sql
from viberary_pipeline.sources.blocks import Numbers
from viberary_pipeline.sources.cleaning import register_text
from viberary_pipeline.sources.columns import Table
from viberary_pipeline.sources.ids import register_ids
from viberary_pipeline.sources.irregular import regular
from viberary_pipeline.sources.languages import register_languages
from viberary_pipeline.sources.openlibrary.shapes import register_shapes
from viberary_pipeline.sources.statements import statement

_SOUND = "reason IS NULL AND NOT irregular"
_COLUMNS = "* EXCLUDE (block_line, irregular, reason)"
REPEATED = ".repeated"
"""Suffix of the file beside a part, with the rows of which the part has a better copy."""

REJECT_CHARACTERS = 500
"""How much of a rejected line is kept."""


@dataclass(frozen=True)
class Job:
    """One block, written to a file, and where its part goes.

    Attributes:
        table: The table that they are lines of.
        lines: The file with the block's lines, sound by their looks. Removed by whoever does the job.
        file: Name of the raw file that they come from.
        rows: How many lines those are.
        first_line: The number, from 1, of the first one in the raw file.
        numbers: The numbers of all of them where they do not follow on each other, else None.
        part: Where the Parquet goes.
    """

    table: Table
    lines: Path
    file: str
    rows: int
    first_line: int
    numbers: Numbers | None
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
    """What became of a block: `rows` in its part and in the file beside it, the other lines, and {column: values read
    from another shape}."""

    rows: int
    rejects: list[Reject]
    repaired: Counter[str]


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, with the functions and macros that the statements use."""
    register_text(connection)
    register_languages(connection)
    register_ids(connection)
    register_shapes(connection)
    connection.execute(sql("sources", "macros"))
    connection.execute(sql("sources/openlibrary", "macros"))
    return connection


def load_block(connection: duckdb.DuckDBPyConnection, job: Job) -> Loaded:
    """Parse, type, clean and write one block. Raises `duckdb.Error` for want of memory or disk."""
    table = job.table
    variables = {
        "path": str(job.lines),
        "file": job.file,
        "first_line": job.first_line,
        "present": _list_fields(job.lines, table),
    }
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    _set_numbers(connection, job.numbers)
    try:
        # Nearly every block of objects is rows alone, which are written as they are read: a table between takes a tenth
        # more. In Open Library's blocks a line may be there twice.
        if not table.layout.columns and _write_sound(connection, table, job):
            return Loaded(job.rows, [], Counter())
        rejects, repaired = _type_lines(connection, table, job)
        rows = _write(connection, table, job.part)
    finally:
        connection.execute("DROP TABLE IF EXISTS block")
        job.lines.unlink(missing_ok=True)
    return Loaded(rows, rejects, repaired)


def _set_numbers(connection: duckdb.DuckDBPyConnection, numbers: Numbers | None) -> None:
    if numbers is None:
        connection.execute("SET VARIABLE numbers = NULL")
        return
    # As a parameter, 70,000 of them take as long as a tenth of their lines does.
    connection.register("given_numbers", pa.table({"number": numbers}))
    connection.execute("SET VARIABLE numbers = (SELECT list(number ORDER BY number) FROM given_numbers)")
    connection.unregister("given_numbers")


def _type_lines(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> tuple[list[Reject], Counter[str]]:
    """Make the table `block`: one row per line, none of them irregular; the lines that are rejects, and what was
    repaired."""
    if table.layout.columns and _is_utf8(job.lines) and _type_as_written(connection, table, job):
        return [], Counter()
    given = None
    if table.layout.columns:
        given = job.lines.read_bytes()
        job.lines.write_bytes(b"\n".join(map(table.layout.to_json, given.split(b"\n")[:-1])) + b"\n")
    if _type(connection, statement(table), job):
        return [], Counter()
    lines = (given or job.lines.read_bytes()).split(b"\n")
    repaired = _rewrite_irregular(connection, table, lines, job.lines)
    if repaired is not None:
        _type(connection, statement(table), job)
    return _rejects(connection, job, lines), repaired or Counter()


def _type_as_written(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> bool:
    """Type a block whose lines have columns before their object; whether every line became a row, as nearly always.

    It saves the way through Python, but one line with a tab too many stops it. The lines must be UTF-8: a byte that is
    none makes DuckDB 1.5 close the database with an internal error.
    """
    try:
        return _type(connection, statement(table, as_written=True), job)
    except duckdb.Error:
        return False


def _is_utf8(path: Path) -> bool:
    """Whether a file is UTF-8, which Arrow sees in a hundredth of the time that decoding takes."""
    if not (size := path.stat().st_size):
        return True
    with pa.memory_map(str(path)) as file:
        ends = pa.array([0, size], pa.int64()).buffers()[1]
        text = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, file.read_buffer(size)])
        try:
            text.cast(pa.large_string())
        except pa.ArrowInvalid:
            return False
    return True


def _type(connection: duckdb.DuckDBPyConnection, select: str, job: Job) -> bool:
    """Make the table `block`; whether every line is a row as it stands."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE block AS {select}")
    sound = connection.execute(f"SELECT count(*) FROM block WHERE {_SOUND}").fetchone()
    return sound == (job.rows,)


def _write_sound(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> bool:
    """Write the part of a block; whether every line is a row as it stands."""
    rows = f"SELECT {_COLUMNS} FROM ({statement(table)}) WHERE {_SOUND}"
    return copy_to_parquet(connection, rows, job.part) == job.rows


def _write(connection: duckdb.DuckDBPyConnection, table: Table, part: Path) -> int:
    """Write the rows of `block`; how many. Those of which it has a better copy go to a file beside the part: rewriting
    the part for them, once all parts are there, would take as long again."""
    columns = f"SELECT {_COLUMNS} FROM block"
    repeated = connection.execute(of_table(table, "repeated")).fetchall() if table.keyed else []
    if not repeated:
        return copy_to_parquet(connection, f"{columns} WHERE reason IS NULL", part)
    lines = {"repeated": [line for (line,) in repeated]}
    is_repeated = "(block_line IN (SELECT unnest($repeated)))"
    rows = copy_to_parquet(connection, f"{columns} WHERE reason IS NULL AND NOT {is_repeated}", part, lines)
    return rows + copy_to_parquet(connection, f"{columns} WHERE {is_repeated}", part.with_suffix(REPEATED), lines)


def of_table(table: Table, name: str) -> str:
    """A statement of `sql/` in which KEY and PREFERENCE stand for the table's."""
    return sql("sources", name).replace("KEY", table.key).replace("PREFERENCE", table.preference)


def _list_fields(path: Path, table: Table) -> list[str]:
    """The list fields that occur in a block. (One that a catalogue lacks altogether need not be looked for.)"""
    names = [name for name, column in table.fields.items() if column.is_list]
    if not names or path.stat().st_size == 0:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return [name for name in names if text.find(f'"{name}"'.encode()) >= 0]


def _rewrite_irregular(
    connection: duckdb.DuckDBPyConnection, table: Table, lines: list[bytes], path: Path
) -> Counter[str] | None:
    """Write the file of the block again with its irregular lines made regular; what was repaired, or None if there are
    none."""
    found = connection.execute("SELECT block_line FROM block WHERE irregular").fetchall()
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


def _rejects(connection: duckdb.DuckDBPyConnection, job: Job, lines: list[bytes]) -> list[Reject]:
    table = job.table
    found = connection.execute(
        f"SELECT line, block_line, reason, {table.key} FROM block WHERE reason IS NOT NULL ORDER BY block_line"
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
