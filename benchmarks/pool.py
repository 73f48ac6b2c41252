"""What is left to grade: the works that systems find for judged queries, without their ranks or the systems' names.

    python benchmarks/pool.py --home HOME --queries benchmarks/golden/vibes.queries.tsv \
        --qrels benchmarks/golden/vibes.qrels_requests.txt [--depth 10] [--encoder FOLDER ...]

Systems: the live build of HOME, its vectors alone, BM25, word2vec, and each sentence-transformers FOLDER by exact
cosine over the documents' texts. For each query: works among the first of any system that the qrels do not hold, in
the order of their ids, with title, author and description. Grade them by `golden/rules.md`, and add lines to the qrels
and to `golden/reasons.tsv`.
"""

import argparse
from pathlib import Path

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
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

_SHOWN = 400  # letters of a description


def encoder_system(folder: str, works: list[str], texts: list[str]) -> System:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder)
    documents = model.encode(texts, normalize_embeddings=True, show_progress_bar=True)
    return nearest_system(folder, works, documents, lambda text: model.encode([text], normalize_embeddings=True)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--qrels", type=Path, required=True)
    parser.add_argument("--depth", type=int, default=10, help="works of each system (default 10)")
    parser.add_argument("--encoder", action="append", default=[], help="a sentence-transformers folder")
    options = parser.parse_args()
    home = options.home.absolute()
    client = connect(load_settings(home=home))
    record = read_record(client, read_pointer(client).live)
    assert record is not None, "nothing is published"
    path = documents_of(home, record).file("documents.parquet")
    rows = pq.read_table(path, columns=["work_id", "title", "author", "description", "text"]).to_pylist()
    works, texts = [row["work_id"] for row in rows], [row["text"] for row in rows]
    of_work = dict(zip(works, rows, strict=True))
    vectors = QueryVectors(QueryEncoder(encoder_folder(home, record)))
    systems = [
        build_system(THIS, client, record, vectors),
        build_system(VECTORS, client, record, vectors, SearchSettings(lexical_weight=0, find_names=False)),
        bm25_system(client, record),
        word2vec_system(works, texts),
        *(encoder_system(folder, works, texts) for folder in options.encoder),
    ]
    graded = {tuple(line.split()[::2][:2]) for line in options.qrels.read_text(encoding="utf-8").splitlines()}
    for line in options.queries.read_text(encoding="utf-8").splitlines():
        number, text, *_ = line.split("\t")
        found = {
            work for system in systems for work in (system.answer(JudgedQuery(text, "", {})) or [])[: options.depth]
        }
        print(f"\n## {number} {text}")
        for work in sorted(work for work in found if (number, work) not in graded):
            row = of_work[work]
            print(f"{work}\t{row['title']}\t{row['author']}\t{(row['description'] or '')[:_SHOWN]!r}")


if __name__ == "__main__":
    main()
