"""Every table of a catalogue, of one source or of both, as the stages make them: from files to documents."""

from pathlib import Path
from typing import Any

from openlibrary import LIMITS, read_dump, rows_of

from viberary_pipeline.documents.assemble import SAME, build_documents
from viberary_pipeline.documents.recipes import recipe_named
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.openlibrary.catalogue import MADE, add_table, take_table
from viberary_pipeline.sources.raw_files import find, source_at
from viberary_pipeline.sources.same_works.match import match_works
from viberary_pipeline.sources.table_specs import UCSD


def tables_of(location: str, out: Path, **rules: Any) -> tuple[dict[str, Path], dict[str, Any]]:
    """{table: file} of the raw files at a location, and what the comparison of two sources said; {} of one."""
    source = source_at(location)
    if source != "ucsd":
        read_dump(location, out, ceiling=0.5, **rules)
    tables = {}
    for table in UCSD:
        if source == "openlibrary" and table.name in MADE:
            (out / table.name).mkdir()
            take_table(table.name, out / "joined", out / table.name)
            tables[table.name] = out / table.name / f"{table.name}.parquet"
            continue
        tables[table.name] = _read(table.name, location, out)
        if source == "both" and table.name in MADE:
            add_table(table.name, out / "joined", out / table.name, {"lines": 0, "rows": 0})
    if source != "both":
        return tables, {}
    (out / "same").mkdir()
    facts = match_works(tables, out / "same", LIMITS)
    return tables | {table: out / "same" / f"{table}.parquet" for table in SAME}, facts


def documents_of(tables: dict[str, Path], out: Path, **rules: Any) -> dict[str, dict[str, Any]]:
    """The documents of some tables, by work_id."""
    out.mkdir(parents=True)
    build_documents(tables, out, LIMITS, recipe_named("title-shelves"), DocumentRules(**rules))
    return {row["work_id"]: row for row in rows_of(out / "documents.parquet")}


def _read(table: str, location: str, out: Path) -> Path:
    (out / table).mkdir(parents=True)
    ingest(table, find(table, location), out / table, LIMITS, reject_ceiling=0.5)
    return out / table / f"{table}.parquet"
