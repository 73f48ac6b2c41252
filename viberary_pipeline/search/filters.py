"""What a reader narrows a search by: language, reviews, year, genre. Each is a field of the index."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from viberary_pipeline.errors import QueryError
from viberary_pipeline.redis_contract import GENRE_TAGS
from viberary_pipeline.search.language_names import language_subtag

_YEARS = re.compile(r"(\d{0,4})(-?)(\d{0,4})", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
# In a value of a TAG field. Before other letters than ASCII's a backslash stands for itself.
_SPECIAL, _ESCAPED = re.compile(r"([ -/:-@\[-`{-~])"), r"\\\1"


@dataclass(frozen=True)
class Filters:
    """Which works may be found.

    Attributes:
        languages: Any of them; empty: all. They may be given as people spell them ("English", "eng", "en-US") and are
            kept as BCP 47 primary subtags, each once; "und" stands for unknown.
        min_reviews: Least number of reviews, over all editions.
        years: First and last year of publication, or None. A work without a year is in no range.
        genre: A genre's name as the index has it; case does not matter.
    """

    languages: tuple[str, ...] = ()
    min_reviews: int = 0
    years: tuple[int | None, int | None] = (None, None)
    genre: str = ""

    @classmethod
    def of(cls, languages: Sequence[str], min_reviews: int | str, years: str | None, genre: str = "") -> Self:
        """From what is typed: years as "1990-1999", "1990-", "-1999" or "1990".

        Raises:
            QueryError: a value is none of its kind.
        """
        typed, reviews = (years or "").strip(), str(min_reviews or 0).strip()
        match = _YEARS.fullmatch(typed)
        for value, allowed, expected in (
            (typed, not typed or match, "years such as 1990-1999, 1990-, -1999 or 1990"),
            (reviews, _COUNT.fullmatch(reviews), "a whole number of reviews"),
        ):
            if not allowed:
                raise QueryError(
                    "The filter has a value that is not allowed",
                    expected=expected,
                    found=repr(value)[:60],
                    todo="correct the value, or leave it out",
                )
        first, dash, last = match.groups() if match else ("", "", "")
        if not dash:
            last = first
        typed_languages = tuple(name for one in languages for name in one.split(",") if name.strip())
        range_ = (int(first) if first else None, int(last) if last else None)
        return cls(typed_languages, int(reviews), range_, " ".join(genre.split()))

    def __post_init__(self) -> None:
        """Raises `QueryError` for a language or a genre that is none."""
        subtags = {typed: language_subtag(typed) for typed in self.languages}
        for typed, subtag in subtags.items():
            if subtag is None:
                raise QueryError(
                    f"No language is called {typed[:40]!r}",
                    expected="a language's code or name, such as en, eng, en-US, English or Deutsch; und stands for "
                    "unknown",
                    found=repr(typed[:40]),
                    todo="correct the language, or leave it out",
                )
        if not self.genre.isprintable():
            raise QueryError(
                "No genre has that name",
                expected="the name of a genre",
                found=repr(self.genre[:40]),
                todo="choose one of the genres that the page lists, or leave it out",
            )
        object.__setattr__(self, "languages", tuple(dict.fromkeys(filter(None, subtags.values()))))

    def __bool__(self) -> bool:
        """Whether anything is narrowed."""
        return self != Filters()

    def set_fields(self) -> dict[str, Any]:
        """What is narrowed, by the names of the fields."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    def to_query(self) -> str:
        """The filter in RediSearch's query language; "" if there is none."""
        parts = []
        if self.languages:
            parts.append(f"@language:{{{'|'.join(self.languages)}}}")
        if self.min_reviews:
            parts.append(f"@review_count:[{self.min_reviews} +inf]")
        first, last = self.years
        if first is not None or last is not None:
            parts.append(f"@year:[{'-inf' if first is None else first} {'+inf' if last is None else last}]")
        if self.genre:
            parts.append(f"@{GENRE_TAGS}:{{{_SPECIAL.sub(_ESCAPED, self.genre)}}}")
        return " ".join(parts)

    def __str__(self) -> str:
        """The filter in words: "language en or fr, at least 10 reviews, published from 1990"; "" if there is none."""
        parts = []
        if self.languages:
            parts.append(f"language {' or '.join(self.languages)}")
        if self.min_reviews:
            parts.append(f"at least {self.min_reviews:,} reviews")
        first, last = self.years
        if first is not None or last is not None:
            from_year = "" if first is None else f" from {first}"
            parts.append(f"published{from_year}{'' if last is None else f' to {last}'}")
        if self.genre:
            parts.append(f"genre {self.genre}")
        return ", ".join(parts)
