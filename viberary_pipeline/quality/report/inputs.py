"""What the report tells of: the facts, rejects, profiles and validations that the stages left behind.

Whatever is not there is None or empty: a table that was refused before documents existed still gets its report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore, digest
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.quality.baseline import Before, Profile, Source, before
from viberary_pipeline.quality.verdict import validation_stage

READ_TABLES = ("books", "authors", "reviews", "works", "genres", "series")
"""The tables that are read from files; the last three are optional."""


@dataclass(frozen=True)
class TableInput:
    """One table as its stage left it.

    Args:
        facts: What the stage said of it (`artifact.facts`).
        rejects: The Parquet file of the lines left out; None where there is none.
        profile: What `profile.profile` measured; None for optional tables, or if it was not measured.
        results: The results of its expectations, as JSON values; empty if it was not validated.
        page: The page of these results in Data Docs.
    """

    facts: Mapping[str, Any]
    rejects: Path | None = None
    profile: Profile | None = None
    results: Sequence[Mapping[str, Any]] = ()
    page: Path | None = None


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page shows.

    Args:
        tables: By name; those that were not made are absent. "documents" is one of them.
        source: Whether the catalogue is the bundled sample.
        compared_with: The build before, or why there is none to compare with.
        tokens: What `tokens.token_lengths` measured; None if it was not.
        encoder: The encoder whose tokens they are.
        made: When, as a text.
    """

    tables: Mapping[str, TableInput]
    source: Source
    compared_with: Before = field(default_factory=Before)
    tokens: Mapping[str, Any] | None = None
    encoder: str = ""
    made: str = ""

    def before(self, table: str) -> Profile | None:
        """The table's profile in the build before."""
        return self.compared_with.profile(table)


def standing_tables(store: ArtifactStore) -> dict[str, Artifact]:
    """The tables as they are. Documents made from other tables than these belong to an earlier run: left out."""
    tables = {table: artifact for table in READ_TABLES if (artifact := _current(store, table))}
    documents = _current(store, "documents")
    if documents and all(
        table in tables and tables[table].key == key for table, key in documents.inputs.items() if table in READ_TABLES
    ):
        tables["documents"] = documents
    return tables


def gather(store: ArtifactStore, home: Path, source: Source, **more: Any) -> tuple[ReportInputs, str]:
    """What the stages left behind, as far as they came, and a digest that names it.

    Args:
        store: The artifacts.
        home: VIBERARY_HOME.
        source: Whether the catalogue is the bundled sample.
        more: Further fields of `ReportInputs`.
    """
    artifacts = standing_tables(store)
    tables = {table: _table_input(store, table, artifact) for table, artifact in artifacts.items()}
    inputs = ReportInputs(tables=tables, source=source, compared_with=before(home, source), **more)
    named = digest(
        [
            {table: artifact.key for table, artifact in artifacts.items()},
            {table: [list(entry.results), str(entry.page)] for table, entry in tables.items()},
            [inputs.compared_with.baseline, inputs.compared_with.why_not],
            [source, inputs.tokens, inputs.encoder],
        ]
    )
    return inputs, named


def _table_input(store: ArtifactStore, table: str, artifact: Artifact) -> TableInput:
    rejects = artifact.path / f"{table}_rejects.parquet"
    profiled = _made_from(store, f"{table}_profile", table, artifact)
    validated = _made_from(store, validation_stage(table), table, artifact)
    return TableInput(
        facts=artifact.facts,
        rejects=rejects if rejects.is_file() else None,
        profile=profiled.facts if profiled else None,
        results=validated.facts["results"] if validated else (),
        page=Path(validated.facts["page"]) if validated else None,
    )


def _current(store: ArtifactStore, stage: str) -> Artifact | None:
    try:
        return store.current(stage)
    except ArtifactError:
        return None


def _made_from(store: ArtifactStore, stage: str, table: str, artifact: Artifact) -> Artifact | None:
    """What a stage made from this very artifact of the table."""
    found = _current(store, stage)
    return found if found and found.inputs.get(table) == artifact.key else None
