"""Settings as Dagster resources. Built in `definitions.py` alone."""

from viberary_pipeline.resources.encoder import EmbeddingExecutor, Encoder, vectors_of
from viberary_pipeline.resources.index import SearchIndex
from viberary_pipeline.resources.storage import Storage

__all__ = ["EmbeddingExecutor", "Encoder", "SearchIndex", "Storage", "vectors_of"]
