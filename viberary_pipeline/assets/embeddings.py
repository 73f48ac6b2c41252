"""embeddings: a vector for every text, embedded by a worker process that knows nothing of Dagster."""

from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import Artifact, digest
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.embedding.embed import EmbedCounts, embed_missing
from viberary_pipeline.embedding.int8 import gated_graph
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.texts import ParquetTexts
from viberary_pipeline.encoders.files import float32_graphs, int8_graphs
from viberary_pipeline.encoders.onnx_export import float32_graph
from viberary_pipeline.resources import Pipeline


@stage(group="vectors", kinds={"pytorch", "arrow"}, reads=("documents", "query_encoder"))
def embeddings(work: Work) -> Result:
    """The embedding store, complete for the documents: only texts that it has never seen are embedded."""
    pipeline, documents = work.pipeline, work.inputs["documents"]
    model, settings = pipeline.encoder, pipeline.settings.embedding
    texts = ParquetTexts(documents.file("documents.parquet"))
    options = _options(pipeline, work.inputs["query_encoder"], texts)
    vectors = options.key(model.fingerprint)
    counts = embed_missing(
        texts,
        encoder=model,
        store=pipeline.vectors(vectors),
        executor=pipeline.executor,
        jobs_root=pipeline.home / "jobs",
        jobs_at=pipeline.jobs,
        jobs_alone=pipeline.jobs_alone,
        shard_rows=settings.shard_rows,
        options=options,
        limits=pipeline.limits,
        say=work.log.info,
    )
    made = work.note(
        digest([documents.key, vectors]),
        {"encoder": model.spec.name, "vectors": vectors, "embedded": counts.embedded, "reused": counts.reused},
    )
    return Result(
        made,
        f"{counts.embedded:,} texts embedded, {counts.reused:,} reused, by {model.spec.name}",
        rows=counts.texts,
        metadata={
            "encoder": model.spec.name,
            "fingerprint": model.fingerprint,
            "embedded": counts.embedded,
            "reused_texts": counts.reused,
            **_run_facts(counts, options),
        },
    )


def _options(pipeline: Pipeline, exported: Artifact, texts: ParquetTexts) -> JobOptions:
    """How the texts are computed: on this machine's CPU by the encoder as ONNX where there is one, else by torch."""
    graph = _graph(pipeline, exported) if pipeline.embeds_here else None
    options = pipeline.job_options(graph)
    return (
        gated_graph(options, pipeline.encoder, texts, int8_graphs(pipeline.home))
        if options.dtype == "int8"
        else options
    )


def _graph(pipeline: Pipeline, exported: Artifact) -> Path | None:
    """The encoder as ONNX in float32: what `query_encoder` exported, or what it left beside int8; None: nothing."""
    if (exported.facts.get("fingerprint"), exported.facts.get("precision")) == (pipeline.encoder.fingerprint, "fp32"):
        return exported.path
    made = pipeline.settings.embedding.dtype == "int8"
    return float32_graph(pipeline.encoder, float32_graphs(pipeline.home) / pipeline.encoder.fingerprint, make=made)


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
