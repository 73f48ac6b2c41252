"""What a query asks Redis for, by name, and what came back.

The first round trip goes out while the query is encoded: works of that title, of an author of that name, works that
hold all the words, words that no work has. The second scores the candidates by BM25, and looks up works whose names
hold the corrections of unknown words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from viberary_pipeline.redis_contract import (
    AUTHOR_KEYS,
    DESCRIPTION,
    NAMES,
    TITLE_KEYS,
    VECTOR,
    Pointer,
    index_name,
    pointer_command,
    read_pointer_reply,
)
from viberary_pipeline.search.query import LEAST_WORDS_OF_A_SENTENCE, MOST_WORDS_OF_A_NAME, ParsedQuery
from viberary_pipeline.search.replies import Command, Row, read_rows, read_spelling, search_command
from viberary_pipeline.search.spelling import corrections
from viberary_pipeline.search.weights import SearchSettings

_MOST_SENTENCES = 5  # works that hold all the words of the query and join the candidates


@dataclass(frozen=True)
class FirstLookups:
    """The commands of the first round trip; None: not sent."""

    pointer: Command
    by_title: Command | None = None
    by_author: Command | None = None
    by_names: Command | None = None
    by_all_terms: Command | None = None
    spelling: Command | None = None

    @classmethod
    def of(cls, query: ParsedQuery, build: str, tuning: SearchSettings, *, most: int, where: str) -> Self:
        """The look-ups of a query: at most `most` works each, of those that the filter `where` lets through."""
        names = tuning.find_names and bool(query.key)
        return cls(
            pointer=pointer_command(),
            by_title=key_command(build, TITLE_KEYS, query.key, most, where) if names else None,
            by_author=key_command(build, AUTHOR_KEYS, query.key, most, where) if names else None,
            # A single word is a title or an author, which the keys find.
            by_names=names_command(build, query, {}, most, where) if names and len(query.name_terms) > 1 else None,
            by_all_terms=all_terms_command(build, query, _MOST_SENTENCES, where) if tuning.lexical_weight else None,
            spelling=spelling_command(build, query) if tuning.find_names else None,
        )


@dataclass(frozen=True)
class FirstReplies:
    """What the first round trip found.

    Attributes:
        pointer: The published builds.
        named: Works by title, author or names, perhaps twice: title, author, review_count.
        sentences: Works that hold all terms, with that BM25: vector.
        corrections: {unknown word: words that it may be a typo of}.
    """

    pointer: Pointer
    named: list[Row]
    sentences: list[Row]
    corrections: Mapping[str, Sequence[str]]

    @classmethod
    def read(
        cls, *, pointer: Any, by_title: Any, by_author: Any, by_names: Any, by_all_terms: Any, spelling: Any
    ) -> Self:
        """From the replies to `FirstLookups`. Raises what a command failed with."""
        return cls(
            read_pointer_reply(pointer),
            [row for reply in (by_title, by_author, by_names) for row in read_rows(reply)],
            read_rows(by_all_terms, scores=True),
            corrections(read_spelling(spelling)),
        )


@dataclass(frozen=True)
class SecondLookups:
    """The commands of the second round trip."""

    descriptions: Command | None = None
    names: Command | None = None
    by_corrections: Command | None = None

    @classmethod
    def of(
        cls,
        query: ParsedQuery,
        build: str,
        tuning: SearchSettings,
        *,
        candidates: Sequence[bytes],
        corrections: Mapping[str, Sequence[str]],
        most: int,
        where: str,
    ) -> Self:
        """BM25 of the candidates, and at most `most` works by the corrections."""
        bm25 = bool(tuning.lexical_weight and candidates)
        return cls(
            descriptions=bm25_command(build, DESCRIPTION, query.terms, candidates) if bm25 else None,
            names=bm25_command(build, NAMES, query.name_terms, candidates, "title", "author") if bm25 else None,
            by_corrections=names_command(build, query, corrections, most, where) if corrections else None,
        )


@dataclass(frozen=True)
class SecondReplies:
    """What the second round trip found.

    Attributes:
        descriptions: BM25 of the candidates whose description holds any term.
        names: BM25 of the candidates whose names hold any: title, author.
        corrected: Works by the corrections: title, author, review_count.
    """

    descriptions: list[Row]
    names: list[Row]
    corrected: list[Row]

    @classmethod
    def read(cls, *, descriptions: Any, names: Any, by_corrections: Any) -> Self:
        """From the replies to `SecondLookups`. Raises what a command failed with."""
        scored = read_rows(descriptions, scores=True, contents=False)
        return cls(scored, read_rows(names, scores=True), read_rows(by_corrections))


def key_command(build: str, field: str, key: str, most: int, where: str) -> Command:
    """Works with that key in a TAG field, most reviewed first."""
    return search_command(build, f"{where} @{field}:{{{key}}}", *_most_reviewed(most))


def names_command(
    build: str, query: ParsedQuery, corrections: Mapping[str, Sequence[str]], most: int, where: str
) -> Command | None:
    """Works whose title and authors together hold all name terms, or corrections of them; most reviewed first.

    None for what is no name: no terms, or too many.
    """
    if not 0 < len(query.name_terms) <= MOST_WORDS_OF_A_NAME:
        return None
    terms = " ".join(
        f"({'|'.join((term, *corrections[term]))})" if term in corrections else term for term in query.name_terms
    )
    return search_command(build, f"{where} @{NAMES}:({terms})", *_most_reviewed(most))


def all_terms_command(build: str, query: ParsedQuery, most: int, where: str) -> Command | None:
    """Works that hold all description terms, best BM25 first, with their vectors: a sentence that a reader remembers.

    None for fewer than three terms: too many works hold those, and the vectors find the best of them.
    """
    if len(query.description_terms) < LEAST_WORDS_OF_A_SENTENCE:
        return None
    words = " ".join(query.description_terms)
    return search_command(build, f"{where} {words}", "RETURN", 1, VECTOR, *_by_bm25(most))


def spelling_command(build: str, query: ParsedQuery) -> Command | None:
    """Which of the words no document has, and which words are near them; None where no word is worth it."""
    words = " ".join(query.spelling_terms)
    return ("FT.SPELLCHECK", index_name(build), words, "DISTANCE", 2) if words else None


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


def _by_bm25(most: int) -> tuple[str | int, ...]:
    return ("WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, most)


def _most_reviewed(most: int) -> tuple[str | int, ...]:
    return ("RETURN", 3, "title", "author", "review_count", "SORTBY", "review_count", "DESC", "LIMIT", 0, most)
