"""What a build was made from. A build is judged by its own documents and tables, not by those that were made last."""

from pathlib import Path

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.quality.report.make import STAGE
from viberary_pipeline.quality.verdict import current_artifact
from viberary_pipeline.redis_contract import BuildRecord


def documents_of(home: Path, record: BuildRecord) -> Artifact:
    """The very documents that a build was made from; its `inputs` name their tables.

    Raises:
        EvaluationError: they are not in this home.
    """
    store = ArtifactStore(home)
    documents = store.find("documents", record.documents_key) if record.documents_key else None
    if documents is not None:
        return documents
    raise EvaluationError(
        f"The documents of build {record.build} are not in this VIBERARY_HOME",
        expected=f"the artifact documents {record.documents_key} under {store.root}"
        if record.documents_key
        else "a record that names its documents",
        found="no such artifact" if record.documents_key else "a record that an older version wrote",
        todo="set VIBERARY_HOME to the home that built it, run `viberary build` to publish a build of this home, or "
        "evaluate on "
        "judgements of your own (--queries, --qrels)",
    )


def report_on(home: Path, documents_key: str) -> Path | None:
    """The page on the data that the documents of this key are made of; None where it is of others, or gone."""
    report = current_artifact(ArtifactStore(home), STAGE)
    if report is None or report.facts.get("documents", "") != documents_key:
        return None
    return report.page if report.page.is_file() else None


def table_of(home: Path, documents: Artifact, table: str) -> Artifact:
    """The table that documents were made from. Raises `EvaluationError` if it is not in this home."""
    key = documents.inputs.get(table, "")
    found = ArtifactStore(home).find(table, key) if key else None
    if found is None:
        raise EvaluationError(
            f"The table {table} from which the documents were made is not in this VIBERARY_HOME",
            expected=f"the artifact {table} {key}, which the documents {documents.key} name",
            found="no such artifact",
            todo="run `viberary build`, or evaluate on judgements of your own (--queries, --qrels)",
        )
    return found
