"""Open Library's tables joined into those that documents read: books (editions), works and authors.

The statements in `sql/` run in the order below; each makes one temporary table, and every choice is made on narrow
ones. Only the editions of works that are worth indexing (`OpenLibraryRules`) become books.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from viberary_pipeline.duck import DuckLimits, connect, copy_to_parquet, duckdb_errors, sql, view_parquet
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.ingest import REJECTS
from viberary_pipeline.sources.load import prepared
from viberary_pipeline.sources.openlibrary.links import count, counts, link_records
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.subjects import subject_rules
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY

MADE = ("books", "authors", "works")
"""The tables that are made."""

_LINKS = ("readers", "units", "unit_editions")
_CHOICES = ("subject_names", "shelves", "worthy", "author_links")


def join_dump(
    tables: Mapping[str, Path], out: Path, limits: DuckLimits, rules: OpenLibraryRules, selected: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `books.parquet`, `authors.parquet` and `works.parquet` into `out`.

    Args:
        tables: Each of `OPENLIBRARY` by name to its Parquet file, or folder of them.
        out: An empty folder.
        limits: Memory and threads for DuckDB.
        rules: Which works are worth indexing.
        selected: What `select_lines` said of works and editions that the tables may lack because nobody has read them.

    Returns:
        `rows` ({table: rows}); `works_left_out` ({reason: works}); `works` (all of the dump); `redirects` and
        `redirects_in_a_circle`; `deleted` ({table: records}); `edition_links` ({kind: editions}); `subjects` ({kind:
        subjects as written}); `described` (works kept that have a description).

    Raises:
        RawDataError: no work is worth indexing.
    """
    with duckdb_errors("The tables of Open Library cannot be joined"), connect(limits, out) as connection:
        prepared(connection)
        for table in OPENLIBRARY:
            view_parquet(connection, table.name, tables[table.name])
        facts = link_records(connection)
        if not selected["all_lines"]:
            facts |= {name: selected[name] for name in ("works", "edition_links")}
        subjects = dict(subject_rules())
        set_variables(
            connection,
            {
                **subjects,
                "least_subjects": rules.least_subjects,
                "least_readers": rules.least_readers,
                "has_readers": bool(count(connection, "ol_ratings") + count(connection, "ol_reading_log")),
            },
        )
        for step in _LINKS:
            connection.execute(sql("sources/openlibrary", step))
        connection.execute(sql("sources/openlibrary", "subject_uses"))
        connection.execute("CREATE TEMP TABLE subjects_used AS SELECT DISTINCT written FROM subject_uses")
        make_spellings(connection)
        for step in _CHOICES:
            connection.execute(sql("sources/openlibrary", step))
        rows = {
            name: copy_to_parquet(connection, sql("sources/openlibrary", name), out / f"{name}.parquet")
            for name in MADE
        }
        facts |= _facts(connection, facts["works"])
    if not rows["books"]:
        raise RawDataError(
            "No work of Open Library is worth indexing",
            expected=f"works that {rules.least_readers} readers have shelved or rated, with a description, a first "
            f"sentence or {rules.least_subjects} telling subjects",
            found=f"{facts['works']:,} works; left out: {facts['works_left_out']}",
            todo="check that the files are complete, and of one dump; or lower VIBERARY_OPENLIBRARY_LEAST_READERS or "
            "VIBERARY_OPENLIBRARY_LEAST_SUBJECTS",
        )
    return {"rows": rows, **facts}


def take_table(table: str, joined: Path, out: Path) -> dict[str, Any]:
    """Put one of the tables that `join_dump` made into a folder of its own, as `ingest` leaves a table.

    Args:
        table: One of `MADE`.
        joined: The folder that `join_dump` filled.
        out: An empty folder.

    Returns:
        The facts of `ingest`. A row is a line: what was left out is told by `join_dump`, and by the tables of the dump.
    """
    shutil.copyfile(joined / f"{table}.parquet", out / f"{table}.parquet")
    pq.write_table(REJECTS.empty_table(), out / f"{table}_rejects.parquet")
    rows = pq.ParquetFile(out / f"{table}.parquet").metadata.num_rows
    empty: dict[str, Any] = {"not_read": 0, "rejected": {}, "nulled": {}, "repaired": {}, "files": [], "notes": []}
    return {"lines": rows, "rows": rows, **empty, "source": "openlibrary"}


def add_table(table: str, joined: Path, out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Put one of the tables that `join_dump` made beside the parts of UCSD's that `ingest` has written.

    Args:
        table: One of `MADE`.
        joined: The folder that `join_dump` filled.
        out: The folder that `ingest` filled.
        facts: What `ingest` returned.

    Returns:
        The facts of both: a row of Open Library is a line.
    """
    part = out / f"{table}.parquet" / "part-openlibrary.parquet"
    shutil.copyfile(joined / f"{table}.parquet", part)
    rows = pq.ParquetFile(part).metadata.num_rows
    return {**facts, "lines": facts["lines"] + rows, "rows": facts["rows"] + rows}


def _facts(connection: duckdb.DuckDBPyConnection, works: int) -> dict[str, Any]:
    few = {"few_readers": works - count(connection, "units")}
    left_out = counts(
        connection, "SELECT left_out, count(*) FROM worthy WHERE left_out IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    deleted = {
        table: count(connection, f"{table} WHERE kind = 'delete'")
        for table in ("ol_works", "ol_editions", "ol_authors")
    }
    return {
        "works_left_out": {name: number for name, number in {**few, **left_out}.items() if number},
        "deleted": {table: number for table, number in deleted.items() if number},
        "subjects": counts(connection, "SELECT kind, count(DISTINCT written) FROM subject_names GROUP BY 1 ORDER BY 1"),
        "described": count(connection, "worthy WHERE left_out IS NULL AND described"),
    }


def make_spellings(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `subject_spellings`, the table of the spellings of `subject_rules`, which are variables by now."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE subject_spellings AS SELECT unnest(getvariable('subject_spellings')) AS part, "
        "unnest(getvariable('subject_spellings_shown')) AS shown"
    )


def set_variables(connection: duckdb.DuckDBPyConnection, values: Mapping[str, Any]) -> None:
    """Give a connection variables: CREATE TABLE AS cannot take a prepared parameter."""
    for name, value in values.items():
        if isinstance(value, tuple):
            connection.execute(f"SET VARIABLE {name} = CAST($value AS VARCHAR[])", {"value": list(value)})
        else:
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
