"""A live build of a few made-up works that is searched by the words they share, with no model at all."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from builds import published

from viberary_pipeline.index.build import IndexSource
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.name_keys import words_of
from viberary_pipeline.redis_contract import PAGE_FIELDS
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.retrieval import Answer, find
from viberary_pipeline.search.spelling import read_name_words
from viberary_pipeline.search.weights import SearchSettings

DIMENSIONS = 256


def vector_of(text: str) -> np.ndarray:
    """A bag of words: float32 (DIMENSIONS,), norm 1; each word adds a vector of its own."""
    words = words_of(text) or [""]
    vector = sum(
        np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIMENSIONS) / np.sqrt(words.count(word))
        for word in words
    )
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class SmallLibrary:
    """Works as (title, author, description), or dicts with those and other fields; each has fewer reviews than the one
    before, unless it says how many."""

    def __init__(self, client: redis.Redis, folder: Path, works: list[Any]) -> None:
        rows = []
        for number, work in enumerate(works):
            given = work if isinstance(work, dict) else dict(zip(("title", "author", "description"), work, strict=True))
            row = {
                "work_id": str(number),
                "book_id": str(number),
                "link": "",
                "genres": [],
                "language": "en",
                "review_count": 1000 - number,
                "publication_year": 2000,
                "description": "",
                **given,
            }
            rows.append({**row, "authors": row["author"]})
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")
        vectors = np.stack([vector_of(f"{r['title']} {r['author']} {r['description']}") for r in rows])
        source = IndexSource(folder / "documents.parquet", vectors, "d", "e", "f" * 16, "k" * 16)
        self.client, self.embedded = client, list[str]()
        self.record = published(client, source, GateRules(recall=0.5, queries=5, loss=1))
        self.words = read_name_words(client, self.record.build)

    def ask(
        self,
        query: str,
        k: int = 10,
        filters: Filters | None = None,
        fields: Sequence[str] = PAGE_FIELDS,
        **settings: Any,
    ) -> Answer:
        """What a search answers; the texts that were embedded join `embedded`."""

        def encode(text: str) -> np.ndarray:
            self.embedded.append(text)
            return vector_of(text)

        tuning = SearchSettings(**settings)
        return find(
            *(self.client, self.record, query, encode, k),
            filters=filters or Filters(),
            tuning=tuning,
            spell=self.words.spelling,
            fields=fields,
        )

    def titles(self, query: str, k: int = 10, filters: Filters | None = None, **settings: Any) -> list[str]:
        """The titles of the results."""
        return [result.fields["title"] for result in self.ask(query, k, filters, **settings).results]
