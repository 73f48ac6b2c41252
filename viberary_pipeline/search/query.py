"""A query, tokenised once: its words in each form in which the index holds words."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from viberary_pipeline.errors import QueryError
from viberary_pipeline.name_keys import LONGEST_KEY, words_of
from viberary_pipeline.search.spelling import can_be_a_typo

MOST_CHARACTERS = 2000
"""Characters of a query that are read; encoders cut far earlier."""

MOST_TERMS = 48
"""Terms of a query that BM25 scores: each is a list of postings to walk."""

LEAST_WORDS_OF_A_STORY = 25
"""From here on a query tells what happens in a book."""

MOST_WORDS_OF_A_NAME = 12
LEAST_WORDS_OF_A_SENTENCE = 3

# RediSearch's tokens: what is between white space and ASCII's punctuation (the underscore belongs to words).
_TOKEN = re.compile(r"[^\s\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}

# RediSearch's own list: these words are in no index, so they are no typos either.
_STOP_WORDS = (
    "a is the an and are as at be but by for if in into it no not of on or such that their then there these they this "
    "to was will with"
)
# A keyword of its query language: as a bare term, it is a syntax error. No other keyword is.
_RESERVED = "ismissing"
STOP_WORDS = frozenset(_STOP_WORDS.split()) | {_RESERVED}


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """The words of a query.

    Terms are distinct, in the order of the query, without stop words, and at most `MOST_TERMS`: the rarest.

    Attributes:
        words: All words, folded as the index folds names (no case, no accents), repeats included.
        key: Their letters and digits alone, as the index keeps whole titles and authors; "" if there is no such key.
        name_terms: The terms that the index may hold of names: folded.
        description_terms: The terms that the index may hold of descriptions: in lower case, with their accents.
        terms: Both.
        spelling_terms: The words that may be typos, each once; none where the query is too long to be a name.
        text: What was parsed.
    """

    words: tuple[str, ...]
    key: str
    name_terms: tuple[str, ...]
    description_terms: tuple[str, ...]
    terms: tuple[str, ...]
    spelling_terms: tuple[str, ...]
    text: str = field(default="", compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, held: Callable[[str], int] = lambda word: 0) -> Self:
        """Any text; one without words has no terms.

        Args:
            text: The query.
            held: How many texts hold a word, folded. Of words that are as rare, the first stay.
        """
        text = _SURROGATES.sub(" ", text)  # they cannot be sent
        words = words_of(text)
        key = "".join(words)
        tokens = [token for token in _TOKEN.findall(text.lower()) if any(map(str.isalnum, token))]
        is_name = len(words) <= MOST_WORDS_OF_A_NAME
        return cls(
            words=tuple(words),
            key=key if len(key) <= LONGEST_KEY else "",
            name_terms=_terms(words, held),
            description_terms=_terms(tokens, held),
            terms=_terms([*tokens, *words], held),
            spelling_terms=_terms(filter(can_be_a_typo, words), held) if is_name else (),
            text=text,
        )


def _terms(words: Iterable[str], held: Callable[[str], int]) -> tuple[str, ...]:
    terms = list(dict.fromkeys(word for word in words if word not in STOP_WORDS))
    if len(terms) > MOST_TERMS:
        rarest = set(sorted(terms, key=lambda term: max(map(held, words_of(term)), default=0))[:MOST_TERMS])
        terms = [term for term in terms if term in rarest]
    return tuple(terms)


def clean_query(query: str) -> str:
    """The query in NFC without invisible characters, white space folded, cut to `MOST_CHARACTERS`.

    Raises:
        QueryError: nothing is left.
    """
    visible = "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in query)
    text = " ".join(unicodedata.normalize("NFC", visible).split())[:MOST_CHARACTERS].rstrip()
    if not text:
        raise QueryError(
            "The query is empty",
            expected="a few words, such as 'funny sci-fi'",
            found=repr(query[:40]),
            todo="type what the book should feel like",
        )
    return text
