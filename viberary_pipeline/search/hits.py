"""What pages and programs are told of a book, read from its fields in Redis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from viberary_pipeline.name_keys import KEY_SEPARATOR
from viberary_pipeline.redis_contract import (
    CARD,
    DESCRIPTION,
    GENRE_TAGS,
    LANGUAGE,
    UNKNOWN_LANGUAGE,
    contributors_of,
)
from viberary_pipeline.search.fit import Match

_JSON_FIELDS = (
    *("rank", "score", "book_id", "work_id", "title", "author", "link", "review_count"),
    *("year", "description", "language", "rating", "ratings_count", "genres"),
    *("year_of", "match", "why", "image_url"),
)
"""The fields of a book in `viberary search --json`, in their order. New fields are added at the end."""


@dataclass(frozen=True)
class Hit:
    """A book that a search found.

    If an older version of the project made the build, some of these fields are empty.

    Attributes:
        rank: Its place in the list, from 1.
        score: The cosine similarity of query and work, in [-1, 1].
        book_id, work_id: The id of the edition that represents the work, and that of the work.
        link: The address of its page at the source; "" if it has none.
        description: The description; "" if it has none.
        genres: The genres of the work. If it has none, the first of its readers' shelves.
        author: All contributors, with their roles in brackets.
        named: How the query names the book: by its "title", its "author" or its "number" (an ISBN, an id); "" if it
            does not name it.
        year: The year of publication; None if it is unknown.
        year_of: Whose year that is: "work", "work, uncertain", "edition" (the one that is shown), "earliest edition",
            or "" if it is unknown.
        language: The language, as a BCP 47 primary subtag; None if it is unknown.
        rating: The mean of all ratings of all editions, from 1 to 5; None if it is unknown.
        review_count, ratings_count: The numbers of reviews and of ratings, summed over the editions.
        contributors: Pairs of name and role. Main authors come first, with the role "".
        reviews: Reviews that readers wrote.
        image_url: The address of a picture of the cover, on another host; "" if there is none.
        match: How well the book fits the query: "strong", "good", "loose", or "" if it is unknown.
        why: The sentence of the description or of a review that is nearest to the query; "" if there is none. Comparing
            two hits with == ignores it.
    """

    rank: int
    score: float
    book_id: str
    work_id: str
    title: str
    author: str
    link: str
    review_count: int
    description: str = ""
    year: int | None = None
    named: str = ""
    year_of: str = ""
    language: str | None = None
    rating: float | None = None
    ratings_count: int = 0
    genres: tuple[str, ...] = ()
    contributors: tuple[tuple[str, str], ...] = ()
    reviews: tuple[str, ...] = ()
    image_url: str = ""
    match: Match = ""
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.title} — {self.author or 'unknown author'}"

    def to_json(self) -> dict[str, Any]:
        """The book in the object of `viberary search --json`."""
        return {**{name: getattr(self, name) for name in _JSON_FIELDS}, "genres": list(self.genres)}


def hit_of(fields: Mapping[str, str], *, rank: int = 0, score: float = 0.0, named: str = "") -> Hit:
    """A book from its `PAGE_FIELDS` as Redis holds them; "" where it holds none."""
    card, language = json.loads(fields[CARD] or "{}"), fields[LANGUAGE]
    return Hit(
        rank=rank,
        score=score,
        named=named,
        book_id=fields["book_id"],
        work_id=fields["work_id"],
        title=fields["title"],
        author=fields["author"],
        link=fields["link"],
        review_count=int(fields["review_count"] or 0),
        description=fields[DESCRIPTION] + card.get("description_rest", ""),
        year=int(fields["year"]) if fields["year"] else None,
        year_of=card.get("year_of", ""),
        language=None if language in ("", UNKNOWN_LANGUAGE) else language,
        rating=card.get("rating"),
        ratings_count=card.get("ratings_count", 0),
        genres=tuple(filter(None, fields[GENRE_TAGS].split(KEY_SEPARATOR))),
        contributors=tuple(map(tuple, card.get("contributors") or contributors_of(fields["author"]))),
        reviews=tuple(card.get("reviews", ())),
        image_url=card.get("image_url", ""),
    )
