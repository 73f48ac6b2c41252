"""Raw JSON lines to a typed table and a table of rejects: every line is in exactly one of them.

One pass over each file. This process decompresses it and cuts it into blocks of whole lines; each block goes to a
worker, which has DuckDB parse, type and clean it and write it as one part of the table (load.py). So decompression
overlaps with parsing, blocks are parsed side by side, a few blocks are all that is in memory, and the number of a
line is known.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from viberary_pipeline.duck import DuckLimits, connect, copy_to_parquet, duckdb_errors, sql
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.blocks import Block, Numbers, blocks
from viberary_pipeline.sources.columns import Table
from viberary_pipeline.sources.file_formats import HEAD_BYTES, Format, advice, certain, likely
from viberary_pipeline.sources.load import REPEATED, Job, Loaded, Reject, of_table, readable
from viberary_pipeline.sources.openlibrary.dumps import other_records
from viberary_pipeline.sources.raw_files import RawInput, RawPart
from viberary_pipeline.sources.reader import PartReader, open_part
from viberary_pipeline.sources.table_specs import TABLES
from viberary_pipeline.sources.workers import do, processes_within, workers

ALWAYS_ALLOWED = 10
"""Rejects that a file may have whatever its size: in a small file they say nothing about it."""

_NO_HOPE = 200_000
"""Rejected or blank lines without one row among them after which a file is not read to its end."""

_LONGEST_SKIPPED = 256 << 20
"""Bytes without a line feed after which a file is not read to its end."""

_DEFLATE_RATIO = 1032
"""Most bytes that one byte of gzip can become."""

_SHORTEST_RECORD = 20
"""Bytes below which no line is a record of any table."""

_READ_AHEAD = 1 << 20
"""Stored bytes that may have been read and not decompressed yet."""

_DENSER = 20
"""How many times as many lines per stored byte as so far the rest of a file is taken to have at most."""

_IN_ANOTHER_FILE = "_in_another_file"
REJECTS = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("record_id", pa.string()),
        ("raw", pa.string()),
    ]
)
_NULLED = """
SELECT "column", count(*)
FROM (SELECT unnest(string_split(nulled, ' ')) AS "column" FROM parts WHERE nulled IS NOT NULL)
GROUP BY 1
ORDER BY 1
"""


@dataclass
class FileTally:
    """What became of one file: `lines` = `rows` + the sum of `rejected` + `not_read`. Blank lines are no lines.

    `not_read` are those that were not asked for, and `bad` those rejects that were seen among all lines by their looks.
    `uri` and `head` (its first bytes, decompressed) serve messages.
    """

    file: str
    stored_bytes: int
    uri: str = ""
    head: bytes = b""
    packed: bool = False
    lines: int = 0
    rows: int = 0
    not_read: int = 0
    bad: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "file": self.file,
            "bytes": self.stored_bytes,
            "lines": self.lines,
            "rows": self.rows,
            "not_read": self.not_read,
            "rejected": dict(sorted(self.rejected.items())),
        }


def ingest(
    table: str,
    raw: RawInput | None,
    out: Path,
    limits: DuckLimits,
    *,
    reject_ceiling: float,
    wanted: Numbers | None = None,
) -> dict[str, Any]:
    """Read the files of one table into `out/{table}.parquet/` (parts) and `out/{table}_rejects.parquet`.

    Args:
        table: A name of `TABLES`.
        raw: Its files; None for an optional table that is absent: it has no rows.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        reject_ceiling: Largest share of a file's lines that may be rejected, in [0, 1]. Ten are always allowed, and
            rows of which another file has a better copy do not count (subsets of one catalogue overlap).
        wanted: The numbers of the lines that are read of each file, ascending (`selection.wanted_lines`); None: all.

    Returns:
        `lines`, `rows`, `not_read` (lines that are not wanted), `rejected` ({reason: count}), `nulled` ({column: values
        that it could not hold}),
        `repaired` ({what: count}: blank_line, byte_order_mark, crlf, and columns whose values were read from another
        shape than UCSD's), `files` (each file's `lines`, `rows`, `not_read`, `rejected`) and `notes` (what else was
        there and not read). lines = rows + rejects + not_read, for each file: lines are counted before DuckDB sees
        them.

    Raises:
        RawDataError: a file is damaged, unreadable or of another format, holds lines and not one record, or more of
            it is rejected than the ceiling allows (as soon as that is certain); or there are no books.
    """
    spec = TABLES[table]
    parts = raw.parts if raw is not None else ()
    folder = out / f"{table}.parquet"
    folder.mkdir()
    with duckdb_errors(f"The table {table} cannot be made"), connect(limits, out) as connection:
        connection.register("no_rejects", REJECTS.empty_table())
        connection.execute("CREATE TABLE rejects AS FROM no_rejects")
        with workers(sum(part.bytes for part in parts), limits, out, threads=spec.in_threads) as pool:
            loader = _Loader(
                *(spec, folder, connection, pool, wanted),
                at_once=2 * processes_within(limits),
                ceiling=reject_ceiling,
            )
            tallies = [loader.load(part) for part in parts]
            if not loader.parts:
                loader.load_nothing()
        written, repeated = [*folder.glob("*.parquet")], [*folder.glob(f"*{REPEATED}")]
        if spec.keyed:
            # By name each part comes before the file beside it, so that of equals its own row is kept.
            _view_parts(connection, [*written, *repeated])
            _drop_duplicates(connection, spec, tallies, repeated)
        _view_parts(connection, written)
        _check(connection, spec, tallies, reject_ceiling)
        nulled = dict(connection.execute(_NULLED).fetchall())
        copy_to_parquet(connection, "FROM rejects ORDER BY file, line", out / f"{table}_rejects.parquet")
    return {
        "lines": sum(tally.lines for tally in tallies),
        "rows": sum(tally.rows for tally in tallies),
        "not_read": sum(tally.not_read for tally in tallies),
        "rejected": _sum(tally.rejected for tally in tallies),
        "nulled": nulled,
        "repaired": _sum(tally.repaired for tally in tallies),
        "files": [tally.to_json() for tally in tallies],
        "notes": list(raw.notes) if raw is not None else [],
    }


class _Loader:
    """Hands the blocks of a table's files to the workers, and counts what comes back."""

    def __init__(
        self,
        spec: Table,
        folder: Path,
        connection: duckdb.DuckDBPyConnection,
        pool: Executor,
        wanted: Numbers | None,
        *,
        at_once: int,
        ceiling: float,
    ) -> None:
        self.parts = 0
        self._spec, self._folder, self._connection, self._pool, self._at_once = spec, folder, connection, pool, at_once
        self._wanted, self._ceiling = wanted, ceiling
        self._running: set[Future[Loaded]] = set()

    def load(self, part: RawPart) -> FileTally:
        """All blocks of one file. Raises `RawDataError` if it is damaged, hopeless, or DuckDB cannot go on."""
        tally = FileTally(part.name, part.bytes, part.uri)
        try:
            with open_part(part) as reader:
                tally.packed = reader.packed
                others = other_records(part.name, self._spec.name)
                chunks = _checked(reader, self._spec, tally)
                for block in blocks(chunks, self._spec.layout, others=others, wanted=self._wanted):
                    self._submit(block, tally)
                    # As many blocks wait as are worked on: enough to keep all busy, and memory stays bounded.
                    while len(self._running) >= self._at_once or any(job.done() for job in self._running):
                        self._settle(tally)
                    self._stop_if_hopeless(reader, tally)
            while self._running:
                self._settle(tally)
        except RawDataError as error:
            found = f"{error.found}; {tally.rows:,} rows had been read"
            raise RawDataError(error.what, expected=error.expected, found=found, todo=error.todo) from error
        except (duckdb.Error, BrokenProcessPool, OSError) as error:
            raise RawDataError(
                f"The {self._spec.name} file cannot be read",
                expected=f"{part.uri} to hold one JSON object per line, and enough memory and disk space to read them",
                found=f"{type(error).__name__}: {error}",
                todo="look at the file; if the message is about memory, disk or a process that ended, raise "
                "VIBERARY_DUCKDB_MEMORY_LIMIT, lower VIBERARY_DUCKDB_THREADS, or free some disk space",
            ) from error
        if tally.rows + tally.rejected.total() + tally.not_read != tally.lines:
            raise AssertionError(f"{part.name}: {tally}")
        return tally

    def load_nothing(self) -> None:
        """A part without rows: a table has its columns even where nothing came in."""
        tally = FileTally("", 0)
        self._start_job(Block(), tally)
        self._settle(tally)

    def _submit(self, block: Block, tally: FileTally) -> None:
        tally.lines += block.lines + block.unwanted
        tally.not_read += block.unwanted
        tally.bad += len(block.bad)
        tally.repaired += block.repaired
        self._reject([Reject(tally.file, bad.line, bad.reason, None, readable(bad.text)) for bad in block.bad], tally)
        if block.rows:
            self._start_job(block, tally)

    def _start_job(self, block: Block, tally: FileTally) -> None:
        job = Job(
            table=self._spec,
            lines=self._folder.with_name(f".block-{self.parts:05d}.json"),
            file=tally.file,
            rows=block.rows,
            first_line=block.first_line,
            numbers=block.numbers,
            part=self._folder / f"part-{self.parts:05d}.parquet",
        )
        with job.lines.open("wb") as file:
            file.writelines(block.pieces)
        self._running.add(self._pool.submit(do, job))
        self.parts += 1

    def _settle(self, tally: FileTally) -> None:
        """Wait until a block is done, and count it."""
        done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
        for loaded in [future.result() for future in done]:
            tally.rows += loaded.rows
            tally.repaired += loaded.repaired
            self._reject(loaded.rejects, tally)

    def _stop_if_hopeless(self, reader: PartReader, tally: FileTally) -> None:
        """Raise if the file will be refused, whatever its rest holds."""
        if not tally.rows + tally.not_read and tally.rejected.total() + tally.repaired["blank_line"] >= _NO_HOPE:
            while self._running:
                self._settle(tally)
            if not tally.rows:
                raise _not_one_record(self._connection, self._spec, tally)
        rejected = tally.rejected.total()
        allowed = self._ceiling * (tally.lines + _most_lines_left(reader, tally.lines))
        if rejected > max(ALWAYS_ALLOWED, allowed):
            raise _too_many_rejects(self._connection, self._spec, tally, self._ceiling, so_far=True)

    def _reject(self, rejects: list[Reject], tally: FileTally) -> None:
        if rejects:
            tally.rejected += Counter(reject.reason for reject in rejects)
            # By columns: there may be hundreds of thousands, and a dictionary of each takes many times as long.
            columns = {name: [getattr(reject, name) for reject in rejects] for name in REJECTS.names}
            self._connection.register("more", pa.table(columns, schema=REJECTS))
            self._connection.execute("INSERT INTO rejects FROM more")


def _checked(reader: PartReader, spec: Table, tally: FileTally) -> Iterator[bytes]:
    """The chunks of a file. Raises `RawDataError` where it is of another format, or one line without an end."""
    without_end = 0
    for chunk in reader.chunks():
        if not tally.head:
            tally.head = chunk[:HEAD_BYTES]
            if (found := certain(tally.head)) is not None:
                raise _another_format(spec, tally, found)
        without_end = 0 if b"\n" in chunk else without_end + len(chunk)
        if without_end > _LONGEST_SKIPPED:
            raise RawDataError(
                f"The {spec.name} file has a line without an end",
                expected=f"{tally.uri} to hold one JSON object per line",
                found=f"{without_end:,} bytes without a line feed, the last of them {chunk[-40:]!r}",
                todo="look at the file (`head -c 300`): it is damaged, or of another kind",
            )
        yield chunk


def _most_lines_left(reader: PartReader, lines: int) -> float:
    """How many lines the rest of a file can hold: by the limits of the format, and by `_DENSER`."""
    stored = reader.part.bytes
    left = min(stored, stored - reader.compressed_read + _READ_AHEAD)
    most = left * (_DEFLATE_RATIO if reader.packed else 1) / _SHORTEST_RECORD
    read = stored - left
    return min(most, _DENSER * lines / read * left) if read else most


def _sum(counters: Iterable[Counter[str]]) -> dict[str, int]:
    return dict(sorted(sum(counters, Counter[str]()).items()))


def _view_parts(connection: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> None:
    listed = ", ".join(f"'{_escaped(str(file))}'" for file in sorted(files))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW parts AS SELECT *, filename, file_row_number FROM read_parquet([{listed}])"
    )


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def _drop_duplicates(
    connection: duckdb.DuckDBPyConnection, spec: Table, tallies: list[FileTally], repeated: Iterable[Path]
) -> None:
    """Move all rows of an id but the preferred one to the rejects. `repeated`: files that hold none that is preferred.

    Only the other files that hold one are written again.
    """
    connection.execute(f"CREATE TEMP TABLE duplicates AS {of_table(spec, 'duplicates')}")
    hit = [name for (name,) in connection.execute("SELECT DISTINCT filename FROM duplicates ORDER BY 1").fetchall()]
    by_file = {tally.file: tally for tally in tallies}
    for name in hit:
        connection.execute(
            "CREATE OR REPLACE TEMP VIEW part AS "
            f"SELECT rows AS record, file_row_number FROM read_parquet('{_escaped(name)}') AS rows"
        )
        connection.execute(f"INSERT INTO rejects {of_table(spec, 'duplicates_rejects')}", {"filename": name})
        if not name.endswith(REPEATED):
            rest = Path(f"{name}.rest")
            copy_to_parquet(connection, sql("sources", "duplicates_rest"), rest, {"filename": name})
            rest.replace(name)
    for file in repeated:
        file.unlink()
    for file, reason, count in connection.execute(
        "SELECT file, reason, count(*) FROM rejects WHERE starts_with(reason, 'duplicate_') GROUP BY ALL"
    ).fetchall():
        by_file[file].rejected[reason] += count
        by_file[file].rows -= count


def _check(connection: duckdb.DuckDBPyConnection, spec: Table, tallies: list[FileTally], ceiling: float) -> None:
    if spec.name == "books" and not any(tally.lines for tally in tallies):
        raise RawDataError(
            "There are no books",
            expected="one JSON object per line in " + ", ".join(tally.file for tally in tallies),
            found="no lines",
            todo="check that this is the file you meant",
        )
    for tally in tallies:
        rejected = _own_rejects(tally).total()
        if rejected == tally.lines > 0:
            raise _not_one_record(connection, spec, tally)
        # A small file of another format stays below the ceiling, and holds next to nothing.
        if 2 * rejected >= tally.lines > 0 and (found := likely(tally.head)) is not None:
            raise _another_format(spec, tally, found)
        # Of lines that were not read only the looks are known: the others' rejects are a share of those that were.
        read = tally.lines - tally.not_read
        if rejected > max(ALWAYS_ALLOWED, ceiling * tally.lines) or (
            tally.not_read and rejected - tally.bad > max(ALWAYS_ALLOWED, ceiling * read)
        ):
            raise _too_many_rejects(connection, spec, tally, ceiling)


def _own_rejects(tally: FileTally) -> Counter[str]:
    return +Counter({why: n for why, n in tally.rejected.items() if not why.endswith(_IN_ANOTHER_FILE)})


def _too_many_rejects(
    connection: duckdb.DuckDBPyConnection, spec: Table, tally: FileTally, ceiling: float, *, so_far: bool = False
) -> RawDataError:
    rejected = _own_rejects(tally)
    if 2 * rejected.total() >= tally.lines and (found := likely(tally.head)) is not None:
        return _another_format(spec, tally, found)
    read = f"{tally.lines:,}" + (" so far (the file was not read to its end)" if so_far else "")
    read += f", of which {tally.not_read:,} were not asked for" if tally.not_read else ""
    return RawDataError(
        f"Too much of the {spec.name} file is rejected",
        expected=f"at most {ceiling:.2%} of the lines of {tally.file} (or {ALWAYS_ALLOWED} lines)",
        found=f"{rejected.total():,} of {read}: {_reasons(connection, tally.file, rejected)}",
        todo="look at the file; if these lines may be rejected, raise VIBERARY_REJECT_CEILING",
    )


def _not_one_record(connection: duckdb.DuckDBPyConnection, spec: Table, tally: FileTally) -> RawDataError:
    if (found := likely(tally.head)) is not None:
        return _another_format(spec, tally, found)
    reasons = _reasons(connection, tally.file, tally.rejected) or f"{tally.repaired['blank_line']:,} blank lines"
    return RawDataError(
        f"There is not one record in the {spec.name} file",
        expected=f"{tally.file} to hold {spec.name}, one JSON object per line",
        found=f"{tally.rejected.total():,} lines rejected: {reasons}",
        todo="check that this is the file you meant, and not one of another kind under its name",
    )


def _another_format(spec: Table, tally: FileTally, found: Format) -> RawDataError:
    first = tally.head.decode("utf-8", "backslashreplace").strip().partition("\n")[0]
    return RawDataError(
        f"The {spec.name} file is not one JSON object per line",
        expected=f"{tally.uri} to hold {spec.name}, one JSON object per line",
        found=f"{found.name}; it begins {first[:80]!r}",
        todo=advice(found, tally.uri, packed=tally.packed),
    )


def _reasons(connection: duckdb.DuckDBPyConnection, file: str, rejected: Counter[str]) -> str:
    """The three most frequent reasons, each with its first example."""
    examples = []
    for reason, count in rejected.most_common(3):
        line, text = connection.execute(
            "SELECT line, left(raw, 80) FROM rejects WHERE file = $file AND reason = $reason ORDER BY line LIMIT 1",
            {"file": file, "reason": reason},
        ).fetchone() or (0, "")
        examples.append(f"{count:,} {reason}, for example line {line}: {text!r}")
    return "; ".join(examples)
