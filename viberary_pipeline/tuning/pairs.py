"""What a catalogue itself says of how its works are asked for: pairs of a query and a work, and the split of works.

Kinds of pairs:

- opening: how a description begins;
- sentence: another sentence of the description or of a review;
- shelves: readers' own words for it, a few at a time;
- title: another title, of an edition or a translation;
- request: what a reader asked, and which work was meant (files of judgements).

What is asked for is taken out of the work's text: a text that holds the query word for word teaches nothing.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from viberary_pipeline.name_keys import key_of

HELD_OUT_OF = 10
"""One work of so many is held out."""
MOST_PAIRS = 20_000

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|(?<=[。！？])")
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")  # scripts without blanks: a letter is a word
_WORDS_OF_A_SENTENCE = range(6, 61)
_SENTENCES_OF_A_WORK = 4
_SHELVES_OF_A_QUERY = range(2, 5)
_LEAST_TITLE = 4  # letters of a title that tells the sentences in which it stands


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the documents, as far as pairs are made of it."""

    work_id: str
    title: str
    description: str
    text: str
    shelves: tuple[str, ...] = ()
    other_titles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, the work that it asks for, and where it comes from."""

    query: str
    work_id: str
    kind: str


def held_out(work_id: str) -> bool:
    """Whether nothing of this work is ever trained on: the same for every seed, home and machine."""
    return int(hashlib.sha256(work_id.encode()).hexdigest(), 16) % HELD_OUT_OF == 0


def pairs_of(work: Work, *, seed: int = 0) -> tuple[list[Pair], str]:
    """The pairs that a work's own words give, and its text without these words."""
    rng = random.Random(f"{seed}/{work.work_id}")
    sentences = sentences_of(work)
    opening = next((sentence for sentence in sentences if work.description.startswith(sentence)), None)
    others = [sentence for sentence in sentences if sentence != opening]
    rng.shuffle(others)
    # Half of the text stays at least, beside the sentences at its head that name the work: else nothing could be found.
    head = sum(key_of(sentence).startswith(key_of(work.title)) for sentence in split_sentences(work.text)[:2])
    most = min(_SENTENCES_OF_A_WORK, (len(split_sentences(work.text)) - head) // 2)
    found = [Pair(opening, work.work_id, "opening")] if opening and most else []
    found += [Pair(sentence, work.work_id, "sentence") for sentence in others[: most - len(found)]]
    text = work.text
    for pair in found:
        text = text.replace(pair.query, " ")
    if len(work.shelves) >= _SHELVES_OF_A_QUERY.start:
        count = min(rng.choice(_SHELVES_OF_A_QUERY), len(work.shelves))
        words = ", ".join(shelf.replace("-", " ") for shelf in rng.sample(work.shelves, count))
        found.append(Pair(words, work.work_id, "shelves"))
        listed = re.escape(", ".join(work.shelves))
        text = re.sub(rf"[^.!?]*{listed}\.?", " ", text)
    found += [Pair(title, work.work_id, "title") for title in work.other_titles]
    return found, " ".join(text.split())


def sampled(pairs: Sequence[Pair], most: int = MOST_PAIRS, *, seed: int = 0) -> list[Pair]:
    """At most so many of the pairs, in their order."""
    if len(pairs) <= most:
        return list(pairs)
    return [pairs[row] for row in sorted(random.Random(f"{seed}/pairs").sample(range(len(pairs)), most))]


def other_titles(title: str, titles: Iterable[str]) -> tuple[str, ...]:
    """Those of the titles that are not this one, differently written or with its series: each once, sorted."""
    known, found = {key_of(title)}, []
    for other in sorted(titles):
        key = key_of(other)
        if key and not any(key in one or one in key for one in known):
            known.add(key)
            found.append(other)
    return tuple(found)


def sentences_of(work: Work) -> list[str]:
    """The sentences of its text of 6 to 60 words that name neither the work nor its shelves, each once."""
    title = key_of(work.title)
    listed = ", ".join(work.shelves) if len(work.shelves) > 1 else ""
    return [
        sentence
        for sentence in split_sentences(work.text)
        if len(_WORD.findall(sentence)) in _WORDS_OF_A_SENTENCE
        and not (len(title) >= _LEAST_TITLE and title in key_of(sentence))
        and not (listed and listed in sentence)
    ]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, each once."""
    return list(dict.fromkeys(sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()))


def words_of(text: str) -> list[str]:
    """The words of a text of more than three letters, in lower case."""
    return [word.lower() for word in _WORD.findall(text) if len(word) > 3 and not word.isdigit()]
