"""Which lines of the works' and the editions' files are read: those of works that somebody has shelved or rated.

Most works of a dump are read by nobody, and the join leaves them out. So their records need not be typed, cleaned and
written first. Each of the two files is gone through once for its keys alone (`keys.py`), which takes little more than
unpacking it. These keys are linked as the join links records; it then finds whatever it would have found among all.
"""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.duck import (
    DuckLimits,
    connect,
    copy_to_parquet,
    duckdb_errors,
    open_in_memory,
    parquet_glob,
    sql,
)
from viberary_pipeline.sources.blocks import BLOCK_BYTES, BLOCK_LINES, Block, Numbers, blocks
from viberary_pipeline.sources.load import Job, load_block, prepared
from viberary_pipeline.sources.openlibrary.dumps import other_records
from viberary_pipeline.sources.openlibrary.keys import Keys, keys_at_sight
from viberary_pipeline.sources.openlibrary.links import count, link_records
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import RawInput, RawPart
from viberary_pipeline.sources.reader import open_part
from viberary_pipeline.sources.workers import processes_within


@dataclass(frozen=True)
class _Records:
    """How the keys of one file are had.

    Attributes:
        record: What its records are.
        at_sight: The keys of the lines of a block that begin as all but a few do.
        told, typed: The columns of the table `record_keys` from `id` on: of those lines, and of the others, typed.
        view: The columns that `links.py` reads, of `record_keys`.
    """

    record: str
    at_sight: Callable[[Block], Keys]
    told: str
    typed: str
    view: str


_RECORDS = {
    "ol_works": _Records(
        "work",
        partial(keys_at_sight, begins=b"/type/work\t/works/OL", letter=b"W", of_works=False),
        "number_with(id, 'W'), NULL, NULL, NULL",
        "number_of(work_id), kind, number_of(redirected_to), NULL",
        "id AS work_id, kind, redirected_to",
    ),
    "ol_editions": _Records(
        "edition",
        partial(keys_at_sight, begins=b"/type/edition\t/books/OL", letter=b"M", of_works=True),
        "number_with(id, 'M'), NULL, NULL, number_with(work, 'W')",
        "number_of(edition_id), kind, number_of(redirected_to), number_of(work_ids[1])",
        "id AS edition_id, kind, redirected_to, [work_id] AS work_ids",
    ),
}
SELECTED = tuple(_RECORDS)
"""The tables of which not every line is read."""

_LINKED_BY = ("kind", "redirected_to", "work_ids")
_SPECS = {
    table.name: replace(
        table, columns=tuple(c for c in table.columns if c.name in (table.key, *_LINKED_BY)), keyed=False
    )
    for table in OPENLIBRARY
    if table.name in _RECORDS
}
"""The tables with nothing but keys, kinds and links."""

_VIEWS = {
    "ol_ratings": "number_of(work_id) AS work_id, number_of(edition_id) AS edition_id, rating",
    "ol_reading_log": "number_of(work_id) AS work_id, number_of(edition_id) AS edition_id",
    "ol_redirects": "number_of(merged_id) AS merged_id, number_of(redirected_to) AS redirected_to",
    "ol_authors": "number_of(author_id) AS author_id, kind, number_of(redirected_to) AS redirected_to",
}
"""What is linked of the tables that say which lines are read."""
READ_FIRST = tuple(_VIEWS)

_SCANNED = 4 << 20
"""Bytes that are looked at together for keys: as many as a processor has at hand."""

_TOGETHER = 256
"""Blocks whose keys are added to the table at a time."""


def select_lines(
    raw: Mapping[str, RawInput], tables: Mapping[str, Path], out: Path, limits: DuckLimits, rules: OpenLibraryRules
) -> dict[str, Any]:
    """Write `{table}.parquet` for each of `SELECTED`: one row is a line of its file that is read.

    Nothing is written where all lines are: no least number of readers is asked for, or the dump does not say who reads
    what.

    Args:
        raw: The files of each of `SELECTED`.
        tables: Each of `READ_FIRST` by name to its Parquet file, or folder of them.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        rules: Which works are worth indexing.

    Returns:
        `all_lines`, whether all are read. If not: `lines`, how many are, by table; `works`, all of the dump, with
        editions that are a work of their own; and `edition_links` ({kind: editions}) of all editions.

    Raises:
        RawDataError: a file is damaged, or memory or disk do not suffice.
    """
    with duckdb_errors("The lines of Open Library's files cannot be chosen"), connect(limits, out) as connection:
        connection.execute(sql("sources/openlibrary", "numbers"))
        for table, columns in _VIEWS.items():
            pattern = parquet_glob(tables[table]).replace("'", "''")
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {columns} FROM read_parquet('{pattern}')")
        if not rules.least_readers or not count(connection, "ol_ratings") + count(connection, "ol_reading_log"):
            return {"all_lines": True}
        _find_keys(connection, raw, limits, out)
        # One table at a time: DuckDB's limit does not bound this memory.
        repeated = np.concatenate([_repeated_ids(connection, _RECORDS[table].record) for table in SELECTED])
        connection.register("repeated", pa.table({"id": repeated}))
        for step in ("again", "first_lines"):
            connection.execute(sql("sources/openlibrary", step))
        facts = link_records(connection)
        for step in ("edition_units", "read_units"):
            connection.execute(sql("sources/openlibrary", step))
        wanted = sql("sources/openlibrary", "wanted_lines")
        lines = {
            table: copy_to_parquet(connection, wanted, out / f"{table}.parquet", {"record": _RECORDS[table].record})
            for table in SELECTED
        }
    return {"all_lines": False, "lines": lines, "works": facts["works"], "edition_links": facts["edition_links"]}


def wanted_lines(table: str, selected: Path) -> Numbers | None:
    """The numbers of the lines of a table's file that are read, ascending; None for all.

    Args:
        table: One of Open Library's tables.
        selected: The folder that `select_lines` filled.
    """
    path = selected / f"{table}.parquet"
    return pq.read_table(path)["line"].to_numpy() if path.exists() else None


def _find_keys(
    connection: duckdb.DuckDBPyConnection, raw: Mapping[str, RawInput], limits: DuckLimits, scratch: Path
) -> None:
    """Make the table `record_keys`, and views of it that stand for the tables of `SELECTED`."""
    connection.execute(sql("sources/openlibrary", "record_keys"))
    for table in SELECTED:
        for part in raw[table].parts:
            with closing(prepared(open_in_memory(limits.share(2), scratch))) as typing:
                _Scan(table, connection, typing, scratch).go_through(part, processes_within(limits))
    connection.execute("SET preserve_insertion_order = false")  # which takes more memory
    for table, records in _RECORDS.items():
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT {records.view} FROM record_keys "
            f"WHERE record = '{records.record}' AND id IS NOT NULL"
        )


def _repeated_ids(connection: duckdb.DuckDBPyConnection, record: str) -> Numbers:
    """The ids that several lines have. NumPy sorts all in a fifth of the time in which DuckDB counts each."""
    keys = connection.execute(
        "SELECT id FROM record_keys WHERE record = $record AND id IS NOT NULL", {"record": record}
    )
    ids = np.asarray(keys.fetchnumpy()["id"])
    ids.sort()
    return np.unique(ids[1:][ids[1:] == ids[:-1]])


class _Scan:
    """One pass over a file for the keys of its records, which go to the table `record_keys`."""

    def __init__(
        self, table: str, connection: duckdb.DuckDBPyConnection, typing: duckdb.DuckDBPyConnection, out: Path
    ) -> None:
        self._table, self._connection, self._typing = table, connection, typing
        self._records, self._spec = _RECORDS[table], _SPECS[table]
        self._scratch = out / f".{table}-keys"
        self._told: list[tuple[Numbers, Numbers, Numbers]] = []
        self._others = Block()

    def go_through(self, part: RawPart, threads: int) -> None:
        """All lines of a file. Those that are no record by their looks have no key."""
        found: deque[Future[Keys]] = deque()
        others = other_records(part.name, self._table)
        with open_part(part) as reader, ThreadPoolExecutor(threads) as pool:
            for block in blocks(reader.chunks(), self._spec.layout, others=others, block_bytes=_SCANNED):
                if block.rows:
                    found.append(pool.submit(self._records.at_sight, block))
                while len(found) > 2 * threads:
                    self._take(found.popleft().result(), part)
            while found:
                self._take(found.popleft().result(), part)
        self._add_told()
        self._type_others(part)

    def _take(self, keys: Keys, part: RawPart) -> None:
        self._told.append((keys.lines, keys.ids, keys.works))
        if len(self._told) >= _TOGETHER:
            self._add_told()
        for line, number in zip(keys.others.pieces, keys.others.numbers_of_pieces, strict=True):
            self._others.add_each(line, number)
            if self._others.held >= BLOCK_BYTES or self._others.rows >= BLOCK_LINES:
                self._type_others(part)

    def _add_told(self) -> None:
        told, self._told = self._told, []
        if told:
            lines, ids, works = map(np.concatenate, zip(*told, strict=True))
            self._connection.register("told", pa.table({"line": lines, "id": ids, "work": works}))
            self._connection.execute(
                f"INSERT INTO record_keys SELECT '{self._records.record}', line, {self._records.told} FROM told"
            )

    def _type_others(self, part: RawPart) -> None:
        """Type the lines that were not told at sight as `ingest` does, but for columns that say nothing here."""
        block, self._others = self._others, Block()
        if not block.rows:
            return
        lines, typed = self._scratch.with_suffix(".json"), self._scratch.with_suffix(".parquet")
        lines.write_bytes(b"".join(block.pieces))
        loaded = load_block(
            self._typing,
            Job(self._spec, lines, part.name, block.rows, block.first_line, block.numbers, typed),
        )
        self._connection.execute(
            f"INSERT INTO record_keys SELECT '{self._records.record}', line, {self._records.typed} "
            "FROM read_parquet($path)",
            {"path": str(typed)},
        )
        typed.unlink()
        rejected = pa.table({"line": pa.array([reject.line for reject in loaded.rejects], pa.int64())})
        self._connection.register("rejected", rejected)
        self._connection.execute(
            f"INSERT INTO record_keys SELECT '{self._records.record}', line, NULL, NULL, NULL, NULL FROM rejected"
        )
