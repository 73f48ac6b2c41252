"""Gates on a finished index: it is published only if none of them fails.

The figures are measured in Redis on the index itself, as readers will query it. What each gate is there for:

===================  ==========================================================================================
encoder_match        queries go through the encoder that embedded the documents, or another in its space (asked before
                     anything is built)
document_count       a write was lost, or came without its vector
indexing_failures    RediSearch left documents out, which it does without an error
documents_kept       the new build has far fewer works than the live one
vectors_match_texts  vectors of other texts, or of another encoder: nothing else here would notice
recall_at_10         a poor graph
full_results         a graph with parts that cannot be reached
latency_p95_ms       an index that answers too slowly
canaries             queries whose answer is known no longer find it
===================  ==========================================================================================
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import redis

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import GateRefused
from viberary_pipeline.index.canaries import Canary
from viberary_pipeline.index.gate_result import INDEX_GATES, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.recall import K, Probes, work_ids_of
from viberary_pipeline.index.server import vectors_held
from viberary_pipeline.redis_contract import (
    VECTOR,
    BuildRecord,
    document_prefix,
    index_info,
    read_pointer,
    read_record,
)
from viberary_pipeline.search.knn import nearest

_TEXTS_COMPARED = 24
# Exports agree with their model to 0.99 and better; vectors of two random works to 0.2.
LEAST_MATCH = 0.9
# Of works whose text a query encoder of another kind places nearest to its own vector; by chance, one.
LEAST_OWN = 0.5
_NO_ENCODER = "no query encoder was given"


def require_encoder(encoder: QueryEncoder | None, fingerprint: str, dimensions: int) -> GateResult:
    """The gate encoder_match, before anything is built; without an encoder there is none to compare with.

    Raises:
        GateRefused: queries would be encoded by another model than the documents were.
    """
    if encoder is not None and not encoder.shares(fingerprint, dimensions):
        raise GateRefused(
            "Refused by the gate encoder_match: the query encoder does not share the space of the encoder that "
            "embedded the documents",
            expected=f"fingerprint {fingerprint} with {dimensions} dimensions, as the documents' vectors have, "
            "or a query encoder of that space",
            found=f"{encoder} in {encoder.folder}",
            todo="materialize query_encoder and embeddings with the same VIBERARY_ENCODER, or run `viberary build`; "
            "the live index is untouched",
        )
    if encoder is None:
        return GateResult.not_compared("encoder_match", 0, _NO_ENCODER)
    return GateResult.judged("encoder_match", True, 0, 0, "differences between the spaces of both encoders")


def gate_index(
    client: redis.Redis,
    record: BuildRecord,
    vectors: npt.NDArray[np.float32],
    documents: Path,
    rules: GateRules,
    encoder: QueryEncoder | None = None,
    *,
    canaries: Sequence[Canary] = (),
    accept_loss: bool = False,
) -> list[GateResult]:
    """Measure a finished index against exact search over the same vectors, and against what is live.

    Args:
        client: The server.
        record: The build.
        vectors: float32 (documents, dim), norm 1, as they were sent.
        documents: Parquet of the same rows: work_id, and text where there is an encoder.
        rules: What is asked for.
        encoder: What readers' queries go through. Without one, the gates that read words compare nothing.
        canaries: Queries with a title that must be among their results.
        accept_loss: Let a build with fewer documents pass all the same.
    """
    info = index_info(client, record.build) or {"num_docs": 0, "failures": record.documents}
    held = vectors_held(client, record.build)
    whole = info["num_docs"] if held is None else min(held, info["num_docs"])
    results = [
        require_encoder(encoder, record.fingerprint, record.dim),
        GateResult.judged(
            "document_count",
            whole == record.documents,
            whole,
            record.documents,
            "documents in the index, with their vectors, equal documents built",
        ),
        GateResult.judged(
            "indexing_failures",
            info["failures"] == 0,
            info["failures"],
            0,
            "no document was left out by Redis",
        ),
        _documents_kept(client, record, rules.loss, accept=accept_loss),
        *_neighbours(client, record, vectors, documents, rules),
        _vectors_match_texts(client, record, documents, encoder),
        _canaries(client, record, encoder, canaries),
    ]
    return sorted(results, key=lambda result: INDEX_GATES.index(result.name))


def _documents_kept(client: redis.Redis, record: BuildRecord, loss: float, *, accept: bool) -> GateResult:
    """Compared with the live build if it came from the same kind of source: the sample is no catalogue's successor."""
    pointer = read_pointer(client)
    live = read_record(client, pointer.live)
    bound = 1 - loss
    if live is None:
        why = f"the record of the live build {pointer.live} is gone" if pointer.live else "no build was live before"
        return GateResult.not_compared("documents_kept", bound, why)
    if live.source != record.source:
        why = f"the live build's {live.documents:,} works come from another source ({live.source or 'unknown'})"
        return GateResult.not_compared("documents_kept", bound, why)
    kept = round(record.documents / max(1, live.documents), 5)
    means = f"at least this share of the live build's {live.documents:,} documents"
    if accept:
        means += "; fewer accepted by VIBERARY_ACCEPT_DRIFT"
    return GateResult.judged("documents_kept", kept >= bound or accept, kept, bound, means)


def _neighbours(
    client: redis.Redis,
    record: BuildRecord,
    vectors: npt.NDArray[np.float32],
    documents: Path,
    rules: GateRules,
) -> list[GateResult]:
    """Recall, full lists and latency."""
    probes = Probes.halfway(record, vectors, work_ids_of(documents), rules.queries)
    probed = probes.ask(client, record.ef_runtime)
    p95 = float(np.percentile(probed.milliseconds, 95))
    over = f"over {len(probes.queries)} queries"
    return [
        GateResult.judged(
            "recall_at_10",
            probed.recall >= rules.recall,
            round(probed.recall, 5),
            rules.recall,
            f"at least this share of the true ten nearest is found with EF_RUNTIME {record.ef_runtime}, {over}",
        ),
        GateResult.judged(
            "full_results",
            probed.full == 1.0,
            round(probed.full, 5),
            1.0,
            f"share of queries with {min(K, len(vectors))} results, {over}",
        ),
        GateResult.judged(
            "latency_p95_ms",
            p95 <= rules.p95_ms,
            round(p95, 3),
            rules.p95_ms,
            f"at most so many milliseconds for 95 of 100 KNN queries, {over}",
        ),
    ]


def _vectors_match_texts(
    client: redis.Redis, record: BuildRecord, documents: Path, encoder: QueryEncoder | None
) -> GateResult:
    """Texts of some works encoded again, and compared with the vectors that Redis holds for these works."""
    if encoder is None:
        return GateResult.not_compared("vectors_match_texts", LEAST_MATCH, _NO_ENCODER)
    work_ids, texts = _some_texts(documents)
    pipeline = client.pipeline(transaction=False)
    for work_id in work_ids:
        pipeline.hget(f"{document_prefix(record.build)}{work_id}", VECTOR)
    stored = record.hnsw.from_bytes([blob or b"" for blob in pipeline.execute()], record.dim)
    expected = encoder.encode(texts, prefix=encoder.document_prefix)
    stored = stored / np.maximum(np.linalg.norm(stored, axis=1, keepdims=True), 1e-9)
    if encoder.space != encoder.fingerprint:
        # It was trained to give another encoder's vectors of queries: near to those of long texts, but not equal.
        own = (np.argmax(expected @ stored.T, axis=1) == np.arange(len(texts))).mean()
        return GateResult.judged(
            "vectors_match_texts",
            bool(own >= LEAST_OWN),
            round(float(own), 5),
            LEAST_OWN,
            f"share of {len(texts)} works whose text, by the query encoder, is nearest to their own stored vector",
        )
    match = float(np.mean(np.sum(stored * expected, axis=1)))
    return GateResult.judged(
        "vectors_match_texts",
        match >= LEAST_MATCH,
        round(match, 5),
        LEAST_MATCH,
        f"mean cosine of stored vectors to their texts encoded again, over {len(texts)} works",
    )


def _some_texts(documents: Path) -> tuple[list[str], list[str]]:
    """Work ids and texts of a few works, the same for the same file, from one part of it at the least."""
    with pq.ParquetFile(documents) as file:
        random = np.random.default_rng(file.metadata.num_rows)
        groups = random.permutation(file.num_row_groups)[:4]
        table = file.read_row_groups(sorted(int(group) for group in groups), columns=["work_id", "text"])
    rows = random.permutation(table.num_rows)[:_TEXTS_COMPARED]
    chosen = table.take(rows)
    return chosen["work_id"].to_pylist(), chosen["text"].to_pylist()


def _canaries(
    client: redis.Redis, record: BuildRecord, encoder: QueryEncoder | None, canaries: Sequence[Canary]
) -> GateResult:
    if encoder is None or not canaries:
        return GateResult.not_compared("canaries", 0, "no canaries are set" if encoder else _NO_ENCODER)
    missed = []
    for canary in canaries:
        blob = record.hnsw.to_bytes(encoder.encode([canary.query]))[0]
        hits = nearest(*(client, record.build, blob, canary.within), fields=("title",), ef_runtime=record.ef_runtime)
        if canary.title.casefold() not in (hit["title"].casefold() for hit in hits):
            missed.append(f"{canary.query!r} does not find {canary.title!r} among {canary.within}")
    means = f"canaries that do not find their title, of {len(canaries)}"
    return GateResult.judged("canaries", not missed, len(missed), 0, "; ".join([means, *missed]))
