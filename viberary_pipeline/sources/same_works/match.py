"""The works that two sources have in common: which work of Open Library is which work of UCSD.

The statements in `sql/` run in the order below. What joins two works is, in this order: an edition of Open Library
names Goodreads' id of an edition; two editions have an ISBN in common; title and author are the same. Numbers count
only where names do not contradict them. Each work is joined to one other at most.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.duck import DuckLimits, connect, copy_to_parquet, duckdb_errors, sql, view_parquet

READ = ("books", "authors", "works")
"""The tables of both sources that are compared."""

RULES = ("goodreads", "isbn", "title and author")
"""What joins two works, the surest first."""

_STEPS = (
    "compared_editions",
    "compared_titles",
    "compared_people",
    "compared_works",
    "linked_editions",
    "numbered_pairs",
    "titled_pairs",
    "candidates",
)
_MOST_WORKS_OF_AN_ISBN = 3
_SHOWN = 10

WORKS = pa.schema(
    [
        *((name, pa.string()) for name in ("open_library_work_id", "work_id", "rule")),
        ("editions", pa.int64()),
        *((name, pa.string()) for name in ("open_library_title", "open_library_author", "title", "author")),
    ]
)
EDITIONS = pa.schema([("open_library_book_id", pa.string()), ("book_id", pa.string())])


def match_works(tables: Mapping[str, Path], out: Path, limits: DuckLimits) -> dict[str, Any]:
    """Write `out/same_works.parquet` and `out/same_editions.parquet`.

    Args:
        tables: Each of `READ` to its Parquet file, or folder of them, with the rows of both sources.
        out: An empty folder.
        limits: Memory and threads for DuckDB.

    Returns:
        `rows` (works joined), `works` ({source: works}), `joined` ({rule: works joined}), `editions` (of Open Library
        that are editions of UCSD), `contradicted` (pairs with a number in common whose names disagree), `open` (pairs
        of one title and author where a work has several such pairs), `conflicts` (candidates that were not joined,
        because one of the two works has a better one), and `examples` (joined works, some of each rule).
    """
    with duckdb_errors("The works of both sources cannot be compared"), connect(limits, out) as connection:
        prepare(connection)
        for name in READ:
            view_parquet(connection, name, tables[name])
        for step in _STEPS:
            connection.execute(sql("sources/same_works", step))
        rows = copy_to_parquet(connection, sql("sources/same_works", "same_works"), out / "same_works.parquet")
        editions = copy_to_parquet(
            connection, sql("sources/same_works", "same_editions"), out / "same_editions.parquet"
        )
        counts = dict(
            connection.execute(
                "SELECT rule, count(*) FROM read_parquet($path) GROUP BY ALL", {"path": str(out / "same_works.parquet")}
            ).fetchall()
        )
        return {
            "rows": rows,
            "works": dict(connection.execute("SELECT source, count(*) FROM compared_works GROUP BY 1").fetchall()),
            "joined": {rule: counts[rule] for rule in RULES if rule in counts},
            "editions": editions,
            "contradicted": _count(connection, "numbered_pairs WHERE NOT agrees"),
            "open": _count(connection, "titled_pairs WHERE NOT is_sure"),
            "conflicts": _count(connection, "candidates") - rows,
            "examples": _examples(connection, out / "same_works.parquet"),
        }


def no_works(out: Path) -> dict[str, Any]:
    """Write the same files without a row: the catalogue is of one source. Returns `rows`, 0."""
    pq.write_table(WORKS.empty_table(), out / "same_works.parquet")
    pq.write_table(EDITIONS.empty_table(), out / "same_editions.parquet")
    return {"rows": 0}


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the macros and the rules that the statements of this folder use."""
    for name, value in _rules().items():
        if isinstance(value, list):
            connection.execute(f"SET VARIABLE {name} = CAST($value AS VARCHAR[])", {"value": value})
        else:
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    connection.execute(sql("sources", "origin"))
    connection.execute(sql("sources/same_works", "macros"))


@cache
def _rules() -> Mapping[str, Any]:
    rules = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
    return {
        "derived_titles": "|".join(rules["derived"]),
        "plain_subtitles": list(rules["plain_subtitles"]),
        "common_titles": [title.replace(" ", "") for title in rules["common_titles"]],
        "articles": f"^(?:{'|'.join(map(re.escape, rules['articles']))}) ",
        "most_works_of_an_isbn": _MOST_WORKS_OF_AN_ISBN,
    }


def _examples(connection: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, Any]]:
    """Some joined works of each rule, drawn by a hash of their ids: the same of the same works."""
    found = connection.execute(
        "FROM read_parquet($path) QUALIFY row_number() OVER (PARTITION BY rule ORDER BY md5(work_id)) <= $shown",
        {"path": str(path), "shown": _SHOWN},
    ).to_arrow_table()
    return sorted(found.to_pylist(), key=lambda row: (RULES.index(row["rule"]), row["work_id"]))


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    return int((connection.execute(f"SELECT count(*) FROM {source}").fetchone() or (0,))[0])
