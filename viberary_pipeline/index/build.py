"""Build an index under a new name: preflight, create on an empty prefix, wait, feed in pipelines, wait, gate.

The order is the one that was measured to give a graph without double insertions and an error per command when
memory runs out. The live index is never touched; a build that fails is cleaned away, never resumed.
"""

import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from redis.commands.search.index_definition import IndexDefinition, IndexType

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import IndexBuildError, ViberaryError
from viberary_pipeline.index.canaries import Canary
from viberary_pipeline.index.clean import remove_build
from viberary_pipeline.index.ef_runtime import AIM, ef_runtime_for, needed_ef_runtime
from viberary_pipeline.index.fit import calibrate
from viberary_pipeline.index.gate import gate_index, require_encoder
from viberary_pipeline.index.gate_result import GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.lucky import worth_a_pick
from viberary_pipeline.index.passages import learn_sentence_words
from viberary_pipeline.index.preflight import preflight
from viberary_pipeline.index.progress import Progress
from viberary_pipeline.index.server import describe_server, vectors_waiting
from viberary_pipeline.index.suggestions import SuggestionEntries, write_suggestions
from viberary_pipeline.name_keys import words_of
from viberary_pipeline.owner import this_process
from viberary_pipeline.redis_contract import (
    LUCKY,
    NAME_WORDS,
    NAMES,
    SEARCH_FIELDS,
    VECTOR,
    BuildRecord,
    HnswSettings,
    as_text,
    document_prefix,
    index_info,
    index_name,
    page_fields,
    record_key,
    search_fields,
    sentence_words_key,
)
from viberary_pipeline.search.facets import FacetCounts, Facets
from viberary_pipeline.search.sentences import whole_texts
from viberary_pipeline.search.spelling import WordCounts, read_name_words
from viberary_pipeline.vectors.arrow_files import problem_with

log = logging.getLogger(__name__)

_PIPELINE_ROWS = 256
_PORTIONS_UNDER_WAY = 2
_INDEXING_TIMEOUT_SECONDS = 6 * 3600
_COLUMNS = [
    "work_id",
    "book_id",
    "title",
    "author",
    "authors",
    "contributors",
    "description",
    "link",
    "image_url",
    "review_count",
    "publication_year",
    "year_of",
    "average_rating",
    "ratings_count",
    "language",
    "genres",
    "shelves",
    "reviews",
    "editions",
    "edition_list",
    "other_titles",
    "series",
    "isbns",
    "edition_ids",
]
_REVIEW_CHARACTERS = 600  # of a work: one sentence of them is shown at most
_FOR_SEARCH_ALONE = ("genres", "other_titles", "series", "isbns", "edition_ids")


@dataclass(frozen=True)
class IndexSource:
    """What goes into an index: documents, their vectors in the same order, and who made the vectors.

    Attributes:
        documents: Parquet of the documents stage.
        vectors: float32 (documents, dim), norm 1.
        digest: Of everything that shaped the index.
        queries: {query of readers: how often it was asked}, to be suggested to others: frequent ones alone.
        encoder, fingerprint, query_encoder, source, licence, documents_key, query_encoder_name: As in `BuildRecord`.
    """

    documents: Path
    vectors: npt.NDArray[np.float32]
    digest: str
    encoder: str
    fingerprint: str
    query_encoder: str
    source: str = ""
    licence: str = ""
    documents_key: str = ""
    query_encoder_name: str = ""
    queries: Mapping[str, int] = field(default_factory=dict)


def new_build_name() -> str:
    """A name that sorts by time and is never used twice: 20261123T174500-1f3a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}"


def build_index(
    client: redis.Redis,
    source: IndexSource,
    hnsw: HnswSettings,
    rules: GateRules,
    *,
    encoder: QueryEncoder | None = None,
    canaries: Sequence[Canary] = (),
    accept_loss: bool = False,
    make_room: bool = False,
    check_lock: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = log.info,
) -> tuple[BuildRecord, list[GateResult]]:
    """Build and gate a new index.

    Args:
        client: The server.
        source: What goes in.
        hnsw: The index's parameters, of which the number of works may decide some (`HnswSettings.for_works`).
        rules: What the gates ask for.
        encoder: What readers' queries will go through; the gates that read words need it.
        canaries, accept_loss: As for `gate_index`.
        make_room: As for `preflight`.
        check_lock: Raises once the build lock is lost; called between portions.
        say: Told every ten seconds how far the feed is.

    Returns:
        Its record and the gates' results. The state is 'ready' if no gate failed; otherwise 'refused': the record in
        Redis says so before anything is removed, and what cannot be removed now is left to the next build.

    Raises:
        GateRefused: the encoder is not of the documents' space. Nothing was written.
        IndexBuildError: the vectors cannot be indexed, Redis has no room, or refused a write. Nothing is left.
        RedisServerError: the server cannot carry an index.
    """
    check_vectors(source.vectors, pq.read_metadata(source.documents).num_rows)
    require_encoder(encoder, source.fingerprint, source.vectors.shape[1])
    hnsw = hnsw.for_works(len(source.vectors))
    preflight(client, len(source.vectors), source.vectors.shape[1], hnsw, make_room=make_room)
    started = time.monotonic()
    record = BuildRecord(
        build=new_build_name(),
        state="building",
        digest=source.digest,
        encoder=source.encoder,
        fingerprint=source.fingerprint,
        query_encoder=source.query_encoder,
        dim=source.vectors.shape[1],
        type=hnsw.stored_type,
        m=hnsw.m,
        ef_construction=hnsw.ef_construction,
        # RediSearch wants to know before there is an index: an estimate, for programs that ask for none.
        ef_runtime=hnsw.ef_runtime or ef_runtime_for(len(source.vectors), source.vectors.shape[1]),
        documents=len(source.vectors),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        owner=this_process(),
        search_fields=SEARCH_FIELDS,
        source=source.source,
        licence=source.licence,
        documents_key=source.documents_key,
        query_encoder_name=source.query_encoder_name,
    )
    try:
        # The record comes first and goes last, so that whatever a killed build leaves can be found by it.
        client.hset(record_key(record.build), mapping=record.to_hash())
        _create(client, record)
        created = time.monotonic()
        facets = _feed(client, source, record, check_lock, say)
        _wait_until_indexed(client, record.build)
        _wait_until_linked(client, record.build, check_lock)
        record = replace(record, feed_seconds=round(time.monotonic() - created, 3), facets=facets.to_json())
        if hnsw.ef_runtime is None:
            aim = max(AIM, rules.recall)
            needed = needed_ef_runtime(
                *(client, record, source.vectors, source.documents), aim=aim, queries=rules.queries
            )
            say(f"EF_RUNTIME {needed}, to find {aim} of the true ten nearest")
            record = replace(record, ef_runtime=needed)
        if encoder is not None:
            words = learn_sentence_words(source.documents, source.vectors, encoder)
            client.set(sentence_words_key(record.build), words.to_bytes())
            names = read_name_words(client, record.build)
            fit = calibrate(client, record, encoder, lambda word: word in words.rows or names.held(word) > 0)
            record = replace(record, fit=fit.to_json())
        gates = gate_index(
            *(client, record, source.vectors, source.documents, rules, encoder),
            canaries=canaries,
            accept_loss=accept_loss,
        )
        check_lock()
        record = replace(
            record,
            state="refused" if any(gate.failed for gate in gates) else "ready",
            recall=next(gate.figure or 0.0 for gate in gates if gate.name == "recall_at_10"),
            gates=json.dumps([gate.to_json() for gate in gates]),
            seconds=round(time.monotonic() - started, 3),
        )
        client.hset(record_key(record.build), mapping=record.to_hash())
        if record.state == "refused":
            _clean_up(client, record.build)
    except BaseException as error:
        _clean_up(client, record.build)
        if isinstance(error, redis.RedisError):
            raise IndexBuildError(
                "Redis refused a part of the new index",
                expected=f"{record.documents:,} documents to be written and indexed",
                found=f"{type(error).__name__}: {error}",
                todo="check Redis' log and memory (maxmemory), then build again; the live index is untouched",
            ) from error
        raise
    return record, gates


def check_vectors(vectors: npt.NDArray[np.float32], documents: int) -> None:
    """Refuse vectors that Redis would take and never find, or rank first for every query.

    RediSearch leaves documents of a wrong dimension out without an error, and ranks NaN and zero vectors first.

    Raises:
        IndexBuildError: not one finite vector of norm 1 (within 0.001) per document.
    """
    problem = problem_with(vectors, rows=documents, dimensions=vectors.shape[-1])
    if problem:
        raise IndexBuildError(
            "The vectors cannot be indexed",
            expected=f"{documents:,} finite vectors of norm 1",
            found=problem,
            todo="materialize embeddings again; if that does not help, remove the encoder's folder under embeddings/",
        )


def _create(client: redis.Redis, record: BuildRecord) -> None:
    client.ft(index_name(record.build)).create_index(
        record.hnsw.index_fields(record.dim),
        definition=IndexDefinition(prefix=[document_prefix(record.build)], index_type=IndexType.HASH),
    )
    # Writes during FT.CREATE's own first scan are indexed twice; the scan walks the whole keyspace.
    _wait_until_indexed(client, record.build)


def _feed(
    client: redis.Redis,
    source: IndexSource,
    record: BuildRecord,
    check_lock: Callable[[], None],
    say: Callable[[str], None],
) -> Facets:
    """Send every document; returns what was counted of them. Two portions are under way, so that the server
    links one while we write the next."""
    prefix = document_prefix(record.build)
    progress, counts = Progress(record.documents, say), WordCounts(record.documents)
    suggestions, facets = SuggestionEntries(source.queries), FacetCounts()
    offset = 0
    with ThreadPoolExecutor(_PORTIONS_UNDER_WAY, thread_name_prefix="index feed") as pool:
        under_way: deque[Future[int]] = deque()
        try:
            for batch in _batches(source.documents):
                if len(under_way) == _PORTIONS_UNDER_WAY:
                    progress.advance(under_way.popleft().result())
                    check_lock()
                vectors = source.vectors[offset : offset + batch.num_rows]
                rows = batch.to_pylist()
                if source.source == "sample":  # its ids are invented, and so are the addresses made of them
                    rows = [{**row, "link": "", "image_url": ""} for row in rows]
                under_way.append(pool.submit(_send, client, prefix, rows, record.hnsw.to_bytes(vectors), counts))
                suggestions.add(rows)
                facets.add(rows)
                offset += batch.num_rows
            while under_way:
                progress.advance(under_way.popleft().result())
            check_lock()
        finally:
            for portion in under_way:
                portion.cancel()
    picks = " ".join(worth_a_pick(source.documents))
    client.hset(record_key(record.build), mapping={NAME_WORDS: counts.to_text(), LUCKY: picks})
    write_suggestions(client, record.build, suggestions, check_lock)
    return facets.facets()


def _send(
    client: redis.Redis, prefix: str, rows: Sequence[dict[str, Any]], blobs: Sequence[bytes], counts: WordCounts
) -> int:
    """One portion as one pipeline: an error of any of its commands is raised. Returns the rows.

    The vectors' bytes are copied once, row by row: redis-py sends each memoryview by a system call of its own, which
    costs more than the copy (8 against 4 % of the server's own time).
    """
    pipeline = client.pipeline(transaction=False)
    hashes = [_document_hash(row, blob) for row, blob in zip(rows, blobs, strict=True)]
    for row, values in zip(rows, hashes, strict=True):
        pipeline.hset(f"{prefix}{row['work_id']}", mapping=values)
        title = words_of(row["title"])
        counts.add(
            [*title, *words_of(" ".join(row.get("other_titles") or ()))],
            str(values[NAMES]).split()[len(title) :],
            str(row["description"] or ""),
            int(row["review_count"] or 0),
        )
    pipeline.execute()
    return len(rows)


def _batches(documents: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(documents) as file:
        yield from file.iter_batches(batch_size=_PIPELINE_ROWS, columns=_COLUMNS)


def _document_hash(row: dict[str, Any], blob: bytes) -> Mapping[Any, str | bytes]:
    shown = page_fields({**row, "reviews": list(whole_texts(row.get("reviews") or (), _REVIEW_CHARACTERS))})
    searched = {name: row.get(name) or () for name in _FOR_SEARCH_ALONE}
    return {**shown, **search_fields(row["title"], as_text(shown["author"]), **searched), VECTOR: blob}


def _wait_until_indexed(client: redis.Redis, build: str) -> None:
    def scans() -> int:
        info = index_info(client, build)
        if info is None:
            raise IndexBuildError(
                "The new index vanished while it was built",
                expected=index_name(build),
                found="no such index",
                todo="find out what else writes to this Redis, then build again",
            )
        return int(info["indexing"])

    _wait_for("indexing", scans)


def _wait_until_linked(client: redis.Redis, build: str, check_lock: Callable[[], None]) -> None:
    """Where workers link vectors in the background (Redis 8), wait until they have linked all of them."""
    waiting = _wait_for("linking the vectors", lambda: vectors_waiting(client, build), check_lock)
    if waiting is None and describe_server(client).workers != 0:
        log.warning(
            "Redis may link vectors in the background and does not say how many wait: the recall of the gate may "
            "be that of its buffer"
        )


def _wait_for(what: str, left: Callable[[], int | None], check_lock: Callable[[], None] = lambda: None) -> int | None:
    """Return once nothing is left: 0, or None where the server does not say."""
    deadline, pause = time.monotonic() + _INDEXING_TIMEOUT_SECONDS, 0.01
    while waiting := left():
        if time.monotonic() > deadline:
            raise IndexBuildError(
                f"Redis did not finish {what}",
                expected=f"nothing left within {_INDEXING_TIMEOUT_SECONDS} s",
                found=f"{waiting:,} left",
                todo="check Redis' load and its search-workers, then build again",
            )
        check_lock()
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)
    return waiting


def _clean_up(client: redis.Redis, build: str) -> None:
    try:
        remove_build(client, build)
    except (redis.RedisError, ViberaryError) as error:
        log.warning("build %s could not be cleaned away now (%s); the next build does it", build, error)
