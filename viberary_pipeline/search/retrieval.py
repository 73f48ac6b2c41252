"""One query against one build: what Redis is asked in three round trips, and in which order the answers come.

1. While the query is encoded: works of that title, works of an author of that name, works that hold all the words,
   words that no work has.
2. The nearest works by vector: with those that hold all the words, the candidates.
3. BM25 of the candidates; where a word was unknown, works whose names hold its corrections; the fields of the works
   that will most likely be shown.
4. What is missing of these fields, and the vectors of works that were found by name alone: in one query of four.

The order: works that the query names (`named`), then the others by cosine similarity plus weight x `lift` of BM25, of
the description and, where they say something, of the names (`lexical`). Ties: more reviews first.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.errors import SearchError
from viberary_pipeline.index.contract import (
    AUTHOR_KEYS,
    PAGE_FIELDS,
    TITLE_KEYS,
    VECTOR,
    BuildRecord,
    document_prefix,
    pointer_command,
    read_pointer_reply,
)
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.knn import knn_command
from viberary_pipeline.search.lexical import (
    all_words_command,
    bm25_words,
    corrections,
    description_command,
    description_words,
    key_command,
    lift,
    name_weight,
    name_words,
    names_command,
    names_score_command,
    spelling_command,
)
from viberary_pipeline.search.name_keys import LONGEST_KEY, Copies, words_of
from viberary_pipeline.search.named import How, Named, spelt_out
from viberary_pipeline.search.replies import Command, Row, read_rows, read_spelling
from viberary_pipeline.search.round_trips import ask, ask_while
from viberary_pipeline.search.weights import SearchSettings

_TIE_DIGITS = 6
_MOST_SLIPS = 2  # words that no work has: more of them are no typos but another vocabulary
_SENTENCES = 5  # works that hold all the words of the query and join the candidates
_SPARE = 5  # works beyond those asked for that are looked up, to take the places of folded copies


@dataclass(frozen=True, slots=True)
class Found:
    """One result: its cosine similarity, by what it was found, its fields as the page shows them."""

    score: float
    how: How | None
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    """One document in the order of the results; `rank_score` is infinite for what the query names."""

    key: bytes
    how: How | None
    rank_score: float


class BuildVanishedError(Exception):
    """A build was replaced in the middle of a query, and its documents may be gone."""


def find(
    client: redis.Redis,
    record: BuildRecord,
    text: str,
    encode: Callable[[], npt.NDArray[np.float32]],
    k: int,
    *,
    filters: Filters,
    tuning: SearchSettings,
    if_live: bool = True,
) -> list[Found]:
    """The k works that answer a query best, best first; fewer only if there are fewer.

    Args:
        client: The server.
        record: The build to ask.
        text: The query.
        encode: Gives the query's vector, float32 (dim,), norm 1.
        k: How many.
        filters: Which works may be found.
        tuning: How they are weighed.
        if_live: Answer only if the build is the published one, which is asked in the first round trip.

    Raises:
        redis.ResponseError: no such index, or a command ran out of time.
        SearchError: the server returned a partial result.
        BuildVanishedError: the build is being removed, or is not the published one.
    """
    build, narrowed = record.build, filters.to_query()
    pool = max(tuning.candidates, k + _SPARE)
    if not record.search_fields:  # a build of an older version: vectors alone
        if filters:
            raise SearchError(
                "The live build cannot narrow a search",
                expected="a build of this version",
                found=f"build {build}, of an older one",
                todo="run `viberary build --force`, or search without filters",
            )
        (pointer,), vector = ask_while(client, [pointer_command()], encode)
        _require_live(record, pointer, if_live)
        near = _similarities(_nearest(client, record, vector, pool))
        return _shown(client, record, _ordered([], near), near, vector, k)

    asked, names = words_of(text), name_words(text)
    key, most = "".join(asked), k + _SPARE
    looks_up = tuning.find_names and 0 < len(key) <= LONGEST_KEY
    spelling = spelling_command(build, asked) if tuning.find_names else None
    lookups = (
        pointer_command(),
        key_command(build, TITLE_KEYS, key, most, narrowed) if looks_up else None,
        key_command(build, AUTHOR_KEYS, key, most, narrowed) if looks_up else None,
        # A single word is a title, an author or neither: the keys have told.
        names_command(build, names, {}, most, narrowed) if looks_up and len(names) > 1 else None,
        all_words_command(build, description_words(text), _SENTENCES, narrowed) if tuning.lexical_weight else None,
        spelling,
    )
    replies, vector = ask_while(client, lookups, encode)
    _require_live(record, replies[0], if_live)
    near = _similarities(_nearest(client, record, vector, pool, narrowed=narrowed))
    sentences = _rows(replies[4], scores=True)
    for row in sentences:
        if row.key not in near:
            near[row.key] = float(record.hnsw.from_bytes([row.fields[VECTOR.encode()]], record.dim)[0] @ vector)
    named_rows = [row for reply in replies[1:4] for row in _rows(reply)]
    unknown = read_spelling(replies[5]) if spelling else {}
    if len(unknown) > _MOST_SLIPS:
        unknown = {}
    slips = {word: found for word, close in unknown.items() if (found := corrections(word, close))}

    # Most of what will be shown is known by now: its fields come along.
    ahead = list(dict.fromkeys([*list(near)[: 2 * k + _SPARE], *(row.key for row in named_rows)]))
    replies = ask(
        client,
        description_command(build, bm25_words(text), list(near)) if tuning.lexical_weight else None,
        names_score_command(build, names, list(near)) if tuning.lexical_weight else None,
        names_command(build, names, slips, most, narrowed) if slips else None,
        *(_page_command(key, key in near) for key in ahead),
    )
    pages = dict(zip(ahead, replies[3:], strict=True))
    bm25 = {row.key: row.score for row in _rows(replies[0], scores=True, contents=False)}
    for row in _rows(replies[1], scores=True):
        weight = name_weight(names, *(_text(row.fields.get(field)) for field in (b"title", b"author")))
        bm25[row.key] = bm25.get(row.key, 0.0) + weight * row.score
    for row in sentences:  # wherever the words stand: the work has them all
        bm25[row.key] = max(bm25.get(row.key, 0.0), row.score)
    fused = {
        key: score + tuning.lexical_weight * lift(bm25.get(key, 0.0), record.documents) for key, score in near.items()
    }
    named = spelt_out(asked, slips, _once([*named_rows, *_rows(replies[2])]), k) if tuning.find_names else []
    return _shown(client, record, _ordered(named, fused), near, vector, k, pages=pages)


def find_like(client: redis.Redis, record: BuildRecord, key: bytes, k: int, *, filters: Filters) -> list[Found] | None:
    """The k works nearest to the document of that key, without itself and its copies; None if there is no such one."""
    blob, *told = cast("list[bytes | None]", client.hmget(key, [VECTOR, "title", "author"]))
    if blob is None:
        return None
    vector = record.hnsw.from_bytes([blob], record.dim)[0]
    narrowed = filters.to_query()
    knn = knn_command(record.build, blob, k + 1 + _SPARE, narrowed=narrowed, ef_runtime=record.ef_runtime)
    near = _similarities(read_rows(ask(client, knn)[0]))
    near.pop(key, None)
    copies = Copies()
    copies.add(*map(_text, told))
    return _shown(client, record, _ordered([], near), near, vector, k, copies=copies)


def _require_live(record: BuildRecord, pointer: Any, if_live: bool) -> None:
    if if_live and read_pointer_reply(pointer).live != record.build:
        raise BuildVanishedError(record.build)


def _nearest(
    client: redis.Redis, record: BuildRecord, vector: npt.NDArray[np.float32], pool: int, *, narrowed: str = ""
) -> list[Row]:
    """The nearest works, best first, with their distance."""
    (blob,) = record.hnsw.to_bytes(vector[None])
    knn = knn_command(record.build, blob, pool, narrowed=narrowed, ef_runtime=record.ef_runtime)
    return read_rows(ask(client, knn)[0])


def _rows(reply: Any, *, scores: bool = False, contents: bool = True) -> list[Row]:
    return [] if reply is None else read_rows(reply, scores=scores, contents=contents)


def _once(rows: Iterable[Row]) -> list[Row]:
    return list({row.key: row for row in rows}.values())


def _similarities(rows: Iterable[Row]) -> dict[bytes, float]:
    return {row.key: 1.0 - float(row.fields[b"distance"]) for row in rows}


def _ordered(named: Sequence[Named], fused: Mapping[bytes, float]) -> list[_Place]:
    """The results in their order, before ties are broken and copies folded."""
    taken = {hit.key for hit in named}
    rest = sorted((key for key in fused if key not in taken), key=lambda key: -fused[key])
    return [_Place(hit.key, hit.how, math.inf) for hit in named] + [_Place(key, None, fused[key]) for key in rest]


def _shown(
    client: redis.Redis,
    record: BuildRecord,
    order: Sequence[_Place],
    near: Mapping[bytes, float],
    vector: npt.NDArray[np.float32],
    k: int,
    *,
    copies: Copies | None = None,
    pages: dict[bytes, Any] | None = None,
) -> list[Found]:
    """The first k of the order with their fields, of which `pages` are known; copies of an earlier one, or of those
    given, are left out."""
    found: list[Found] = []
    copies, pages = copies or Copies(), pages or {}
    at = 0
    while len(found) < k and at < len(order):
        end = at + k - len(found)
        while end < len(order) and _tied(order[end - 1], order[end]):  # their reviews decide who is shown
            end += 1
        portion, at = order[at:end], end
        missing = [place.key for place in portion if place.key not in pages]
        fetched = ask(client, *(_page_command(key, key in near) for key in missing))
        pages |= zip(missing, fetched, strict=True)
        hits = _read_pages(record, portion, near, vector, pages)
        found += [hit for hit in hits if not copies.add(hit.fields["title"], hit.fields["author"])]
    return found[:k]


def _tied(one: _Place, other: _Place) -> bool:
    return round(one.rank_score, _TIE_DIGITS) == round(other.rank_score, _TIE_DIGITS)


def _page_command(key: bytes, found_by_vector: bool) -> Command:
    """The fields that the page shows, and the vector where the similarity is not known yet."""
    return ("HMGET", key, *PAGE_FIELDS, *([] if found_by_vector else [VECTOR]))


def _read_pages(
    record: BuildRecord,
    portion: Sequence[_Place],
    near: Mapping[bytes, float],
    vector: npt.NDArray[np.float32],
    pages: Mapping[bytes, Any],
) -> list[Found]:
    """The documents of these places, equal ones by their reviews; those found by name alone get their similarity."""
    hits: list[tuple[float, int, Found]] = []
    for place in portion:
        values = pages[place.key]
        if isinstance(values, Exception):
            raise values
        if values[0] is None:
            raise BuildVanishedError(record.build)
        score = near.get(place.key)
        if score is None:
            score = float(record.hnsw.from_bytes([values[-1]], record.dim)[0] @ vector)
        fields = {name: _text(value) for name, value in zip(PAGE_FIELDS, values, strict=False)}
        reviews = 0 if place.how else int(fields["review_count"] or 0)
        hits.append((round(place.rank_score, _TIE_DIGITS), reviews, Found(score, place.how, fields)))
    return [hit for *_, hit in sorted(hits, key=lambda hit: (-hit[0], -hit[1]))]


def _text(value: Any) -> str:
    return "" if value is None else value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def key_of_book(client: redis.Redis, record: BuildRecord, book_id: str) -> bytes | None:
    """The key of the document that a book stands for, or that has this work_id; None if there is none."""
    if record.search_fields and book_id.isalnum():
        command = key_command(record.build, "book_id", book_id, 1, "")
        if rows := read_rows(client.execute_command(*command)):
            return rows[0].key
    key = f"{document_prefix(record.build)}{book_id}".encode(errors="replace")
    return key if client.exists(key) else None
