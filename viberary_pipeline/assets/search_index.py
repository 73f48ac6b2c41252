"""search_index: a fresh HNSW index under a new name, gated, not yet visible to readers."""

import dagster as dg
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.common import StageConfig, artifact_metadata, gate_check
from viberary_pipeline.assets.data_quality_report import source_of
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.clean import remove_unneeded
from viberary_pipeline.index.contract import HnswSettings
from viberary_pipeline.index.gate_result import INDEX_GATES
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import mend_names, standing_build
from viberary_pipeline.quality.verdict import require_passed
from viberary_pipeline.resources import Encoder, SearchIndex, Storage, vectors_of

INDEX_VERSION = 2
"""Raised whenever the same documents and vectors are written to Redis in another way."""


@dg.asset(
    deps=["embeddings", "query_encoder"],
    group_name="index",
    kinds={"redis"},
    check_specs=[dg.AssetCheckSpec(name, asset="search_index", blocking=True) for name in INDEX_GATES],
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
        mend_names(client)
        record = None if config.force else standing_build(client, wanted, index.rules.least_recall)
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
                    documents_key=documents.key,
                ),
                hnsw,
                index.rules,
                encoder=QueryEncoder(onnx.path, threads=0),
                measure_ef_runtime=index.ef_runtime is None,
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
        check_results=[gate_check(gate) for gate in record.gate_results if gate["name"] in INDEX_GATES],
    )


def _shape(hnsw: HnswSettings, *, measured: bool) -> str:
    """Digest of what makes an index another one: an EF_RUNTIME that was set is not one that is to be measured."""
    return digest([repr(hnsw), measured, INDEX_VERSION])
