"""Lines of Open Library's dumps, and a folder of them, as typed and as joined tables."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits, parquet_glob
from viberary_pipeline.sources.blocks import Numbers
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.openlibrary.catalogue import MADE, join_dump
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.selection import READ_FIRST, SELECTED, select_lines, wanted_lines
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import find

DATE = "2026-10-31"
LIMITS = DuckLimits(memory_limit="1GB", threads=1)
_FOLDERS = {"W": ("work", "works"), "M": ("edition", "books"), "A": ("author", "authors")}


def record(key: str, kind: str = "", **fields: Any) -> str:
    """A line of the works, editions, authors or redirects: `key` is OL1W, OL1M or OL1A."""
    own, folder = _FOLDERS[key[-1]]
    kind = kind or own
    path = f"/{folder}/{key}"
    values = {"type": {"key": f"/type/{kind}"}, "key": path, "revision": 1, **fields}
    return "\t".join([f"/type/{kind}", path, "1", "2026-10-01T10:00:00.000000", json.dumps(values, ensure_ascii=False)])


def by(*authors: str) -> list[dict[str, Any]]:
    """The field `authors` of a work."""
    return [{"author": {"key": f"/authors/{key}"}, "type": {"key": "/type/author_role"}} for key in authors]


def of(work: str) -> list[dict[str, str]]:
    """The field `works` of an edition."""
    return [{"key": f"/works/{work}"}]


def shelved(work: str, readers: int, edition: str = "", value: str = "Want to Read") -> list[str]:
    """So many lines of the reading log (or, with a number as `value`, of the ratings)."""
    return [f"/works/{work}\t{f'/books/{edition}' if edition else ''}\t{value}\t2021-01-02"] * readers


def write_dump(folder: Path, date: str = DATE, **tables: Sequence[str]) -> Path:
    """A folder with the files of a dump: works=[line], ...; those that every dump has are there, if without lines."""
    folder.mkdir(parents=True, exist_ok=True)
    nothing = dict.fromkeys(("works", "editions", "authors"), ())
    for table, lines in {**nothing, **tables}.items():
        with gzip.open(folder / f"ol_dump_{table.replace('_', '-')}_{date}.txt.gz", "wb") as file:
            file.writelines(line.encode() + b"\n" for line in lines)
    return folder


def typed(
    raw: Path, out: Path, table: str, *, ceiling: float = 0.001, wanted: Numbers | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The facts and the rows of one of the dump's tables."""
    out.mkdir(parents=True)
    facts = ingest(table, find(table, str(raw)), out, LIMITS, reject_ceiling=ceiling, wanted=wanted)
    return facts, rows_of(out / f"{table}.parquet")


def read_dump(
    location: str, out: Path, *, ceiling: float = 0.001, **rules: Any
) -> tuple[dict[str, Path], dict[str, Any]]:
    """{table: file} of a dump, read as the stages read it, and what `join_dump` said, which wrote to out/joined."""
    files = {table.name: find(table.name, location) for table in OPENLIBRARY}
    tables = {name: out / name / f"{name}.parquet" for name in files}
    chosen, selected, join = OpenLibraryRules(**rules), out / "selected", out / "joined"
    for folder in (*(path.parent for path in tables.values()), selected, join):
        folder.mkdir(parents=True)
    for name in READ_FIRST:
        ingest(name, files[name], out / name, LIMITS, reject_ceiling=ceiling)
    choice = select_lines({name: files[name] for name in SELECTED}, tables, selected, LIMITS, chosen)
    for name in SELECTED:
        wanted = wanted_lines(name, selected)
        ingest(name, files[name], out / name, LIMITS, reject_ceiling=ceiling, wanted=wanted)
    return tables, join_dump(tables, join, LIMITS, chosen, choice)


def joined(raw: Path, out: Path, **rules: Any) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The facts of `join_dump`, and the rows of the tables that it makes, by id."""
    _, facts = read_dump(str(raw), out, **rules)
    found = {name: rows_of(out / "joined" / f"{name}.parquet") for name in MADE}
    return facts, {name: sorted(rows, key=lambda row: list(row.values())[2]) for name, rows in found.items()}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table in their order."""
    return duckdb.execute("FROM read_parquet($path)", {"path": parquet_glob(path)}).to_arrow_table().to_pylist()


def said(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what it does not say."""
    return {name: value for name, value in row.items() if value not in (None, [])}
