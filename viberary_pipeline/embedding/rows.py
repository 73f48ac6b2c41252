"""Rows by hash: which of a part's rows go where, and each hash once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


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
    codes = np.asarray(pc.index_in(table["text_hash"], value_set=pc.unique(table["text_hash"])))
    _, rows = np.unique(codes, return_index=True)
    return table if len(rows) == table.num_rows else table.take(pa.array(np.sort(rows)))
