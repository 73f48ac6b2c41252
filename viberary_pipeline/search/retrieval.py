"""One query against one build.

0. Phrases ("books like Dune", "not romance") become a plain query (`reading`); a query of plain words costs no trip.
1. While the query is encoded, the first look-ups (`lookups`).
2. The nearest works by vector: with those that hold all the words, the candidates.
3. The second look-ups, and the fields of the works that will most likely be shown.
4. What is missing of these fields, and the vectors of works that were found by name alone: in one query of four.

A query that can only be the number of a book ends after the first step. The order is that of `ranking.rank`; what is
shown first of it, that of `arrangement`. How many results are asked for decides where the list ends and nothing else:
every look-up asks for a fixed number of works. What lies beyond the candidates follows by its similarity, and is looked
up when it is needed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.errors import SearchError
from viberary_pipeline.name_keys import Copies, author_keys, key_of, words_of
from viberary_pipeline.redis_contract import PAGE_FIELDS, VECTOR, BuildRecord, as_text, document_prefix, field_text
from viberary_pipeline.search.arrangement import (
    Result,
    authors_later,
    companions_later,
    later,
    without_copies,
    writers_of,
)
from viberary_pipeline.search.books import book_commands, read_book
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.fit import NEAREST
from viberary_pipeline.search.knn import nearest_works
from viberary_pipeline.search.lookups import (
    FirstLookups,
    FirstReplies,
    SecondLookups,
    SecondReplies,
    candidate_of,
)
from viberary_pipeline.search.phrases import about_the_book
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import Candidate, Ranked, break_ties, next_batch, rank
from viberary_pipeline.search.reading import Reading, is_ordinary, understand, vectors_of
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.replies import BuildVanishedError, Command
from viberary_pipeline.search.round_trips import ask, ask_while
from viberary_pipeline.search.spelling import Speller, Spelling, corrected_text
from viberary_pipeline.search.weights import SearchSettings

__all__ = ["Answer", "BuildVanishedError", "Result", "find", "find_like", "key_of_book"]

Vector = npt.NDArray[np.float32]

MOST_RESULTS = 100
_SPARE = 5  # works beyond those that can be shown, to replace copies
_MOST_NAMED = MOST_RESULTS + _SPARE  # works by title, by author, by names
_LIKELY = 25  # of the nearest: their fields come along
_MOST_MEANT = 25  # of the works of a surname, or of half a title with a typo: they join the candidates
_SHOWN_FIRST = 3  # results that tell whether a typo was corrected
ORDER_FIELDS = ("work_id", "title", "author", "review_count")
"""The fields of a document that the order of results is made of."""
_BEYOND = 200  # nearest works beyond the candidates that may follow them


@dataclass(frozen=True)
class Answer:
    """The results of a query, best first, and what of it was understood beside plain words.

    `corrected` is the query with typos corrected, where the first results or the name it starts from are meant by them.
    `vector` is the query's, float32 (dim,), and `nearest` the cosines of the works nearest to it, best first: None and
    none of a query that is a number.
    """

    results: list[Result]
    notes: tuple[str, ...] = ()
    corrected: str = ""
    vector: Vector | None = None
    nearest: tuple[float, ...] = ()


def find(
    client: redis.Redis,
    record: BuildRecord,
    text: str,
    encode: Callable[[str], Vector],
    k: int,
    *,
    filters: Filters,
    tuning: SearchSettings,
    if_live: bool = True,
    spell: Speller = lambda words: Spelling(),
    held: Callable[[str], int] = lambda word: 0,
    fields: Sequence[str] = PAGE_FIELDS,
) -> Answer:
    """The k works that answer a query best, best first; fewer only if there are fewer.

    The first of them are the same for every k. A query that can only be the number of a book has its works alone for an
    answer, and none where there is none.

    Args:
        client: The server.
        record: The build to ask.
        text: The query.
        encode: Gives the vector of a text, float32 (dim,), norm 1.
        k: How many, at most `MOST_RESULTS`.
        filters: Which works may be found.
        tuning: How they are weighed.
        if_live: Answer only if the build is the published one, which is asked in the first round trip.
        spell: What words of the query may be typos of, in this build.
        held: How many texts of this build hold a word: of a long query the rarest are scored by BM25.
        fields: Those that the results have; `ORDER_FIELDS` among them.

    Raises:
        redis.ResponseError: no such index, or a command ran out of time.
        SearchError: the server returned a partial result, or none that can be read.
        BuildVanishedError: the build is being removed, or is not the published one.
    """
    build = record.build
    _require_filters(record, filters)
    if not record.search_fields:  # a build of an older version: vectors alone
        tuning = replace(tuning, lexical_weight=0.0, find_names=False, read_phrases=False)

    reading = Reading(text, text, filters.to_query())
    if tuning.read_phrases:
        reading = understand(client, record, text, where=reading.where, spell=spell)
    if reading.start:
        tuning = replace(tuning, find_names=False)  # what is left of the words is a wish
    where, query = reading.where, ParsedQuery.parse(reading.text, held)

    spelling = spell(query.spelling_terms)
    readings = Readings.of(query, spelling)
    if record.search_fields < 2:  # a build of an older version has no numbers
        readings = replace(readings, identifier=None)
    lookups = FirstLookups.of(query, readings, record, tuning, most=_MOST_NAMED, where=where)
    replies, vector = ask_while(client, vars(lookups), lambda: _vector(client, record, reading, encode, tuning))
    first = FirstReplies.read(**replies)
    if if_live and first.pointer.live != build:
        raise BuildVanishedError(build)
    if first.by_names:
        readings = readings.with_likely_beside()
    how: dict[str, Any] = {"documents": record.documents, "most_named": MOST_RESULTS, "readings": readings}
    if lookups.by_number and readings.identifier and readings.identifier.certain:
        ranked = rank(query, _candidates({}, first, SecondReplies([], [])), tuning, **how)
        found = _with_fields(client, record, ranked, vector, fields, size=k)
        notes = () if ranked else (f"no book{' that the filter lets through' * bool(filters)} has this number",)
        return _answer(without_copies(found, Copies()), k, notes=notes, filters=Filters())
    cosines = _nearest(client, record, vector, tuning.candidates, where=where)
    nearest = list(cosines)
    for row in first.sentences:
        if row.key not in cosines:
            cosines[row.key] = _cosine(record, row.fields.get(VECTOR.encode()), vector)

    # The works of a surname, or of half a title with a typo, need not be among the nearest: they join the candidates.
    named = list(dict.fromkeys(row.key for row in (*first.numbered, *first.named)))
    meant = [key for key in named if key not in cosines][:_MOST_MEANT] if readings.names_somebody else []
    more = SecondLookups.of(query, readings, build, tuning, candidates=[*cosines, *meant])
    # Most of what will be shown is known by now: its fields come along.
    likely = [*nearest[:_LIKELY], *(work.key for work in reading.first), *named][: _LIKELY + k]
    pages = {key: _page_command(key, fields, key in cosines) for key in (*likely, *meant)}
    both = ask(client, {**vars(more), **pages})
    second = SecondReplies.read(**{name: both.pop(name) for name in vars(more)})
    for key in meant:
        cosines[key] = _cosine(record, _read_page(both[key], fields, record).get(VECTOR), vector)
    ranked = rank(query, _candidates(cosines, first, second), tuning, **how)
    asked_for = {work.key for work in reading.first}
    ranked = [work._replace(cosine=cosines.get(work.key)) for work in reading.first] + [
        work for work in ranked if work.key not in asked_for
    ]

    def beyond() -> Iterator[Ranked]:
        if len(nearest) == tuning.candidates:  # else there are no more
            known = {work.key for work in ranked}
            others = _nearest(client, record, vector, tuning.candidates + _BEYOND, where=where)
            yield from (Ranked(key, cosine, cosine=cosine) for key, cosine in others.items() if key not in known)

    found = chain(
        _with_fields(client, record, ranked, vector, fields, size=k, fetched=both),
        _with_fields(client, record, beyond(), vector, fields, size=k),
    )
    titles = [row.text("title") for row in (*first.numbered, *first.named, *second.names)]
    titles += [_read_page(both[key], fields, record)["title"].decode(errors="replace") for key in nearest[:_LIKELY]]
    answer = _answer(
        _arranged(client, record, found, query, reading, readings, titles, tuning),
        k,
        notes=reading.notes,
        filters=filters,
    )
    if reading.text != text:
        spelling = spell(ParsedQuery.parse(text).spelling_terms)
    works = [(c.title, c.author, True) for c in reading.hidden[:1]]
    works += [(work.fields["title"], work.fields["author"], bool(work.named)) for work in answer.results[:_SHOWN_FIRST]]
    told = tuple(cosines[key] for key in nearest[:NEAREST])
    return replace(answer, corrected=corrected_text(text, spelling, works), vector=vector, nearest=told)


def _require_filters(record: BuildRecord, filters: Filters) -> None:
    """Raise `SearchError` where a build of an older version cannot narrow a search so."""
    if filters and record.search_fields < (3 if filters.genre else 1):
        raise SearchError(
            "The live build cannot filter a search" + " by genre" * bool(record.search_fields),
            expected="a build that this version made",
            found=f"build {record.build}, made by an older version",
            todo="run `viberary build --force`, or search without filters",
        )


def find_like(
    client: redis.Redis,
    record: BuildRecord,
    key: bytes,
    k: int,
    *,
    filters: Filters,
    fields: Sequence[str] = PAGE_FIELDS,
) -> Answer | None:
    """The k works nearest to the document of that key, without itself and its copies; None if there is no such one.

    The first of them are the same for every k. `fields` are as for `find`.
    """
    _require_filters(record, filters)
    names = (VECTOR, "title", "author")
    stored: dict[str, Any] = dict(zip(names, client.hmget(key, names), strict=True))
    if stored[VECTOR] is None:
        return None
    vector, where = record.hnsw.from_bytes([stored[VECTOR]], record.dim)[0], filters.to_query()
    copies, known = Copies(), {key}
    copies.add(as_text(stored["title"]), as_text(stored["author"]))

    def nearest(most: int) -> Iterator[Ranked]:
        for other, cosine in _nearest(client, record, vector, most, where=where).items():
            if other not in known:
                known.add(other)
                yield Ranked(other, cosine, cosine=cosine)

    found = chain.from_iterable(
        _with_fields(client, record, nearest(most), vector, fields, size=k)
        for most in (_LIKELY, MOST_RESULTS + _BEYOND)
    )
    return _answer(without_copies(found, copies), k, filters=filters)


def key_of_book(client: redis.Redis, record: BuildRecord, book_id: str) -> bytes | None:
    """The key of the document that an id means (`book_commands`); None if there is none."""
    found = ask(client, book_commands(record, book_id, ("book_id",)))
    row = read_book(**found, record=record, book_id=book_id, names=("book_id",))
    return row.key if row else None


def _nearest(client: redis.Redis, record: BuildRecord, vector: Vector, k: int, *, where: str) -> dict[bytes, float]:
    """{document: its cosine similarity} of the k nearest works, best first."""
    (blob,) = record.hnsw.to_bytes(vector[None])
    return nearest_works(client, record, blob, k, where=where)


def _cosine(record: BuildRecord, blob: bytes | None, vector: Vector) -> float:
    if blob is None:
        raise BuildVanishedError(record.build)
    return float(record.hnsw.from_bytes([blob], record.dim)[0] @ vector)


def _candidates(cosines: Mapping[bytes, float], first: FirstReplies, second: SecondReplies) -> list[Candidate]:
    """The works that were found, by vector first, with what the look-ups say of them."""
    numbered = {row.key for row in first.numbered}
    looked_up = {row.key: candidate_of(row) for row in (*first.numbered, *first.named)}
    names = {row.key: row for row in second.names}
    descriptions, sentences = ({row.key: row.score for row in rows} for rows in (second.descriptions, first.sentences))
    candidates = []
    for key in dict.fromkeys([*cosines, *looked_up]):
        names_bm25 = names[key].score if key in names else 0.0
        cosine, description_bm25, all_terms_bm25 = cosines.get(key), descriptions.get(key, 0.0), sentences.get(key, 0.0)
        if c := looked_up.get(key):
            c = c._replace(
                cosine=cosine,
                description_bm25=description_bm25,
                names_bm25=names_bm25,
                all_terms_bm25=all_terms_bm25,
                numbered=key in numbered,
            )
        else:
            c = Candidate(key, cosine, description_bm25, names_bm25, all_terms_bm25)
            if row := names.get(key):
                c = c._replace(title=row.text("title"), author=row.text("author"))
        candidates.append(c)
    return candidates


def _vector(
    client: redis.Redis,
    record: BuildRecord,
    reading: Reading,
    encode: Callable[[str], Vector],
    tuning: SearchSettings,
) -> Vector:
    """What the nearest works are nearest to: the words, or the works that the query starts from, or both alike."""
    words = about_the_book(reading.embedded) if tuning.about_the_book else reading.embedded
    if not reading.start:
        return encode(words)
    start = vectors_of(client, record, reading.start).sum(axis=0)
    if not start.any():
        raise BuildVanishedError(record.build)
    return _unit(_unit(start) + encode(words)) if words else _unit(start)


def _unit(vector: Vector) -> Vector:
    return vector / np.float32(np.linalg.norm(vector))


def _arranged(
    client: redis.Redis,
    record: BuildRecord,
    found: Iterator[Result],
    query: ParsedQuery,
    reading: Reading,
    readings: Readings,
    titles: Sequence[str],
    tuning: SearchSettings,
) -> Iterator[Result]:
    """The works in the order in which they are shown. `titles`: of works in sight."""
    copies, hidden = Copies(), {work.key for work in reading.hidden}
    for work in reading.hidden:
        copies.add(work.title, work.author)
    prefix = document_prefix(record.build)
    words = [*query.words, *readings.likely.values()]

    def is_hidden(work: Result) -> bool:
        return f"{prefix}{work.fields['work_id']}".encode() in hidden or not reading.hidden_authors.isdisjoint(
            map(key_of, writers_of(work.fields["author"]))
        )

    @cache
    def is_asked_for(author: str) -> bool:
        name = words_of(author)
        long = [word for word in name if len(word) > 1]
        if key_of(author) in reading.authors:
            return True
        if len(name) > 1 and (
            set(words).issuperset(long or name) or not readings.authors.keys().isdisjoint(author_keys(author))
        ):
            return True
        return any(
            by == "by" or not is_ordinary(client, record.build, word)
            for by, word in pairwise(("", *words))
            if word in (long or name)
        )

    is_companion = companions_later(titles, reading.kind)
    is_one_more = authors_later(tuning.per_author, is_asked_for) if tuning.per_author else lambda _: False
    if reading.start:
        found = (work for work in found if not is_hidden(work))
    shown = without_copies(found, copies)
    return later(shown, lambda work: is_companion(work) or is_one_more(work))


def _answer(shown: Iterator[Result], k: int, *, notes: tuple[str, ...] = (), filters: Filters) -> Answer:
    results = list(islice(shown, k))
    if not results and filters:
        notes += (f"no book is left by the filter: {filters}",)
    return Answer(results, notes)


def _with_fields(
    client: redis.Redis,
    record: BuildRecord,
    ranked: Iterable[Ranked],
    vector: Vector,
    fields: Sequence[str],
    *,
    size: int,
    fetched: dict[Any, Any] | None = None,
) -> Iterator[Result]:
    """The works with their fields, ties broken.

    Args:
        client, record: The build.
        ranked: The order.
        vector: The query's, float32 (dim,).
        fields: Those that they have.
        size: How many are fetched at once.
        fetched: {document: reply to its `_page_command`} as far as known.
    """
    works, fetched, start = list(ranked), fetched or {}, 0
    while start < len(works):
        batch = next_batch(works, start, size)
        start += len(batch)
        if any(work.key not in fetched for work in batch):  # those that may take the place of copies come along
            ahead = [w for w in (*batch, *works[start : start + _SPARE]) if w.key not in fetched]
            fetched |= ask(client, {w.key: _page_command(w.key, fields, w.cosine is not None) for w in ahead})
        pages = {work.key: _read_page(fetched[work.key], fields, record) for work in batch}
        for work in break_ties(batch, {key: int(page["review_count"] or 0) for key, page in pages.items()}):
            page = pages[work.key]
            cosine = _cosine(record, page.get(VECTOR), vector) if work.cosine is None else work.cosine
            yield Result(cosine, work.named, {name: field_text(name, page[name]) for name in fields})


def _page_command(key: bytes, fields: Sequence[str], cosine_known: bool) -> Command:
    """These fields, and the vector where it is needed for the similarity."""
    return ("HMGET", key, *fields, *(() if cosine_known else (VECTOR,)))


def _read_page(reply: Any, fields: Sequence[str], record: BuildRecord) -> dict[str, Any]:
    if isinstance(reply, Exception):
        raise reply
    page = dict(zip((*fields, VECTOR), reply, strict=False))
    if page["work_id"] is None:
        raise BuildVanishedError(record.build)
    return page
