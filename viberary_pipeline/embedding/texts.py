"""The texts that a build wants vectors for: hashes first, the texts themselves only where they are new."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA

_BATCH_ROWS = 4096


class Texts(Protocol):
    """Rows of `text_hash` and `text`, that can be gone through again."""

    def hashes(self) -> Iterator[pa.Array]:
        """The hashes alone, in the order of the rows, some thousands at a time."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a few thousand at a time."""


class TableTexts:
    """Texts in memory: a table with the two columns, or (hash, text) pairs."""

    def __init__(self, texts: pa.Table | Iterable[tuple[str, str]]) -> None:
        if not isinstance(texts, pa.Table):
            pairs = list(texts)
            columns = [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
            texts = pa.table([pa.array(column, pa.string()) for column in columns], schema=TEXTS_SCHEMA)
        _check(texts.column_names, {name: texts[name].null_count for name in texts.column_names})
        self._table = texts.select(TEXTS_SCHEMA.names).cast(TEXTS_SCHEMA)

    def hashes(self) -> Iterator[pa.Array]:
        for batch in self.batches():
            yield batch["text_hash"]

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._table.to_batches(max_chunksize=_BATCH_ROWS)


class ParquetTexts:
    """The texts of a Parquet file, never all of them in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            _check(file.schema_arrow.names, {})

    def hashes(self) -> Iterator[pa.Array]:
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["text_hash"]):
                hashes = batch["text_hash"].cast(pa.string())
                _check(TEXTS_SCHEMA.names, {"text_hash": hashes.null_count})
                yield hashes

    def batches(self) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=TEXTS_SCHEMA.names):
                rows = batch.select(TEXTS_SCHEMA.names).cast(TEXTS_SCHEMA)
                _check(rows.schema.names, {name: rows[name].null_count for name in rows.schema.names})
                yield rows


def take_rows(batches: Iterable[pa.RecordBatch], rows: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The `rows` (ascending) of what `batches` hold, batch by batch."""
    offset = 0
    for batch in batches:
        first, stop = np.searchsorted(rows, [offset, offset + batch.num_rows])
        if first < stop:
            yield batch.take(pa.array(rows[first:stop] - offset))
        offset += batch.num_rows


def _check(names: list[str], nulls: dict[str, int]) -> None:
    absent = [name for name in TEXTS_SCHEMA.names if name not in names]
    empty = [name for name in TEXTS_SCHEMA.names if nulls.get(name)]
    if absent or empty:
        raise ArtifactError(
            "The texts cannot be embedded",
            expected="the columns text_hash and text, without missing values",
            found=f"columns {', '.join(names)}; missing values in {', '.join(empty) or 'none'}",
            todo="materialize documents again",
        )
