"""What a query may name: the ways to read it as a title, an author, both, a volume of a series, a number of a book."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import NamedTuple, Self

from viberary_pipeline.identifiers import Identifier
from viberary_pipeline.name_keys import (
    LONGEST_KEY,
    asked_volumes,
    author_keys,
    author_words,
    authors_of,
    key_of,
    words_of,
)
from viberary_pipeline.search.query import MOST_WORDS_OF_A_NAME, ParsedQuery
from viberary_pipeline.search.spelling import Spelling

_MOST_READINGS = 24  # as typed, and with corrections
_MOST_SPLIT = 6  # of these that are tried as title and author
_MOST_WORDS_OF_AN_AUTHOR = 5
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
        likely: {word: what it stands for}, where that is good enough for BM25.
        titles: Keys of titles.
        authors: {key of a name: whether it is as typed}.
        both: As title and author in either order.
        volumes: Keys of volumes.
        identifier: As a number of a book, or None.
    """

    near: Mapping[str, Sequence[str]]
    likely: Mapping[str, str]
    titles: tuple[str, ...]
    authors: Mapping[str, bool]
    both: tuple[TitleAndAuthor, ...]
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
        likely = {**spelling.likely, **{word: owner for word, (owner,) in owners.items()}}
        spelt = [
            reading
            for words in typed
            for reading in islice(product(*((word, *near.get(word, ())) for word in words)), _MOST_READINGS)
        ]
        return cls(
            near=near,
            likely=likely,
            titles=_keys(spelt),
            authors=_authors(spelt, typed),
            both=tuple(dict.fromkeys(part for words in spelt[:_MOST_SPLIT] for part in _splits(words))),
            volumes=tuple(asked_volumes(query.words)) if typed else (),
            identifier=Identifier.read(query.text),
        )

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


def _keys(readings: Iterable[Sequence[str]]) -> tuple[str, ...]:
    joined = dict.fromkeys("".join(words) for words in readings)
    return tuple(key for key in joined if 0 < len(key) <= LONGEST_KEY)


def _authors(readings: Sequence[Sequence[str]], typed: Sequence[Sequence[str]]) -> dict[str, bool]:
    """As typed, the surname first ("tolkien j r r"), and without initials that the catalogue may not have."""
    keys = dict.fromkeys(_keys(typed), True)
    for words in readings:
        if len(words) <= _MOST_WORDS_OF_AN_AUTHOR:
            whole = [word for word in words if len(word) > 1]
            turned = [[*words[at:], *words[:at]] for at in range(len(words))]
            for key in _keys([*turned, *([whole] if len(whole) > 1 else [])]):
                keys.setdefault(key, False)
        else:
            for key in _keys([words]):
                keys.setdefault(key, False)
    return keys


def _splits(words: Sequence[str]) -> Iterable[TitleAndAuthor]:
    for at in range(1, len(words)):
        before, after = tuple(words[:at]), tuple(words[at:])
        yield TitleAndAuthor("".join(before), after)
        yield TitleAndAuthor("".join(after), before)
        if after[0] in _BY and len(after) > 1:
            yield TitleAndAuthor("".join(before), after[1:])
