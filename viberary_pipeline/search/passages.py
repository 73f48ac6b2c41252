"""Why a book matched: the sentence of its description, or of a review of it, that is nearest to a query.

The encoder would take longer for the sentences of ten books than the whole search. So a sentence's vector is a sum of
word vectors in the encoder's own space, which each build learns of its documents (`viberary_pipeline.index.passages`);
a word that the query holds counts as well. docs/decisions/2026-11-26-quotes-and-fit.md
says how often that is the encoder's own choice.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate, repeat
from typing import Self

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.name_keys import words_of
from viberary_pipeline.redis_contract import sentence_words_key
from viberary_pipeline.search.query import STOP_WORDS
from viberary_pipeline.search.sentences import has_end, whole_sentences

Matrix = npt.NDArray[np.float32]

_SHARED_WORD = 0.03  # what the rarity of a word counts for that query and sentence share, beside a cosine
_RARE = 8.0  # the rarity of a word that the build does not know
_TELLING = 1.7  # rarity from which on a word tells something: it is in one text of six or fewer
_TEXTS_KEPT = 4096  # with the vectors of their sentences: 4 kB for 500 characters, so 15 to 30 MB in all
_FEW = 8  # words of a query, up to which it is quicker to look for each in a sentence than to look at all of its words
_LONGEST = 320  # characters of a sentence that is pleasant to read
_AWKWARD = 2.0  # less than any other: a longer one, or one that was cut
# What readers ask with, not what they ask for.
_ASKING_WORDS = "i me my we us our you your like want look looking read reading book books please"
_ASKING = frozenset(_ASKING_WORDS.split())
_ENDINGS = re.compile(r"(?<=\w{3})(?:ings?|edly|ed|ness|ies|ly|es|s|y|e)$")


@dataclass(frozen=True)
class SentenceWords:
    """The word vectors of a build.

    Attributes:
        rows: {word, folded: its row}.
        rarity: float32 (words,), the logarithm of how many texts there are for each that holds the word.
        vectors: float32 (words, dims), weighed by rarity.
        projection: float32 (encoder's dims, dims): takes a query's vector to that space. Both have no columns where
            nothing could be learned.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    rarity: Matrix = field(default_factory=lambda: np.empty(0, np.float32))
    vectors: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    projection: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @cached_property
    def _passages(self) -> Callable[[str], "_Passages"]:
        return lru_cache(maxsize=_TEXTS_KEPT)(self._read)  # texts that are shown again are not read again

    @cached_property
    def _vectors_and_zero(self) -> Matrix:
        """The vectors, and a last one for words that have none."""
        return np.vstack([self.vectors, np.zeros((1, self.vectors.shape[1]), np.float32)])

    def to_bytes(self) -> bytes:
        """What `read` reads: an .npz file."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            words=np.frombuffer("\n".join(self.rows).encode(), np.uint8),
            rarity=self.rarity.astype(np.float16),
            vectors=self.vectors.astype(np.float16),
            projection=self.projection.astype(np.float16),
        )
        return file.getvalue()

    @classmethod
    def read(cls, stored: bytes | None) -> Self:
        """The word vectors from `to_bytes`; none of a build of an older version (None)."""
        if not stored:
            return cls()
        with np.load(io.BytesIO(stored)) as file:
            words = file["words"].tobytes().decode().split("\n")
            floats = [file[name].astype(np.float32) for name in ("rarity", "vectors", "projection")]
        return cls({word: row for row, word in enumerate(words)}, *floats)

    def rarity_of(self, word: str) -> float:
        """How rare a word is in this build: about 0 for "the", 8 for one that it does not hold."""
        row = self.rows.get(word)
        return _RARE if row is None else float(self.rarity[row])

    def telling(self, query: str) -> dict[str, float]:
        """{stem: rarity} of the words of a query that say something, most of them to be marked in a sentence."""
        stems = {stem(word): self.rarity_of(word) for word in words_of(query) if word not in STOP_WORDS | _ASKING}
        return {word: rarity for word, rarity in stems.items() if rarity >= _TELLING}

    def best(self, query: str, vector: Matrix, texts: Sequence[Sequence[str]]) -> list[str]:
        """Of each book's texts the sentence that is nearest to the query, "" where there is none.

        Args:
            query: The query.
            vector: Its vector, float32 (encoder's dims,).
            texts: The texts of each book; of sentences that are alike near, the first is taken.
        """
        shared = self.telling(query)
        begins = [f" {word}" for word in shared] if len(shared) <= _FEW else None
        u = vector @ self.projection if len(self.projection) == len(vector) else self.projection[:0].sum(axis=0)
        return [
            self._best(shared, begins, u, [self._passages(text) for text in of_book if text.strip()])
            for of_book in texts
        ]

    def _best(
        self, shared: Mapping[str, float], begins: Sequence[str] | None, u: Matrix, texts: Sequence["_Passages"]
    ) -> str:
        best, score = "", -float("inf")
        for text in texts:
            scores = (text.vectors @ u if u.size else 0.0) - text.awkward
            # A stem is the beginning of its words: most texts are seen to have none without a look at each sentence.
            found = begins if begins is None else [begin for begin in begins if begin in text.words]
            for number, words in enumerate(text.words.split("\n") if found != [] else ()):
                if found is None or any(begin in words for begin in found):
                    both = shared.keys() & map(stem, words.split())
                    scores[number] += _SHARED_WORD * sum(shared[word] for word in both)
            first = int(scores.argmax())
            if scores[first] > score:
                best, score = text.sentences[first], float(scores[first])
        return best

    def _read(self, text: str) -> "_Passages":
        """The sentences of a text, and what is compared of them."""
        sentences = tuple(whole_sentences(text))
        words = [words_of(sentence) for sentence in sentences]
        sums = np.empty((len(sentences), 0), np.float32)
        if self.vectors.size and words:
            # Each sentence begins with "", which is no word: so none is without a row.
            flat = [word for of_sentence in words for word in ("", *of_sentence)]
            rows = np.fromiter(map(self.rows.get, flat, repeat(len(self.vectors))), np.intp, len(flat))
            starts = list(accumulate((len(of_sentence) + 1 for of_sentence in words[:-1]), initial=0))
            sums = np.add.reduceat(self._vectors_and_zero[rows], starts)
            # What np.linalg.norm computes, which takes twice as long for so few.
            sums /= np.maximum(np.sqrt(np.add.reduce(sums * sums, axis=1, keepdims=True)), 1e-6)
        awkward = np.array([_AWKWARD * (len(s) > _LONGEST or not has_end(s)) for s in sentences], np.float32)
        return _Passages(sentences, "\n".join(f" {' '.join(of_sentence)}" for of_sentence in words), sums, awkward)


@dataclass(frozen=True, slots=True)
class _Passages:
    """One text.

    Attributes:
        sentences: Its sentences, one or more.
        words: Of each sentence a line of its words, with a blank before each.
        vectors: Of each sentence, float32 (sentences, dims), norm 1.
        awkward: How much less each counts for not being pleasant to read, float32 (sentences,).
    """

    sentences: tuple[str, ...]
    words: str
    vectors: Matrix
    awkward: Matrix


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the forms of an English word share: "assassins" and "assassin", "loved" and "love"."""
    return _ENDINGS.sub("", word)


def read_sentence_words(client: redis.Redis, build: str) -> SentenceWords:
    """The word vectors of a build; none of one of an older version."""
    stored: bytes | None = client.get(sentence_words_key(build))  # type: ignore[assignment]
    return SentenceWords.read(stored)
