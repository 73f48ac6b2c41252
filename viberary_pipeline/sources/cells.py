"""Lines with columns, cut at their tabs: DuckDB reads the cells where the block lies in memory, without a copy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

TAB, LINE_FEED = ord("\t"), ord("\n")

_STRETCH = 1 << 18
"""Bytes that are looked at together: they and what is made of them stay in the processor's cache."""

_FIRST = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Cells:
    """The cells of a block. `offsets` says where each begins in `text`; it ends with its tab or line feed."""

    text: bytes
    columns: int
    offsets: npt.NDArray[np.int64]

    def table(self) -> pa.Table:
        """One row per line: `cells`, a list of fixed size."""
        return pa.table({"cells": pa.FixedSizeListArray.from_arrays(self._all(), self.columns)})

    def repeated(self, column: int) -> list[int]:
        """The lines (from 0) whose cell of this column (from 0) an earlier line has, too."""
        own = self._all().take(pa.array(np.arange(column, len(self.offsets) - 1, self.columns)))
        # Codes are given in order of first appearance, so that each new one is higher than all before it.
        codes = own.dictionary_encode().indices.to_numpy()
        if not len(codes) or codes.max() + 1 == len(codes):
            return []
        highest_before = np.concatenate(([-1], np.maximum.accumulate(codes)[:-1]))
        return [int(line) for line in np.flatnonzero(codes <= highest_before)]

    def line(self, number: int) -> bytes:
        """A line (from 0) with its line feed."""
        return self.text[self.offsets[number * self.columns] : self.offsets[(number + 1) * self.columns]]

    def _all(self) -> pa.LargeStringArray:
        buffers = pa.py_buffer(self.offsets), pa.py_buffer(self.text)
        return pa.LargeStringArray.from_buffers(len(self.offsets) - 1, *buffers)


def cut(text: bytes, columns: int) -> Cells | None:
    """The cells of whole lines; None if one has more or fewer columns, or if the text is not UTF-8.

    (A byte that is none makes DuckDB 1.5 close the database with an internal error.)
    """
    every = np.frombuffer(text, np.uint8)
    # Tab and line feed are neighbours: all other bytes are at least 2 above the tab, or far above by wrapping around.
    found = [
        np.flatnonzero(every[start : start + _STRETCH] - np.uint8(TAB) < LINE_FEED - TAB + 1) + start
        for start in range(0, len(every), _STRETCH)
    ]
    ends = np.concatenate([_FIRST[:0], *found])
    if len(ends) % columns or not _is_utf8(text):
        return None
    separators = every[ends].reshape(-1, columns)
    if (separators[:, :-1] != TAB).any() or (separators[:, -1] != LINE_FEED).any():
        return None
    return Cells(text, columns, np.concatenate((_FIRST, ends + 1)))


def _is_utf8(text: bytes) -> bool:
    """Whether bytes are UTF-8, which Arrow sees in a hundredth of the time that decoding takes."""
    ends: Any = pa.py_buffer(np.array([0, len(text)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(text)]).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True
