"""ol_selection: which lines of the works' and the editions' files of Open Library are read."""

from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.sources.openlibrary.selection import READ_FIRST, SELECTED, select_lines
from viberary_pipeline.sources.raw_files import RawInput


@stage(
    group="catalogue",
    kinds={"duckdb", "parquet"},
    reads=(*(f"raw_{table}" for table in SELECTED), *READ_FIRST),
    code=("sources",),
    packages=("duckdb", "numpy", "pyarrow"),
)
def ol_selection(work: Work) -> Result:
    """One row is a line that is read: a work that somebody has shelved or rated, or an edition of one."""
    raw = {table: work.inputs[f"raw_{table}"] for table in SELECTED}
    if raw["ol_works"].facts["source"] == "ucsd":
        return Result(work.note("absent", {"all_lines": True}), "no dump of Open Library", quiet=True)
    files = {table: RawInput.from_json(found.facts) for table, found in raw.items()}
    for found in files.values():
        found.check_unchanged()
    tables = {table: work.inputs[table].file(f"{table}.parquet") for table in READ_FIRST}
    settings = work.pipeline.settings
    rules = settings.openlibrary
    made = work.produce(
        lambda out: select_lines(files, tables, out, settings.duckdb, rules),
        # How many readers a work needs is for the join to say.
        of_readers=rules.least_readers > 0,
    )
    facts = made.artifact.facts
    if facts["all_lines"]:
        return Result(made, "every line is read: works are not selected by their readers")
    return Result(
        made,
        f"{facts['lines']['ol_works']:,} lines of works and {facts['lines']['ol_editions']:,} of editions are read, of "
        f"{facts['works']:,} works in the dump",
        rows=sum(facts["lines"].values()),
        metadata={"works": facts["works"], **{f"lines_of_{table}": n for table, n in facts["lines"].items()}},
    )
