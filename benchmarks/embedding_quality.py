"""What int8 and float16 do to search: nDCG@10 on the bundled sample, documents embedded each way, queries in float32.

    python benchmarks/embedding_quality.py [--out benchmarks/results/embedding_quality.json]

Queries and judgements: the golden set, and those of `recipes.py` (vibes and paraphrases by hand; known items by title,
by author and title, by a title with a typo, by a sentence of the description). `change` is the difference to float32 in
per cent of it, with its 95 % bootstrap interval over queries. `int8 by onnxruntime alone` quantises the graph as it is.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from recipes import (
    Candidate,
    documents_of,
    ingest_all,
    interval,
    known_item_queries,
    scores,
    vibe_queries,
    write_genres,
)
from reporting import report

from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.int8 import quality, quantise
from viberary_pipeline.embedding.onnx_backend import INT8, OnnxBackend
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.evaluation.queries import judged_set
from viberary_pipeline.sample import GOLDEN
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
        quantise(folder / "graph", folder / "graph")
        plain = folder / "plain"
        shutil.copytree(folder / "graph", plain)
        quantize_dynamic(plain / "model.onnx", plain / INT8, per_channel=True, weight_type=QuantType.QInt8)
        full, int8, alone = (
            TextEncoder(OnnxBackend(encoder.spec, encoder.fingerprint, graph, dtype=dtype))
            for graph, dtype in ((folder / "graph", "float32"), (folder / "graph", "int8"), (plain, "int8"))
        )
        texts = [row["text"] for row in documents]
        vectors = {"float32": full.encode(texts).vectors, "int8": int8.encode(texts).vectors}
        vectors["int8 by onnxruntime alone"] = alone.encode(texts).vectors
        vectors["float16 as stored"] = vectors["float32"].astype(np.float16).astype(np.float32)
        works = [row["work_id"] for row in documents]
        golden = judged_set(GOLDEN)
        assert golden.judges(works), "the sample's works are not those that were judged"
        judged = [(query.text, query.grades) for query in golden.queries]
        queries = {"golden": judged, **vibe_queries(), **known_item_queries(documents)}
        found: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in vectors}
        for kind, pairs in queries.items():
            asked = full.encode([query for query, _ in pairs]).vectors
            for name, matrix in vectors.items():
                found[name][kind] = scores(asked @ matrix.T, works, [dict(grades) for _, grades in pairs])[:, 0]
        for kinds in found.values():
            kinds["all queries"] = np.concatenate(list(kinds.values()))
        base = found["float32"]
        result: dict[str, Any] = {
            "works": len(works),
            "queries": {kind: len(values) for kind, values in base.items()},
            "ndcg_at_10": {
                name: {kind: round(float(values.mean()), 4) for kind, values in kinds.items()}
                for name, kinds in found.items()
            },
            "change": {
                name: {
                    kind: [round(100 * part / float(base[kind].mean()), 2) for part in interval(values - base[kind])]
                    for kind, values in kinds.items()
                }
                for name, kinds in found.items()
                if name != "float32"
            },
            "int8_beside_float32": asdict(quality(vectors["float32"], vectors["int8"])),
            "int8_by_onnxruntime_alone_beside_float32": asdict(
                quality(vectors["float32"], vectors["int8 by onnxruntime alone"])
            ),
        }
    text = json.dumps(result, indent=1)
    report(text, options.out)


if __name__ == "__main__":
    main()
