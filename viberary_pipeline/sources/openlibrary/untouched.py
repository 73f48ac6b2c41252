"""Records that nothing touches: no reader, no redirect, no second line of their own, and no line not told at sight.

Most of a dump are such. They are counted by their numbers here, and only the others are linked by DuckDB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viberary_pipeline.sources.blocks import Numbers
from viberary_pipeline.sources.openlibrary.keys import Keys

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class FileKeys:
    """The keys of the lines of a file that are told at sight, in the order of the lines.

    They are int32, for a file has many millions. A number in a key has nine digits at most.

    Attributes:
        lines: The numbers of the lines.
        ids: The number in the key of each: 2 of /books/OL2M.
        works: The number of the work of each; None where the records are works themselves.
    """

    lines: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    works: npt.NDArray[np.int32] | None = None

    @classmethod
    def of(cls, keys: Keys) -> "FileKeys":
        """Those of one block."""
        columns = (keys.lines, keys.ids, keys.works)
        return cls(*(column.astype(np.int32) for column in columns if column is not None))

    @classmethod
    def joined(cls, blocks: Sequence["FileKeys"]) -> "FileKeys":
        """Those of all blocks of a file."""
        if len(blocks) < 2:
            return blocks[0] if blocks else cls(*[np.empty(0, np.int32)] * 3)
        return cls(*map(np.concatenate, zip(*(block.columns.values() for block in blocks), strict=True)))

    @property
    def columns(self) -> dict[str, npt.NDArray[np.int32]]:
        """The columns that are there, by name."""
        columns = {"line": self.lines, "id": self.ids, "work": self.works}
        return {name: column for name, column in columns.items() if column is not None}

    @property
    def repeated(self) -> Integers:
        """The numbers in keys that several lines have, ascending."""
        ids = np.sort(self.ids)
        return _distinct(ids[1:][ids[1:] == ids[:-1]])

    def only(self, these: npt.NDArray[np.bool_]) -> "FileKeys":
        """Those of some of the lines."""
        return FileKeys(*(column[these] for column in self.columns.values()))


@dataclass(frozen=True)
class Untouched:
    """How many records nothing touches.

    Attributes:
        works: The works among them.
        links: How many of the editions among them have each link, and how many of the works no edition
            (`sql/edition_links.sql`).
    """

    works: int
    links: Mapping[str, int]


def split_untouched(
    works: FileKeys, editions: FileKeys, named_works: Numbers, named_editions: Numbers
) -> tuple[FileKeys, FileKeys, Untouched]:
    """The works and the editions that are to be linked; and how many nothing touches.

    A work is touched if it is named, or if a named edition is of it, whether or not it has a record. Touched works, all
    their editions, and named editions are to be linked. Nothing that they are linked with is left out.

    Args:
        works, editions: The keys of both files.
        named_works, named_editions: The numbers of those that readers, redirects or lines not told at sight name, or
            that have several lines.
    """
    of_works = editions.works if editions.works is not None else np.empty(0, np.int32)
    highest = max(int(numbers.max(initial=0)) for numbers in (works.ids, editions.ids, of_works))
    linked_editions = _Marks(highest, named_editions).of(editions.ids)
    touched = _Marks(highest, named_works, of_works[linked_editions])
    linked_editions |= touched.of(of_works)
    linked_works = touched.of(works.ids)
    untouched, of_works = works.ids[~linked_works], of_works[~linked_editions]
    given = of_works[_Marks(highest, untouched).of(of_works)]
    links = {
        "given": len(given),
        "lost": len(of_works) - len(given),
        "work alone": len(untouched) - len(_distinct(given)),
    }
    return works.only(linked_works), editions.only(linked_editions), Untouched(len(untouched), links)


class _Marks:
    """A bit for each number from 0 to the highest; set for those that are given.

    Bytes would take eight times the memory, and so more time: it is read all over.
    """

    def __init__(self, highest: int, *numbers: Integers) -> None:
        given = _distinct(np.concatenate([some[some <= highest] for some in numbers]))
        self._bytes = np.zeros((highest >> 3) + 1, np.uint8)
        np.add.at(self._bytes, given >> 3, _bits(given))

    def of(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Whether each number is among those given."""
        return (self._bytes[numbers >> 3] & _bits(numbers)) != 0


def _bits(numbers: Integers) -> npt.NDArray[np.uint8]:
    return np.left_shift(1, numbers & 7, dtype=np.uint8, casting="unsafe")


def _distinct(numbers: Integers) -> Integers:
    """Each number once, ascending. `unique` of NumPy 2.4 uses a hash table, which takes forty times as long."""
    ascending = np.sort(numbers)
    return np.concatenate((ascending[:1], ascending[1:][ascending[1:] != ascending[:-1]]))
