"""The Redis server and how indexes are built in it, as a resource."""

from pathlib import Path

import dagster as dg
import redis
from pydantic import Field

from viberary_pipeline.index.canaries import load_canaries
from viberary_pipeline.index.contract import HnswSettings, VectorType
from viberary_pipeline.index.ef_runtime import ef_runtime_for
from viberary_pipeline.index.gate import GateRules
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.retrieval import Tuning
from viberary_pipeline.settings import load_settings


class SearchIndex(dg.ConfigurableResource):
    """A Redis with search; without a URL, the embedded one of VIBERARY_HOME."""

    url: str = Field("", description="redis:// URL; empty: the embedded server.")
    home: str = Field(description="VIBERARY_HOME, where the embedded server lives.")
    vector_type: str = Field(description="FLOAT32 or FLOAT16.")
    m: int = Field(description="Links per node of the HNSW graph.")
    ef_construction: int = Field(description="Candidates looked at on insertion.")
    ef_runtime: int | None = Field(None, description="Candidates looked at per query; null: as many as it needs.")
    least_recall: float = Field(description="Least recall@10 against exact search.")
    gate_queries: int = Field(description="Queries of the gates of recall and latency.")
    most_p95_ms: float = Field(description="Most milliseconds of 95 of 100 KNN queries.")
    most_lost: float = Field(description="Largest share of the live build's works by which a build may fall short.")
    accept_loss: bool = Field(description="Whether a build that falls short further passes all the same.")
    canaries: str = Field("", description="TOML file of canary queries; empty: none.")
    judged: list[str] = Field([], description="TOML files of judged queries, for the catalogues that they judge.")
    gate_evaluation: float = Field(description="nDCG@10 that a build may lose against the live one.")
    evaluation_items: int = Field(description="Queries per kind of known item and weak set.")
    lexical_weight: float = Field(description="What BM25 weighs beside the cosine.")
    find_names: bool = Field(description="Whether works whose title or author is typed come first.")
    candidates: int = Field(description="Works nearest by vector that BM25 orders anew.")

    def hnsw(self, documents: int, dimensions: int) -> HnswSettings:
        """The parameters of an index of that size."""
        vector_type: VectorType = "FLOAT16" if self.vector_type == "FLOAT16" else "FLOAT32"
        ef_runtime = self.ef_runtime or ef_runtime_for(documents, dimensions)
        return HnswSettings(vector_type, self.m, self.ef_construction, ef_runtime)

    @property
    def rules(self) -> GateRules:
        """What the gates ask for. Raises `SettingsError` if the canaries cannot be read."""
        return GateRules(
            least_recall=self.least_recall,
            queries=self.gate_queries,
            most_p95_ms=self.most_p95_ms,
            most_lost=self.most_lost,
            accept_loss=self.accept_loss,
            canaries=load_canaries(Path(self.canaries)) if self.canaries else (),
        )

    @property
    def tuning(self) -> Tuning:
        """How readers' results are weighed."""
        return Tuning(self.lexical_weight, self.find_names, self.candidates)

    def client(self) -> redis.Redis:
        """A connection to a server that was checked. Raises `RedisServerError`."""
        return connect(load_settings(home=Path(self.home), redis_url=self.url or None))
