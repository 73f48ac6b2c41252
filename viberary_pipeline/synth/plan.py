"""How a catalogue of N books is laid out: ids, editions and popularity are formulas; no table of them exists.

A book is a number from 0 to N-1. Bijections of the form (a x + c) mod n (a and n coprime) scatter books over offsets
(neighbouring offsets are editions of one work), popularity ranks and Goodreads-like ids. Any range of books or
reviews can thus be written by itself, in any order, with nothing but this handful of numbers in memory.
"""

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

MAX_RECORDS = 1_000_000_000
"""Products of two numbers below it fit into 64 bits."""

_SINGLE_WORKS = 0.503  # of the books, those that are the only edition of their work
_SEVERAL_WORKS = 0.142  # works with several editions, per book: 1.55 editions per work in all
_AUTHORS = 0.3514  # per book, as in UCSD's files (829,529 of 2,360,655)
_SERIES = 0.1696  # 400,390 of 2,360,655
_BETA = 0.15  # popularity falls with rank to the power of beta - 1; 88 % of books get a review of 6.67 per book


@dataclass(frozen=True)
class Plan:
    """The numbers of one catalogue, all following from `books`, `reviews` and `seed`."""

    books: int
    reviews: int
    seed: int

    @property
    def single_works(self) -> int:
        """Works with one edition; they have the first offsets and the first numbers."""
        return self.books if self.books < 10 else round(self.books * _SINGLE_WORKS)

    @property
    def works(self) -> int:
        """Number of works: with one edition and with several."""
        return self.single_works + self.several_works

    @property
    def several_works(self) -> int:
        """Works with several editions."""
        return 0 if self.books < 10 else max(1, round(self.books * _SEVERAL_WORKS))

    @property
    def authors(self) -> int:
        """Number of authors."""
        return math.ceil(self.books * _AUTHORS)

    @property
    def series(self) -> int:
        """Number of series."""
        return math.ceil(self.books * _SERIES)

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each file, without what damage adds."""
        return {
            "books": self.books,
            "authors": self.authors,
            "works": self.works,
            "genres": self.books,
            "series": self.series,
            "reviews": self.reviews,
        }

    def variables(self) -> dict[str, Any]:
        """What the SQL reads by getvariable()."""
        offset = min(0.05, 32 / max(1, self.books))  # the first rank has some 16,000 reviews at full size
        numbers: dict[str, Any] = {
            "seed": self.seed,
            "books": self.books,
            "single_works": self.single_works,
            "several_works": self.several_works,
            "several_books": self.books - self.single_works,
            "works": self.works,
            "authors": self.authors,
            "series": self.series,
            "beta": _BETA,
            "rank_offset": offset,
            "rank_low": offset**_BETA,
            "rank_high": (1 + offset) ** _BETA,
        }
        scattered = {"offset": "books", "rank": "books", "book": "books", "work": "works", "author": "authors"}
        for name, size in {**scattered, "serial": "series"}.items():
            n = max(1, numbers[size])
            factor = self._coprime(name, n)
            numbers |= {f"{name}_factor": factor, f"{name}_shift": self._number(f"{name} shift") % n}
            numbers |= {f"{name}_inverse": pow(factor, -1, n) if n > 1 else 0}
        return numbers

    def _number(self, purpose: str) -> int:
        return int.from_bytes(sha256(f"{self.seed}/{purpose}".encode()).digest()[:7], "big")

    def _coprime(self, purpose: str, n: int) -> int:
        """A factor near n / 1.618 (so that neighbours land far apart) that has no divisor in common with n."""
        factor = max(1, int(n * 0.6180339887) + self._number(purpose) % max(1, n // 50))
        while math.gcd(factor, n) != 1:
            factor += 1
        return factor % n if n > 1 else 0


_READINGS = 0.2  # entries of Open Library's reading log per work, about
_RATINGS = 0.06  # ratings per entry
_MERGED_WORKS, _MERGED_AUTHORS, _REMOVED_WORKS = 50, 100, 200  # one in so many: sql/openlibrary_macros.sql relies on it


@dataclass(frozen=True)
class OpenLibraryPlan(Plan):
    """The same for Open Library's dumps: `books` are its editions, `reviews` the entries of its reading log."""

    given_works: int
    changed: float

    @classmethod
    def of(cls, works: int, readings: int | None, seed: int, changed: float = 0.0) -> "OpenLibraryPlan":
        """The plan of exactly so many works, of which a share has changed. Editions and authors follow as in UCSD's
        files, and readings as in Open Library's where they are None."""
        several = _with_several_editions(works)
        editions = works - several + round(several * (1 - _SINGLE_WORKS) / _SEVERAL_WORKS)
        return cls(editions, round(works * _READINGS) if readings is None else readings, seed, works, changed)

    @property
    def works(self) -> int:
        """Number of works."""
        return self.given_works

    @property
    def single_works(self) -> int:
        """Works with one edition."""
        return self.works - self.several_works

    @property
    def several_works(self) -> int:
        """Works with several editions."""
        return _with_several_editions(self.works)

    @property
    def merged_works(self) -> int:
        """Works that have an old key."""
        return math.ceil(self.works / _MERGED_WORKS)

    @property
    def merged_authors(self) -> int:
        """Authors that have an old key."""
        return math.ceil(self.authors / _MERGED_AUTHORS)

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each file, each counted once."""
        return {
            "works": self.works,
            "editions": self.books,
            "authors": self.authors,
            "ratings": round(self.reviews * _RATINGS),
            "reading-log": self.reviews,
            "redirects": 2 * self.merged_works + self.merged_authors + math.ceil(self.works / _REMOVED_WORKS),
        }

    def variables(self) -> dict[str, Any]:
        """What the SQL reads by getvariable()."""
        return {
            **super().variables(),
            "changed": self.changed,
            "moved_works": self.merged_works,
            "moved_authors": self.merged_authors,
        }


def _with_several_editions(works: int) -> int:
    return 0 if works < 10 else max(1, round(works * _SEVERAL_WORKS / (_SINGLE_WORKS + _SEVERAL_WORKS)))
