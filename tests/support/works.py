"""Documents and vectors of made-up works, as the index takes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.index.build import IndexSource


def unit_vectors(count: int, dimensions: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def works(folder: Path, count: int = 40, *, dimensions: int = 16, seed: int = 0, **record: Any) -> IndexSource:
    """So many works; `record` are fields of `IndexSource`."""
    path = folder / f"works-{count}-{seed}.parquet"
    rows = [
        {
            **dict.fromkeys(("title", "author", "authors", "description", "link"), f"x{n}"),
            "work_id": str(n),
            "book_id": str(n),
            "review_count": n,
            "publication_year": 2000,
            "language": "en",
        }
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    fields = {"digest": "d", "encoder": "e", "fingerprint": "f" * 16, "query_encoder": "k" * 16, **record}
    return IndexSource(path, unit_vectors(count, dimensions, seed), **fields)
