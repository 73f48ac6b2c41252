"""Blocks of lines into parts of a typed table: what a worker does with one block, and what it says of it."""

import json
import mmap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from viberary_pipeline.duck import copy_to_parquet, sql
from viberary_pipeline.sources.cells import Cells, cut
from viberary_pipeline.sources.cleaning import register_text
from viberary_pipeline.sources.columns import KEEP_FIRST, Table
from viberary_pipeline.sources.ids import register_ids
from viberary_pipeline.sources.irregular import regular
from viberary_pipeline.sources.languages import register_languages
from viberary_pipeline.sources.openlibrary.shapes import register_shapes
from viberary_pipeline.sources.statements import statement
from viberary_pipeline.sources.table_specs import TABLES

_SOUND = "reason IS NULL AND NOT irregular"
_COLUMNS = "* EXCLUDE (block_line, irregular, reason)"
REPEATED = ".repeated"
"""Suffix of a file beside the parts, with rows of which a part has a better copy."""

REJECT_CHARACTERS = 500
"""How much of a rejected line is kept."""


@dataclass(frozen=True)
class Job:
    """One block, in a file or in memory, and where its part goes.

    Attributes:
        table: A name of `TABLES`.
        lines: The file with the block's lines, sound by their looks. Removed by whoever does the job.
        file: Name of the raw file that they come from.
        rows: How many lines those are.
        first_line: The number, from 1, of the first one in the raw file.
        numbers: The numbers of all of them where they do not follow on each other, else None.
        part: Where the Parquet goes. With the suffix `REPEATED`: they are lines that other blocks have set aside.
        text: The lines themselves, for a thread of this process; their file is written only if it is needed.
    """

    table: str
    lines: Path
    file: str
    rows: int
    first_line: int
    numbers: list[int] | None
    part: Path
    text: bytes | None = None

    def number(self, line: int) -> int:
        """The number in the raw file of a line of the block (from 0)."""
        return self.numbers[line] if self.numbers else self.first_line + line


@dataclass(frozen=True)
class Line:
    """A line and its number in the raw file."""

    number: int
    text: bytes


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
    """What became of a block.

    Attributes:
        rows: Rows in its part and in the file beside it.
        rejects: Lines that are no rows.
        repaired: {column: values read from another shape}.
        set_aside: Lines that are still to be read: an earlier line of the block has their id.
    """

    rows: int
    rejects: list[Reject] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)
    set_aside: list[Line] = field(default_factory=list)


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
    table = TABLES[job.table]
    variables = {
        "path": str(job.lines),
        "file": job.file,
        "first_line": job.first_line,
        "numbers": job.numbers,
        "present": _list_fields(job.lines, table),
    }
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    try:
        # Nearly every block is rows alone, which are written as they are read: a table between takes a tenth more.
        if (loaded := _load_as_it_is(connection, table, job)) is not None:
            return loaded
        rejects, repaired = _type_lines(connection, table, job)
        rows = _write(connection, table, job.part)
    finally:
        connection.execute("DROP TABLE IF EXISTS block")
        job.lines.unlink(missing_ok=True)
    return Loaded(rows, rejects, repaired)


def _load_as_it_is(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> Loaded | None:
    """Write the part of a block whose lines are all rows as they stand; None if one is not."""
    if job.text is None:
        return Loaded(job.rows) if _write_sound(connection, statement(table), job) == job.rows else None
    if (cells := cut(job.text, table.layout.cells)) is None:
        return None
    # Of equals this table keeps the first. The others would need a table between, or the part to be written twice.
    aside = _repeated(cells, table) if job.part.suffix != REPEATED else []
    connection.register("written", cells.table())
    try:
        rows = _write_sound(connection, statement(table, as_written=True), job, [line + 1 for line in aside])
    except duckdb.Error:  # an object is no JSON
        return None
    finally:
        connection.unregister("written")
    if rows + len(aside) != job.rows:
        return None
    return Loaded(rows, set_aside=[Line(job.number(line), cells.line(line)) for line in aside])


def _repeated(cells: Cells, table: Table) -> list[int]:
    """The lines whose id an earlier line spells the same. Other spellings are found once all parts are there."""
    if not table.keyed:
        return []
    if table.preference != KEEP_FIRST:
        raise AssertionError(f"{table.name}: which row is kept cannot be told from the lines")
    key = next(name for name, column in table.fields.items() if column.name == table.key)
    return cells.repeated(table.layout.columns.index(key.encode()))


def _write_sound(connection: duckdb.DuckDBPyConnection, select: str, job: Job, without: Sequence[int] = ()) -> int:
    """Write the part of a block `without` some lines (from 1), as far as they are rows as they stand; how many."""
    rows = f"SELECT {_COLUMNS} FROM ({select}) WHERE {_SOUND}"
    if without:
        rows += f" AND block_line NOT IN ({', '.join(map(str, without))})"
    return copy_to_parquet(connection, rows, job.part)


def _type_lines(connection: duckdb.DuckDBPyConnection, table: Table, job: Job) -> tuple[list[Reject], Counter[str]]:
    """Make the table `block`: one row per line, none of them irregular; the lines that are rejects, and what was
    repaired."""
    if job.text is not None:
        job.lines.write_bytes(b"\n".join(map(table.layout.to_json, job.text.split(b"\n")[:-1])) + b"\n")
    if _type(connection, statement(table), job):
        return [], Counter()
    lines = (job.lines.read_bytes() if job.text is None else job.text).split(b"\n")
    repaired = _rewrite_irregular(connection, table, lines, job.lines)
    if repaired is not None:
        _type(connection, statement(table), job)
    return _rejects(connection, job, lines), repaired or Counter()


def _type(connection: duckdb.DuckDBPyConnection, select: str, job: Job) -> bool:
    """Make the table `block`; whether every line is a row as it stands."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE block AS {select}")
    sound = connection.execute(f"SELECT count(*) FROM block WHERE {_SOUND}").fetchone()
    return sound == (job.rows,)


def _write(connection: duckdb.DuckDBPyConnection, table: Table, part: Path) -> int:
    """Write the rows of `block`; how many. Those of which it has a better copy go to a file beside the part: rewriting
    the part for them, once all parts are there, would take as long again."""
    columns = f"SELECT {_COLUMNS} FROM block"
    by_key = table.keyed and part.suffix != REPEATED
    repeated = connection.execute(of_table(table, "repeated")).fetchall() if by_key else []
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
    table = TABLES[job.table]
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
