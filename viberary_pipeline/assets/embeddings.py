"""embeddings: a vector for every text, embedded by a worker process that knows nothing of Dagster."""

import dagster as dg
import pyarrow.parquet as pq

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.embedding.embed import embed_missing
from viberary_pipeline.resources import EmbeddingExecutor, Encoder, Storage, vectors_of


@dg.asset(deps=["documents"], group_name="vectors", kinds={"pytorch", "arrow"})
def embeddings(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    storage: Storage,
    encoder: Encoder,
    executor: EmbeddingExecutor,
) -> dg.MaterializeResult:
    """The embedding store, complete for the documents: only texts that it has never seen are embedded."""
    documents = storage.store.current("documents")
    model = encoder.resolve()
    counts = embed_missing(
        pq.read_table(documents.file("documents.parquet"), columns=["text_hash", "text"]),
        encoder=model,
        store=vectors_of(model, storage.path),
        executor=executor.create(),
        jobs_root=storage.path / "jobs",
        device=executor.device,
        shard_rows=executor.shard_rows,
    )
    produced = storage.store.produce(
        "embeddings",
        inputs={"documents": documents.key},
        settings={"encoder": model.fingerprint},
        build=lambda _: {"encoder": model.spec.name, "embedded": counts.embedded, "reused": counts.reused},
        # What this run embedded is a fact of this run: noted anew each time, at no cost.
        force=True,
    )
    context.log.info(f"{counts.embedded:,} texts embedded, {counts.reused:,} reused, by {model.spec.name}")
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced, rows=counts.texts),
            "encoder": model.spec.name,
            "fingerprint": model.fingerprint,
            "embedded": counts.embedded,
            "reused_texts": counts.reused,
            "worker_seconds": counts.seconds,
            "texts_per_second": counts.embedded / counts.seconds if counts.embedded and counts.seconds else 0.0,
        }
    )
