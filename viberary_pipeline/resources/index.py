"""The Redis server and how indexes are built in it, as a resource."""

from pathlib import Path

import dagster as dg
import redis
from pydantic import Field

from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.retrieval import Tuning
from viberary_pipeline.search.schema import HnswSettings
from viberary_pipeline.settings import VectorType, load_settings


class SearchIndex(dg.ConfigurableResource):
    """A Redis with search; without a URL, the embedded one of VIBERARY_HOME."""

    url: str = Field("", description="redis:// URL; empty: the embedded server.")
    home: str = Field(description="VIBERARY_HOME, where the embedded server lives.")
    vector_type: str = Field(description="FLOAT32 or FLOAT16.")
    m: int = Field(description="Links per node of the HNSW graph.")
    ef_construction: int = Field(description="Candidates looked at on insertion.")
    ef_runtime: int = Field(description="Candidates looked at per query.")
    least_recall: float = Field(description="Least recall@10 against exact search.")
    gate_queries: int = Field(description="Queries of the recall gate.")
    gate_evaluation: float = Field(description="nDCG@10 that a build may lose against the live one.")
    evaluation_items: int = Field(description="Queries per kind of known item and weak set.")
    lexical_weight: float = Field(description="What BM25 weighs beside the cosine.")
    find_names: bool = Field(description="Whether works whose title or author is typed come first.")
    candidates: int = Field(description="Works nearest by vector that BM25 orders anew.")

    @property
    def hnsw(self) -> HnswSettings:
        """The index's parameters."""
        vector_type: VectorType = "FLOAT16" if self.vector_type == "FLOAT16" else "FLOAT32"
        return HnswSettings(vector_type, self.m, self.ef_construction, self.ef_runtime)

    @property
    def tuning(self) -> Tuning:
        """How readers' results are weighed."""
        return Tuning(self.lexical_weight, self.find_names, self.candidates)

    def client(self) -> redis.Redis:
        """A connection to a server that was checked. Raises `RedisServerError`."""
        return connect(load_settings(home=Path(self.home), redis_url=self.url or None))
