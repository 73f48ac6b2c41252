"""search_index: a fresh HNSW index under a new name, gated, not yet visible to readers."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.assets.data_quality_report import source_of
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import known_builds, remove_unneeded
from viberary_pipeline.index.contract import BuildRecord, HnswSettings, read_record
from viberary_pipeline.index.gate import GATE_NAMES
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import is_healthy
from viberary_pipeline.quality.verdict import require_passed
from viberary_pipeline.resources import Encoder, SearchIndex, Storage, vectors_of

INDEX_VERSION = 2
"""Raised whenever the same documents and vectors are written to Redis in another way."""


@dg.asset(
    deps=["embeddings", "query_encoder"],
    group_name="index",
    kinds={"redis"},
    check_specs=[dg.AssetCheckSpec(name, asset="search_index", blocking=True) for name in GATE_NAMES],
)
def search_index(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    storage: Storage,
    encoder: Encoder,
    index: SearchIndex,
) -> dg.MaterializeResult:
    """A new index in Redis, measured by the gates; where nothing changed, the live one is kept."""
    store = storage.store
    documents, onnx, model = store.current("documents"), store.current("query_encoder"), encoder.resolve()
    vectors_key = str(store.current("embeddings").facts.get("vectors", model.fingerprint))
    path = documents.file("documents.parquet")
    hnsw = index.hnsw(pq.read_metadata(path).num_rows, model.spec.dimensions)
    shaped_by = {
        "documents": documents.key,
        "encoder": vectors_key,
        "query_encoder": onnx.key,
        "index": _shape(hnsw, measured=index.ef_runtime is None),
    }
    wanted = digest(shaped_by)
    require_passed(store)
    client = index.client()
    with build_lock(client) as check_lock:
        record = None if config.force else _standing(client, wanted, index.rules.least_recall)
        unchanged = record is not None
        if record is None:
            remove_unneeded(client)  # what killed builds left
            vectors = vectors_of(model, storage.path, key=vectors_key).vectors_for(
                pq.read_table(path, columns=["text_hash"])["text_hash"]
            )
            record, _ = build_index(
                client,
                IndexSource(
                    path,
                    vectors,
                    digest=wanted,
                    encoder=model.spec.name,
                    fingerprint=model.fingerprint,
                    query_encoder=onnx.key,
                    source=source_of(storage),
                ),
                hnsw,
                index.rules,
                encoder=QueryEncoder(onnx.path, threads=0),
                find_effort=index.ef_runtime is None,
                check_lock=check_lock,
                say=context.log.info,
            )
    facts = {
        "build": record.build,
        "unchanged": unchanged,
        "documents": record.documents,
        "gates": record.gate_results,
    }
    produced = store.produce(
        "search_index", inputs=shaped_by, settings={"build": record.build}, build=lambda _: facts, force=True
    )
    context.log.info(
        f"build {record.build} stands and nothing changed: no new index"
        if unchanged
        else f"build {record.build}: {record.documents:,} works, recall@10 {record.recall:.4f}"
    )
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced, rows=record.documents),
            "build": record.build,
            "unchanged": unchanged,
            "recall_at_10": record.recall,
            "works_per_second": round(record.documents / max(record.feed_seconds, 1e-3), 1),
        },
        check_results=list(_check_results(record.gate_results)),
    )


def _shape(hnsw: HnswSettings, *, measured: bool) -> str:
    """Digest of what makes an index another one: an EF_RUNTIME that was set is not one that is to be measured."""
    return digest([repr(hnsw), measured, INDEX_VERSION])


def _standing(client: Any, wanted: str, least_recall: float) -> BuildRecord | None:
    """A whole build that these inputs would make again and that passes today's bound.

    It is the live one, or one that awaits its publish because the run before was killed there.
    """
    for build in reversed(known_builds(client)):
        record = read_record(client, build)
        if (
            record is not None
            and record.digest == wanted
            and record.state in ("live", "ready")
            and record.recall >= least_recall
            and is_healthy(client, record)
        ):
            return record
    return None


def _check_results(gates: list[dict[str, Any]]) -> Iterator[dg.AssetCheckResult]:
    for gate in gates:
        yield dg.AssetCheckResult(
            check_name=gate["name"],
            passed=gate["passed"],
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"figure": gate["figure"], "bound": gate["bound"], "means": gate["means"]},
        )
