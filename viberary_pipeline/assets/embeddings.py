"""embeddings: a vector for every text, embedded by a worker process that knows nothing of Dagster."""

from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.embedding.embed import EmbedCounts, embed_missing
from viberary_pipeline.embedding.executors.choice import jobs_place, limits_of
from viberary_pipeline.embedding.int8 import gated_graph
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.texts import ParquetTexts
from viberary_pipeline.encoders.files import ResolvedEncoder, float32_graphs, int8_graphs
from viberary_pipeline.encoders.onnx_export import float32_graph
from viberary_pipeline.resources import EmbeddingExecutor, Encoder, Storage


@dg.asset(deps=["documents", "query_encoder"], group_name="vectors", kinds={"pytorch", "arrow"})
def embeddings(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    storage: Storage,
    encoder: Encoder,
    executor: EmbeddingExecutor,
) -> dg.MaterializeResult:
    """The embedding store, complete for the documents: only texts that it has never seen are embedded."""
    documents = storage.store.current("documents")
    model, values = encoder.resolve(), executor.values
    texts = ParquetTexts(documents.file("documents.parquet"))
    graph = _graph(storage, model, make=values.dtype == "int8") if executor.on_cpu else None
    options = executor.options(graph)
    if options.dtype == "int8":
        options = gated_graph(options, model, texts, int8_graphs(storage.path))
    counts = embed_missing(
        texts,
        encoder=model,
        store=executor.vectors(model, storage.path, options),
        executor=executor.create(),
        jobs_root=storage.path / "jobs",
        jobs_at=jobs_place(values),
        shard_rows=values.shard_rows,
        options=options,
        limits=limits_of(values),
        say=context.log.info,
    )
    produced = storage.store.produce(
        "embeddings",
        inputs={"documents": documents.key},
        settings={"encoder": options.key(model.fingerprint)},
        build=lambda _: {
            "encoder": model.spec.name,
            "vectors": options.key(model.fingerprint),
            "embedded": counts.embedded,
            "reused": counts.reused,
        },
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
            **_run_facts(counts, options),
        }
    )


def _graph(storage: Storage, model: ResolvedEncoder, *, make: bool) -> Path | None:
    """The encoder as ONNX in float32: what `query_encoder` exported, or what it left beside int8; None: nothing."""
    exported = storage.store.current("query_encoder")
    if (exported.facts.get("fingerprint"), exported.facts.get("precision")) == (model.fingerprint, "fp32"):
        return exported.path
    return float32_graph(model, float32_graphs(storage.path) / model.fingerprint, make=make)


def _run_facts(counts: EmbedCounts, options: JobOptions) -> dict[str, Any]:
    """Where the worker ran, how fast, and what it cost."""
    seconds = counts.seconds if counts.embedded else 0.0
    return {
        "device": options.device,
        "worker_seconds": counts.seconds,
        "texts_per_second": counts.embedded / seconds if seconds else 0.0,
        "tokens_per_second": counts.tokens / seconds if seconds else 0.0,
        "shards_retried": counts.retried,
        **{name: value for name, value in counts.facts.items() if value is not None},
    }
