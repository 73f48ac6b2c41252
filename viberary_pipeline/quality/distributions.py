"""The distributions that are measured, compared and drawn: one declaration for profile, drift and report."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Bins:
    """Bins of numbers: where each begins (the last one has no end), and what it is called."""

    edges: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Distribution:
    """How often the values of a table occur.

    Args:
        name: Its name among the `spectra` of `sql/profile_{table}.sql`.
        title: What it is called in the report.
        bins: For numbers. None: every value is a category.
        of_rows: Whether a row of the table has one value, so that the rows without one can be counted.
        about: What a reader should know of it.
        ranked: Whether its median and the like say something to a reader.
    """

    name: str
    title: str
    bins: Bins | None = None
    of_rows: bool = True
    about: str = ""
    ranked: bool = True


def counting(*edges: int) -> Bins:
    """Bins of whole numbers, called "1", "2–5", "6+"."""
    inner = (str(low) if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in pairwise(edges))
    return Bins(edges, (*inner, f"{edges[-1]:,}+"))


_LENGTHS = counting(1, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_PER_THING = counting(0, 1, 2, 6, 21, 101, 501, 1_001)
_EDITIONS = counting(1, 2, 3, 4, 6, 11, 21, 51, 101)
_DECADES = Bins((0, *range(1900, 2030, 10)), ("to 1899", *(f"{decade}s" for decade in range(1900, 2030, 10))))
_YEARS = Bins((0, *range(2007, 2031)), ("to 2006", *(str(year) for year in range(2007, 2030)), "2030+"))
_AVERAGE_EDGES = (2, 2.5, 3, 3.25, 3.5, 3.75, 4, 4.25, 4.5, 4.75, 5)
_AVERAGES = Bins(
    (0, *_AVERAGE_EDGES[:-1]), ("below 2", *(f"{low:g}–{high:g}" for low, high in pairwise(_AVERAGE_EDGES)))
)
_STARS = Bins((1, 2, 3, 4, 5), ("1", "2", "3", "4", "5"))

DISTRIBUTIONS: dict[str, tuple[Distribution, ...]] = {
    "books": (
        Distribution("languages", "Languages", about="As the file gives them, else detected from the text."),
        Distribution("languages_given", "Languages given by the file", of_rows=False),
        Distribution("languages_detected", "Languages detected from the text", of_rows=False),
        Distribution("years", "Publication decade", _DECADES, ranked=False),
        Distribution("pages", "Pages", counting(1, 50, 100, 200, 300, 400, 600, 1_000)),
        Distribution("ratings", "Average rating", _AVERAGES, about="Of the books that somebody rated."),
        Distribution("authors_per_book", "Authors per book", counting(0, 1, 2, 3, 4, 6, 11)),
        Distribution("description_length", "Description, in characters", _LENGTHS),
        Distribution("editions_per_work", "Editions per work", _EDITIONS, of_rows=False),
    ),
    "authors": (Distribution("ratings", "Average rating", _AVERAGES, about="Of the authors whom somebody rated."),),
    "reviews": (
        Distribution("ratings", "Stars", _STARS, ranked=False),
        Distribution("text_length", "Review, in characters", _LENGTHS),
        Distribution("years", "Year of the review", _YEARS, ranked=False),
        Distribution("reviews_per_book", "Reviews per book", _PER_THING, of_rows=False),
    ),
    "documents": (
        Distribution("languages", "Languages"),
        Distribution("text_length", "Text, in characters", _LENGTHS),
        Distribution("genres", "Genres", of_rows=False, about="A work may have several."),
        Distribution("shelves_per_work", "Telling shelves per work", counting(0, 1, 2, 3, 5, 8, 11), ranked=False),
        Distribution("editions_per_work", "Editions per work", _EDITIONS),
        Distribution("reviews_per_work", "Reviews per work, as Goodreads counts", _PER_THING),
    ),
}

TOKENS = Distribution("tokens", "Text, in tokens of the encoder", counting(1, 33, 65, 97, 129, 193, 257, 385, 513))
"""Not of a table: `quality.tokens` measures it over a sample of the documents."""
