"""Records that neither a reader, nor a redirect, nor a second line touches: they need not be linked to be counted.

Most of a dump are such. Editions are looked up among the works by number, and DuckDB then joins only what is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viberary_pipeline.sources.blocks import Numbers
from viberary_pipeline.sources.openlibrary.keys import Keys

Integers = npt.NDArray[np.integer]
_COLUMNS = ("lines", "ids", "works")


@dataclass(frozen=True)
class Told:
    """Of the lines of a file whose keys are told at sight, in their order; as int32, for there are many millions.

    Attributes:
        lines: Their numbers in the file.
        ids: The number in the key of each: 2 of /books/OL2M.
        works: The number of the work of each; -1 where the records are works.
    """

    lines: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    works: npt.NDArray[np.int32]

    @classmethod
    def of(cls, keys: Keys) -> "Told":
        """What one block says."""
        return cls(keys.lines.astype(np.int32), keys.ids.astype(np.int32), keys.works.astype(np.int32))

    @classmethod
    def joined(cls, parts: Sequence["Told"]) -> "Told":
        """What several blocks, or files, say."""
        none = cls(*[np.empty(0, np.int32)] * 3)
        return cls(*(np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in _COLUMNS))

    def only(self, these: npt.NDArray[np.bool_]) -> "Told":
        """Some of the lines."""
        return Told(*(getattr(self, name)[these] for name in _COLUMNS))

    @property
    def repeated(self) -> Integers:
        """The numbers in keys that several lines have, ascending."""
        ids = np.sort(self.ids)
        return _distinct(ids[1:][ids[1:] == ids[:-1]])


@dataclass(frozen=True)
class Plain:
    """What is known of the plain records.

    Attributes:
        works: How many works are plain.
        links: How many plain editions have each link, and how many plain works none (`sql/edition_links.sql`).
    """

    works: int
    links: Mapping[str, int]


def set_aside(works: Told, editions: Told, named_works: Numbers, named_editions: Numbers) -> tuple[Told, Told, Plain]:
    """The works and editions that are to be linked, and what the plain ones, all others, come to.

    An edition is to be linked if it is named, or if its work is. A work is to be linked if it is named, or if a named
    edition is of it. So whatever such a record is linked with is there as well.

    Args:
        works, editions: Those that are told at sight.
        named_works, named_editions: The numbers of those that readers or redirects name, or that have another line.
    """
    highest = max(int(numbers.max(initial=0)) for numbers in (works.ids, editions.works, editions.ids))
    linked_editions = _Marks(highest, named_editions).of(editions.ids)
    named = _Marks(highest, named_works, editions.works[linked_editions])
    linked_editions |= named.of(editions.works)
    linked_works = named.of(works.ids)
    plain, of_works = works.ids[~linked_works], editions.works[~linked_editions]
    given = of_works[_Marks(highest, plain).of(of_works)]
    links = {
        "given": len(given),
        "lost": len(of_works) - len(given),
        "work alone": len(plain) - len(_distinct(given)),
    }
    return works.only(linked_works), editions.only(linked_editions), Plain(len(plain), links)


class _Marks:
    """A bit for each number from 0 to the highest: set for those that are given. Bytes would not fit into a cache."""

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
    """Each number once, ascending. np.unique looks each up in a table, which takes twenty times as long."""
    ascending = np.sort(numbers)
    return np.concatenate((ascending[:1], ascending[1:][ascending[1:] != ascending[:-1]]))
