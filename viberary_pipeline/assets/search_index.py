"""search_index: a fresh HNSW index under a new name, gated, not yet visible to readers."""

import logging
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.stages import Result, Work, check_outcome, stage
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.gate_result import INDEX_GATES
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import mend_names, standing_build
from viberary_pipeline.quality.verdict import require_passed
from viberary_pipeline.query_lines import LIVE, LOGS
from viberary_pipeline.resources.home_lock import check_source
from viberary_pipeline.settings import Settings
from viberary_pipeline.sources.licences import licences_of, require_public

logger = logging.getLogger(__name__)

_MOST_QUERIES = 10_000


@stage(
    group="index",
    kinds={"redis"},
    reads=("documents", "embeddings", "query_encoder"),
    # What is written to Redis; how it is gated changes no index.
    code=(
        "redis_contract.py",
        "name_keys.py",
        "identifiers.py",
        "search/spelling.py",
        "search/suggestions.py",
        "index/suggestions.py",
        "index/lucky.py",
        "search/passages.py",
        "search/sentences.py",
        "index/passages.py",
        "search/fit.py",
        "search/facets.py",
        "index/fit.py",
        "index/fit.toml",
    ),
    checks=INDEX_GATES,
)
def search_index(work: Work) -> Result:
    """A new index in Redis, measured by the gates; where nothing changed, the live one is kept."""
    pipeline, settings = work.pipeline, work.pipeline.settings
    documents, onnx = work.inputs["documents"], work.inputs["query_encoder"]
    licence = settings.sources.licence  # the record holds it
    wanted = digest([work.input_keys, repr(settings.hnsw), work.code, *([licence] if licence else [])])
    require_passed(pipeline.store)
    client = pipeline.redis
    # Here too: a stage alone may be run from the UI.
    check_source(settings, client)
    source = pipeline.source_of(documents)
    if settings.sources.public:
        require_public(licences_of(source, licence), "An index of these documents")
    with build_lock(client) as check_lock:
        mend_names(client)
        record = None if work.force else standing_build(client, wanted, settings.gate.recall)
        unchanged = record is not None
        if record is None:
            remove_unneeded(client)  # what killed builds left
            path = documents.file("documents.parquet")
            store = pipeline.vectors(str(work.inputs["embeddings"].facts["vectors"]))
            record, _ = build_index(
                client,
                IndexSource(
                    path,
                    store.vectors_for(pq.read_table(path, columns=["text_hash"])["text_hash"]),
                    digest=wanted,
                    encoder=pipeline.encoder.spec.name,
                    fingerprint=pipeline.encoder.fingerprint,
                    query_encoder=onnx.key,
                    source=source,
                    licence=licence,
                    documents_key=documents.key,
                    query_encoder_name=pipeline.query_encoder.spec.name,
                    queries=queries_to_suggest(settings),
                ),
                settings.hnsw,
                settings.gate,
                encoder=QueryEncoder(onnx.path, threads=0),
                canaries=pipeline.canaries,
                accept_loss=settings.accept_drift,
                make_room=settings.redis.make_room,
                check_lock=check_lock,
                say=work.log.info,
            )
    made = work.note(
        wanted,
        {
            "build": record.build,
            "unchanged": unchanged,
            "documents": record.documents,
            "gates": record.gate_results,
        },
    )
    return Result(
        made,
        f"build {record.build} stands and nothing changed: no new index"
        if unchanged
        else f"build {record.build}: {record.documents:,} works, recall@10 {record.recall:.4f}",
        rows=record.documents,
        metadata={
            "build": record.build,
            "documents": record.documents,
            "unchanged": unchanged,
            "recall_at_10": record.recall,
            "works_per_second": round(record.documents / max(record.feed_seconds, 1e-3), 1),
        },
        checks=[gate_check(gate) for gate in record.gate_results if gate["name"] in INDEX_GATES],
    )


def queries_to_suggest(settings: Settings) -> dict[str, int]:
    """{query: how often readers searched for it}, as `/popular` counts them in this home's query log; {} without one.

    They are those of the day of the build: a build that stands is not made anew for them.
    """
    from viberary_pipeline.web.log_counts import count

    log = settings.home_dir / LOGS / LIVE
    if not log.parent.is_dir():
        return {}
    bounds = {"days": settings.web.popular_days, "searches": settings.web.popular_searches}
    try:
        return dict(count(log, **bounds, most=_MOST_QUERIES).queries)
    except Exception as error:  # DuckDB's and the system's: no build fails for them
        logger.warning("The query log cannot be counted, so no query is suggested: %s", str(error).splitlines()[0])
        return {}


def gate_check(gate: Mapping[str, Any]) -> dg.AssetCheckResult:
    """A gate's verdict (`GateResult.to_json`) as the asset check of its name."""
    figures = "not compared" if gate["figure"] is None else f"{gate['figure']:g}, bound {gate['bound']:g}"
    return dg.AssetCheckResult(
        check_name=gate["name"],
        **check_outcome(gate["outcome"]),
        description=f"{figures}: {gate['means']}",
        metadata={name: gate[name] for name in ("outcome", "figure", "bound", "means") if gate[name] is not None},
    )
