"""What a query with phrases means in one build: the names in it are looked up, and the rest becomes a plain query.

A query of plain words, which most are, costs nothing here. One with phrases costs a round trip more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.name_keys import author_keys, authors_of, key_of, words_of
from viberary_pipeline.redis_contract import AUTHOR_KEYS, DESCRIPTION, GENRES, NAMES, VECTOR, BuildRecord
from viberary_pipeline.search.companions import AskedFor, Kind, asked_for, companion_of
from viberary_pipeline.search.lookups import candidate_of, key_command, names_command, title_command
from viberary_pipeline.search.phrases import Name, Phrases, joined, remainder
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import Candidate, Ranked, author_as_typed, title_place
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.replies import Command, Row, read_rows, search_command
from viberary_pipeline.search.round_trips import ask
from viberary_pipeline.search.spelling import Speller

_MOST_WORKS = 105  # of a name: as many as can be shown, and some that turn out to be copies
_STARTING_WORKS = 10  # of an author whose like is asked for
_MOST_SHOWN = 3  # names of authors in a note
_LONGEST_SHOWN = 60  # characters of what is left out, in a note
_SMALL_WORDS = frozenset(("a", "an", "the", "of", "by"))
_ANY_BOOK = "a good book"
"""What is embedded where a query says only what is not wanted."""


@dataclass(frozen=True)
class Reading:
    """A query as a search understands it.

    Attributes:
        text: Its plain words, which are looked up and scored by BM25.
        embedded: What is encoded; "" for nothing beside `start`.
        where: The filter that results pass, in RediSearch's language: without what is not wanted.
        first: Works that come first because the query asks for them, best first.
        start: Documents whose vectors the search starts from.
        hidden: Works that are no results: the query names them to start from.
        hidden_authors: Keys of authors whose works are no results.
        authors: Keys of authors that the query asks for by name.
        kind: The companions that it asks for.
        notes: What was understood, in plain words.
    """

    text: str
    embedded: str
    where: str
    first: tuple[Ranked, ...] = ()
    start: tuple[bytes, ...] = ()
    hidden: tuple[Candidate, ...] = ()
    hidden_authors: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    kind: Kind = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Named:
    """What a name stands for.

    Attributes:
        query: The name, parsed.
        readings: The ways to read it.
        found: All works that were looked up by it, most reviewed first.
        titles: Those of that title, in their order (`title_place`): as typed, or else with typos corrected.
        authors: Those of an author of that name.
    """

    query: ParsedQuery
    readings: Readings
    found: tuple[Candidate, ...] = ()
    titles: tuple[Candidate, ...] = ()
    authors: tuple[Candidate, ...] = ()

    @classmethod
    def of(cls, query: ParsedQuery, readings: Readings, rows: Sequence[Row]) -> Self:
        """From the replies to its look-ups."""
        found = {row.key: candidate_of(row) for row in rows}
        every = tuple(sorted(found.values(), key=lambda c: -c.review_count))
        placed = sorted((place, c) for c in every if (place := title_place(readings, c)))
        titles = tuple(c for place, c in placed if place.corrected == placed[0][0].corrected)
        authors = tuple(c for c in every if author_as_typed(readings, c) is not None)
        return cls(query, readings, every, titles, authors)

    def of_series(self) -> tuple[Candidate, ...]:
        """The works whose titles begin with this name of two words or more."""
        words = list(self.query.words)
        starts = [(c, words_of(c.title)) for c in self.found if len(words) > 1]
        return tuple(c for c, title in starts if words in (title[: len(words)], title[1 : len(words) + 1]))

    def of_surname(self) -> tuple[Candidate, ...]:
        """The works of authors whose names end with this one."""
        return tuple(c for c in self.found if self.author_of(c))

    def author_of(self, work: Candidate) -> str:
        """The author of a work whose name is this one or ends with it; "" for none."""
        words, near = self.query.words, self.readings.near
        for name in authors_of(work.author):
            ending = words_of(name)[-len(words) :] if words else []
            spelt = len(ending) == len(words) > 0 and all(
                word == other or other in near.get(word, ()) for word, other in zip(words, ending, strict=True)
            )
            if spelt or not self.readings.authors.keys().isdisjoint(author_keys(name)):
                return name
        return ""


def understand(client: redis.Redis, record: BuildRecord, text: str, *, where: str, spell: Speller) -> Reading:
    """What a query asks of a build.

    Args:
        client: The server.
        record: The build, whose index holds words.
        text: The query.
        where: The filter that its results pass, in RediSearch's language.
        spell: What words of a name may be typos of, in this build.

    Raises:
        redis.ResponseError: no such index, or a command ran out of time.
        SearchError: a reply cannot be read.
    """
    phrases, companion = Phrases.read(text), asked_for(text)
    plain = Reading(text, text, where, kind=companion.kind if companion else "")
    if not phrases and not (companion and companion.words):
        return plain
    reading = _without(record, plain, phrases)
    # What a query starts from may be outside the filter: "books like Dune" among those in French.
    asked = {name.text: "" for name in phrases.like} | {text: ""}
    of_companion = " ".join(companion.words) if companion else ""
    asked |= {name: reading.where for name in (phrases.author, of_companion) if name}
    found = _look_up(client, record, asked, spell)
    if found[text].titles or (phrases.excluded and _is_part_of_a_title(found[text])):
        return plain
    if phrases.author:
        return _by_author(reading, phrases, found[phrases.author])
    if phrases.like:
        return _like(client, record, reading, phrases, found)
    if companion and of_companion:
        return _companions_first(reading, companion, found[of_companion])
    return reading


def is_ordinary(client: redis.Redis, build: str, word: str) -> bool:
    """Whether a word of an author's name is a word of the language too: descriptions have it in lower case.

    Args:
        client, build: The build.
        word: As the index folds names.
    """
    command = search_command(build, f"@{DESCRIPTION}:({word})", "RETURN", 1, DESCRIPTION, "LIMIT", 0, 20)
    for row in read_rows(client.execute_command(*command)):
        for token in row.text(DESCRIPTION).split():
            if any(w.startswith(word) for w in words_of(token)) and token.lstrip("\"'“‘(—-")[:1].islower():
                return True
    return False


def _look_up(client: redis.Redis, record: BuildRecord, asked: Mapping[str, str], spell: Speller) -> dict[str, _Named]:
    """What each of these names stands for, {name: the filter that its works pass} given; typos are forgiven."""
    queries = {name: ParsedQuery.parse(name) for name in asked}
    readings = {name: Readings.of(query, spell(query.spelling_terms)) for name, query in queries.items()}
    commands: dict[Any, Command | None] = {}
    for name, where in asked.items():
        by = readings[name]
        commands[name, "title"] = title_command(record, by, where)
        commands[name, "author"] = key_command(record.build, AUTHOR_KEYS, by.authors, _MOST_WORKS, where)
        commands[name, "names"] = names_command(record.build, queries[name], by, _MOST_WORKS, where)
    replies = ask(client, commands)
    return {
        name: _Named.of(
            *(query, readings[name]),
            [row for by in ("title", "author", "names") for row in read_rows(replies[name, by])],
        )
        for name, query in queries.items()
    }


def _is_part_of_a_title(name: _Named) -> bool:
    """Whether a title, with its author, holds every word of the text, "no" and "not" among them: half a title."""
    asked = set(name.query.words) - _SMALL_WORDS
    return any(asked <= set(words_of(f"{c.title} {c.author}")) for c in name.found)


def _without(record: BuildRecord, reading: Reading, phrases: Phrases) -> Reading:
    """Works that hold what is not wanted are left out; the words for it are not searched for."""
    parts = []
    for phrase in (phrase for one in phrases.excluded for phrase in one.phrases):
        query = ParsedQuery.parse(phrase)
        of_texts = (DESCRIPTION, GENRES) if record.search_fields > 1 else (DESCRIPTION,)
        for fields, terms in (((NAMES,), query.name_terms), (of_texts, query.description_terms)):
            if terms:
                parts.append(_not_holding(fields, terms))
    if not parts:
        return reading
    return replace(
        reading,
        text=phrases.wish,
        embedded=phrases.wish if words_of(phrases.wish) else _ANY_BOOK,
        where=" ".join([reading.where, *parts]).strip(),
        notes=(f"left out: {', '.join(one.typed[:_LONGEST_SHOWN] for one in phrases.excluded)}",),
    )


def _not_holding(fields: Sequence[str], terms: Sequence[str]) -> str:
    """The filter of works that do not hold these words, each in any number, side by side in one of the fields.

    RediSearch looks for no other forms of a word that is negated.
    """
    words = " ".join(f"({'|'.join(_numbers_of(term))})" for term in terms)
    near = "=>{$slop: 1; $inorder: true;}" if len(terms) > 1 else ""
    return f"-(@{'|'.join(fields)}:({words}){near})"


def _numbers_of(word: str) -> list[str]:
    """A word in the singular and in the plural, by English rules; forms that are no words do no harm."""
    forms = {word, f"{word}s", f"{word}es"}
    for ending, others in (
        ("s", [""]),
        ("es", [""]),
        ("ies", ["y"]),
        ("ves", ["f", "fe"]),
        ("y", ["ies"]),
        ("f", ["ves"]),
    ):
        if word.endswith(ending) and not word.endswith("ss") and len(word) > len(ending) + 2:
            forms |= {word.removesuffix(ending) + other for other in others}
    return sorted(forms)


def _by_author(reading: Reading, phrases: Phrases, name: _Named) -> Reading:
    """The works of the author come first, most reviewed first; an author who is not there is plain words."""
    works = name.authors or (name.of_surname() if phrases.surname else ())
    if not works or not (phrases.surname or len(name.query.words) > 1):
        return reading
    authors = dict.fromkeys(name.author_of(work) or authors_of(work.author)[0] for work in works)
    return replace(
        reading,
        text=phrases.author,
        embedded=phrases.author,
        first=tuple(Ranked(work.key, math.inf, "author") for work in works),
        authors=frozenset(map(key_of, authors)),
        notes=(*reading.notes, f"books by {' or '.join(list(authors)[:_MOST_SHOWN])}"),
    )


def _like(
    client: redis.Redis, record: BuildRecord, reading: Reading, phrases: Phrases, found: Mapping[str, _Named]
) -> Reading:
    """The search starts from the works that are named; they are no results. A name that is not there is plain words."""
    wish, at = phrases.wish, phrases.like[0].start
    end, start = at, list[bytes]()
    hidden, authors, shown = list[Candidate](), list[str](), list[str]()
    while name := _first_that_stands(client, record, at, phrases.like, found):
        named, end = found[name.text], name.end
        if titles := named.titles or named.of_series():
            start.append(titles[0].key)
            hidden += titles
            shown.append(titles[0].title)
        else:
            works = named.authors or named.of_surname()
            start += [work.key for work in works[:_STARTING_WORKS]]
            authors.append(named.author_of(works[0]) or authors_of(works[0].author)[0])
            shown.append(authors[-1])
        if (gap := joined(wish[end:])) is None:
            break
        at = end + gap
    if not start:
        return reading
    rest = " ".join(part for part in (remainder(wish[: phrases.like_start]), remainder(wish[end:])) if part)
    return replace(
        reading,
        text=rest,
        embedded=rest,
        start=tuple(dict.fromkeys(start)),
        hidden=tuple(hidden),
        hidden_authors=frozenset(map(key_of, authors)),
        notes=(*reading.notes, f"like {' and '.join(shown)}" + (f", and: {rest}" if rest else "")),
    )


def _first_that_stands(
    client: redis.Redis, record: BuildRecord, at: int, names: Sequence[Name], found: Mapping[str, _Named]
) -> Name | None:
    """The longest name at this place of the text that the catalogue holds.

    A single word is a surname only where it is no word of the language.
    """
    for name in names:
        if name.start == at:
            held = found[name.text]
            if held.titles or held.authors or held.of_series():
                return name
            words = held.query.words
            if held.of_surname() and not (len(words) == 1 and is_ordinary(client, record.build, words[0])):
                return name
    return None


def _companions_first(reading: Reading, companion: AskedFor, name: _Named) -> Reading:
    """Guides or collections whose names hold the other words of the query come first."""
    works = [c for c in name.found if companion_of(c.title, c.author).kind == companion.kind]
    return replace(reading, first=tuple(Ranked(work.key, math.inf, "title") for work in works))


def vectors_of(client: redis.Redis, record: BuildRecord, keys: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """The stored vectors of documents, float32 (documents that are still there, dim)."""
    stored = ask(client, {key: ("HGET", key, VECTOR) for key in keys})
    return record.hnsw.from_bytes([blob for blob in stored.values() if isinstance(blob, bytes)], record.dim)
