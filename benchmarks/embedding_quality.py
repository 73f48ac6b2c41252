"""What int8 and float16 do to search: nDCG@10 on the bundled sample, documents embedded each way, queries in float32.

    python benchmarks/embedding_quality.py [--out benchmarks/results/embedding_quality.json]

Queries and judgements are those of `recipes.py` (vibes and paraphrases by hand; known items by title, by author and
title, by a title with a typo, by a sentence of the description). `change` is the difference to float32, in per cent.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from recipes import Candidate, documents_of, ingest_all, known_item_queries, scores, vibe_queries, write_genres

from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.int8 import quality, quantise
from viberary_pipeline.embedding.onnx_backend import OnnxBackend
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.sample.write import write_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    encoder = resolve("all-MiniLM-L6-v2")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "tables").mkdir()
        write_sample(folder / "raw")
        write_genres(folder / "raw")
        tables = ingest_all(folder / "raw", folder / "tables")
        documents = documents_of(tables, Candidate(RECIPES["title-first"]))
        export_query_encoder(encoder, folder / "graph")
        quantise(folder / "graph")
        full, int8 = (
            TextEncoder(OnnxBackend(encoder.spec, encoder.fingerprint, folder / "graph", dtype=dtype))
            for dtype in ("float32", "int8")
        )
        texts = [row["text"] for row in documents]
        vectors = {"float32": full.encode(texts).vectors, "int8": int8.encode(texts).vectors}
        vectors["float16 as stored"] = vectors["float32"].astype(np.float16).astype(np.float32)
        works = [row["work_id"] for row in documents]
        queries = {**vibe_queries(), **known_item_queries(documents)}
        ndcg: dict[str, dict[str, float]] = {name: {} for name in vectors}
        for kind, pairs in queries.items():
            asked = full.encode([query for query, _ in pairs]).vectors
            for name, matrix in vectors.items():
                found = scores(asked @ matrix.T, works, [grades for _, grades in pairs])
                ndcg[name][kind] = round(float(found[:, 0].mean()), 4)
        for name, kinds in ndcg.items():
            kinds["all queries"] = round(
                sum(kinds[kind] * len(pairs) for kind, pairs in queries.items()) / sum(map(len, queries.values())), 4
            )
            ndcg[name] = kinds
        result: dict[str, Any] = {
            "works": len(works),
            "queries": {kind: len(pairs) for kind, pairs in queries.items()},
            "ndcg_at_10": ndcg,
            "change": {
                name: {kind: round(100 * (value / ndcg["float32"][kind] - 1), 2) for kind, value in kinds.items()}
                for name, kinds in ndcg.items()
                if name != "float32"
            },
            "int8_beside_float32": quality(vectors["float32"], vectors["int8"]).to_json(),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
