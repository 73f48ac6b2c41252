"""The one place where settings become resources, assets, checks and jobs."""

from pathlib import Path

import dagster as dg

from viberary_pipeline.assets import ALL_ASSETS
from viberary_pipeline.checks import table_checks
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.jobs import ALL_JOBS, ALL_SCHEDULES
from viberary_pipeline.jobs.sensors import ALL_SENSORS
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.resources import EmbeddingExecutor, Encoder, SearchIndex, Storage
from viberary_pipeline.resources.console import stage_console
from viberary_pipeline.sample import CANARIES, GOLDEN
from viberary_pipeline.settings import Settings, load_settings


def canaries_of(settings: Settings) -> Path | None:
    """The file of these settings: VIBERARY_CANARIES or, for the whole bundled sample, its own. None: no canaries."""
    if settings.canaries is not None:
        return settings.canaries.expanduser().absolute()
    whole = not settings.languages and not settings.min_ratings and settings.keep_thin
    return CANARIES if settings.raw is None and whole else None


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster runs, wired for these settings."""
    home = str(settings.writable_home())
    rules = DocumentRules.of(settings)
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=table_checks(settings.bounds or BOUNDS, accept_drift=settings.accept_drift),
        jobs=ALL_JOBS,
        schedules=ALL_SCHEDULES,
        sensors=ALL_SENSORS,
        loggers={"console": stage_console},
        # One process: the stages wait for each other anyway, and a process per stage costs seconds each.
        executor=dg.in_process_executor,
        resources={
            "storage": Storage(
                home=home,
                raw=settings.raw,
                reject_ceiling=settings.reject_ceiling,
                duckdb_memory_limit=settings.duckdb_memory_limit,
                duckdb_threads=settings.duckdb_threads,
            ),
            "encoder": Encoder(
                name=settings.encoder,
                query_precision=settings.query_precision,
                recipe_name=settings.recipe,
                reviews_per_work=settings.reviews_per_work,
                reader_language=rules.reader_language,
                languages=list(rules.languages),
                min_ratings=settings.min_ratings,
                keep_thin=settings.keep_thin,
            ),
            "executor": EmbeddingExecutor.of(settings),
            "index": SearchIndex(
                # A URL may hold a password: read it from the environment, so that no page of the UI shows it.
                url=dg.EnvVar("VIBERARY_REDIS_URL") if settings.redis_url else "",
                home=home,
                vector_type=settings.vector_type,
                m=settings.hnsw_m,
                ef_construction=settings.hnsw_ef_construction,
                ef_runtime=settings.hnsw_ef_runtime,
                least_recall=settings.gate_recall,
                gate_queries=settings.gate_queries,
                gate_evaluation=settings.gate_evaluation,
                evaluation_items=settings.evaluation_items,
                lexical_weight=settings.lexical_weight,
                find_names=settings.find_names,
                candidates=settings.candidates,
                most_p95_ms=settings.gate_p95_ms,
                most_lost=settings.gate_loss,
                accept_loss=settings.accept_drift,
                canaries=str(canaries_of(settings) or ""),
                judged=[str(GOLDEN)],
            ),
        },
    )


defs = build_definitions(load_settings())
