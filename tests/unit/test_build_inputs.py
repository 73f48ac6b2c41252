"""What a build was made from: its own documents and tables, not those that were made last."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.build_evaluation import query_sets
from viberary_pipeline.evaluation.inputs import documents_of, table_of
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.redis_contract import BuildRecord


def produce(home: Path, stage: str, rows: list[dict], inputs: dict[str, str]) -> Artifact:
    def fill(folder: Path) -> dict:
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{stage}.parquet")
        return {}

    return ArtifactStore(home).produce(stage, inputs=inputs, settings={"rows": str(rows)}, build=fill).artifact


def catalogue(home: Path, name: str) -> Artifact:
    """The documents of a catalogue of one book, made from a table of books."""
    book = {"book_id": name, "work_id": name, "similar_books": [], "popular_shelves": ["x"]}
    books = produce(home, "books", [book], {})
    row = {"work_id": name, "title": f"The {name} of winter", "author": "Ann Bo", "description": ""}
    return produce(home, "documents", [row], {"books": books.key})


def record(documents_key: str) -> BuildRecord:
    return BuildRecord("b", "live", "d", "e", "f", "k", 8, "FLOAT32", 16, 200, 200, 1, documents_key=documents_key)


def test_a_build_is_evaluated_on_its_own_documents_and_books(tmp_path):
    first, second = catalogue(tmp_path, "first"), catalogue(tmp_path, "second")
    judged = [QuerySet(name, (JudgedQuery("x", "k", {name: 1}),)) for name in ("first", "second")]
    for documents, name in ((first, "first"), (second, "second")):
        assert documents_of(tmp_path, record(documents.key)) == documents
        sets = query_sets(tmp_path, documents, 5, DuckLimits(), tmp_path, judged)
        assert [found.name for found in sets] == [name, "known items"]
        assert {work for query in sets[1].queries for work in query.grades} == {name}
        assert table_of(tmp_path, documents, "books").key == documents.inputs["books"]


@pytest.mark.parametrize(
    ("key", "found"), [("0" * 16, "no such artifact"), ("", "a record that an older version wrote")]
)
def test_a_build_whose_documents_are_gone_is_not_judged_by_others(tmp_path, key, found):
    catalogue(tmp_path, "last")
    with pytest.raises(EvaluationError, match="The documents of build b are not in this VIBERARY_HOME") as caught:
        documents_of(tmp_path, record(key))
    assert caught.value.found == found


def test_a_table_that_is_gone_is_named(tmp_path):
    documents = catalogue(tmp_path, "first")
    with pytest.raises(EvaluationError, match="The table authors from which the documents were made"):
        table_of(tmp_path, documents, "authors")
