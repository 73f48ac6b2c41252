"""Typos: the words of a build's names, how often they occur, and which of them a typed word may stand for.

A word that some text holds may be a typo all the same: the more texts, the more slips. So words are weighed: a name's
by its works and their readers, any word by the texts that hold it.
"""

import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.name_keys import FIRST_IDEOGRAPH, words_of
from viberary_pipeline.redis_contract import NAME_WORDS, as_text, record_key

LEAST_LETTERS = 4
"""Of a word that is worth correcting: shorter ones have too many neighbours."""

_MOST_NAME_WORDS = 100_000  # kept of a build, the heaviest: about 10 bytes each in Redis, 150 in a searching process
_MOST_TEXT_WORDS = 50_000
_MOST_TEXTS = 50_000  # descriptions that are read for words: a share of them is as good as all
_LEAST_TEXTS = 2  # that hold a word which is kept

_MOST_TYPOS = 2  # more unknown words are no typos but another vocabulary
_MOST_CORRECTIONS = 5
_LIKELIER = 4  # a name's word is meant where it weighs so many times what the typed word does
_A_SLIP = 20  # and the typed word is none where it is so many times
_SLIPS = 3  # texts that may hold a typo, and one more for each `_TEXTS_PER_SLIP` texts
_TEXTS_PER_SLIP = 2000
_KEPT_WORDS = 10_000  # whose near words are remembered
_MOST_LOOKED_AT = 16  # of the words that may be near, the likeliest
_TOKEN = re.compile(r"[^\W_]+")
_LAST_LETTER = "\U0010ffff"


@dataclass(frozen=True)
class Spelling:
    """What the words of a query may stand for.

    Attributes:
        near: {word: words of names that it may be a typo of}, nearest first: enough to recognise a whole name by.
        near_authors: The same for words of the language ("austin"), which may be typos in an author's whole name.
        near_titles: The same ("hose" for "house"), in a whole title of several words.
        likely: {word: the author's name that it most likely is}, good enough for BM25.
        likely_beside: The same where that is a word of the language as well ("potter" for "poter"): good enough where
            some work's names hold all words of the query.
        slips: Those of both that are so much rarer that a text which holds them has the same typo.
        name_words: Words of authors' names that are no words of the language.
    """

    near: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    near_authors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    near_titles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    likely: Mapping[str, str] = field(default_factory=dict)
    likely_beside: Mapping[str, str] = field(default_factory=dict)
    slips: frozenset[str] = frozenset()
    name_words: frozenset[str] = frozenset()


Speller = Callable[[Sequence[str]], Spelling]
"""Says what words of a query, folded and each once, may be typos of."""


def can_be_a_typo(word: str) -> bool:
    """Whether a folded word is worth correcting: letters of an alphabet, and not too few."""
    return len(word) >= LEAST_LETTERS and word.isalpha() and max(word) < FIRST_IDEOGRAPH


class Count(NamedTuple):
    """How often a word occurs in a build.

    Attributes:
        names: Its weight in titles and authors: each work counts for 1 and the bits of its number of reviews.
        authors: The same in authors alone.
        texts: Works whose names or description hold it, of those that were read.
    """

    names: int = 0
    authors: int = 0
    texts: int = 0


class WordCounts:
    """Counts the words of a build's names and texts while it is fed. Safe to share between threads."""

    def __init__(self, documents: int) -> None:
        self._stride = max(1, documents // _MOST_TEXTS)
        self._rows = self._texts = 0
        self._names: Counter[str] = Counter()
        self._authors: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, titles: Iterable[str], authors: Iterable[str], description: str, reviews: int) -> None:
        """One work: the folded words of its titles and of its authors, its description, its number of reviews."""
        of_authors, weight = set(authors), 1 + reviews.bit_length()
        words = of_authors.union(titles)
        with self._lock:
            is_read = self._rows % self._stride == 0
            self._rows += 1
            self._texts += is_read
            for word in words:
                self._names[word] += weight
            for word in of_authors:
                self._authors[word] += weight
        if is_read:
            words.update(words_of(description))
            with self._lock:
                self._held.update(words)

    def to_text(self) -> str:
        """What `NameWords.read` reads: the number of texts; then a line a word, with its `Count`."""
        names = [word for word, _ in self._names.most_common() if can_be_a_typo(word)][:_MOST_NAME_WORDS]
        kept = set(names)
        texts = [
            word
            for word, texts in self._held.most_common(_MOST_TEXT_WORDS)
            if texts >= _LEAST_TEXTS and word not in kept and can_be_a_typo(word)
        ]
        counts = (self._names, self._authors, self._held)
        lines = (" ".join([word, *(str(count[word]) for count in counts)]) for word in (*names, *texts))
        return "\n".join([str(self._texts), *lines])


class NameWords:
    """The words of a build's names, as its record holds them.

    Args:
        counts: Of each word.
        texts: How many texts were read.
    """

    def __init__(self, counts: Mapping[str, Count] | None = None, texts: int = 0) -> None:
        self._counts = dict(counts or {})
        self._most_slips = _SLIPS + texts / _TEXTS_PER_SLIP
        self._words = sorted((word for word, count in self._counts.items() if count.names), key=len)
        lengths = np.fromiter(map(len, self._words), dtype=np.int64, count=len(self._words))
        longest = int(lengths[-1]) if self._words else 0
        self._starts = np.searchsorted(lengths, np.arange(longest + 2)).tolist()
        self._letters, self._pairs = _masks(self._words)
        # Readers' words repeat: a few thousand make up most of all queries.
        self._near = lru_cache(_KEPT_WORDS)(self._nearest)

    @classmethod
    def read(cls, text: str) -> Self:
        """From `WordCounts.to_text`; "" has no words."""
        first, *lines = text.split("\n")
        rows = (line.split(" ") for line in lines)
        return cls({word: Count(*map(int, counts)) for word, *counts in rows}, int(first or 0))

    def spelling(self, words: Sequence[str], is_word: Callable[[str], bool] = lambda word: False) -> Spelling:
        """What each of the words may be a typo of.

        Args:
            words: Folded, each once.
            is_word: Whether a word is one of the language, as far as the encoder knows: no typo but in a whole name.
        """
        near: dict[str, tuple[str, ...]] = {}
        near_authors: dict[str, tuple[str, ...]] = {}
        near_titles: dict[str, tuple[str, ...]] = {}
        unknown = 0
        for word in filter(can_be_a_typo, words):
            count, is_real = self._count(word), is_word(word)
            if count.texts > self._most_slips:
                continue
            unknown += not (any(count) or is_real)
            least = _LIKELIER * max(count.names, count.texts)
            others = tuple(other for other in self._near(word) if self._count(other).names >= least)
            if others and not is_real:
                near[word] = others[:_MOST_CORRECTIONS]
            elif others:
                near_titles[word] = others[:_MOST_CORRECTIONS]
                if not any(count):
                    near_authors[word] = others[:_MOST_CORRECTIONS]
        names = frozenset(word for word in words if self._count(word).authors and not is_word(word))
        if max(unknown, len(near)) > _MOST_TYPOS:
            return Spelling(name_words=names)
        first = {word: others[0] for word, others in near.items()}
        beside = {other for other in first.values() if is_word(other) and not self._is_mostly_a_name(other)}
        return Spelling(
            near,
            near_authors,
            near_titles,
            likely={word: other for word, other in first.items() if other not in beside},
            likely_beside={word: other for word, other in first.items() if other in beside},
            slips=frozenset(
                word
                for word, other in first.items()
                if self._count(other).names >= _A_SLIP * max(self._count(word).names, self._count(word).texts)
            ),
            name_words=names,
        )

    def near(self, word: str) -> Sequence[str]:
        """The words of names that a folded word may be a typo of, nearest and heaviest first."""
        return self._near(word)[:_MOST_CORRECTIONS]

    def near_beginnings(self, typed: str) -> list[str]:
        """What a folded word, of which only the beginning was typed, may be a typo of; that of the heaviest word first.

        Beginnings of words of names within one edit, whose first letter is right. So one half of what was typed is
        right as well, in its place or one beside, or what follows two letters that changed places between the halves.
        """
        half = len(typed) // 2
        parts = [(typed[:half], 0), (typed[half + 1 :], half + 1), *((typed[half:], half + by) for by in (0, -1, 1))]
        start, end = (bisect_left(self._sorted, key) for key in (typed[:1], typed[:1] + _LAST_LETTER))
        found: Counter[str] = Counter()
        for word in self._sorted[start:end]:
            if any(word.startswith(part, at) for part, at in parts) and not word.startswith(typed):
                for size in (len(typed), len(typed) + 1, len(typed) - 1):
                    if size <= len(word) and edits(typed, word[:size]) == 1:
                        found[word[:size]] = max(found[word[:size]], self._count(word).names)
                        break
        return [beginning for beginning, _ in found.most_common(_MOST_CORRECTIONS)]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._words)

    def held(self, word: str) -> int:
        """How many of the texts that were read hold a folded word; 0 where fewer than two do."""
        return self._count(word).texts

    def _count(self, word: str) -> Count:
        return self._counts.get(word, Count())

    def _is_mostly_a_name(self, word: str) -> bool:
        count = self._count(word)
        return count.authors >= _LIKELIER * count.texts

    def _nearest(self, word: str) -> list[str]:
        """The words of names within one edit of the word, or two where it is long; nearest and heaviest first."""
        if not self._words:
            return []
        letters, pairs = _mask(word)
        for most in (1, 2) if len(word) >= 8 else (1,):
            last = len(self._starts) - 1
            begin = self._starts[min(last, max(0, len(word) - most))]
            end = self._starts[min(last, len(word) + most + 1)]
            # One edit changes two letters and six pairs of neighbours at most.
            changed = np.bitwise_count(self._pairs[begin:end] ^ np.uint64(pairs))
            other = np.bitwise_count(self._letters[begin:end] ^ np.uint64(letters))
            (at,) = np.nonzero((changed <= 6 * most) & (other <= 2 * most))
            at = at[np.argsort(changed[at], kind="stable")][:_MOST_LOOKED_AT] + begin
            found = [(edits(word, self._words[row]), self._words[row]) for row in at.tolist()]
            found = [pair for pair in found if 0 < pair[0] <= most]
            if found:
                return [other for _, other in sorted(found, key=lambda pair: (pair[0], -self._count(pair[1]).names))]
        return []


def corrected_text(text: str, spelling: Spelling, works: Iterable[tuple[str, str, bool]]) -> str:
    """A query with those words corrected that the names of a work spell in another way; "" where there are none.

    Args:
        text: The query.
        spelling: What its words may be typos of.
        works: (title, author, whether the query names it) of what was found, the best first. Words of the language may
            be typos in names alone.
    """
    instead: dict[str, str] = {}
    for title, author, named in works:
        names = {*words_of(title), *words_of(author)}
        near = {**(spelling.near_titles if named else {}), **(spelling.near_authors if named else {}), **spelling.near}
        for word, others in near.items():
            if word not in names and (other := next((other for other in others if other in names), "")):
                instead.setdefault(word, other)
    if not instead:
        return ""

    def correct(token: re.Match[str]) -> str:
        other = instead.get("".join(words_of(token[0])), token[0])
        return other.capitalize() if token[0][0].isupper() and other.islower() else other

    return _TOKEN.sub(correct, text)


def read_name_words(client: redis.Redis, build: str) -> NameWords:
    """The words of a build's names; none of a build of an older version."""
    return NameWords.read(as_text(client.hget(record_key(build), NAME_WORDS)))


def _masks(words: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Of each word two uint64: which letters it has, and which pairs of neighbours, its ends included.

    Two letters or pairs may share a bit: then words look nearer than they are, never farther.
    """
    codes = np.array(words, dtype=np.str_).reshape(-1, 1).view(np.uint32) if words else np.empty((0, 0), np.uint32)
    letters, pairs = (np.zeros(len(words), dtype=np.uint64) for _ in range(2))
    before = np.zeros(len(words), dtype=np.uint64)
    one, nothing = np.uint64(1), np.uint64(0)
    for column in [*codes.T, np.zeros(len(words), dtype=np.uint32)]:
        letter = column.astype(np.uint64)
        letters |= np.where(letter > 0, one << (letter & np.uint64(63)), nothing)
        pairs |= np.where(letter + before > 0, one << ((before * np.uint64(31) + letter) & np.uint64(63)), nothing)
        before = letter
    return letters, pairs


def _mask(word: str) -> tuple[int, int]:
    """The same of one word, without numpy's overhead."""
    letters = pairs = before = 0
    for letter in map(ord, word):
        letters |= 1 << (letter & 63)
        pairs |= 1 << ((before * 31 + letter) & 63)
        before = letter
    return letters, pairs | 1 << (before * 31 & 63)


def edits(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour to turn one word into the other.

    Damerau's distance in its restricted form (optimal string alignment): no part is edited twice.
    """
    one, other = _differing(one, other)
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, above, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _differing(one: str, other: str) -> tuple[str, str]:
    """The words without what both begin and end with."""
    shorter = min(len(one), len(other))
    start = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    end = next((at for at in range(shorter - start) if one[-1 - at] != other[-1 - at]), shorter - start)
    return one[start : len(one) - end], other[start : len(other) - end]
