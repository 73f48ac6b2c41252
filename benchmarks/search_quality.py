"""What each part of the search pays: the live build of a home, one setting changed at a time.

    python benchmarks/search_quality.py --home DIR [--items 50] [--name NAME] [--out FILE]

The product's own `find` with other settings; and, in numpy over the stored vectors with BM25 of descriptions, two
means that the product has not: pseudo-relevance feedback (the query moved towards the mean of its first n results,
searched again) and document-side expansion (each vector moved towards the mean of its k nearest). Figures are nDCG@10,
mean with a 95 % bootstrap interval; `less` is the paired difference to the default. Adds to the JSON under NAME.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.build_evaluation import query_sets
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.queries import JudgedQuery, judged_set
from viberary_pipeline.evaluation.systems import QueryVectors, build_system
from viberary_pipeline.ranking_metrics import bootstrap, ndcg, paired_bootstrap
from viberary_pipeline.redis_contract import VECTOR, document_prefix, read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import normalised_bm25
from viberary_pipeline.search.replies import read_rows, search_command
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

DEFAULT = "default"
TUNINGS = {
    DEFAULT: SearchSettings(),
    "names off": SearchSettings(find_names=False),
    "BM25 off": SearchSettings(lexical_weight=0),
    "both off: vectors alone": SearchSettings(lexical_weight=0, find_names=False),
    "BM25 x 0.03": SearchSettings(lexical_weight=0.03),
    "BM25 x 0.09": SearchSettings(lexical_weight=0.09),
    "BM25 x 0.12": SearchSettings(lexical_weight=0.12),
    "20 candidates": SearchSettings(candidates=20),
    "100 candidates": SearchSettings(candidates=100),
}
FEEDBACK = [(3, 0.2), (10, 0.1), (10, 0.2), (10, 0.3)]
EXPANSION = [(3, 0.1), (3, 0.3), (5, 0.2), (10, 0.1), (10, 0.3)]

Matrix = NDArray[np.float64]


def unit(rows: Matrix) -> Matrix:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def expanded(vectors: Matrix, neighbours: int, share: float) -> Matrix:
    """Each vector moved by `share` towards the mean of its nearest neighbours."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1)[:, :neighbours]
    return unit((1 - share) * vectors + share * vectors[nearest].mean(axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--items", type=int, default=50, help="queries per kind of known item (default 50)")
    parser.add_argument("--name", default="bundled sample", help="the catalogue's name in the JSON")
    parser.add_argument("--out", type=Path, help="the JSON to write, or to add to")
    options = parser.parse_args()
    home = options.home.absolute()
    client = connect(load_settings(home=home))
    record = read_record(client, read_pointer(client).live)
    assert record is not None, "nothing is published"
    given = query_sets(home, documents_of(home, record), options.items, DuckLimits(), home, [judged_set(GOLDEN)])
    sets = {judged.name: judged.queries for judged in given if judged.name != "similar books"}
    known = sets.pop("known items")
    sets |= {
        kind: tuple(query for query in known if query.kind == kind) for kind in dict.fromkeys(q.kind for q in known)
    }
    encode = QueryVectors(QueryEncoder(encoder_folder(home, record), threads=2))

    figures: dict[str, dict[str, list[float]]] = {}
    for name, tuning in TUNINGS.items():
        system = build_system(name, client, record, encode, tuning)
        figures[name] = {
            kind: [ndcg(system.answer(query) or [], query.grades) for query in queries]
            for kind, queries in sets.items()
        }

    prefix = document_prefix(record.build).encode()
    keys = sorted(client.scan_iter(prefix + b"*", count=1000))
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.hget(key, VECTOR)
    vectors = record.hnsw.from_bytes(pipeline.execute(), record.dim).astype(np.float64)
    works, place = [key.removeprefix(prefix).decode() for key in keys], {key: at for at, key in enumerate(keys)}
    weight = SearchSettings().lexical_weight

    def lexical(query: JudgedQuery) -> Matrix:
        found = np.zeros(len(works))
        if words := ParsedQuery.parse(query.text).terms:
            asked = ("NOCONTENT", "WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, len(works))
            reply = client.execute_command(*search_command(record.build, f"@description:({'|'.join(words)})", *asked))
            for row in read_rows(reply, scores=True, contents=False):
                found[place[row.key]] = weight * normalised_bm25(row.score, len(works))
        return found

    moved = {pair: expanded(vectors, *pair) for pair in EXPANSION}
    variants = ["in numpy", *(f"feedback of {n}, {share}" for n, share in FEEDBACK)]
    variants += [f"expansion by {k}, {share}" for k, share in EXPANSION]
    figures |= {name: {kind: [] for kind in sets} for name in variants}
    for kind, queries in sets.items():
        for query in queries:
            asked, words = encode(query.text).astype(np.float64), lexical(query)
            ranked = {"in numpy": vectors @ asked + words}
            first = np.argsort(-ranked["in numpy"], kind="stable")
            for n, share in FEEDBACK:
                again = unit((1 - share) * asked + share * unit(vectors[first[:n]].mean(axis=0)))
                ranked[f"feedback of {n}, {share}"] = vectors @ again + words
            for pair, documents in moved.items():
                ranked[f"expansion by {pair[0]}, {pair[1]}"] = documents @ asked + words
            for name, scores in ranked.items():
                best = [works[at] for at in np.argsort(-scores, kind="stable")[:10]]
                figures[name][kind].append(ndcg(best, query.grades))

    table = {}
    for name, of_kind in figures.items():
        base = figures["in numpy" if name in variants else DEFAULT]
        table[name] = {
            kind: {
                "ndcg@10": [round(value, 4) for value in bootstrap(values)],
                "less": [round(value, 4) for value in paired_bootstrap(values, base[kind])],
            }
            for kind, values in of_kind.items()
        }
    before = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.exists() else {}
    measured = {"works": len(works), "queries": {kind: len(queries) for kind, queries in sets.items()}, "table": table}
    results = before | {options.name: measured}
    for name, of_kind in table.items():
        print(f"{name:<26}", " ".join(f"{kind} {row['ndcg@10'][0]:.3f}" for kind, row in of_kind.items()))
    if options.out:
        options.out.write_text(json.dumps(results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
