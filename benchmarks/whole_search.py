"""Encoders beside each other in the whole search, as readers use it: names and BM25 help the vectors.

    python benchmarks/whole_search.py --catalogue NAME --system NAME=HOME[,FOLDER] ... \\
        [--queries FILE --qrels FILE] [--out benchmarks/results/whole_search.json]

A system is the live build of a home. With a FOLDER, that of a query encoder (`query_encoder` among the artifacts of a
home), it is the same index, asked by other vectors of the same space. The known items and, on the bundled sample, the
golden set are those of the first home; --queries and --qrels name one more set. For each set: the figures of the search
and of its vectors alone, nDCG@10 by kind of query, each system less each that was named before it (paired), and how
many of the works in the first ten have no grade in --qrels. Catalogues are added to the file that is there.
"""

import argparse
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from pool import graded_pairs, opened
from reporting import machine_and_versions, report

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import QuerySet, judged_set, trec_set
from viberary_pipeline.evaluation.scoring import COMPARED, Scored, differences, evaluate, summary
from viberary_pipeline.evaluation.systems import VECTORS, QueryVectors, System, bm25_system, build_system
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.search.weights import SearchSettings

KNOWN_ITEMS = 50  # of each kind


def systems_of(name: str, home: Path, folder: str) -> tuple[list[System], str]:
    """The search, its vectors alone and BM25 alone; and what encodes documents and queries."""
    client, record, vectors, _ = opened(home)
    if folder:
        vectors = QueryVectors(QueryEncoder(Path(folder)))
    queries = vectors.encoder.spec_name if folder else record.query_encoder_name
    searches = [
        build_system(name, client, record, vectors),
        build_system(f"{name}, {VECTORS}", client, record, vectors, SearchSettings(lexical_weight=0, find_names=False)),
        replace(bm25_system(client, record), name=f"{name}, BM25 alone"),
    ]
    return searches, f"documents by {record.encoder}, queries by {queries}"


def sets_of(home: Path, queries: Path | None, qrels: Path | None) -> list[QuerySet]:
    _, record, _, rows = opened(home)
    path, works = documents_of(home, record).file("documents.parquet"), {row["work_id"] for row in rows}
    golden, sets = judged_set(GOLDEN), [known_items(path, KNOWN_ITEMS)]
    if golden.judges(works):
        sets.insert(0, golden)
    if queries and qrels:
        sets.append(trec_set(queries, qrels).within(works)[0])
    return sets


def without_a_grade(scored: list[Scored], qrels: Path, queries: Path) -> dict[str, int]:
    """{system: works in the first ten of its answers that nobody has graded for the query}."""
    ids = {}
    for line in queries.read_text(encoding="utf-8").splitlines():
        number, text, *_ = line.split("\t")
        ids[text] = number
    graded = graded_pairs(qrels)
    counts: dict[str, int] = {}
    for one in scored:
        missing = sum((ids[one.asked], work) not in graded for work in one.found)
        counts[one.system] = counts.get(one.system, 0) + missing
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", required=True, help="what the figures are called")
    parser.add_argument("--system", action="append", required=True, help="NAME=HOME[,FOLDER]")
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--qrels", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    given = []
    for entry in options.system:
        name, _, place = entry.partition("=")
        home, _, folder = place.partition(",")
        given.append((name, Path(home).absolute(), folder))
    sets = sets_of(given[0][1], options.queries, options.qrels)
    found: dict[str, Any] = {"systems": {}, "sets": {}}
    scored: list[Scored] = []
    for name, home, folder in given:
        searches, found["systems"][name] = systems_of(name, home, folder)
        scored += evaluate(searches, sets)
    names = [name for name, _, _ in given]
    for judged in sets:
        of_set = [one for one in scored if one.set == judged.name]
        figures = summary(of_set)[judged.name]
        pairs = {}
        for before, after in combinations(names, 2):
            of_both = [one for one in of_set if one.system in (before, after)]
            less = differences(of_both, after)[before]
            pairs[f"{after} less {before}"] = {metric: less[metric] for metric in COMPARED}
        found["sets"][judged.name] = {
            "queries": figures["queries"],
            "systems": figures["systems"],
            "ndcg@10 by kind": {
                kind: {name: of_kind["systems"][name]["ndcg@10"] for name in names}
                for kind, of_kind in figures["kinds"].items()
            },
            "paired": pairs,
        }
        if options.qrels and judged is sets[-1]:
            found["sets"][judged.name]["without a grade"] = without_a_grade(of_set, options.qrels, options.queries)
    known = json.loads(options.out.read_text()) if options.out and options.out.is_file() else {}
    catalogues = {**known.get("catalogues", {}), options.catalogue: found}
    report(json.dumps({**machine_and_versions(), "catalogues": catalogues}, indent=1), options.out)


if __name__ == "__main__":
    main()
