"""What the report shows: the facts, rejects, profiles and validations that the stages left behind.

Whatever is missing is None or empty: a table that was refused before documents existed still gets its report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.quality.baseline import Comparison, Profile, Source
from viberary_pipeline.quality.report.kept_plots import KeptPlots
from viberary_pipeline.quality.results import ExpectationResult
from viberary_pipeline.quality.verdict import current_artifact, results_of, validation_stage
from viberary_pipeline.sources import table_specs

_TABLES = table_specs.TABLES
READ_TABLES = tuple(_TABLES)
"""The tables that are read from files."""


@dataclass(frozen=True)
class TableInput:
    """One table as its stage left it.

    Args:
        facts: What the stage reported (`artifact.facts`).
        rejects: The Parquet file of the lines left out; None where there is none.
        profile: What `profile.profile` measured; None for optional tables, or if it was not measured.
        results: The results of its expectations; empty if it was not validated.
        page: The page of these results in Data Docs.
    """

    facts: Mapping[str, Any]
    rejects: Path | None = None
    profile: Profile | None = None
    results: Sequence[ExpectationResult] = ()
    page: Path | None = None


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page shows.

    Args:
        tables: By name; those that were not made are absent. "documents" is one of them.
        source: Whether the catalogue is the bundled sample.
        compared_with: The live build, or why there is none to compare with.
        tokens: What `tokens.token_lengths` measured; None if it was not.
        encoder: The encoder whose tokens they are.
        made: When, as a text.
        failed: {table: why} of those that could not be read; they are not among `tables`.
        joined: What the join of Open Library's tables said (its facts); None where books are of another source.
        same: What the comparison of both sources said (its facts); None where books are of one.
        licence: Under what a catalogue of one's own may be used (`sources/licences.py`).
        plots: Those of the report before.
    """

    tables: Mapping[str, TableInput]
    source: Source
    compared_with: Comparison = field(default_factory=Comparison)
    tokens: Mapping[str, Any] | None = None
    encoder: str = ""
    made: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    joined: Mapping[str, Any] | None = None
    same: Mapping[str, Any] | None = None
    licence: str = ""
    plots: KeptPlots = field(default_factory=KeptPlots)

    @property
    def read(self) -> dict[str, TableInput]:
        """The tables that were read from files of the catalogue's sources."""
        sources = {"openlibrary"} if self.joined else {"ucsd"}
        if self.same:
            sources.add("ucsd")
        return {
            name: self.tables[name] for name in READ_TABLES if name in self.tables and _TABLES[name].source in sources
        }

    def baseline(self, table: str) -> Profile | None:
        """The table's profile in the live build."""
        return self.compared_with.profile(table)


def consistent_tables(store: ArtifactStore) -> dict[str, Artifact]:
    """The current tables. Documents made from other tables than these belong to an earlier run and are left out."""
    tables = {table: artifact for table in READ_TABLES if (artifact := current_artifact(store, table))}
    documents = current_artifact(store, "documents")
    if documents and all(
        table in tables and tables[table].key == key for table, key in documents.inputs.items() if table in READ_TABLES
    ):
        tables["documents"] = documents
    return tables


def joined_facts(store: ArtifactStore, tables: Mapping[str, Artifact]) -> Mapping[str, Any] | None:
    """The facts of the join that these books come from; None where they are of UCSD's files."""
    joined = current_artifact(store, "openlibrary")
    of_it = joined is not None and "books" in tables and tables["books"].inputs.get("openlibrary") == joined.key
    return joined.facts if joined is not None and of_it and not joined.facts["absent"] else None


def same_facts(store: ArtifactStore, tables: Mapping[str, Artifact]) -> Mapping[str, Any] | None:
    """The facts of the comparison of these books' sources; None where they are of one, or were not compared yet."""
    same = current_artifact(store, "same_works")
    of_it = same is not None and "books" in tables and same.inputs.get("books") == tables["books"].key
    return same.facts if same is not None and of_it and "joined" in same.facts else None


def table_input(store: ArtifactStore, table: str, artifact: Artifact) -> TableInput:
    """One table with what later stages made from this very artifact of it."""

    def made(stage: str) -> Artifact | None:
        found = current_artifact(store, stage)
        return found if found and found.inputs.get(table) == artifact.key else None

    rejects = artifact.path / f"{table}_rejects.parquet"
    profile, validation = made(f"{table}_profile"), made(validation_stage(table))
    return TableInput(
        facts=artifact.facts,
        rejects=rejects if rejects.is_file() else None,
        profile=profile.facts if profile else None,
        results=results_of(validation) if validation else (),
        page=validation.page if validation else None,
    )
