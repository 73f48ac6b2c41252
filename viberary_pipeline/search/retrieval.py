"""One query against one build.

1. While the query is encoded, the first look-ups (`lookups`).
2. The nearest works by vector: with those that hold all the words, the candidates.
3. The second look-ups, and the fields of the works that will most likely be shown.
4. What is missing of these fields, and the vectors of works that were found by name alone: in one query of four.

The order is that of `ranking.rank`. Works that differ in subtitle or brackets alone are shown once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.errors import SearchError
from viberary_pipeline.identifiers import Identifier, identifier_key
from viberary_pipeline.name_keys import KEY_SEPARATOR, Copies
from viberary_pipeline.redis_contract import (
    AUTHOR_KEYS,
    PAGE_FIELDS,
    TITLE_KEYS,
    VECTOR,
    VOLUME_KEYS,
    BuildRecord,
    as_text,
    document_prefix,
)
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import knn_command, similarity
from viberary_pipeline.search.lookups import (
    FirstLookups,
    FirstReplies,
    SecondLookups,
    SecondReplies,
    number_command,
)
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import Candidate, NamedBy, Ranked, break_ties, next_batch, rank
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.replies import BuildVanishedError, Command, Row, read_rows
from viberary_pipeline.search.round_trips import ask, ask_while
from viberary_pipeline.search.spelling import Spelling
from viberary_pipeline.search.weights import SearchSettings

__all__ = ["BuildVanishedError", "Result", "find", "find_like", "key_of_book"]

Vector = npt.NDArray[np.float32]

_SPARE = 5  # works beyond those asked for that are looked up, to replace copies


@dataclass(frozen=True, slots=True)
class Result:
    """One result: its cosine similarity, what of it the query names, its fields as the page shows them."""

    score: float
    named: NamedBy
    fields: dict[str, str]


def find(
    client: redis.Redis,
    record: BuildRecord,
    text: str,
    encode: Callable[[], Vector],
    k: int,
    *,
    filters: Filters,
    tuning: SearchSettings,
    if_live: bool = True,
    spell: Callable[[Sequence[str]], Spelling] = lambda words: Spelling(),
) -> list[Result]:
    """The k works that answer a query best, best first; fewer only if there are fewer.

    A query that can only be the number of a book has its works alone for an answer, and none where there is none.

    Args:
        client: The server.
        record: The build to ask.
        text: The query.
        encode: Gives the query's vector, float32 (dim,), norm 1.
        k: How many.
        filters: Which works may be found.
        tuning: How they are weighed.
        if_live: Answer only if the build is the published one, which is asked in the first round trip.
        spell: What words of the query may be typos of, in this build.

    Raises:
        redis.ResponseError: no such index, or a command ran out of time.
        SearchError: the server returned a partial result, or none that can be read.
        BuildVanishedError: the build is being removed, or is not the published one.
    """
    build, where, query = record.build, filters.to_query(), ParsedQuery.parse(text)
    if not record.search_fields:  # a build of an older version: vectors alone
        if filters:
            raise SearchError(
                "The live build cannot narrow a search",
                expected="a build of this version",
                found=f"build {build}, of an older one",
                todo="run `viberary build --force`, or search without filters",
            )
        tuning = replace(tuning, lexical_weight=0.0, find_names=False)

    readings = Readings.of(query, spell(query.spelling_terms))
    if record.search_fields < 2:  # a build of an older version has no numbers
        readings = replace(readings, identifier=None)
    lookups = FirstLookups.of(query, readings, record, tuning, most=k + _SPARE, where=where)
    replies, vector = ask_while(client, vars(lookups), encode)
    first = FirstReplies.read(**replies)
    if if_live and first.pointer.live != build:
        raise BuildVanishedError(build)
    if first.by_names:
        readings = readings.with_likely_beside()
    how: dict[str, Any] = {"documents": record.documents, "most_named": k, "readings": readings}
    if lookups.by_number and readings.identifier and readings.identifier.certain:
        ranked = rank(query, _candidates({}, first, SecondReplies([], [])), tuning, **how)
        return _results(client, record, ranked, vector, k)
    cosines = _nearest(client, record, vector, max(tuning.candidates, k + _SPARE), where=where)
    for row in first.sentences:
        if row.key not in cosines:
            cosines[row.key] = _cosine(record, row.fields.get(VECTOR.encode()), vector)

    # The works of a surname, or of half a title with a typo, need not be among the nearest: they join the candidates.
    meant = [row.key for row in first.named if row.key not in cosines] if readings.names_somebody else []
    more = SecondLookups.of(query, readings, build, tuning, candidates=[*cosines, *meant])
    # Most of what will be shown is known by now: its fields come along.
    likely = [*list(cosines)[: 2 * k + _SPARE], *(row.key for row in (*first.numbered, *first.named))]
    pages = {key: _page_command(key, key in cosines) for key in likely}
    both = ask(client, {**vars(more), **pages})
    second = SecondReplies.read(**{name: both.pop(name) for name in vars(more)})
    for key in meant:
        cosines[key] = _cosine(record, _read_page(both[key], record).get(VECTOR), vector)
    ranked = rank(query, _candidates(cosines, first, second), tuning, **how)
    return _results(client, record, ranked, vector, k, fetched=both)


def find_like(client: redis.Redis, record: BuildRecord, key: bytes, k: int, *, filters: Filters) -> list[Result] | None:
    """The k works nearest to the document of that key, without itself and its copies; None if there is no such one."""
    names = (VECTOR, "title", "author")
    stored: dict[str, Any] = dict(zip(names, client.hmget(key, names), strict=True))
    if stored[VECTOR] is None:
        return None
    vector = record.hnsw.from_bytes([stored[VECTOR]], record.dim)[0]
    cosines = _nearest(client, record, vector, k + 1 + _SPARE, where=filters.to_query())
    cosines.pop(key, None)
    copies = Copies()
    copies.add(as_text(stored["title"]), as_text(stored["author"]))
    ranked = [Ranked(other, cosine, cosine=cosine) for other, cosine in cosines.items()]
    return _results(client, record, ranked, vector, k, copies=copies)


def key_of_book(client: redis.Redis, record: BuildRecord, book_id: str) -> bytes | None:
    """The key of the document of which this is an edition, by its book_id, ISBN or ASIN, or that has this work_id.

    None if there is none. A build of an older version knows the representative editions alone.
    """
    number = Identifier.read(book_id)
    text = number.text if number else book_id
    if record.search_fields and text.isalnum():
        command = number_command(record, text, identifier_key(text) or text, "")
        if rows := read_rows(client.execute_command(*command)):
            return rows[0].key
    key = f"{document_prefix(record.build)}{book_id}".encode(errors="replace")
    return key if client.exists(key) else None


def _nearest(client: redis.Redis, record: BuildRecord, vector: Vector, k: int, *, where: str) -> dict[bytes, float]:
    """{document: its cosine similarity} of the k nearest works, best first."""
    (blob,) = record.hnsw.to_bytes(vector[None])
    command = knn_command(record.build, blob, k, where=where, ef_runtime=record.ef_runtime)
    rows = read_rows(ask(client, {"nearest": command})["nearest"])
    return {row.key: similarity(row, record.build) for row in rows}


def _cosine(record: BuildRecord, blob: bytes | None, vector: Vector) -> float:
    if blob is None:
        raise BuildVanishedError(record.build)
    return float(record.hnsw.from_bytes([blob], record.dim)[0] @ vector)


def _candidates(cosines: Mapping[bytes, float], first: FirstReplies, second: SecondReplies) -> list[Candidate]:
    """The works that were found, by vector first, with what the look-ups say of them."""
    numbered = {row.key for row in first.numbered}
    looked_up = {row.key: row for row in (*first.numbered, *first.named)}
    names = {row.key: row for row in second.names}
    descriptions, sentences = ({row.key: row.score for row in rows} for rows in (second.descriptions, first.sentences))
    candidates = []
    for key in dict.fromkeys([*cosines, *looked_up]):
        c = Candidate(key, cosines.get(key), descriptions.get(key, 0.0), 0.0, sentences.get(key, 0.0))
        if row := looked_up.get(key) or names.get(key):
            c = c._replace(
                names_bm25=names[key].score if key in names else 0.0,
                looked_up=key in looked_up,
                numbered=key in numbered,
                title=row.text("title"),
                author=row.text("author"),
                review_count=int(row.text("review_count") or 0),
                title_keys=_keys(row, TITLE_KEYS),
                author_keys=_keys(row, AUTHOR_KEYS),
                volume_keys=_keys(row, VOLUME_KEYS),
            )
        candidates.append(c)
    return candidates


def _keys(row: Row, field: str) -> list[str]:
    return row.text(field).split(KEY_SEPARATOR) if row.text(field) else []


def _results(
    client: redis.Redis,
    record: BuildRecord,
    ranked: Sequence[Ranked],
    vector: Vector,
    k: int,
    *,
    fetched: dict[Any, Any] | None = None,
    copies: Copies | None = None,
) -> list[Result]:
    """The first k works with their fields, without copies of an earlier one or of those given.

    Args:
        client, record: The build.
        ranked: The order; ties are broken here.
        vector: The query's, float32 (dim,).
        k: How many.
        fetched: {document: reply to its `_page_command`} as far as known.
        copies: Works that were seen before.
    """
    results: list[Result] = []
    fetched, copies, start = fetched or {}, copies or Copies(), 0
    while len(results) < k and start < len(ranked):
        batch = next_batch(ranked, start, k - len(results))
        start += len(batch)
        fetched |= ask(
            client, {w.key: _page_command(w.key, w.cosine is not None) for w in batch if w.key not in fetched}
        )
        pages = {work.key: _read_page(fetched[work.key], record) for work in batch}
        for work in break_ties(batch, {key: int(page["review_count"] or 0) for key, page in pages.items()}):
            page = pages[work.key]
            fields = {name: as_text(page[name]) for name in PAGE_FIELDS}
            if not copies.add(fields["title"], fields["author"]):
                cosine = _cosine(record, page.get(VECTOR), vector) if work.cosine is None else work.cosine
                results.append(Result(cosine, work.named, fields))
    return results[:k]


def _page_command(key: bytes, cosine_known: bool) -> Command:
    """The fields that the page shows, and the vector where it is needed for the similarity."""
    return ("HMGET", key, *PAGE_FIELDS, *(() if cosine_known else (VECTOR,)))


def _read_page(reply: Any, record: BuildRecord) -> dict[str, Any]:
    if isinstance(reply, Exception):
        raise reply
    page = dict(zip((*PAGE_FIELDS, VECTOR), reply, strict=False))
    if page["work_id"] is None:
        raise BuildVanishedError(record.build)
    return page
