"""What UCSD's raw files are called, and which of those present are read.

Names: UCSD Book Graph (Wan & McAuley, RecSys 2018, doi 10.1145/3240323.3240369), and what people make of them:
genre subsets (goodreads_books_poetry.json.gz), parts (goodreads_books-00000-of-00004.json.gz), unpacked files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from viberary_pipeline.sources import table_specs

TABLES = tuple(table.name for table in table_specs.UCSD if not table.optional)
"""The tables that every build of UCSD's files needs."""

OPTIONAL = tuple(table.name for table in table_specs.UCSD if table.optional)
"""The tables that enrich a build where their files are present."""

# The whole file's name without its ending; then other stems that its parts and subsets begin with, in order.
_STEMS = {
    "books": ("goodreads_books",),
    "authors": ("goodreads_book_authors",),
    "reviews": ("goodreads_reviews_dedup", "goodreads_reviews"),
    "works": ("goodreads_book_works",),
    "genres": ("goodreads_book_genres_initial",),
    "series": ("goodreads_book_series",),
}
_ENDINGS = (".json.gz", ".json")  # in order of preference
_PART = re.compile(r"-(?P<number>[0-9]+)-of-(?P<total>[0-9]+)(?=\.)")
_ANOTHER_DATASET = "goodreads_reviews_spoiler"  # sentences marked as spoilers, under a name that begins like reviews

FILES = {table: _STEMS[table][0] + _ENDINGS[0] for table in TABLES}
"""The names of the whole required files, as UCSD offers them."""


@dataclass(frozen=True)
class Choice:
    """The names to read, in natural order; those of the same table that are not; and the subsets among the read."""

    names: tuple[str, ...]
    passed_over: tuple[str, ...]


def choose(table: str, present: Iterable[str], subset: str | None = None) -> Choice:
    """Which of the names `present` hold `table`.

    The whole file wins; else all parts and subsets are read together. Of two names that differ in their ending
    alone the packed one is read.

    Args:
        table: One of `TABLES` or `OPTIONAL`.
        present: File names of one folder.
        subset: For books and reviews: only the files of this subset ('poetry').
    """
    ours = sorted(
        (name for name in present if name.endswith(_ENDINGS) and not name.startswith(_ANOTHER_DATASET)), key=_natural
    )
    candidates = [name for name in ours if any(_begins(name, stem) for stem in _STEMS[table])]
    by_subset = subset is not None and table in ("books", "reviews")
    for stem in _STEMS[table]:
        wanted = f"{stem}_{subset}" if by_subset else stem
        whole = [wanted + ending for ending in _ENDINGS if wanted + ending in candidates]
        # Of one subset '_' begins the name of another one: comics, comics_graphic.
        parts = [name for name in candidates if _begins(name, wanted, "-." if by_subset else "_-.")]
        if chosen := whole[:1] or _packed_first(parts):
            other = [] if by_subset else [name for name in candidates if name not in chosen]
            return Choice(tuple(chosen), tuple(other))
    return Choice((), ())


def missing_parts(names: Iterable[str]) -> list[str]:
    """Of files that say how many parts there are (x-00001-of-00004.json.gz): the names that are not there."""
    sets: dict[tuple[str, int, str, str], set[int]] = {}
    for name in names:
        if match := _PART.search(name):
            of = name[: match.start()], len(match["number"]), match["total"], name[match.end() :]
            sets.setdefault(of, set()).add(int(match["number"]))
    missing = []
    for (stem, width, total, ending), numbers in sets.items():
        first = 0 if 0 in numbers else 1  # some count from 0, some from 1
        lacking = sorted({*range(first, int(total) + first)} - numbers)
        missing += [f"{stem}-{number:0{width}}-of-{total}{ending}" for number in lacking]
    return sorted(missing)


def is_file_name(name: str) -> bool:
    """Whether a location that ends in `name` means one file rather than a folder."""
    return name.endswith((*_ENDINGS, ".gz", ".txt"))


def subset_of(table: str, name: str) -> str | None:
    """The subset that a file of books or reviews holds ('poetry'), or None for a part or the whole."""
    for stem in _STEMS[table]:
        if _begins(name, stem):
            match = re.match(r"_([^.-]+)[.-]", name[len(stem) :])
            return match[1] if match else None
    return None


def is_of(table: str, name: str) -> bool:
    """Whether a file of that name holds `table`."""
    return bool(choose(table, [name]).names)


def accepted(table: str, subset: str | None = None) -> str:
    """The names that are looked for, for people."""
    stems = _STEMS[table]
    if subset is not None and table in ("books", "reviews"):
        return " or ".join(f"{stem}_{subset}.json.gz" for stem in reversed(stems)) + " (or .json)"
    return f"{stems[0]}.json.gz (or .json), or parts or subsets of it such as {stems[-1]}_poetry.json.gz"


def _begins(name: str, stem: str, separators: str = "_-.") -> bool:
    return name.startswith(stem) and name[len(stem) : len(stem) + 1] in tuple(separators)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts part2 before part10."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"([0-9]+)", name)]


def _packed_first(names: list[str]) -> list[str]:
    return [name for name in names if not (name.endswith(_ENDINGS[1]) and f"{name}.gz" in names)]
