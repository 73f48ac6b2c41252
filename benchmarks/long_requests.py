"""What it pays to leave out of a long request what it says of the reader, by real requests.

    python benchmarks/long_requests.py --home DIR --queries FILE.tsv --qrels FILE.txt [--out FILE]

The home's live build holds the works that were meant. Each request is asked as it was typed, and without what
`search/phrases.toml` says of readers (`VIBERARY_SEARCH_ABOUT_THE_BOOK`). Figures are success@10 and MRR@10, mean with a
95 % bootstrap interval; `less` is the paired difference to the request as typed.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.queries import trec_set
from viberary_pipeline.evaluation.systems import QueryVectors, build_system
from viberary_pipeline.ranking_metrics import bootstrap, reciprocal_rank
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.settings import load_settings

TUNINGS = {"as typed": SearchSettings(about_the_book=False), "about the book": SearchSettings(about_the_book=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--queries", type=Path, required=True, help="id, a tab, the request")
    parser.add_argument("--qrels", type=Path, required=True, help="their judgements, in TREC's form")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    home = options.home.absolute()
    client = connect(load_settings(home=home))
    record = read_record(client, read_pointer(client).live)
    assert record is not None, "nothing is published"
    queries = trec_set(options.queries, options.qrels).queries
    vectors = QueryVectors(QueryEncoder(encoder_folder(home, record), threads=2))
    ranks = {}
    for name, tuning in TUNINGS.items():
        system = build_system(name, client, record, vectors, tuning)
        ranks[name] = np.array([reciprocal_rank(system.answer(query) or [], query.grades) for query in queries])
    table = {}
    for name, found in ranks.items():
        table[name] = {
            figure: {
                "mean": [round(value, 4) for value in bootstrap(of(found))],
                "less": [round(value, 4) for value in bootstrap(of(found) - of(ranks["as typed"]))],
            }
            for figure, of in (("success@10", lambda r: (r > 0).astype(float)), ("mrr@10", lambda r: r))
        }
        print(f"{name:<16}", json.dumps(table[name]))
    if options.out:
        measured = {"encoder": record.encoder, "works": record.documents, "queries": len(queries), "table": table}
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
