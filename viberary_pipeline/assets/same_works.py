"""same_works: which works of Open Library are works of UCSD, where the catalogue is of both."""

from viberary_pipeline.assets.metadata import counts_table, sample_table
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.sources.same_works.match import READ, match_works, no_works


@stage(
    group="catalogue",
    kinds={"duckdb", "parquet"},
    reads=READ,
    code=("sources/same_works", "sources/sql/origin.sql"),
    packages=("duckdb",),
)
def same_works(work: Work) -> Result:
    """same_works.parquet: one row is a work of Open Library that is one of UCSD; same_editions.parquet: an edition."""
    of_both = work.inputs["books"].facts["source"] == "both"
    tables = {name: work.inputs[name].file(f"{name}.parquet") for name in READ}
    made = work.produce(
        lambda out: match_works(tables, out, work.pipeline.settings.duckdb) if of_both else no_works(out),
        of_both=of_both,
    )
    facts = made.artifact.facts
    if not of_both:
        return Result(made, "a catalogue of one source", rows=0)
    return Result(
        made,
        f"{facts['rows']:,} works of Open Library are works of UCSD, by {facts['joined'] or 'no rule'}; "
        f"{facts['conflicts']:,} candidates not joined",
        rows=facts["rows"],
        metadata={
            "works": counts_table(facts["works"], "source"),
            "joined": counts_table(facts["joined"], "rule"),
            **{name: facts[name] for name in ("editions", "contradicted", "open", "conflicts")},
            "sample": sample_table(made.artifact.file("same_works.parquet")),
        },
    )
