"""The next dump of Open Library: the texts that change are those of the works whose records changed."""

from datetime import date
from pathlib import Path
from typing import Any

from catalogue_tables import documents_of, tables_of
from openlibrary import LIMITS, rows_of

from viberary_pipeline.synth.write import write_dumps

WORKS = 6_000
READ = ("title", "subtitle", "description", "first_sentence", "subjects", "subject_places", "subject_times")


def month(folder: Path, of: date, changed: float) -> tuple[dict[str, list[Any]], dict[str, dict[str, Any]]]:
    """What the record of each work says of it, and the documents by work."""
    write_dumps(folder / "raw", works=WORKS, limits=LIMITS, of=of, changed=changed)
    tables, _ = tables_of(str(folder / "raw"), folder / "tables")
    records = rows_of(folder / "tables" / "ol_works" / "ol_works.parquet")
    documents = documents_of(tables, folder / "documents")
    return {row["work_id"]: [row[field] for field in READ] for row in records}, documents


def test_the_texts_that_change_are_those_of_the_works_whose_records_changed(tmp_path):
    before, first = month(tmp_path / "october", date(2026, 10, 31), 0.0)
    after, second = month(tmp_path / "november", date(2026, 11, 30), 0.02)
    # Enough others changed that the rarity of subjects, and so the order of many, is another one.
    assert sum(second[work]["shelves"] != first[work]["shelves"] for work in first.keys() & second.keys()) > 10
    embedded = {work for work, row in second.items() if work not in first or row["text"] != first[work]["text"]}
    assert embedded == {work for work in second if after[work] != before[work]}
    assert embedded
