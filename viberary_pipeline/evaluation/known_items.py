"""Known items: what a reader types who knows the book, drawn from a catalogue's own documents. No judge is needed."""

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.name_keys import authors_of, key_of, title_keys

NAME = "known items"
KINDS = ("title", "title with a typo", "author and title", "author", "sentence")

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORDS_OF_A_SENTENCE = (8, 30)
_LEAST_LETTERS = 5  # of a word that gets a typo: in a shorter one it makes another word


def known_items(documents: Path, most: int) -> QuerySet:
    """Up to `most` queries of each kind, the same for the same documents.

    - title, title with a typo: every work that has this title counts;
    - author and title: every work of that title by that author; author: every work by that author;
    - sentence: one of the description, of 8 to 30 words, verbatim.

    Works are drawn by a checksum of their ids; those without an author are left out.
    """
    rows = _read(documents)
    by_title: dict[str, dict[str, int]] = {}
    by_author: dict[str, dict[str, int]] = {}
    by_both: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        for key in title_keys(row["title"])[:1]:
            by_title.setdefault(key, {})[row["work_id"]] = 1
        for name in authors_of(row["author"]):
            by_author.setdefault(key_of(name), {})[row["work_id"]] = 1
        by_both.setdefault(_title_and_author(row), {})[row["work_id"]] = 1
    drawn = sorted(
        (row for row in rows if row["author"] and key_of(row["title"])),
        key=lambda row: zlib.crc32(row["work_id"].encode()),
    )
    queries: dict[str, list[JudgedQuery]] = {kind: [] for kind in KINDS}
    for row in drawn:
        title, author, this = row["title"], row["author"], {row["work_id"]: 1}
        same = by_title[title_keys(title)[0]]
        asked = {
            "title": (title, same),
            "title with a typo": (with_typo(title, seed=zlib.crc32(row["work_id"].encode())), same),
            "author and title": (f"{author} {title}", by_both[_title_and_author(row)]),
            "author": (author, by_author.get(key_of(authors_of(author)[0]), {}) if authors_of(author) else {}),
            "sentence": (_sentence(row["description"] or ""), this),
        }
        for kind, (text, grades) in asked.items():
            if text and grades and len(queries[kind]) < most:
                queries[kind].append(JudgedQuery(text, kind, grades))
        if all(len(found) == most for found in queries.values()):
            break
    return QuerySet(NAME, tuple(query for kind in KINDS for query in queries[kind]))


def _title_and_author(row: Mapping[str, Any]) -> tuple[str, str]:
    return next(iter(title_keys(row["title"])), ""), key_of(row["author"])


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


def _read(documents: Path) -> Sequence[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(
        documents, columns=["work_id", "title", "author", "description"]
    ).to_pylist()
    return rows
