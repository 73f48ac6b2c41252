"""The commands that a query sends to Redis, by name, and their replies.

The first round trip goes out while the query is encoded: works that the query may name, works that hold all the words.
The second scores the candidates by BM25.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from viberary_pipeline.name_keys import KEY_SEPARATOR
from viberary_pipeline.redis_contract import (
    AUTHOR_KEYS,
    DESCRIPTION,
    IDENTIFIERS,
    NAMES,
    TITLE_KEYS,
    VECTOR,
    VOLUME_KEYS,
    BuildRecord,
    Pointer,
    document_prefix,
    pointer_command,
    read_pointer_reply,
)
from viberary_pipeline.search.query import (
    LEAST_WORDS_OF_A_SENTENCE,
    MOST_TERMS,
    MOST_WORDS_OF_A_NAME,
    STOP_WORDS,
    ParsedQuery,
)
from viberary_pipeline.search.ranking import Candidate
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.replies import Command, Row, read_rows, search_command
from viberary_pipeline.search.weights import SearchSettings

_MOST_SENTENCES = 5  # works that hold all the words of the query and join the candidates
_MOST_OF_A_TITLE = 50  # works looked at that have a title or number which the query may name


@dataclass(frozen=True)
class FirstLookups:
    """The commands of the first round trip; None: not sent."""

    pointer: Command
    by_number: Command | None = None
    by_work_id: Command | None = None
    by_title: Command | None = None
    by_author: Command | None = None
    by_names: Command | None = None
    by_surname: Command | None = None
    by_all_terms: Command | None = None

    @classmethod
    def of(
        cls,
        query: ParsedQuery,
        readings: Readings,
        record: BuildRecord,
        tuning: SearchSettings,
        *,
        most: int,
        where: str,
    ) -> Self:
        """The look-ups of a query: at most `most` works each, of those that the filter `where` lets through."""
        build, number = record.build, readings.identifier
        if not tuning.find_names:
            readings, number = Readings.of(ParsedQuery.parse("")), None
        return cls(
            pointer=pointer_command(),
            by_number=number_command(record, number.text, number.key, where) if number else None,
            by_work_id=work_command(build, number.text, where) if number else None,
            by_title=title_command(record, readings, where),
            by_author=key_command(build, AUTHOR_KEYS, readings.authors, most, where),
            # A single word is a title or an author, which the keys find, unless it is a surname.
            by_names=names_command(build, query, readings, most, where)
            if readings.titles and (len(query.name_terms) > 1 or readings.names_somebody)
            else None,
            by_surname=surname_command(build, readings, most, where),
            by_all_terms=all_terms_command(build, query, _MOST_SENTENCES, where) if tuning.lexical_weight else None,
        )


@dataclass(frozen=True)
class FirstReplies:
    """What the first round trip found.

    Attributes:
        pointer: The published builds.
        numbered: Works with that number.
        named: Works by title, author or names, perhaps twice.
        sentences: Works that hold all terms, with that BM25: vector.
        by_names: Whether names of any hold all words, or what they may stand for.
    """

    pointer: Pointer
    numbered: list[Row]
    named: list[Row]
    sentences: list[Row]
    by_names: bool

    @classmethod
    def read(
        cls,
        *,
        pointer: Any,
        by_number: Any,
        by_work_id: Any,
        by_title: Any,
        by_author: Any,
        by_names: Any,
        by_surname: Any,
        by_all_terms: Any,
    ) -> Self:
        """From the replies to `FirstLookups`. Raises what a command failed with."""
        names = read_rows(by_names)
        return cls(
            read_pointer_reply(pointer),
            [row for reply in (by_number, by_work_id) for row in read_rows(reply)],
            [*read_rows(by_title), *read_rows(by_author), *names, *read_rows(by_surname)],
            read_rows(by_all_terms, scores=True),
            bool(names),
        )


@dataclass(frozen=True)
class SecondLookups:
    """The commands of the second round trip: BM25 of the candidates."""

    descriptions: Command | None = None
    names: Command | None = None

    @classmethod
    def of(
        cls, query: ParsedQuery, readings: Readings, build: str, tuning: SearchSettings, *, candidates: Sequence[bytes]
    ) -> Self:
        """BM25 for the terms of the query, and for what those that are typos stand for."""
        if not tuning.lexical_weight or not candidates:
            return cls()
        return cls(
            bm25_command(build, DESCRIPTION, _meant(query.terms, readings), candidates),
            bm25_command(build, NAMES, _meant(query.name_terms, readings), candidates, "title", "author"),
        )


@dataclass(frozen=True)
class SecondReplies:
    """What the second round trip found.

    Attributes:
        descriptions: BM25 of the candidates whose description holds any term.
        names: BM25 of the candidates whose names hold any: title, author.
    """

    descriptions: list[Row]
    names: list[Row]

    @classmethod
    def read(cls, *, descriptions: Any, names: Any) -> Self:
        """From the replies to `SecondLookups`. Raises what a command failed with."""
        return cls(read_rows(descriptions, scores=True, contents=False), read_rows(names, scores=True))


def candidate_of(row: Row) -> Candidate:
    """A work that a look-up by title, author, names or number returned."""
    return Candidate(
        row.key,
        looked_up=True,
        title=row.text("title"),
        author=row.text("author"),
        review_count=int(row.text("review_count") or 0),
        title_keys=_keys(row, TITLE_KEYS),
        author_keys=_keys(row, AUTHOR_KEYS),
        volume_keys=_keys(row, VOLUME_KEYS),
    )


def _keys(row: Row, field: str) -> list[str]:
    return row.text(field).split(KEY_SEPARATOR) if row.text(field) else []


def key_command(build: str, field: str, keys: Iterable[str], most: int, where: str) -> Command | None:
    """Works with one of the keys in a TAG field, most reviewed first; None for no keys."""
    clause = _any_of(field, keys)
    return search_command(build, f"{where} {clause}", *_most_reviewed(most)) if clause else None


def title_command(record: BuildRecord, readings: Readings, where: str) -> Command | None:
    """Works with a title that the query spells out, alone or with words of an author, or that are the volume it names.

    Most reviewed first; None where the query is too long to name any. A build of an older version knows no volumes.
    """
    clauses = [_any_of(TITLE_KEYS, readings.titles)]
    if record.search_fields > 1:
        clauses.append(_any_of(VOLUME_KEYS, readings.volumes))
    for title, author in readings.both:
        terms = " ".join(word for word in author if word not in STOP_WORDS)
        by = f"@{AUTHOR_KEYS}:{{{''.join(author)}}}"
        clauses.append(f"(@{TITLE_KEYS}:{{{title}}} ({f'@{NAMES}:({terms}) | {by}' if terms else by}))")
    clause = " | ".join(filter(None, clauses))
    return search_command(record.build, f"{where} ({clause})", *_most_reviewed(_MOST_OF_A_TITLE)) if clause else None


def number_command(record: BuildRecord, text: str, key: str, where: str) -> Command:
    """Works of which an edition has that number (`number_clause`)."""
    return search_command(
        record.build, f"{where} {number_clause(record, text, key)}", *_most_reviewed(_MOST_OF_A_TITLE)
    )


def number_clause(record: BuildRecord, text: str, key: str) -> str:
    """That an edition has that book_id (`text`: letters and digits), ISBN or ASIN (`identifier_key`).

    A build of an older version has the book_id of the representative editions alone.
    """
    others = f" | @{IDENTIFIERS}:{{{key}}}" if record.search_fields > 1 else ""
    return f"(@book_id:{{{text}}}{others})"


def work_command(build: str, work_id: str, where: str) -> Command:
    """The work of that id."""
    return search_command(build, where or "*", "INKEYS", 1, f"{document_prefix(build)}{work_id}", *_most_reviewed(1))


def names_command(build: str, query: ParsedQuery, readings: Readings, most: int, where: str) -> Command | None:
    """Works whose title and authors together hold all name terms, or what they may stand for; most reviewed first.

    None for what is no name: no terms, or too many.
    """
    if not 0 < len(query.name_terms) <= MOST_WORDS_OF_A_NAME:
        return None
    near = readings.near
    terms = " ".join(f"({'|'.join((term, *near[term]))})" if term in near else term for term in query.name_terms)
    return search_command(build, f"{where} @{NAMES}:({terms})", *_most_reviewed(most))


def surname_command(build: str, readings: Readings, most: int, where: str) -> Command | None:
    """Works whose names hold what the query has after "by", most reviewed first: "something funny by Pratchett"."""
    words = " ".join(sorted(readings.by))
    return search_command(build, f"{where} @{NAMES}:({words})", *_most_reviewed(most)) if words else None


def all_terms_command(build: str, query: ParsedQuery, most: int, where: str) -> Command | None:
    """Works that hold all description terms, best BM25 first, with their vectors: a sentence that a reader remembers.

    None for fewer than three terms: too many works hold those, and the vectors find the best of them.
    """
    if len(query.description_terms) < LEAST_WORDS_OF_A_SENTENCE:
        return None
    words = " ".join(query.description_terms)
    return search_command(build, f"{where} {words}", "RETURN", 1, VECTOR, *_by_bm25(most))


def bm25_command(build: str, field: str, terms: Sequence[str], keys: Sequence[bytes], *returned: str) -> Command | None:
    """BM25 of a field of these documents for any of the terms; None for no terms.

    Only candidates are scored, so that its cost does not grow with the catalogue; those that hold none of the terms
    are not in the reply. One command for each field: in a union of several, RediSearch loses the weight of a part with
    one term left.
    """
    contents: Command = ("RETURN", len(returned), *returned) if returned else ("NOCONTENT",)
    among: Command = ("INKEYS", len(keys), *keys)
    words = f"@{field}:({'|'.join(terms)})"
    return search_command(build, words, *among, *contents, *_by_bm25(len(keys))) if terms else None


def _any_of(field: str, keys: Iterable[str]) -> str:
    choice = "|".join(keys)
    return f"@{field}:{{{choice}}}" if choice else ""


def _meant(terms: Sequence[str], readings: Readings) -> tuple[str, ...]:
    kept = [term for term in terms if term not in readings.slips or term not in readings.likely]
    return tuple(dict.fromkeys([*kept, *readings.likely.values()]))[:MOST_TERMS] if readings.likely else tuple(terms)


def _by_bm25(most: int) -> tuple[str | int, ...]:
    return ("WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, most)


def _most_reviewed(most: int) -> tuple[str | int, ...]:
    returned = ("title", "author", "review_count", TITLE_KEYS, AUTHOR_KEYS, VOLUME_KEYS)
    return ("RETURN", len(returned), *returned, "SORTBY", "review_count", "DESC", "LIMIT", 0, most)
