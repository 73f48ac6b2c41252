"""The Arrow files of an embedding job and of the store, and the checks that a vector file must pass.

Texts: columns `text_hash` and `text`, both string. Vectors: `text_hash` string and `vector`
fixed_size_list<float32>[dimensions] (or float16: half the disk, at most 0.0005 lost per value), each row of norm 1.
Both are uncompressed Arrow IPC files of one record batch each, which are memory-mapped without a copy.
"""

import io
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from viberary_pipeline.errors import ArtifactError

log = logging.getLogger(__name__)

NORM_TOLERANCE = 1e-3
_MAPPED_FROM_BYTES = 256 << 20
TEXTS_SCHEMA = pa.schema([pa.field("text_hash", pa.string()), pa.field("text", pa.string())])
_ARROW_TYPE = {"float32": pa.float32(), "float16": pa.float16()}


@dataclass(frozen=True)
class ShardManifest:
    """What a worker says of one finished shard of a job. `sha256` is the vectors file's, `input_sha256` the texts'."""

    shard: int
    sha256: str
    input_sha256: str
    fingerprint: str
    rows: int
    dimensions: int
    dtype: str
    device: str
    tokens: int
    seconds: float
    attempts: int
    host: str


def vectors_schema(dimensions: int, dtype: str = "float32") -> pa.Schema:
    """The schema of a vector file."""
    vector = pa.list_(pa.field("item", _ARROW_TYPE[dtype]), dimensions)
    return pa.schema([pa.field("text_hash", pa.string()), pa.field("vector", vector)])


def vectors_table(hashes: pa.Array, vectors: NDArray[np.float32], dtype: str = "float32") -> pa.Table:
    """A vector file's table; over the memory of `vectors` (rows, dimensions) where they are of `dtype` already."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=dtype).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.Table.from_arrays([hashes, column], schema=vectors_schema(vectors.shape[1], dtype))


def as_matrix(column: pa.Array | pa.ChunkedArray, dimensions: int) -> NDArray[np.float32]:
    """The vectors of one chunk as (rows, dimensions), without a copy: float32, or float16 if they are stored so."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    flat: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(-1, dimensions)


def empty_vectors(rows: int, dimensions: int, folder: Path) -> NDArray[np.float32]:
    """Room for vectors, float32 (rows, dimensions): from 256 MB on in a file of `folder` that has no name.

    The system writes such a file's pages out where memory is short, and the disk's room is free again once nobody holds
    the array, or the process is killed. It is memory where the disk has less room than twice the vectors, where nobody
    may write to it, and on macOS, which cannot reserve room.
    """
    size = rows * dimensions * np.dtype(np.float32).itemsize
    if size >= _MAPPED_FROM_BYTES and hasattr(os, "posix_fallocate"):
        try:
            # What others write meanwhile has room too: Redis saves a new index to the same disk.
            if shutil.disk_usage(folder).free >= 2 * size:
                with tempfile.TemporaryFile(dir=folder) as file:
                    # Without reserved room, a full disk kills the process that fills the array.
                    os.posix_fallocate(file.fileno(), 0, size)
                    return np.asarray(np.memmap(file, dtype=np.float32, mode="r+", shape=(rows, dimensions)))
        except OSError as error:
            log.info("vectors are put in memory instead of a file in %s: %s", folder, error)
    return np.empty((rows, dimensions), dtype=np.float32)


def problem_with(vectors: NDArray[np.float32], *, rows: int, dimensions: int) -> str | None:
    """What is wrong with `vectors`, or None: its shape, a value that is not finite, a norm that is not 1.

    The index would accept NaN and zero vectors and rank them first, so none may get that far."""
    if vectors.shape != (rows, dimensions):
        return f"shape {vectors.shape}, not {(rows, dimensions)}"
    singles = vectors.astype(np.float32, copy=False)
    norms = np.sqrt(np.einsum("ij,ij->i", singles, singles))  # np.linalg.norm copies the vectors
    wrong = int(np.count_nonzero(~(np.abs(norms - 1.0) <= NORM_TOLERANCE)))  # NaN compares false: counted
    if wrong:
        return f"{wrong} of {rows} vectors that are not finite or not of norm 1"
    return None


def table_bytes(table: pa.Table) -> bytes:
    """`table` as the bytes of an Arrow IPC file of one record batch."""
    # Not Arrow's BufferOutputStream: whose buffer is copied once more to become bytes, and stays with its allocator.
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue()


def map_table(path: Path, *schemas: pa.Schema) -> pa.Table:
    """The table of an Arrow IPC file, memory-mapped.

    Raises:
        ArtifactError: the file cannot be read, or has none of these schemas.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    if not any(table.schema.equals(schema) for schema in schemas):
        raise _unusable(path, f"columns {', '.join(f'{f.name} {f.type}' for f in table.schema)}")
    return table


def _unusable(path: Path, found: str) -> ArtifactError:
    return ArtifactError(
        f"The Arrow file {path.name} cannot be used",
        expected=f"a complete file at {path}",
        found=found,
        todo="run the command again: what the file held is computed again",
    )
