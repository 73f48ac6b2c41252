"""The encoder and the place where it embeds, as resources."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from viberary_pipeline.documents.recipes import Recipe, recipe_named
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.embedding.store import EmbeddingStore
from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.precision import Precision
from viberary_pipeline.executors import executor_for
from viberary_pipeline.executors.base import Executor


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


def vectors_of(model: ResolvedEncoder, home: Path) -> EmbeddingStore:
    """The store of an encoder's vectors under VIBERARY_HOME."""
    return EmbeddingStore(home / "embeddings", model.fingerprint, model.spec.dimensions)


class EmbeddingExecutor(dg.ConfigurableResource):
    """Where the embedding worker runs."""

    name: str = Field(description="local.")
    device: str = Field(description="cpu or cuda.")
    shard_rows: int = Field(description="Texts per shard: what a killed worker loses at most.")

    def create(self) -> Executor:
        """The executor of that name. Raises `SettingsError` if this version has none."""
        return executor_for(self.name)
