"""The original system as a baseline: its text of each work, embedded by the same model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.documents.assemble import CODE, SAME, TABLES, build_documents
from viberary_pipeline.documents.recipes import recipe_named
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.evaluation.inputs import table_of
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.storage import Place
from viberary_pipeline.vectors.store import EmbeddingStore

STAGE = "documents_seed"
Embed = Callable[[pa.Table, ResolvedEncoder, EmbeddingStore], object]


@dataclass(frozen=True)
class SeedVectors:
    """work_ids and, in the same order, float32 (works, dim) of norm 1."""

    works: list[str]
    vectors: npt.NDArray[np.float32]


def seed_vectors(
    home: Path,
    record: BuildRecord,
    documents: Artifact,
    encoder: str,
    rules: DocumentRules,
    limits: DuckLimits,
    *,
    embed: Embed | None,
    shared: Place | None = None,
) -> SeedVectors | None:
    """The seed's documents of the tables that a build was made from, with their vectors.

    Args:
        home: VIBERARY_HOME.
        record: The build.
        documents: Its documents (`evaluation.inputs.documents_of`).
        encoder: The encoder's name or folder; where it is not the build's, the answer is None.
        rules: Which works become documents.
        limits: What DuckDB may use.
        embed: Embeds the texts that the store does not know. With None, the answer is None where there are such, or
            where the texts of these tables were never made.
        shared: Where in S3 the vectors of this home lie.

    Raises:
        EvaluationError: a table is not in this home.
    """
    recipe = recipe_named("seed")
    model = resolve(encoder, home, max_tokens=recipe.max_tokens)
    if model.spec.name != record.encoder:
        return None
    vectors = EmbeddingStore(home / "embeddings", model.fingerprint, model.spec.dimensions, shared=shared)
    made = (*TABLES, SAME[0]) if SAME[0] in documents.inputs else TABLES
    store, inputs = ArtifactStore(home), {table: documents.inputs.get(table, "") for table in made}
    settings = {"code": code_digest(*CODE), "rules": repr(rules)}
    if embed is None and store.made(STAGE, inputs=inputs, settings=settings) is None:
        return None  # their vectors may be here, made for other documents; to find out takes minutes of a build
    tables = {table: table_of(home, documents, table) for table in made}
    files = {table: artifact.file(f"{table}.parquet") for table, artifact in tables.items()}
    files |= {table: tables[SAME[0]].file(f"{table}.parquet") for table in SAME if SAME[0] in tables}
    produced = store.produce(
        STAGE,
        inputs=inputs,
        settings=settings,
        build=lambda out: build_documents(files, out, limits, recipe, rules),
    )
    path = produced.artifact.file("documents.parquet")
    if embed is not None:
        embed(pq.read_table(path, columns=["text_hash", "text"]), model, vectors)
    texts = pq.read_table(path, columns=["work_id", "text_hash"])
    if len(vectors.missing(texts["text_hash"])):
        return None
    return SeedVectors(texts["work_id"].to_pylist(), vectors.vectors_for(texts["text_hash"]))
