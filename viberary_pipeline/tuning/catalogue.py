"""The works of a home that an encoder is tuned on: its documents, and of its tables what they do not hold."""

import hashlib
import heapq
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.inputs import table_of
from viberary_pipeline.tuning.pairs import Work, other_titles

MOST_WORKS = 20_000
"""Of a larger catalogue so many works are trained on and searched by the gate: a sample by their hashes."""


@dataclass(frozen=True)
class Catalogue:
    """Works of a home, in the order of the documents.

    Attributes:
        works: At most `MOST_WORKS`, and those that were asked for besides.
        ids: The work_ids of all documents.
        text_hashes: Of the works' texts, as the embedding store names them.
        key: Names the documents.
    """

    works: tuple[Work, ...]
    ids: frozenset[str]
    text_hashes: tuple[str, ...]
    key: str


def read_catalogue(home: Path, wanted: Collection[str] = (), *, most: int = MOST_WORKS) -> Catalogue:
    """The current documents of a home.

    Args:
        home: VIBERARY_HOME.
        wanted: Works that must be among them where the catalogue has them.
        most: Works besides.

    Raises:
        ArtifactError: nothing was built here.
    """
    documents = ArtifactStore(home).current("documents")
    path = documents.file("documents.parquet")
    ids: list[str] = pq.read_table(path, columns=["work_id"])["work_id"].to_pylist()
    chosen = set(heapq.nsmallest(most, ids, key=lambda work: hashlib.sha256(work.encode()).digest()))
    chosen |= set(wanted) & set(ids)
    with pq.ParquetFile(path) as file:
        names = ["work_id", "title", "description", "text", "text_hash", "shelves", "other_titles"]
        columns = [name for name in names if name in file.schema_arrow.names]
        rows: list[dict[str, Any]] = []
        for batch in file.iter_batches(batch_size=4096, columns=columns):
            keep = np.array([work in chosen for work in batch["work_id"].to_pylist()])
            rows += batch.filter(keep).to_pylist()
    titles = {} if "other_titles" in columns else _titles(home, documents, chosen)
    works = tuple(
        Work(
            row["work_id"],
            row["title"],
            row["description"] or "",
            row["text"],
            tuple(row.get("shelves") or ()),
            other_titles(row["title"], row.get("other_titles") or titles.get(row["work_id"]) or ()),
        )
        for row in rows
    )
    return Catalogue(works, frozenset(ids), tuple(row["text_hash"] for row in rows), documents.key)


def _titles(home: Path, documents: Artifact, works: Collection[str]) -> dict[str, set[str]]:
    """The titles of the works' editions, and their original ones, where the tables are still in this home."""
    found: dict[str, set[str]] = {}
    for table, column in (("books", "title_without_series"), ("works", "original_title")):
        try:
            path = table_of(home, documents, table).file(f"{table}.parquet")
        except EvaluationError:
            continue
        for batch in _batches(path, ["work_id", column]):
            for work, title in zip(batch["work_id"].to_pylist(), batch[column].to_pylist(), strict=True):
                if work in works and title:
                    found.setdefault(work, set()).add(title)
    return found


def _batches(path: Path, columns: list[str]) -> Any:
    for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        with pq.ParquetFile(file) as opened:
            yield from opened.iter_batches(batch_size=65_536, columns=columns)
