"""Lists of books for a judge who does not see which system found what, or at which rank.

What is left to grade of judged queries:

    python benchmarks/pool.py --home HOME --queries benchmarks/golden/vibes.queries.tsv \
        --qrels benchmarks/golden/vibes.qrels_requests.txt [--depth 10] [--encoder FOLDER ...]

Systems: the live build of HOME, its vectors alone, BM25, word2vec, and each sentence-transformers FOLDER by exact
cosine over the documents' texts. For each query: works among the first of any system that the qrels do not hold, in
the order of their ids, with title, author and description. Grade them by `golden/rules.md`, and add lines to the qrels
and to `golden/reasons.tsv`.

Builds of one catalogue beside each other, on queries that nobody has judged:

    python benchmarks/pool.py --system NAME=HOME[,SETTING=VALUE ...] ... --queries FILE \
        --key KEY.json --name POOL > POOL.md
    python benchmarks/pool.py --key KEY.json --name POOL --grades FILE

The first command prints one shuffled, numbered list for each query, and adds to KEY.json which system found which book
at which rank. SETTING is one of VIBERARY_SEARCH_... in small letters (`candidates=50`). The second reads the judge's
lines (number of a book as in the list, grade from 0 to 3) and prints how many books with grade 2 or 3 each system
found, with the paired difference to the first system.
"""

import argparse
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.queries import JudgedQuery
from viberary_pipeline.evaluation.systems import (
    THIS,
    VECTORS,
    QueryVectors,
    System,
    bm25_system,
    build_system,
    nearest_system,
)
from viberary_pipeline.evaluation.word2vec_baseline import word2vec_system
from viberary_pipeline.ranking_metrics import bootstrap, paired_bootstrap
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

_SHOWN = 400  # letters of a description
_KEPT = 2  # the least grade of a book that fits (golden/rules.md)

Row = Mapping[str, Any]


def encoder_system(folder: str, works: list[str], texts: list[str]) -> System:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder)
    documents = model.encode(texts, normalize_embeddings=True, show_progress_bar=True)
    return nearest_system(folder, works, documents, lambda text: model.encode([text], normalize_embeddings=True)[0])


def opened(home: Path) -> tuple[Any, Any, QueryVectors, list[Row]]:
    """The live build of a home: a client, its record, the vectors of queries, the rows of its documents."""
    client = connect(load_settings(home=home))
    record = read_record(client, read_pointer(client).live)
    assert record is not None, f"nothing is published in {home}"
    path = documents_of(home, record).file("documents.parquet")
    rows = pq.read_table(path, columns=["work_id", "title", "author", "description", "text"]).to_pylist()
    return client, record, QueryVectors(QueryEncoder(encoder_folder(home, record))), rows


def systems_of(home: Path, encoders: Iterable[str]) -> tuple[list[System], list[Row]]:
    """A home's live build and the baselines over its documents; and these documents."""
    client, record, vectors, rows = opened(home)
    works, texts = [row["work_id"] for row in rows], [row["text"] for row in rows]
    systems = [
        build_system(THIS, client, record, vectors),
        build_system(VECTORS, client, record, vectors, SearchSettings(lexical_weight=0, find_names=False)),
        bm25_system(client, record),
        word2vec_system(works, texts),
        *(encoder_system(folder, works, texts) for folder in encoders),
    ]
    return systems, rows


def named_system(given: str) -> tuple[System, list[Row], str]:
    """`NAME=HOME,SETTING=VALUE`: the live build of that home as it is searched by these settings, and what it is."""
    name, _, rest = given.partition("=")
    home, *rules = rest.split(",")
    settings = {f"search_{key}": value for key, _, value in (rule.partition("=") for rule in rules)}
    client, record, vectors, rows = opened(Path(home).absolute())
    system = build_system(name, client, record, vectors, load_settings(**settings).search)
    encoders = f"documents by {record.encoder}, queries by {record.query_encoder_name}"
    how = f"{encoders}, {', '.join(rules) or 'default settings'}"
    return system, rows, how


def ranks_of(systems: Iterable[System], text: str, depth: int) -> dict[str, dict[str, int]]:
    """{work: {system: its rank there}} of the works among the first of any system."""
    found: dict[str, dict[str, int]] = {}
    for system in systems:
        for rank, work in enumerate((system.answer(JudgedQuery(text, "", {})) or [])[:depth], start=1):
            found.setdefault(work, {})[system.name] = rank
    return found


def graded_pairs(qrels: Path) -> set[tuple[str, ...]]:
    """The (query id, work_id) that a file of judgements grades."""
    return {tuple(line.split()[::2][:2]) for line in qrels.read_text(encoding="utf-8").splitlines()}


def left_to_grade(systems: list[System], rows: list[Row], queries: list[list[str]], qrels: Path, depth: int) -> None:
    of_work = {row["work_id"]: row for row in rows}
    graded = graded_pairs(qrels)
    for number, text, *_ in queries:
        print(f"\n## {number} {text}")
        for work in sorted(work for work in ranks_of(systems, text, depth) if (number, work) not in graded):
            row = of_work[work]
            print(f"{work}\t{row['title']}\t{row['author']}\t{(row['description'] or '')[:_SHOWN]!r}")


def blind_lists(given: list[str], queries: list[list[str]], depth: int, name: str) -> dict[str, Any]:
    """Print a shuffled list for each query. Returns its key: which system found which book at which rank."""
    named = [named_system(one) for one in given]
    systems = [system for system, _, _ in named]
    of_work = {row["work_id"]: row for _, rows, _ in named for row in rows}
    key: dict[str, Any] = {"systems": {system.name: how for system, _, how in named}, "queries": {}}
    for number, text, *_ in queries:
        ranks = ranks_of(systems, text, depth)
        works = sorted(ranks)
        random.Random(f"{name} {number}").shuffle(works)
        print(f"\n## {number}. {text}\n")
        items = {f"{number}.{place}": work for place, work in enumerate(works, start=1)}
        for item, work in items.items():
            row = of_work[work]
            shown = " ".join((row["description"] or "(no description)")[:_SHOWN].split())
            print(f"- **{item}** {row['title']} — {row['author']}: {shown}")
        key["queries"][number] = {
            "text": text,
            "items": {
                item: {"work_id": work, "title": of_work[work]["title"], "ranks": ranks[work]}
                for item, work in items.items()
            },
        }
    return key


def kept(key: dict[str, Any], grades: dict[str, int]) -> None:
    """Print how many of the books that each system found are fit, by query and in all."""
    of_system: dict[str, list[float]] = {name: [] for name in key["systems"]}
    for number, query in key["queries"].items():
        if missing := [item for item in query["items"] if item not in grades]:
            raise SystemExit(f"no grade of {', '.join(missing)}")
        for name, counts in of_system.items():
            found = [item for item, told in query["items"].items() if name in told["ranks"]]
            counts.append(float(sum(grades[item] >= _KEPT for item in found)))
        print(f"{number}\t{query['text']}\t" + "\t".join(f"{counts[-1]:.0f}" for counts in of_system.values()))
    first = next(iter(of_system.values()))
    for name, counts in of_system.items():
        mean, low, high = bootstrap(counts)
        less, least, most = paired_bootstrap(counts, first)
        print(
            f"{name} ({key['systems'][name]}): {sum(counts):.0f} fit, {mean:.2f} a query ({low:.2f} to {high:.2f}); "
            f"{less:+.2f} ({least:+.2f} to {most:+.2f}) to the first"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--qrels", type=Path)
    parser.add_argument("--depth", type=int, default=10, help="works of each system (default 10)")
    parser.add_argument("--encoder", action="append", default=[], help="a sentence-transformers folder")
    parser.add_argument("--system", action="append", default=[], help="NAME=HOME[,SETTING=VALUE ...]")
    parser.add_argument("--key", type=Path, help="which system found which book: written, or read with --grades")
    parser.add_argument("--name", default="pool", help="of the lists, in the key")
    parser.add_argument("--grades", type=Path, help="the judge's lines: number of a book, grade")
    options = parser.parse_args()
    if options.home and not (options.queries and options.qrels):
        parser.error("--home needs --queries and --qrels")
    if options.system and not (options.queries and options.key):
        parser.error("--system needs --queries and --key")
    if not (options.home or options.system or (options.key and options.grades)):
        parser.error("--home, --system, or --key with --grades")
    keys = json.loads(options.key.read_text("utf-8")) if options.key and options.key.is_file() else {}
    if options.grades:
        lines = [line.split() for line in options.grades.read_text("utf-8").splitlines() if line.strip()]
        kept(keys[options.name], {item: int(grade) for item, grade, *_ in lines})
        return
    queries = [line.split("\t") for line in options.queries.read_text(encoding="utf-8").splitlines()]
    if options.home:
        systems, rows = systems_of(options.home.absolute(), options.encoder)
        left_to_grade(systems, rows, queries, options.qrels, options.depth)
        return
    keys[options.name] = blind_lists(options.system, queries, options.depth, options.name)
    options.key.write_text(json.dumps(keys, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
