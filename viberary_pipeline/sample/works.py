"""The bundled works as the TOML files of `catalogue/` declare them.

Titles, authors and years are those of real books. Descriptions, reviews and figures were written for this
project (UCSD's data may not be redistributed), so nothing in them is anyone's blurb or anyone's review.

One `[[work]]` table is a work and its first edition; `[[work.edition]]` tables are further editions, and
`[[work.review]]` tables are reviews of the work.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from itertools import pairwise
from typing import Any

FOLDER = files("viberary_pipeline") / "sample" / "catalogue"


@dataclass(frozen=True)
class Credit:
    """A person's part in an edition. `role` is '' for an author."""

    name: str
    role: str = ""


@dataclass(frozen=True)
class Edition:
    """One edition. What the TOML leaves out is '' or, for numbers, None."""

    title: str
    authors: tuple[Credit, ...]
    ratings_count: int
    text_reviews_count: int
    language: str = ""
    year: int | None = None
    pages: int | None = None
    publisher: str = ""
    format: str = ""
    edition_information: str = ""
    description: str = ""


@dataclass(frozen=True)
class Review:
    """One review. Reviews with the same `reviewer` are by one person; without one, by somebody else each."""

    rating: int
    votes: int
    text: str
    reviewer: str | None = None


@dataclass(frozen=True)
class Work:
    """One work; `editions[0]` is the one that its table describes. `rating` is the mean, in [0, 5]."""

    id: int
    kinds: tuple[str, ...]
    rating: float
    series: str
    editions: tuple[Edition, ...]
    reviews: tuple[Review, ...]


_OF_AN_EDITION = {field.name for field in fields(Edition)}


def load_works() -> list[Work]:
    """All works, in the order of their ids.

    Raises:
        TypeError, KeyError: a table has a key that is not declared above, or lacks one that is needed.
        ValueError: two works have one id.
    """
    works: list[Work] = []
    for path in sorted(FOLDER.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".toml"):
            works += [_work(table) for table in tomllib.loads(path.read_text(encoding="utf-8"))["work"]]
    works.sort(key=lambda work: work.id)
    twice = [a.id for a, b in pairwise(works) if a.id == b.id]
    if twice:
        raise ValueError(f"two works have the id {twice[0]}")
    return works


def _work(table: Mapping[str, Any]) -> Work:
    own = {name: value for name, value in table.items() if name in _OF_AN_EDITION}
    first = _edition(own)
    rest = {name: value for name, value in table.items() if name not in _OF_AN_EDITION}
    return Work(
        id=rest.pop("id"),
        kinds=tuple(rest.pop("kinds")),
        rating=rest.pop("rating"),
        series=rest.pop("series", ""),
        editions=(first, *(_later_edition(edition, first) for edition in rest.pop("edition", ()))),
        reviews=tuple(Review(**review) for review in rest.pop("review", ())),
        **rest,  # nothing is left, unless somebody misspelled a key: then this raises
    )


def _edition(table: Mapping[str, Any]) -> Edition:
    return Edition(**{**table, "authors": tuple(Credit(**credit) for credit in table["authors"])})


def _later_edition(table: Mapping[str, Any], first: Edition) -> Edition:
    """An edition that states no title or authors has those of the first, less translators and the like."""
    authors = [credit for credit in first.authors if credit.role == ""] or first.authors
    inherited = {"title": first.title, "authors": [asdict(credit) for credit in authors]}
    return _edition({**inherited, **table})
