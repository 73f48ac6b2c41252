"""What a query may name: the ways to read it as a title, an author, both, a volume of a series, a number of a book."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import NamedTuple, Self

from viberary_pipeline.identifiers import Identifier
from viberary_pipeline.name_keys import (
    LONGEST_KEY,
    SURNAME_PARTICLES,
    asked_volumes,
    author_keys,
    author_words,
    authors_of,
    initials_key,
    key_of,
    words_of,
)
from viberary_pipeline.search.query import MOST_WORDS_OF_A_NAME, ParsedQuery
from viberary_pipeline.search.spelling import Spelling

_MOST_READINGS = 24  # as typed, and with corrections
_WORDS_OF_A_TITLE = 3  # in which words of the language may be typos: shorter ones are other titles as often
_MOST_SPLIT = 6  # of these that are tried as title and author
_MOST_WORDS_OF_AN_AUTHOR = 5
_MOST_WORDS_AFTER_BY = 3
_MOST_INITIALS = 3  # typed as one word
_WORDS_OF_ONE_LETTER = ("a", "i", "o")
_BY = frozenset(["by", "von", "par", "por", "de", "di", "da", "av", "af", "van"])  # between title and author
_POSSESSIVE = re.compile(r"(\w+)['’]s\b")


class TitleAndAuthor(NamedTuple):
    """A query read as a title, by its key, and words of an author's name."""

    title: str
    author: tuple[str, ...]


@dataclass(frozen=True)
class Readings:
    """The ways to read a query, as typed first. By letters alone: blanks, hyphens and dots do not matter.

    Attributes:
        near: {word: what it may stand for}: corrections of typos, "asimov" for "asimovs".
        name_words: Words that are surely meant as names.
        surnames: Keys that are names and no words of the language: the whole query, where it may be a surname.
        likely: {word: what it stands for}, where that is good enough for BM25.
        likely_beside: The same, good enough where works were found whose names hold all words.
        slips: Words that BM25 leaves out: what they stand for is meant, and no text that holds them.
        titles: Keys of titles.
        authors: {key of a name: whether it is as typed}.
        both: As title and author in either order.
        by: Words of an author's name after "by": they mean the author and no mood.
        volumes: Keys of volumes.
        identifier: As a number of a book, or None.
    """

    near: Mapping[str, Sequence[str]]
    name_words: frozenset[str]
    surnames: frozenset[str]
    likely: Mapping[str, str]
    likely_beside: Mapping[str, str]
    slips: frozenset[str]
    titles: tuple[str, ...]
    authors: Mapping[str, bool]
    both: tuple[TitleAndAuthor, ...]
    by: frozenset[str]
    volumes: tuple[str, ...]
    identifier: Identifier | None

    @classmethod
    def of(cls, query: ParsedQuery, spelling: Spelling | None = None) -> Self:
        """The readings of a query; a long one names nothing."""
        spelling = spelling or Spelling()
        typed = [list(query.words)] if 0 < len(query.words) <= MOST_WORDS_OF_A_NAME else []
        if typed and "&" in query.text:
            typed.append(words_of(query.text.replace("&", " and ")))
        owners = {f"{owner}s": (owner,) for name in _POSSESSIVE.findall(query.text) if (owner := key_of(name))}
        near = {**spelling.near, **owners}
        spelt = _spelt(typed, near)
        titles = _spelt(typed, {**spelling.near_titles, **near}) if len(query.words) >= _WORDS_OF_A_TITLE else spelt
        names = _spelt(typed, {**spelling.near_authors, **near}) if len(query.words) > 1 else spelt
        return cls(
            near=near,
            likely={**spelling.likely, **{word: owner for word, (owner,) in owners.items()}},
            likely_beside=spelling.likely_beside,
            slips=spelling.slips,
            name_words=spelling.name_words,
            titles=_keys([*spelt, *titles]),
            authors=_authors(names, typed, query.text),
            surnames=frozenset(key for words in spelt if _is_a_name(words, spelling) for key in _keys([words])),
            both=tuple(dict.fromkeys(part for words in spelt[:_MOST_SPLIT] for part in _splits(words))),
            by=frozenset(_after_by([spelling.likely.get(w, w) for w in query.words])) & _names(spelling),
            volumes=tuple(asked_volumes(query.words)) if typed else (),
            identifier=Identifier.read(query.text),
        )

    def with_likely_beside(self) -> Self:
        """Where works were found whose names hold all words: what the typos among them stand for, for BM25."""
        return replace(self, likely={**self.likely, **self.likely_beside}, likely_beside={})

    @property
    def names_somebody(self) -> bool:
        """Whether a word is a name, or a typo of one: works with that name are meant, near in meaning or not."""
        return bool(self.likely or self.name_words)

    def name_author(self, words: Sequence[str], shown: str) -> bool:
        """Whether the words are an author's whole name or a part of it with the surname.

        Args:
            words: Folded.
            shown: The author field of a document.
        """
        if "".join(words) in author_keys(shown):
            return True
        for name in authors_of(shown):
            surname = (words_of(name) or [""])[-1]
            if surname and any(word.endswith(surname) for word in words) and set(words) <= set(author_words(name)):
                return True
        return False


def _spelt(typed: Iterable[Sequence[str]], near: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Each as typed first, then with words in place of those that they are near to."""
    return [
        reading
        for words in typed
        for reading in islice(product(*((word, *near.get(word, ())) for word in words)), _MOST_READINGS)
    ]


def _keys(readings: Iterable[Sequence[str]]) -> tuple[str, ...]:
    joined = dict.fromkeys("".join(words) for words in readings)
    return tuple(key for key in joined if 0 < len(key) <= LONGEST_KEY)


def _authors(readings: Sequence[Sequence[str]], typed: Sequence[Sequence[str]], text: str) -> dict[str, bool]:
    """As typed, the surname first ("tolkien j r r"), with other initials than the catalogue has."""
    keys = dict.fromkeys(_keys(typed), True)
    for words in readings:
        turned = [
            [*words[at:], *words[:at]] for at in range(len(words) if len(words) <= _MOST_WORDS_OF_AN_AUTHOR else 1)
        ]
        whole = [word for word in words if len(word) > 1]
        others = _keys([*turned, *([whole] if len(whole) > 1 else [])])
        initials = (key for name in turned if (key := _initials(name, text)))
        keys.update(dict.fromkeys((key for key in (*others, *initials) if key not in keys), False))
    return keys


def _initials(words: Sequence[str], text: str) -> str:
    """The key of "g r r martin" and "grr martin", "" of other words. An "a" is an initial where a dot follows it."""
    singles = next((at for at, word in enumerate(words) if len(word) > 1), len(words))
    given = singles or (1 if words and len(words[0]) <= _MOST_INITIALS else 0)
    initials = "".join(words[:given])
    if not 0 < given < len(words) <= _MOST_WORDS_OF_AN_AUTHOR:
        return ""
    is_word = initials in _WORDS_OF_ONE_LETTER and f"{initials}." not in text.lower()
    return "" if is_word else initials_key(initials, words[given:])


def _is_a_name(words: Sequence[str], spelling: Spelling) -> bool:
    names = _names(spelling)
    return all(word in names or word in SURNAME_PARTICLES for word in words)


def _names(spelling: Spelling) -> frozenset[str]:
    return spelling.name_words.union(spelling.likely.values())


def _after_by(words: Sequence[str]) -> Iterable[str]:
    for at, word in enumerate(words):
        if word in _BY:
            yield from words[at + 1 : at + 1 + _MOST_WORDS_AFTER_BY]


def _splits(words: Sequence[str]) -> Iterable[TitleAndAuthor]:
    for at in range(1, len(words)):
        before, after = tuple(words[:at]), tuple(words[at:])
        yield TitleAndAuthor("".join(before), after)
        yield TitleAndAuthor("".join(after), before)
        if after[0] in _BY and len(after) > 1:
            yield TitleAndAuthor("".join(before), after[1:])
