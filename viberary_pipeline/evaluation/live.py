"""`viberary evaluate`: the live build, beside the build before and the original system."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.embedding.embed import embed_missing
from viberary_pipeline.embedding.executors.choice import executor_for, jobs_place, limits_of
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.evaluation.queries import trec_set
from viberary_pipeline.evaluation.seed_baseline import seed_vectors
from viberary_pipeline.index.contract import read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.retrieval import Tuning
from viberary_pipeline.settings import Settings
from viberary_pipeline.vectors.store import EmbeddingStore


def evaluate_live(settings: Settings, *, own: tuple[Path, Path] | None, seed: bool) -> tuple[dict[str, Any], Path]:
    """Evaluate the live build on the sets of its home, or on the files `own` (queries, qrels) alone.

    Returns:
        The figures, and the page that shows them.

    Raises:
        EvaluationError: nothing is published.
    """
    home, client = settings.writable_home(), connect(settings)
    pointer = read_pointer(client)
    record = read_record(client, pointer.live) if pointer.live else None
    if record is None:
        raise EvaluationError(
            "Nothing is published yet",
            expected="a live build to evaluate",
            found="none",
            todo="run `viberary build`",
        )

    def embed(texts: pa.Table, model: ResolvedEncoder, store: EmbeddingStore) -> None:
        embed_missing(
            texts,
            encoder=model,
            store=store,
            executor=executor_for(settings, settings.ec2, settings.batch),
            jobs_root=home / "jobs",
            jobs_at=jobs_place(settings),
            shard_rows=settings.shard_rows,
            # In full precision: int8 has a store of its own.
            options=JobOptions(device="cuda" if settings.executor != "local" else settings.device),
            limits=limits_of(settings),
        )

    sets = [trec_set(*own)] if own else query_sets(home, settings.evaluation_items)
    rules = DocumentRules.of(settings)
    limits = DuckLimits(settings.duckdb_memory_limit, settings.duckdb_threads)
    evaluated = evaluate_build(
        client,
        home,
        record,
        read_record(client, pointer.previous) if pointer.previous else None,
        sets,
        tuning=Tuning.of(settings),
        most_loss=settings.gate_evaluation,
        seed=seed_vectors(home, settings.encoder, rules, limits, embed=embed) if seed else None,
    )
    return evaluated.result, write_report(home, evaluated.result)
