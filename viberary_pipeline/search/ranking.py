"""Ranking: a parsed query and its candidates in, the results in their order out. It knows no Redis and no settings.

First come the works that the query names, by their title or by their author; typos are forgiven. A query that spells
a title or a name word for word asks for it. Anything less is a vibe: half a title is a mood as often as not. The
others follow by the sum of cosine similarity and weighted BM25. Of equal scores, more reviews come first.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from viberary_pipeline.name_keys import (
    author_keys,
    author_words,
    authors_of,
    surname_of,
    title_keys,
    whole_title_keys,
    words_of,
)
from viberary_pipeline.search.companions import companion_of
from viberary_pipeline.search.query import LEAST_WORDS_OF_A_STORY, ParsedQuery
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.weights import SearchSettings

MOST_TITLES = 3
"""Works of one title that come first: "Love" is the title of many, and a vibe as well."""

_TIE_DIGITS = 6

# In points of BM25, where a word that one work in n holds scores about ln n. Chosen by benchmarks/lexical.py.
_NOISE = 1.5  # what a work near in meaning scores by chance: "about", "people"
_AUTHOR_WEIGHT = 1.0  # of the names' BM25 where the query has a word of the author's: it means the author
_ALL_TERMS_WEIGHT = 2.0  # of the names' BM25 where they hold all terms: half a title, a surname


NamedBy = Literal["number", "title", "author", ""]


class Candidate(NamedTuple):
    """A work that may answer the query, and its features.

    Attributes:
        key: Its document.
        cosine: Of its vector and the query's; None for a work that was looked up by name alone.
        description_bm25: BM25 of its description for any of the terms.
        names_bm25: BM25 of its title and authors for any of the name terms.
        all_terms_bm25: BM25 of the whole document where it holds all description terms.
        looked_up: Whether a look-up by title, author or names returned it: only then may the query name it.
        numbered: Whether the number that the query is, is that of an edition.
        title, author: Known where `names_bm25` or `looked_up` is set.
        review_count: Known where `looked_up` is set.
        title_keys, author_keys, volume_keys: As the index holds them, known where `looked_up` is set. Where they are
            empty, those of title and author count.
    """

    key: bytes
    cosine: float | None = None
    description_bm25: float = 0.0
    names_bm25: float = 0.0
    all_terms_bm25: float = 0.0
    looked_up: bool = False
    numbered: bool = False
    title: str = ""
    author: str = ""
    review_count: int = 0
    title_keys: Sequence[str] = ()
    author_keys: Sequence[str] = ()
    volume_keys: Sequence[str] = ()


class Ranked(NamedTuple):
    """One work in the order of the results, and why it stands there.

    Attributes:
        key: Its document.
        score: What it is ordered by: `cosine` + `lexical`, or infinity where the query names it.
        named: What of it the query names; "" for nothing.
        cosine: As the candidate's.
        lexical: The weighted BM25.
    """

    key: bytes
    score: float
    named: NamedBy = ""
    cosine: float | None = None
    lexical: float = 0.0


def rank(
    query: ParsedQuery,
    candidates: Iterable[Candidate],
    tuning: SearchSettings,
    *,
    documents: int,
    most_named: int,
    readings: Readings | None = None,
) -> list[Ranked]:
    """The candidates in their order, best first, before ties are broken (`break_ties`).

    A candidate without a cosine is a result only if the query names it. Equal scores keep the candidates' order.

    Args:
        query: The query.
        candidates: Each work once.
        tuning: The weights.
        documents: Works in the catalogue.
        most_named: How many named works come first at most.
        readings: What the query may name; None: as it is typed.
    """
    candidates, readings = list(candidates), readings or Readings.of(query)
    looked_up = (c for c in candidates if c.looked_up and tuning.find_names)
    named = named_works(readings, looked_up)[:most_named]
    taken = {work.key for work in named}
    is_story = len(query.words) >= LEAST_WORDS_OF_A_STORY
    weight = min(tuning.lexical_weight, tuning.long_lexical_weight) if is_story else tuning.lexical_weight
    rest = []
    for c in candidates:
        if c.cosine is not None and c.key not in taken:
            lexical = weight * normalised_bm25(_bm25(query, readings, c), documents)
            rest.append(Ranked(c.key, c.cosine + lexical, "", c.cosine, lexical))
    return named + sorted(rest, key=lambda work: -work.score)


def next_batch(ranked: Sequence[Ranked], start: int, size: int) -> Sequence[Ranked]:
    """`size` works from `start` on, and those tied with the last of them: their reviews decide who is shown."""
    end = start + size
    while end < len(ranked) and _rounded(ranked[end]) == _rounded(ranked[end - 1]):
        end += 1
    return ranked[start:end]


def break_ties(batch: Iterable[Ranked], review_counts: Mapping[bytes, int]) -> list[Ranked]:
    """A batch in its final order; named works keep theirs."""
    return sorted(batch, key=lambda work: (-_rounded(work), 0 if work.named else -review_counts[work.key]))


def _rounded(work: Ranked) -> float:
    return round(work.score, _TIE_DIGITS)


def _bm25(query: ParsedQuery, readings: Readings, c: Candidate) -> float:
    terms = query.name_terms
    names = names_weight(terms, c.title, c.author, readings.likely, readings.by) * c.names_bm25 if c.names_bm25 else 0.0
    # A work that holds all terms, wherever they stand, is scored by the whole document.
    return max(c.description_bm25 + names, c.all_terms_bm25)


def names_weight(
    terms: Sequence[str],
    title: str,
    author: str,
    likely: Mapping[str, str] | None = None,
    by: Collection[str] = (),
) -> float:
    """What BM25 of a work's names weighs beside that of its description.

    A word of a title is a mood as often as not ("cold" in a title does not make a book cold), so titles weigh nothing
    unless they and the authors hold all terms; a word of the author's name means the author.

    Args:
        terms: The name terms of the query.
        title: The work's title.
        author: Its author field.
        likely: {term: what it stands for}.
        by: Names after "by".
    """
    likely = likely or {}
    of_author = _words_of_authors(author)
    of_names = of_author.union(words_of(title))
    if all(term in of_names or likely.get(term) in of_names for term in terms) or not of_author.isdisjoint(by):
        return _ALL_TERMS_WEIGHT
    return 0.0 if of_author.isdisjoint([*terms, *likely.values()]) else _AUTHOR_WEIGHT


@lru_cache(maxsize=50_000)
def _words_of_authors(shown: str) -> frozenset[str]:
    return frozenset(word for name in authors_of(shown) for word in author_words(name))


def normalised_bm25(bm25: float, documents: int) -> float:
    """About 1 for each rare word, in a catalogue of any size; 0 for what is noise.

    BM25 of one rare word grows with the logarithm of the number of documents. Divided by it, one weight serves
    catalogues of every size.
    """
    return max(0.0, bm25 - _NOISE) / math.log(1 + max(documents, 2))


def named_works(readings: Readings, candidates: Iterable[Candidate]) -> list[Ranked]:
    """Those of the candidates that the query names: by a number, a title (alone or with its author), or an author.

    At most `MOST_TITLES` works by title (`title_place`). After them the works of an author of that name, more reviews
    first. A number that may also be a title comes after the titles.

    Args:
        readings: What the query may name.
        candidates: Works with title, author and review_count.
    """
    titles: list[tuple[TitlePlace, Candidate]] = []
    numbers: list[tuple[int, bytes, Candidate]] = []
    authors: list[tuple[bool, int, bytes, Candidate]] = []
    for c in candidates:
        place = title_place(readings, c)
        if place is not None:
            titles.append((place, c))
        elif c.numbered:
            numbers.append((-c.review_count, c.key, c))
        elif (as_typed := author_as_typed(readings, c)) is not None:
            authors.append((not as_typed, -c.review_count, c.key, c))
    return (
        [Ranked(c.key, math.inf, "title", c.cosine) for *_, c in sorted(titles)[:MOST_TITLES]]
        + [Ranked(c.key, math.inf, "number", c.cosine) for *_, c in sorted(numbers)]
        + [Ranked(c.key, math.inf, "author", c.cosine) for *_, c in sorted(authors)]
    )


class TitlePlace(NamedTuple):
    """The place of a work among those whose title a query spells, in the order of its parts.

    Attributes:
        accompanies: Whether it is a guide to works, or a collection: after the works.
        corrected: Whether a correction spells it: after what is spelled as typed.
        part: 0 for the whole title, 1 for the title without its subtitle and for a volume by its number, 2 for another
            title of the work.
        fewer_reviews: The negative number of reviews.
        key: Of the document.
    """

    accompanies: bool
    corrected: bool
    part: int
    fewer_reviews: int
    key: bytes


def title_place(readings: Readings, c: Candidate) -> TitlePlace | None:
    """The place of a work that the query names by its title, alone or with its author; None where it does not."""
    spelled = _title_spelled(readings, c)
    if spelled is None:
        return None
    return TitlePlace(companion_of(c.title, c.author).is_certain, *spelled, -c.review_count, c.key)


def _title_spelled(readings: Readings, c: Candidate) -> tuple[bool, int] | None:
    """`TitlePlace.corrected` and `part`."""
    keys = c.title_keys or title_keys(c.title)
    for correction, key in enumerate(readings.titles):
        if key in keys:
            return correction > 0, _part(key, c.title)
    if not _disjoint(readings.volumes, c.volume_keys):
        return False, 1
    for title, author in readings.both:
        if title in keys and readings.name_author(author, c.author):
            return False, _part(title, c.title)
    return None


def _part(key: str, title: str) -> int:
    return 0 if key in whole_title_keys(title) else 1 if key in title_keys(title) else 2


def author_as_typed(readings: Readings, c: Candidate) -> bool | None:
    """Whether an author's name is spelled as typed, or in another way, or by the surname; None: not at all."""
    found = [readings.authors[key] for key in c.author_keys or author_keys(c.author) if key in readings.authors]
    if found:
        return any(found)
    return None if _disjoint(readings.surnames, [surname_of(name) for name in authors_of(c.author)]) else False


def _disjoint(some: Collection[str], others: Collection[str]) -> bool:
    return not some or set(some).isdisjoint(others)
