"""A small published catalogue of made-up works, with the real encoder: what a search of readers meets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builds
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.index.build import IndexSource
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.search.searcher import Hit, Searcher

Row = Mapping[str, Any]

# What the catalogues have beside the works that a test is about: titles, authors and moods like none of theirs.
OTHERS: Sequence[Row] = [
    {"title": title, "author": author, "description": description, "review_count": 3}
    for title, author, description in (
        ("Harbour of Glass", "Ines Okoro", "A glassblower hides letters in bottles and sells them to sailors."),
        ("The Slow Orchard", "Bram Tulloch", "Three generations keep an orchard alive through war and drought."),
        ("Midnight Ledger", "Lena Voss", "An accountant finds the name of a dead man in the books of tomorrow."),
        ("Tin Moon", "Oskar Pell", "Miners on a small moon build a robot that wants to sing."),
        ("A Field Guide to Quiet", "Hana Brandt", "Essays on walking, silence and the birds of a salt marsh."),
        ("Saffron Street", "Dev Anand Rao", "A cook and a thief fall in love over stolen spice."),
        ("The Debt of Hours", "Piet Janssen", "A clockmaker sells hours of his life to pay for his daughter."),
        ("North of the Lamp", "Ingrid Falk", "A lighthouse keeper takes in a stranger who fears the dark."),
        ("Witty Kitty", "Mary Plain", "A cat who makes jokes, for the very young."),
        ("A Lovely Place to Die", "Ray Stone", "A murder in a seaside hotel."),
        ("Cold Winter Sea", "Anna Frost", "A trawler is lost north of Iceland."),
        ("Love", "Joan Rivers Deep", "Poems."),
    )
]


@dataclass(frozen=True)
class Catalogue:
    """A published build of some works."""

    searcher: Searcher
    client: redis.Redis
    build: str

    def search(self, query: str, k: int = 10) -> list[Hit]:
        return list(self.searcher.search(query, k).results)

    def titles(self, query: str, k: int = 10) -> list[str]:
        return [hit.title for hit in self.search(query, k)]

    def named(self, query: str, k: int = 10) -> list[tuple[str, str]]:
        """(title, what of it the query names) of the results that are named."""
        return [(hit.title, hit.named) for hit in self.search(query, k) if hit.named]


def publish_catalogue(client: redis.Redis, home: Path, folder: Path, works: Sequence[Row]) -> Catalogue:
    """Publish works (rows of documents; what a row lacks is empty) with the live encoder of another home."""
    from viberary_pipeline.encoders.query_encoder import QueryEncoder

    encoder = QueryEncoder(ArtifactStore(home).current("query_encoder").path)
    rows = [
        {
            "work_id": f"w{number}",
            "book_id": f"{700000 + number}",
            "author": "",
            "description": "",
            "link": "",
            "publication_year": 2000,
            "language": "en",
            "review_count": 0,
            "other_titles": [],
            "series": [],
            "isbns": [],
            "edition_ids": [],
            "authors": work.get("author", ""),
            **work,
        }
        for number, work in enumerate(works)
    ]
    texts = [f"{row['title']}. {row['title']} by {row['author']}. {row['description']}" for row in rows]
    path = folder / "documents.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    source = IndexSource(
        *(path, encoder.encode(texts)),
        digest=str(len(rows)),
        encoder=encoder.spec_name,
        fingerprint=encoder.fingerprint,
        query_encoder=encoder.folder.name.rpartition(".")[0],
    )
    builds.published(client, source, GateRules(recall=0, queries=1, p95_ms=10_000))
    build = read_pointer(client).live
    assert read_record(client, build) is not None
    return Catalogue(Searcher(client, home), client, build)
