"""VIBERARY_HOME as a resource: artifacts, the raw folder, and what DuckDB may use."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import DuckLimits


class Storage(dg.ConfigurableResource):
    """Where the state lies and where the raw files come from."""

    home: str = Field(description="VIBERARY_HOME, absolute.")
    raw: str | None = Field(description="Folder, s3://bucket/prefix or books file; null: the bundled sample.")
    reject_ceiling: float = Field(description="Largest share of a file's lines that may be rejected.")
    duckdb_memory_limit: str = Field(description="DuckDB's memory limit, in its spelling.")
    duckdb_threads: int = Field(description="DuckDB's threads.")

    @property
    def path(self) -> Path:
        """VIBERARY_HOME."""
        return Path(self.home)

    @property
    def data_docs(self) -> Path:
        """The folder of the data-quality site (Great Expectations Data Docs)."""
        return self.path / "quality" / "docs"

    @property
    def store(self) -> ArtifactStore:
        """The artifacts of this home."""
        return ArtifactStore(self.path)

    @property
    def limits(self) -> DuckLimits:
        """What one DuckDB connection may use."""
        return DuckLimits(self.duckdb_memory_limit, self.duckdb_threads)

    def raw_location(self) -> str:
        """Where `catalogue.raw.find` looks; the bundled sample is written out first where nothing is set."""
        if self.raw is not None:
            return self.raw
        from viberary_pipeline.sample.write import write_sample

        folder = self.path / "sample"
        write_sample(folder)
        return str(folder)
