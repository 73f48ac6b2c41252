"""Which lines of the works' and the editions' files are read: those of works that somebody has shelved or rated.

Most works of a dump are read by nobody, and the join leaves them out. So their records need not be typed, cleaned and
written first. Each of the two files is gone through once for its keys alone (`keys.py`), which takes little more than
unpacking it. The records that nothing touches are counted (`untouched.py`). The keys of the others are linked as
the join links records; it then finds whatever it would have found among all.
"""

from collections import Counter, deque
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
from viberary_pipeline.sources.openlibrary.untouched import FileKeys, Untouched, split_untouched
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

_LINKED = {
    "ol_ratings": "number_of(work_id) AS work_id, number_of(edition_id) AS edition_id, rating",
    "ol_reading_log": "number_of(work_id) AS work_id, number_of(edition_id) AS edition_id",
    "ol_redirects": "number_of(merged_id) AS merged_id, number_of(redirected_to) AS redirected_to",
    "ol_authors": "number_of(author_id) AS author_id, kind, number_of(redirected_to) AS redirected_to",
}
"""What is linked of the tables that say which lines are read."""
READ_FIRST = tuple(_LINKED)

_SCANNED = 4 << 20
"""Bytes that are looked at together for keys: as many as a processor has at hand."""


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
        for table, columns in _LINKED.items():
            pattern = parquet_glob(tables[table]).replace("'", "''")
            # Readers and redirects are read twice, so their ids become numbers once. Of authors only redirects are
            # read: a view will do.
            kind = "VIEW" if table == "ol_authors" else "TABLE"
            connection.execute(f"CREATE TEMP {kind} {table} AS SELECT {columns} FROM read_parquet('{pattern}')")
        if not rules.least_readers or not count(connection, "ol_ratings") + count(connection, "ol_reading_log"):
            return {"all_lines": True}
        untouched = _find_keys(connection, raw, limits, out)
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
    links = Counter(facts["edition_links"]) + Counter(untouched.links)
    return {
        "all_lines": False,
        "lines": lines,
        # An edition whose work is lost is a work of its own, as in `link_records`.
        "works": facts["works"] + untouched.works + untouched.links["lost"],
        "edition_links": dict(sorted(links.items())),
    }


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
) -> Untouched:
    """Make the tables `record_keys` and `repeated`, and views that stand for the tables of `SELECTED`.

    DuckDB's limit does not bound the keys of the files: 8 bytes a work and 12 an edition, twice that while they are
    joined.

    Returns:
        How many records need no link.
    """
    connection.execute(sql("sources/openlibrary", "record_keys"))
    with closing(prepared(open_in_memory(limits.share(2), scratch))) as typing:
        keys = {
            table: FileKeys.joined(
                [
                    of_block
                    for part in raw[table].parts
                    for of_block in _Scan(table, connection, typing, scratch).go_through(part, processes_within(limits))
                ]
            )
            for table in SELECTED
        }
    connection.execute("SET preserve_insertion_order = false")  # which takes more memory
    untouched = _add_touched(connection, **keys)
    for table, records in _RECORDS.items():
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT {records.view} FROM record_keys "
            f"WHERE record = '{records.record}' AND id IS NOT NULL"
        )
    return untouched


def _add_touched(connection: duckdb.DuckDBPyConnection, ol_works: FileKeys, ol_editions: FileKeys) -> Untouched:
    """Make the table `repeated`, and add to `record_keys` those keys that are to be linked; how many are not."""
    for letter, keys in (("W", ol_works), ("M", ol_editions)):
        connection.register(f"repeated_{letter}", pa.table({"number": keys.repeated}))
    connection.execute(sql("sources/openlibrary", "repeated"))
    named = connection.execute(sql("sources/openlibrary", "named")).fetchnumpy()
    numbers, are_works = np.asarray(named["number"]), np.asarray(named["is_work"])
    *linked, untouched = split_untouched(ol_works, ol_editions, numbers[are_works], numbers[~are_works])
    for records, keys in zip(_RECORDS.values(), linked, strict=True):
        connection.register("told", pa.table(keys.columns))
        connection.execute(f"INSERT INTO record_keys SELECT '{records.record}', line, {records.told} FROM told")
    return untouched


class _Scan:
    """One pass over a file for the keys of its records: those not told at sight go to the table `record_keys`."""

    def __init__(
        self, table: str, connection: duckdb.DuckDBPyConnection, typing: duckdb.DuckDBPyConnection, out: Path
    ) -> None:
        self._table, self._connection, self._typing = table, connection, typing
        self._records, self._spec = _RECORDS[table], _SPECS[table]
        self._scratch = out / f".{table}-keys"
        self._told: list[FileKeys] = []
        self._others = Block()

    def go_through(self, part: RawPart, threads: int) -> list[FileKeys]:
        """Go through all lines of a file, once; the keys of each block. Lines that look like no record have none."""
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
        self._type_others(part)
        return self._told

    def _take(self, keys: Keys, part: RawPart) -> None:
        self._told.append(FileKeys.of(keys))
        for line, number in zip(keys.others.pieces, keys.others.numbers_of_pieces, strict=True):
            self._others.add_each(line, number)
            if self._others.held >= BLOCK_BYTES or self._others.rows >= BLOCK_LINES:
                self._type_others(part)

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
