"""Finished shards of an embedding job, as a store adopts them."""

import hashlib

import numpy as np
import pyarrow as pa

from viberary_pipeline.vectors.arrow_files import ShardManifest, table_bytes, vectors_table


def finished_shard(
    names: list[str], vectors: np.ndarray, dtype: str = "float32", *, fingerprint: str = "f" * 16
) -> tuple[bytes, ShardManifest]:
    """The bytes of a shard's vectors file, and its worker's manifest.

    Args:
        names: The texts' hashes.
        vectors: float32 (len(names), dimensions), norm 1.
        dtype: How they are stored.
        fingerprint: Of the encoder.
    """
    data = table_bytes(vectors_table(pa.array(names), vectors, dtype))
    return data, ShardManifest(
        shard=0,
        sha256=hashlib.sha256(data).hexdigest(),
        input_sha256="",
        fingerprint=fingerprint,
        rows=len(names),
        dimensions=vectors.shape[1],
        dtype="float32",
        device="cpu",
        tokens=1,
        seconds=0.1,
        attempts=1,
        host="here",
    )
