"""Known items: what a reader types who knows the book, drawn from a catalogue's own documents. No judge is needed."""

import re
import zlib
from bisect import insort
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.name_keys import authors_of, key_of, title_keys

NAME = "known items"
KINDS = ("title", "title with a typo", "author and title", "author", "sentence")

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORDS_OF_A_SENTENCE = (8, 30)
_PORTION_ROWS = 8_192
_LEAST_LETTERS = 5  # of a word that gets a typo: in a shorter one it makes another word


class _Work(NamedTuple):
    """A work of the documents. What is absent is ""."""

    work_id: str
    title: str
    author: str


def known_items(documents: Path, most: int) -> QuerySet:
    """Up to `most` queries of each kind, the same for the same documents.

    - title, title with a typo: every work that has this title counts;
    - author and title: every work of that title by that author; author: every work by that author;
    - sentence: one of the description, of 8 to 30 words, verbatim.

    Works are drawn by a checksum of their ids; those without an author are left out. The file is read in portions,
    twice: memory grows with what is drawn and the works that answer it, not with the file.
    """
    draws = {kind: _Draw(most) for kind in KINDS}
    for work, description in _described(documents):
        checksum = zlib.crc32(work.work_id.encode())
        for kind in _askable(work, [kind for kind, draw in draws.items() if draw.has_place_for(checksum)]):
            draws[kind].offer(checksum, _text(kind, work, description), work)
    drawn = [(kind, text, work) for kind, draw in draws.items() for text, work in draw]
    answers = _answers(documents, {_asks_for(kind, work) for kind, _, work in drawn})
    return QuerySet(NAME, tuple(JudgedQuery(text, kind, answers[_asks_for(kind, work)]) for kind, text, work in drawn))


class _Draw:
    """The queries of the `most` works with the lowest checksums, lowest first; of equal ones, those offered first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[tuple[int, str, _Work]] = []

    def __iter__(self) -> Iterator[tuple[str, _Work]]:
        return ((text, work) for _, text, work in self._held)

    def has_place_for(self, checksum: int) -> bool:
        return len(self._held) < self._most or (self._most > 0 and checksum < self._held[-1][0])

    def offer(self, checksum: int, text: str | None, work: _Work) -> None:
        if text:
            insort(self._held, (checksum, text, work), key=itemgetter(0))
            del self._held[self._most :]


def _askable(work: _Work, kinds: list[str]) -> list[str]:
    """Of these kinds, those of which a query can be asked for the work; its text may still lack words for it."""
    if not kinds or not work.author or not key_of(work.title):
        return []
    return kinds if authors_of(work.author) else [kind for kind in kinds if kind != "author"]


def _text(kind: str, work: _Work, description: Callable[[], str]) -> str | None:
    """What a reader types; None where the work gives no such query."""
    match kind:
        case "title":
            return work.title
        case "title with a typo":
            return with_typo(work.title, seed=zlib.crc32(work.work_id.encode()))
        case "author and title":
            return f"{work.author} {work.title}"
        case "author":
            return work.author
        case _:
            return _sentence(description())


def _asks_for(kind: str, work: _Work) -> tuple[str, ...]:
    """What the right answers have: a key of `_answered_by`."""
    match kind:
        case "title" | "title with a typo":
            return "title", _title_key(work)
        case "author and title":
            return kind, _title_key(work), key_of(work.author)
        case "author":
            return kind, key_of(authors_of(work.author)[0])
        case _:
            return "work", work.work_id


def _answered_by(work: _Work) -> set[tuple[str, ...]]:
    """The keys of all queries that the work answers."""
    title = _title_key(work)
    return {
        ("work", work.work_id),
        ("title", title),
        ("author and title", title, key_of(work.author)),
        *(("author", key_of(name)) for name in authors_of(work.author)),
    }


def _title_key(work: _Work) -> str:
    return next(iter(title_keys(work.title)), "")


def _answers(documents: Path, keys: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], dict[str, int]]:
    """{key: the works that answer it, with their grade} of these keys."""
    answers: dict[tuple[str, ...], dict[str, int]] = {key: {} for key in keys}
    for portion in _portions(documents, _Work._fields):
        for work in _works(portion):
            for key in _answered_by(work) & answers.keys():
                answers[key][work.work_id] = 1
    return answers


def _described(documents: Path) -> Iterator[tuple[_Work, Callable[[], str]]]:
    """Each work, and a function that gives its description, which is read for few works only."""
    for portion in _portions(documents, (*_Work._fields, "description")):
        for row, work in enumerate(_works(portion)):
            yield work, partial(_text_at, portion["description"], row)


def _text_at(texts: pa.Array, row: int) -> str:
    return texts[row].as_py() or ""


def _works(portion: pa.RecordBatch) -> Iterator[_Work]:
    columns = (portion[name].to_pylist() for name in _Work._fields)
    return (_Work(*(value or "" for value in values)) for values in zip(*columns, strict=True))


def _portions(documents: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(documents) as file:
        yield from file.iter_batches(batch_size=_PORTION_ROWS, columns=list(columns))


def with_typo(text: str, *, seed: int) -> str | None:
    """The text with one slip in one of its longer words: two letters swapped, one lost, doubled or wrong.

    None where every word is short.
    """
    random = np.random.default_rng(seed)
    words = [found for found in re.finditer(r"[^\W\d_]+", text) if len(found.group()) >= _LEAST_LETTERS]
    if not words:
        return None
    chosen = words[int(random.integers(len(words)))]
    word, at = chosen.group(), int(random.integers(1, len(chosen.group()) - 1))
    slipped = {
        "swap": word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        "lose": word[:at] + word[at + 1 :],
        "double": word[:at] + word[at] + word[at:],
        "wrong": word[:at] + "aeinorst"[int(random.integers(8))] + word[at + 1 :],
    }
    kinds = [kind for kind, result in slipped.items() if result != word]
    return text[: chosen.start()] + slipped[kinds[int(random.integers(len(kinds)))]] + text[chosen.end() :]


def _sentence(description: str) -> str | None:
    least, most = _WORDS_OF_A_SENTENCE
    sentences = [part for part in _SENTENCE.split(description) if least <= len(part.split()) <= most]
    return sentences[zlib.crc32(description.encode()) % len(sentences)] if sentences else None
