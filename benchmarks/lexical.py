"""What words are worth beside vectors: the rule of the order, chosen on some queries and reported on others.

    python benchmarks/lexical.py --home SAMPLE [--unread HOME ...] [--out benchmarks/results/lexical.json]

SAMPLE is a home of the bundled sample; each `--unread` HOME was built with VIBERARY_DOCUMENTS_REVIEWS_PER_WORK=0, so
that its reviews are the words of readers that neither vectors nor descriptions hold: one sentence of each work's asks
for it. Queries: the golden set, vibes and paraphrases by hand (`recipe_queries.toml`), shelves, sentences of reviews,
and surnames, half titles and wishes that name an author ("like Le Guin but darker").

BM25 is a sum over words, so each rule is computed from the product's own scores per field:

    cosine + weight x max(0, description + names x r - free) / ln(1 + works)

where r is `titles`, or `authors` where a word is the author's, or `all` where the names hold every word. A rule is
chosen by its mean gain over the cosine in the sets `CHOOSING`: on one half of the queries of each, reported on the
other, over many splits (`halves`); and on all sets but one, reported on that one (`left_out`). Figures are nDCG@10.
"""

import argparse
import itertools
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import DuckLimits, parquet_glob
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.build_evaluation import query_sets
from viberary_pipeline.evaluation.queries import judged_set
from viberary_pipeline.evaluation.systems import QueryVectors
from viberary_pipeline.name_keys import Copies, authors_of, words_of
from viberary_pipeline.ranking_metrics import bootstrap, ndcg
from viberary_pipeline.redis_contract import VECTOR, document_prefix, read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.search.query import LEAST_WORDS_OF_A_SENTENCE, ParsedQuery
from viberary_pipeline.search.replies import read_rows, search_command
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.settings import load_settings

CHOOSING = ("golden", "vibes", "paraphrases", "shelves", "review sentences")
WISHES = ("something funny by {}", "novel by {} about loneliness", "like {} but darker")
NAMES = 60  # queries of each kind
SENTENCES = 500
SPLITS = 200
CANDIDATES = 50


@dataclass(frozen=True)
class Rule:
    """What BM25 of the description weighs, what of it is free, and what that of the names weighs beside it."""

    weight: float
    free: float = 0.0
    titles: float = 0.0
    authors: float = 0.0
    all: float = 0.0


COSINE, BEFORE, CHOSEN = Rule(0), Rule(0.05, 0, 1, 1, 1), Rule(0.06, 1.5, 0, 1, 2)
GRID = [
    Rule(*values)
    for values in itertools.product((0.03, 0.04, 0.05, 0.06, 0.08, 0.1), (0, 1.5, 3), (0, 0.5, 1), (0, 1), (1, 2))
]


@dataclass
class Asked:
    """A query and what each work of the catalogue has of it, by its place."""

    grades: dict[str, int]
    cosine: NDArray[np.float64]
    candidates: list[int]
    description: dict[int, float]
    names: dict[int, float]
    holds_all: set[int]
    by_author: set[int] = field(default_factory=set)


class Catalogue:
    """The live build of a home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._client = connect(load_settings(home=home))
        record = read_record(self._client, read_pointer(self._client).live)
        assert record is not None, "nothing is published"
        self._record, self._prefix = record, document_prefix(record.build).encode()
        self._encode = QueryVectors(QueryEncoder(encoder_folder(home, record), threads=1))
        self.store = ArtifactStore(home)
        columns = ["work_id", "title", "author", "authors", "review_count", "text"]
        path = self.store.current("documents").file("documents.parquet")
        self.rows = pq.read_table(path, columns=columns).to_pylist()
        self.works = [row["work_id"] for row in self.rows]
        self._place = {self._prefix + work.encode(): place for place, work in enumerate(self.works)}
        pipeline = self._client.pipeline(transaction=False)
        for key in self._place:
            pipeline.hget(key, VECTOR)
        self.vectors = record.hnsw.from_bytes(pipeline.execute(), record.dim).astype(np.float64)
        self._author_words = [
            {word for name in authors_of(row["authors"] or row["author"] or "") for word in words_of(name)}
            for row in self.rows
        ]

    def _scores(self, query: str, most: int) -> dict[int, float]:
        options = ("NOCONTENT", "WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, most)
        reply = self._client.execute_command(*search_command(self._record.build, query, *options))
        return {self._place[row.key]: row.score for row in read_rows(reply, scores=True, contents=False)}

    def ask(self, text: str, grades: dict[str, int]) -> Asked:
        query = ParsedQuery.parse(text)
        words, names = query.terms, query.name_terms
        cosine = self.vectors @ self._encode(text)
        near = np.argsort(-cosine, kind="stable")[:CANDIDATES].tolist()
        if len(query.description_terms) >= LEAST_WORDS_OF_A_SENTENCE:
            near = list(dict.fromkeys([*near, *self._scores(" ".join(query.description_terms), 5)]))
        found = self._scores(f"@names:({'|'.join(names)})", len(self.rows)) if names else {}
        return Asked(
            grades,
            cosine,
            near,
            self._scores(f"@description:({'|'.join(words)})", len(self.rows)) if words else {},
            found,
            set(self._scores(f"@names:({' '.join(names)})", len(self.rows))) if names else set(),
            {place for place in found if self._author_words[place] & set(names)},
        )

    def figure(self, asked: Asked, rule: Rule) -> float:
        """nDCG@10 of the rule, copies folded; what the query names has no place of its own here."""
        score = {}
        for place in asked.candidates:
            weight = rule.all if place in asked.holds_all else rule.authors if place in asked.by_author else rule.titles
            bm25 = asked.description.get(place, 0.0) + weight * asked.names.get(place, 0.0)
            score[place] = asked.cosine[place] + rule.weight * max(0, bm25 - rule.free) / math.log(1 + len(self.rows))
        copies = Copies()
        order = sorted(score, key=lambda place: (-round(score[place], 6), -(self.rows[place]["review_count"] or 0)))
        shown = [(self.works[place], self.rows[place]) for place in order]
        best = [work for work, row in shown if not copies.add(row["title"], row["authors"] or row["author"] or "")]
        return ndcg(best, asked.grades)


Queries = dict[str, list[tuple[str, dict[str, int]]]]


def sample_queries(catalogue: Catalogue) -> Queries:
    from recipes import vibe_queries

    documents = ArtifactStore(catalogue.home).current("documents")
    given = query_sets(catalogue.home, documents, NAMES, DuckLimits(), catalogue.home, [judged_set(GOLDEN)])
    sets = {judged.name: judged.queries for judged in given}
    queries = {name: [(query.text, dict(query.grades)) for query in sets[name]] for name in ("golden", "shelves")}
    return queries | vibe_queries()


def name_queries(catalogue: Catalogue) -> Queries:
    """Surnames, wishes that name one, and the first two words of longer titles."""
    by: dict[str, dict[str, int]] = {}
    titles = []
    for row in sorted(catalogue.rows, key=lambda row: zlib.crc32(row["work_id"].encode())):
        name = next((words_of(name) for name in authors_of(row["author"] or "")), [])
        if len(name) > 1 and len(name[-1]) > 3:
            by.setdefault(name[-1], {})[row["work_id"]] = 1
        title = ParsedQuery.parse(re.sub(r"[:(].*", "", row["title"])).name_terms
        if len(title) > 2:
            titles.append((" ".join(title[:2]), {row["work_id"]: 1}))
    surnames = sorted(by.items(), key=lambda pair: zlib.crc32(pair[0].encode()))[:NAMES]
    wishes = [(WISHES[at % len(WISHES)].format(name), grades) for at, (name, grades) in enumerate(surnames)]
    return {"surnames": surnames, "wishes with a surname": wishes, "half titles": titles[:NAMES]}


def review_queries(catalogue: Catalogue) -> Queries:
    """One sentence of one review of each work, of 7 to 25 words."""
    import duckdb

    books, reviews = (
        parquet_glob(catalogue.store.current(name).file(f"{name}.parquet")) for name in ("books", "reviews")
    )
    rows = duckdb.sql(f"""
        SELECT coalesce(b.work_id, 'b' || b.book_id) AS work, arg_min(r.review_text, md5(r.review_id))
        FROM '{reviews}' AS r JOIN '{books}' AS b USING (book_id)
        WHERE length(r.review_text) BETWEEN 40 AND 3000 GROUP BY work ORDER BY work
    """).fetchall()
    found = []
    for work, text in rows:
        sentences = [part for part in re.split(r"(?<=[.!?])\s+", text) if 7 <= len(part.split()) <= 25]
        if work in catalogue.works and sentences:
            found.append((sentences[zlib.crc32(text.encode()) % len(sentences)], {work: 1}))
    return {"review sentences": sorted(found, key=lambda pair: zlib.crc32(pair[0].encode()))[:SENTENCES]}


def measured(homes: list[tuple[Path, Callable[[Catalogue], Queries]]]) -> Iterator[tuple[str, dict[Rule, NDArray]]]:
    """(set, {rule: nDCG@10 of each query})."""
    for home, queries in homes:
        catalogue = Catalogue(home)
        for kind, pairs in queries(catalogue).items():
            asked = [catalogue.ask(text, grades) for text, grades in pairs]
            rules = (COSINE, BEFORE, CHOSEN, *GRID)
            name = kind if queries is sample_queries else f"{kind}, {len(catalogue.works)} works"
            yield name, {rule: np.array([catalogue.figure(one, rule) for one in asked]) for rule in rules}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a home with the bundled sample")
    parser.add_argument("--unread", type=Path, nargs="*", default=[], help="homes built without reviews in the texts")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    homes = [(options.home.absolute(), queries) for queries in (sample_queries, name_queries)]
    homes += [(home.absolute(), queries) for home in options.unread for queries in (review_queries, name_queries)]
    figures = dict(measured(homes))

    sets = [name for name in figures if name.split(",")[0] in CHOOSING]
    gains = {name: {rule: values - figures[name][COSINE] for rule, values in figures[name].items()} for name in sets}
    rows = {name: np.array([gains[name][rule] for rule in GRID]) for name in sets}
    rng = np.random.default_rng(0)
    halves: dict[str, list[float]] = {name: [] for name in sets}
    chosen: dict[Rule, int] = {}
    for _ in range(SPLITS):
        order = {name: rng.permutation(rows[name].shape[1]) for name in sets}
        first = {name: order[name][: len(order[name]) // 2] for name in sets}
        best = int(np.argmax(np.mean([rows[name][:, first[name]].mean(axis=1) for name in sets], axis=0)))
        chosen[GRID[best]] = chosen.get(GRID[best], 0) + 1
        for name in sets:
            rest = order[name][len(order[name]) // 2 :]
            halves[name].append(float(rows[name][best][rest].mean()))
    left_out = {}
    for name in sets:
        others = np.mean([rows[other].mean(axis=1) for other in sets if other != name], axis=0)
        best = int(np.argmax(others))
        left_out[name] = {"rule": repr(GRID[best]), "gain": _three(rows[name][best])}
    results = {
        "sets": {
            name: {
                "queries": len(of_rule[COSINE]),
                "cosine": _three(of_rule[COSINE]),
                "before": _three(of_rule[BEFORE]),
                "chosen": _three(of_rule[CHOSEN]),
                "chosen less cosine": _three(of_rule[CHOSEN] - of_rule[COSINE]),
                "chosen less before": _three(of_rule[CHOSEN] - of_rule[BEFORE]),
            }
            for name, of_rule in figures.items()
        },
        "halves": {name: round(float(np.mean(values)), 4) for name, values in halves.items()},
        "chosen_in_halves": {repr(rule): n for rule, n in sorted(chosen.items(), key=lambda pair: -pair[1])[:12]},
        "left_out": left_out,
        "mean_gain": {
            repr(rule): round(float(np.mean([gains[name][rule].mean() for name in sets])), 4) for rule in GRID
        }
        | {"before": round(float(np.mean([gains[name][BEFORE].mean() for name in sets])), 4)}
        | {"chosen": round(float(np.mean([gains[name][CHOSEN].mean() for name in sets])), 4)},
    }
    for name, row in results["sets"].items():
        print(f"{name:<34}", *(f"{key} {row[key][0]:.3f}" for key in ("cosine", "before", "chosen")))
    print(json.dumps({key: results[key] for key in ("halves", "chosen_in_halves", "left_out")}, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _three(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in bootstrap(values)]


if __name__ == "__main__":
    main()
