"""Rows by hash: which of a part's rows go where, and each hash once."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_KEY_BYTES = 16
Keys = NDArray[np.bytes_]


def keys_of(hashes: pa.Array | pa.ChunkedArray) -> Keys:
    """A key of 16 bytes for each hash.

    Comparing a catalogue with the store takes all of its hashes at once, and is the one thing here whose memory grows
    with the number of texts. Keys are a quarter of a hash's size, need no hash table, and are sorted and searched
    faster than strings.
    """
    digests = [hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest() for text in hashes.to_pylist()]
    return np.array(digests, dtype=f"S{_KEY_BYTES}")


def distinct_keys(portions: Iterable[pa.Array]) -> tuple[Keys, NDArray[np.int64]]:
    """The distinct keys of all hashes, ascending, and the row where each first appears."""
    keys = np.concatenate([np.empty(0, dtype=f"S{_KEY_BYTES}"), *(keys_of(portion) for portion in portions)])
    distinct, rows = np.unique(keys, return_index=True)
    return distinct, rows


class Scatter:
    """Where in the result the vector of each distinct hash goes; most go to one row, some to several."""

    def __init__(self, codes: NDArray[np.int64], count: int) -> None:
        self._order = np.argsort(codes, kind="stable")
        self._bounds = np.searchsorted(codes[self._order], np.arange(count + 1))

    def __call__(
        self, codes: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(rows of the result, rows of the part that go there)."""
        counts = self._bounds[codes + 1] - self._bounds[codes]
        starts = np.repeat(self._bounds[codes] - np.cumsum(counts) + counts, counts)
        return self._order[starts + np.arange(counts.sum())], np.repeat(rows, counts)


def first_of_each(table: pa.Table) -> pa.Table:
    """The first row of each hash."""
    _, rows = distinct_keys(table["text_hash"].chunks)
    return table if len(rows) == table.num_rows else table.take(pa.array(np.sort(rows)))
