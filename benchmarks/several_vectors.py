"""Several vectors of a work: one of its whole text, and one of its description and of each of its reviews.

    python benchmarks/several_vectors.py --catalogue NAME=HOME ... --judged NAME=FOLDER ... --cache DIR
        [--encoder viberary-minilm-v1] [--out benchmarks/results/several_vectors.json]

By exact cosine, beside the one vector of today: the best of all of a work's vectors; the mean of them; and the whole
text's cosine, moved towards the best one's by a weight. Figures are nDCG@10, and paired differences to the one vector
with their 95 % intervals. Catalogues, judged folders and the cache are those of `encoders.py`. `vectors` counts them
per work: what the index would hold instead of one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from encoders import Floats, judged_sets, named_places, newest_documents, vectors_of
from reporting import machine, report

from viberary_pipeline.ranking_metrics import ndcg, paired_bootstrap

WEIGHTS = (0.15, 0.3, 0.5)
_MOST_REVIEWS = 3


def parts_of(row: dict[str, Any]) -> list[str]:
    """The title with the description, and with each of the first reviews."""
    texts = [row["description"], *(row["reviews"] or ())[:_MOST_REVIEWS]]
    return [f"{row['title']}. {text}" for text in texts if text]


def systems(queries: Floats, whole: Floats, parts: Floats, of: np.ndarray) -> dict[str, Floats]:
    """Scores, float32 (queries, works), of each way to use the vectors.

    Args:
        queries: float32 (queries, dim).
        whole: float32 (works, dim), of whole texts.
        parts: float32 (parts, dim).
        of: int (parts,), the row of the work that a part is of.
    """
    one, each = queries @ whole.T, queries @ parts.T
    best = one.copy()
    for part, work in enumerate(of):
        np.maximum(best[:, work], each[:, part], out=best[:, work])
    mean = whole.copy()
    np.add.at(mean, of, parts)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    moved = {f"moved by {weight} towards the best": (1 - weight) * one + weight * best for weight in WEIGHTS}
    return {"one vector": one, "the best of all": best, "the mean of all": queries @ mean.T, **moved}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", action="append", required=True, help="NAME=HOME")
    parser.add_argument("--judged", action="append", default=[], help="NAME=FOLDER")
    parser.add_argument("--encoder", default="viberary-minilm-v1")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    judged = named_places(options.judged)
    results: dict[str, Any] = {"machine": machine(), "encoder": options.encoder, "sets": {}}
    for name, places in named_places(options.catalogue).items():
        parquet = newest_documents(places[-1])
        rows = pq.read_table(parquet, columns=["work_id", "title", "description", "reviews", "text"]).to_pylist()
        works, parts = [row["work_id"] for row in rows], [parts_of(row) for row in rows]
        of = np.repeat(np.arange(len(rows)), [len(texts) for texts in parts])
        whole = vectors_of(options.cache, options.encoder, name, [row["text"] for row in rows])
        each = vectors_of(options.cache, options.encoder, f"{name}.parts", [text for texts in parts for text in texts])
        results["sets"][name] = {"works": len(works), "vectors": round(1 + len(each) / len(works), 2)}
        for asked in judged_sets(parquet, works, judged.get(name, [])):
            queries = vectors_of(
                options.cache, options.encoder, f"{name}.{asked.name}", [query.text for query in asked.queries]
            )
            gains = {
                system: [
                    ndcg([works[at] for at in np.argsort(-row, kind="stable")[:10]], query.grades)
                    for row, query in zip(scores, asked.queries, strict=True)
                ]
                for system, scores in systems(queries, whole, each, of).items()
            }
            one = gains.pop("one vector")
            results["sets"][name][asked.name] = {
                "queries": len(one),
                "one vector": round(float(np.mean(one)), 4),
                **{system: [round(x, 4) for x in paired_bootstrap(figures, one)] for system, figures in gains.items()},
            }
            print(name, asked.name, json.dumps(results["sets"][name][asked.name]), flush=True)
    report(json.dumps(results, indent=1), options.out)


if __name__ == "__main__":
    main()
