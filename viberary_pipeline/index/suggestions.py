"""Collects a build's suggestions while it is fed, and writes them; `search.suggestions` says how they are kept."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.name_keys import (
    FIRST_IDEOGRAPH,
    SURNAME_PARTICLES,
    authors_of,
    key_of,
    shown_title,
    surname_of,
    volumes_of,
)
from viberary_pipeline.redis_contract import suggestions_key
from viberary_pipeline.search.query import STOP_WORDS
from viberary_pipeline.search.suggestions import (
    LONGEST_PREFIX,
    MOST_IN_BUCKET,
    MOST_STORED,
    bucket,
    listed,
    suggestion_words,
)

_FIELDS_AT_ONCE = 500
_MOST_STARTS = 8  # words of a name from which on it is found
_MOST_OTHER_TITLES = 4
_LEAST_WORKS_OF_A_SERIES = 2
_INSIDE = 0.25  # what a name weighs under a word that is not its first
_ARTICLES = frozenset("the a an der die das des el los il lo un une".split())  # noqa: SIM905
_NO_STARTS = STOP_WORDS | SURNAME_PARTICLES | _ARTICLES | {"et", "e", "y", "und"}

_ArrayOfBytes = npt.NDArray[np.bytes_]


class SuggestionEntries:
    """What a build suggests, collected work by work.

    Memory: some 40 bytes for each key of a title, of which a work has four; a few hundred for an author or a series.

    Args:
        queries: {query of readers: how often it was asked}; the most frequent weighs as much as the most reviewed work.
    """

    def __init__(self, queries: Mapping[str, int] | None = None) -> None:
        self._queries = dict(queries or {})
        self._ids: list[bytes] = []
        self._weights = array("f")
        self._keys: list[_ArrayOfBytes] = []
        self._numbers = array("i")  # of each key: that of its id
        self._factors = array("f")
        self._people = _Names()
        self._series = _Names()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Some works, as the documents have them."""
        keys: list[bytes] = []
        for row in rows:
            title, weight = shown_title(str(row["title"] or "")), 1 + int(row["review_count"] or 0)
            starts = _starts(suggestion_words(title))
            for other in (row.get("other_titles") or ())[:_MOST_OTHER_TITLES]:
                starts += [start for start in _starts(suggestion_words(shown_title(other))) if start[1]]
            keys += self._entry(f"t{row['work_id']}", weight, starts)
            for name in authors_of(str(row.get("authors") or row["author"] or "")):
                self._people.add(name, weight)
            named = [*(row.get("series") or ()), *(name for name, _ in volumes_of(str(row["title"] or "")) if name)]
            for name in {key_of(name): name for name in named}.values():
                self._series.add(name, weight)
        self._keys.append(np.array(keys, dtype=f"S{LONGEST_PREFIX}"))

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """The fields of the HASH and their values."""
        keys: list[bytes] = []
        for text, weight, _ in self._people.most():
            keys += self._entry(f"a{text}", weight, _person_starts(text))
        for text, weight, works in self._series.most():
            if works >= _LEAST_WORKS_OF_A_SERIES:
                keys += self._entry(f"s{text}", weight, _starts(suggestion_words(text)))
        heaviest, most = max(self._weights, default=1.0), max(self._queries.values(), default=1)
        for text, count in self._queries.items():
            keys += self._entry(f"q{text}", heaviest * count / most, _starts(suggestion_words(text)))
        every = np.concatenate([*self._keys, np.array(keys, dtype=f"S{LONGEST_PREFIX}")])
        numbers = np.array(self._numbers, dtype=np.int32)
        factors = np.array(self._factors, dtype=np.float32)
        order = np.argsort(every, kind="stable")
        every, numbers, factors = every[order], numbers[order], factors[order]
        weights = np.array(self._weights, dtype=np.float32)[numbers] * factors
        yield from _Tree(every, numbers, weights, factors == 1, self._ids).fields()

    def _entry(self, id_: str, weight: float, starts: Sequence[tuple[str, bool]]) -> list[bytes]:
        """Remember an id and its weight; returns the keys under which it is found."""
        found = {key.encode()[:LONGEST_PREFIX]: whole for key, whole in reversed(starts) if key}
        if not found:
            return []
        self._ids.append(" ".join(id_.split()).encode(errors="replace"))
        self._weights.append(float(weight))
        self._numbers.extend([len(self._ids) - 1] * len(found))
        self._factors.extend(1.0 if whole else _INSIDE for whole in found.values())
        return list(found)


class _Names:
    """Names that works share: in the spelling that was met first, the sum of their weights, and how many works."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._weights: Counter[str] = Counter()
        self._works: Counter[str] = Counter()

    def add(self, name: str, weight: int) -> None:
        if key := key_of(name):
            self._texts.setdefault(key, name)
            self._weights[key] += weight
            self._works[key] += 1

    def most(self) -> Iterator[tuple[str, int, int]]:
        """(name, weight, works) of each."""
        for key, text in self._texts.items():
            yield text, self._weights[key], self._works[key]


def _starts(words: Sequence[str]) -> list[tuple[str, bool]]:
    """(key, whether it is the beginning) of a name from each of its words on; the first word may be an article."""
    after_article = 1 if len(words) > 1 and words[0] in _ARTICLES else 0
    starts = [("".join(words), True)] + [
        ("".join(words[at:]), at == after_article)
        for at in range(1, len(words))
        if words[at] not in _NO_STARTS or at == after_article
    ]
    for at, word in enumerate(words):
        if word[0] >= FIRST_IDEOGRAPH:
            starts += [(word[inside:] + "".join(words[at + 1 :]), False) for inside in range(1, len(word))]
    return starts[:_MOST_STARTS]


def _person_starts(name: str) -> list[tuple[str, bool]]:
    """The same of a person: whole, without initials, and from each word on with those before it behind: tolkienjrr."""
    words, surname = suggestion_words(name), surname_of(name)
    starts = [("".join(words), True), ("".join(word for word in words if len(word) > 1), True)]
    for at in range(1, len(words)):
        if len(words[at]) > 1:
            rest = "".join(words[at:])
            starts.append((rest + "".join(words[:at]), rest == surname))
    return starts[:_MOST_STARTS]


class _Tree:
    """The fields, from entries in the order of their keys.

    Args:
        keys: S bytes (entries,), sorted.
        numbers: int32 (entries,): of the id.
        weights: float32 (entries,).
        whole: bool (entries,): the key is the beginning of a name.
        ids: Of all.
    """

    def __init__(
        self,
        keys: _ArrayOfBytes,
        numbers: npt.NDArray[np.int32],
        weights: npt.NDArray[np.float32],
        whole: npt.NDArray[np.bool_],
        ids: Sequence[bytes],
    ) -> None:
        self._keys, self._numbers, self._weights, self._whole, self._ids = keys, numbers, weights, whole, ids
        self._letters = keys.view(np.uint8).reshape(len(keys), LONGEST_PREFIX)

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """(beginning, value) of each, a beginning before those that go on from it."""
        parts = [(0, len(self._keys), 0)] if len(self._keys) else []
        while parts:
            start, end, size = parts.pop()
            prefix = bytes(self._keys[start])[:size]
            if end - start <= MOST_IN_BUCKET:
                yield prefix, bucket((bytes(self._keys[row])[size:], self._id(row)) for row in self._best(start, end))
                continue
            if size:
                yield prefix, listed(self._to_list(start, end, size))
            if size < LONGEST_PREFIX:
                letters = self._letters[start:end, size]
                edges = [start, *(np.flatnonzero(np.diff(letters)) + 1 + start).tolist(), end]
                # Where nothing follows (the letter 0), the keys end here: they are in the list.
                parts += [(first, last, size + 1) for first, last in pairwise(edges) if self._letters[first, size]]

    def _to_list(self, start: int, end: int, size: int) -> Iterable[bytes]:
        """The best of a part, those first that were typed whole."""
        letter = self._letters[start:end, size] if size < LONGEST_PREFIX else np.zeros(end - start, dtype=np.uint8)
        finished = (letter == 0) & self._whole[start:end]
        weights = np.where(finished, np.inf, self._weights[start:end])
        most = min(2 * MOST_STORED, end - start)
        rows = np.argpartition(-weights, most - 1)[:most]
        rows = rows[np.lexsort((rows, -self._weights[start:end][rows], -weights[rows]))] + start
        return list(dict.fromkeys(self._ids[self._numbers[row]] for row in rows))[:MOST_STORED]

    def _best(self, start: int, end: int) -> list[int]:
        return (np.argsort(-self._weights[start:end], kind="stable") + start).tolist()

    def _id(self, row: int) -> bytes:
        id_ = self._ids[self._numbers[row]]
        return id_[:1].upper() + id_[1:] if self._whole[row] else id_


def write_suggestions(
    client: redis.Redis, build: str, entries: SuggestionEntries, check_lock: Callable[[], None] = lambda: None
) -> None:
    """Write what a build suggests, in portions; nothing where it has nothing to suggest.

    Raises:
        redis.RedisError: Redis refused a part of it.
    """
    portion: dict[Any, Any] = {}
    key = suggestions_key(build)
    for field, value in entries.fields():
        portion[field] = value
        if len(portion) == _FIELDS_AT_ONCE:
            client.hset(key, mapping=portion)
            portion.clear()
            check_lock()
    if portion:
        client.hset(key, mapping=portion)
