"""The languages, decades and genres that a search can be narrowed to, with their counts, made once a build."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from viberary_pipeline.redis_contract import UNKNOWN_LANGUAGE, genres_of

FIRST_DECADE = 1900
MOST_GENRES = 40


@dataclass(frozen=True)
class Facets:
    """Each a count of works by value.

    Attributes:
        languages: By BCP 47 primary subtag, the most frequent first.
        years: By range as `Filters.of` reads it: "1990-1999", the latest first, then all before the first decade.
        genres: By name, in alphabetical order; the most frequent ones alone.
    """

    languages: Mapping[str, int] = field(default_factory=dict)
    years: Mapping[str, int] = field(default_factory=dict)
    genres: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """What `read` reads."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> Self:
        """From a build's record; none where its version did not count them."""
        return cls(**json.loads(text or "{}"))


class FacetCounts:
    """Counts while a build is fed."""

    def __init__(self) -> None:
        self._languages, self._decades, self._genres = Counter[str](), Counter[int](), Counter[str]()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows of the documents."""
        for row in rows:
            self._languages[row.get("language") or UNKNOWN_LANGUAGE] += 1
            if (year := row.get("publication_year")) is not None:
                self._decades[max(year // 10 * 10, FIRST_DECADE - 10)] += 1
            self._genres.update(genres_of(row))

    def facets(self) -> Facets:
        """What was counted."""
        decades = sorted(self._decades.items(), reverse=True)
        return Facets(
            dict(self._languages.most_common()),
            {f"{'' if first < FIRST_DECADE else first}-{first + 9}": works for first, works in decades},
            dict(sorted(self._genres.most_common(MOST_GENRES))),
        )
