"""The original system's vectors of a build, as an evaluation compares with them."""

from typing import Any

from viberary_pipeline.artifacts import Artifact
from viberary_pipeline.evaluation.seed_baseline import SeedVectors, seed_vectors
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.resources.pipeline import Pipeline


def seed_of(pipeline: Pipeline, record: BuildRecord, documents: Artifact, *, embed_new: bool) -> SeedVectors | None:
    """The original system's vectors of the tables that a build was made from.

    Args:
        pipeline: Home, settings, executor.
        record: The build.
        documents: Its documents.
        embed_new: Make the texts, and embed those that are not embedded yet; else the answer is None where either is to
            be done.

    Returns:
        None, too, where the build is of another encoder than the settings name.

    Raises:
        EvaluationError: a table is not in this home.
    """

    def embed(texts: Any, model: Any, store: Any) -> None:
        from viberary_pipeline.embedding.embed import embed_missing
        from viberary_pipeline.embedding.jobs import JobOptions

        embed_missing(
            texts,
            encoder=model,
            store=store,
            executor=pipeline.executor,
            jobs_root=pipeline.home / "jobs",
            jobs_at=pipeline.jobs,
            shard_rows=pipeline.settings.embedding.shard_rows,
            # In full precision: int8 has a store of its own.
            options=JobOptions(device=pipeline.job_options(None).device),
            limits=pipeline.limits,
        )

    return seed_vectors(
        pipeline.home,
        record,
        documents,
        pipeline.settings.encoder,
        pipeline.rules,
        pipeline.settings.duckdb,
        embed=embed if embed_new else None,
        shared=pipeline.shared_vectors,
    )
