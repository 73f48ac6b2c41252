"""The encoder and the place where it embeds, as resources."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from viberary_pipeline.documents.recipes import Recipe, recipe_named
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.embedding.executors.base import Executor
from viberary_pipeline.embedding.executors.choice import executor_for
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.precision import Precision
from viberary_pipeline.settings import Settings, load_settings
from viberary_pipeline.storage import open_place
from viberary_pipeline.vectors.store import EmbeddingStore

_OURS = {
    *("executor", "device", "dtype", "stored_vectors", "vectors", "shard_rows"),
    *("deadline_minutes", "stall_minutes", "jobs"),
}


class Encoder(dg.ConfigurableResource):
    """Which model turns texts into vectors, and which text recipe it reads."""

    name: str = Field(description="A registered encoder, or a sentence-transformers folder.")
    query_precision: str = Field("auto", description="auto, fp32 or int8: of the exported query encoder.")
    recipe_name: str = Field(description="How the text of a work is put together.")
    reviews_per_work: int = Field(description="Most reviews that may enter the text of a work.")
    reader_language: str = Field(description="The language whose editions and reviews come first.")
    languages: list[str] = Field(description="Languages of works that are kept; empty: all.")
    min_ratings: int = Field(description="Ratings below which a work is left out.")
    keep_thin: bool = Field(description="Whether works with neither description nor review are kept.")

    @property
    def precision(self) -> Precision:
        """The precision that the query encoder is asked for; anything but the known two decides itself."""
        return "fp32" if self.query_precision == "fp32" else "int8" if self.query_precision == "int8" else "auto"

    @property
    def rules(self) -> DocumentRules:
        """Which works become documents, and whose words they hold."""
        return DocumentRules(
            reader_language=self.reader_language,
            languages=tuple(self.languages),
            min_ratings=self.min_ratings,
            keep_thin=self.keep_thin,
            reviews_per_work=self.reviews_per_work,
        )

    @property
    def recipe(self) -> Recipe:
        """The text recipe."""
        return recipe_named(self.recipe_name)

    def resolve(self) -> ResolvedEncoder:
        """The model's files and fingerprint, with the recipe's token limit. Raises `EncoderError`."""
        return resolve(self.name, max_tokens=self.recipe.max_tokens)


def vectors_of(model: ResolvedEncoder, home: Path, *, key: str = "") -> EmbeddingStore:
    """The store of an encoder's vectors under VIBERARY_HOME; `key` as `embeddings` noted it (int8 has its own)."""
    return EmbeddingStore(home / "embeddings", key or model.fingerprint, model.spec.dimensions)


class EmbeddingExecutor(dg.ConfigurableResource):
    """Where and how the embedding worker runs."""

    settings: dict[str, Any] = Field(description="The settings that it takes, by name.")

    @classmethod
    def of(cls, settings: Settings) -> "EmbeddingExecutor":
        """The resource for these settings."""
        chosen = {name: value for name, value in settings.model_dump(mode="json").items() if _is_ours(name)}
        return cls(settings={name: value for name, value in chosen.items() if value is not None})

    @property
    def values(self) -> Settings:
        """The settings, typed again."""
        return load_settings(**self.settings)

    def create(self) -> Executor:
        """The executor. Raises `SettingsError` where its settings are not whole."""
        values = self.values
        return executor_for(values, values.ec2, values.batch)

    @property
    def on_cpu(self) -> bool:
        """Whether this machine's CPU embeds."""
        return self.values.executor == "local" and self.values.device == "cpu"

    def options(self, graph: Path | None) -> JobOptions:
        """How jobs are computed; a CPU runs `graph`, the encoder as ONNX, where there is one."""
        values = self.values
        return JobOptions(
            device="cuda" if values.executor != "local" else values.device,
            dtype=values.dtype,
            stored=values.stored_vectors,
            graph=str(graph) if graph is not None and self.on_cpu else "",
        )

    def vectors(self, model: ResolvedEncoder, home: Path, options: JobOptions) -> EmbeddingStore:
        """The store that the jobs' vectors go to."""
        values = self.values
        return EmbeddingStore(
            home / "embeddings",
            options.key(model.fingerprint),
            model.spec.dimensions,
            dtype=values.stored_vectors,
            shared=open_place(values.vectors) if values.vectors else None,
        )


def _is_ours(name: str) -> bool:
    return name.startswith(("ec2_", "batch_")) or name in _OURS
