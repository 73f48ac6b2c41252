"""The words of a query: BM25 over descriptions and names, what it is worth, and words that no book has (typos)."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from viberary_pipeline.index.contract import DESCRIPTION, NAMES, VECTOR, index_name
from viberary_pipeline.search.name_keys import authors_of, words_of
from viberary_pipeline.search.replies import Command, search_command

MOST_WORDS = 32
"""Words of a query that BM25 looks at: each is a list of postings to walk."""

_MOST_WORDS_OF_A_NAME = 12
# RediSearch's tokens: what is between white space and ASCII's punctuation (the underscore belongs to words).
_TOKEN = re.compile(r"[^\s\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+")
_LEAST_WORDS_OF_A_SENTENCE = 3
_LEAST_LETTERS = 4  # of a word that is worth correcting: shorter ones have too many neighbours
_MOST_CORRECTIONS = 5

# In points of BM25, where a word that one work in n holds is worth about ln n. Chosen by benchmarks/lexical.py.
_FREE = 1.5  # what a work near in meaning holds by chance: "about", "people"
_AUTHOR = 1.0  # what names weigh where the query says a word of the author's: it means the author
_ALL_WORDS = 2.0  # what names weigh where they hold all that was asked: half a title, a surname

# RediSearch's own list: these words are in no index, so they are no typos either.
_STOP_WORDS = (
    "a is the an and are as at be but by for if in into it no not of on or such that their then there these they this "
    "to was will with"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())


def description_words(text: str) -> list[str]:
    """The words of a query as the index holds those of descriptions, each once."""
    return _content(word for word in _TOKEN.findall(text.lower()) if any(map(str.isalnum, word)))


def bm25_words(text: str) -> list[str]:
    """The words of a query in every form that the index may hold: descriptions keep their accents, names do not."""
    return _content([*description_words(text), *words_of(text)])


def name_words(text: str) -> list[str]:
    """The words of a query as the index holds those of names, each once."""
    return _content(words_of(text))


def _content(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word not in STOP_WORDS))[:MOST_WORDS]


def description_command(build: str, words: Sequence[str], keys: Sequence[bytes]) -> Command | None:
    """BM25 of the descriptions of these documents for any of the words; None for no words or no documents.

    Only candidates are scored, so that its cost does not grow with the catalogue; those that hold none of the words
    are not in the reply.
    """
    return _bm25_command(build, DESCRIPTION, words, keys, "NOCONTENT")


def names_score_command(build: str, words: Sequence[str], keys: Sequence[bytes]) -> Command | None:
    """BM25 of the names (title and authors) of these documents, as `description_command` asks for it, with both."""
    return _bm25_command(build, NAMES, words, keys, "RETURN", 2, "title", "author")


def _bm25_command(
    build: str, field: str, words: Sequence[str], keys: Sequence[bytes], *contents: str | int
) -> Command | None:
    if not words or not keys:
        return None
    # A command for each field: in a union of both, RediSearch loses the weight of a part with one word left.
    among: Command = ("INKEYS", len(keys), *keys)
    return search_command(build, f"@{field}:({'|'.join(words)})", *among, *contents, *_by_bm25(len(keys)))


def name_weight(asked: Sequence[str], title: str, author: str) -> float:
    """What BM25 of a work's names weighs beside that of its description.

    A word of a title is a mood as often as not ("cold" in a title does not make a book cold), so titles weigh nothing
    unless they and the authors hold all that was asked; a word of the author's name means the author.

    Args:
        asked: `name_words` of the query.
        title: The work's title.
        author: Its author field.
    """
    words = {word for name in authors_of(author) for word in words_of(name)}
    if set(asked) <= words | set(words_of(title)):
        return _ALL_WORDS
    return _AUTHOR if set(asked) & words else 0.0


def lift(bm25: float, documents: int) -> float:
    """What BM25 is worth in a catalogue of so many documents, about 1 for each rare word, before it is weighed.

    BM25 of one rare word grows with the logarithm of the number of documents, so one weight serves catalogues of
    every size.
    """
    return max(0.0, bm25 - _FREE) / math.log(1 + max(documents, 2))


def all_words_command(build: str, words: Sequence[str], most: int, narrowed: str) -> Command | None:
    """Works that hold all the words, best BM25 first, with their vectors: a sentence that a reader remembers.

    None for fewer than three words: too many works hold those, and the vectors find the best of them.
    """
    if len(words) < _LEAST_WORDS_OF_A_SENTENCE:
        return None
    return search_command(build, f"{narrowed} {' '.join(words)}", "RETURN", 1, VECTOR, *_by_bm25(most))


def _by_bm25(most: int) -> tuple[str | int, ...]:
    return ("WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, most)


def spelling_command(build: str, words: Sequence[str]) -> Command | None:
    """Asks which of the words no document has, and which words are near them; None for what is no name."""
    if len(words) > _MOST_WORDS_OF_A_NAME:
        return None
    asked = [word for word in words if len(word) >= _LEAST_LETTERS and word not in STOP_WORDS and word.isalpha()]
    return ("FT.SPELLCHECK", index_name(build), " ".join(asked), "DISTANCE", 2) if asked else None


def corrections(word: str, near: Sequence[str]) -> tuple[str, ...]:
    """Those of the words `near` that one slip of the fingers turns into `word`, or two where it is long."""
    slips = 1 if len(word) < 8 else 2
    letters = set(word)
    # One slip changes two letters at most: most of the server's proposals need no closer look.
    likely = (o for o in near if abs(len(word) - len(o)) <= slips and len(letters ^ set(o)) <= 2 * slips)
    close = ((edits(word, other), other) for other in likely)
    return tuple(other for distance, other in sorted(close, key=lambda pair: pair[0]) if distance <= slips)[
        :_MOST_CORRECTIONS
    ]


def edits(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour to turn one word into the other.

    Damerau's distance in its restricted form (optimal string alignment): no part is edited twice.
    """
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


def key_command(build: str, field: str, key: str, most: int, narrowed: str) -> Command:
    """Works with that key in a TAG field, most reviewed first."""
    return search_command(build, f"{narrowed} @{field}:{{{key}}}", *_most_reviewed(most))


def names_command(
    build: str, words: Sequence[str], near: Mapping[str, Sequence[str]], most: int, narrowed: str
) -> Command | None:
    """Works whose title and authors together hold all the words, or words near them; most reviewed first.

    None for what is no name and cannot be one: no words, or too many.
    """
    if not 0 < len(words) <= _MOST_WORDS_OF_A_NAME:
        return None
    terms = " ".join(f"({'|'.join((word, *near[word]))})" if word in near else word for word in words)
    return search_command(build, f"{narrowed} @{NAMES}:({terms})", *_most_reviewed(most))


def _most_reviewed(most: int) -> tuple[str | int, ...]:
    return ("RETURN", 3, "title", "author", "review_count", "SORTBY", "review_count", "DESC", "LIMIT", 0, most)
