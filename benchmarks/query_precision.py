"""What int8 costs and saves: nDCG@10 of judged queries on the bundled sample, cosine to float32, milliseconds.

    python benchmarks/query_precision.py HOME [--golden FILE] [--out benchmarks/results/query_precision.json]

HOME has the sample published (`viberary build`). Search is exact cosine over its vectors, so that nothing but the
query's vector differs. The judged queries are [[query]] tables with `text` and `works` (work's number in the sample to
[grade, why]). Differences of nDCG@10 to float32 are relative, with a 95 % bootstrap interval over queries.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from reporting import machine, report

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.onnx_files import MODEL, read_description, write_description
from viberary_pipeline.encoders.precision import in_int8
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.queries import judged_set
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.vectors.store import EmbeddingStore

DISCOUNT = 1 / np.log2(np.arange(2, 12))
DRAWS = 2000


def ndcg(vectors: Any, documents: Any, ids: list[str], judged: list[dict[str, int]]) -> Any:
    """nDCG@10 with linear gains, one per query."""
    figures = []
    for grades, similarity in zip(judged, vectors @ documents.T, strict=True):
        gains = [grades.get(ids[row], 0) for row in np.argsort(-similarity)[:10]]
        ideal = np.sort(list(grades.values()))[::-1][:10]
        figures.append(gains @ DISCOUNT / (ideal @ DISCOUNT[: len(ideal)]))
    return np.array(figures)


def milliseconds(encoder: QueryEncoder, queries: list[str]) -> float:
    taken = []
    for query in queries:
        started = time.perf_counter()
        encoder.encode([query])
        taken.append((time.perf_counter() - started) * 1000)
    return round(float(np.median(taken)), 3)


def plainly(exact: Path, out: Path) -> Path:
    """What `quantize_dynamic` makes of the graph as it is."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(exact, out)
    quantize_dynamic(exact / MODEL, out / MODEL, per_channel=True, weight_type=QuantType.QInt8)
    write_description(out, read_description(exact) | {"precision": "int8", "probes": []})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = resolve("all-MiniLM-L6-v2")
    table = pq.read_table(ArtifactStore(options.home).current("documents").file("documents.parquet"))
    store = EmbeddingStore(options.home / "embeddings", model.fingerprint, model.spec.dimensions)
    documents = store.vectors_for(table["text_hash"])
    ids = table["work_id"].to_pylist()
    given = judged_set(options.golden).queries
    queries, judged = [query.text for query in given], [dict(query.grades) for query in given]
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "fp32"
        export_query_encoder(model, exact)
        exports = {
            "fp32": exact,
            "int8": in_int8(exact, Path(folder) / "int8"),
            "int8 by onnxruntime alone": plainly(exact, Path(folder) / "plain"),
        }
        encoders = {name: QueryEncoder(path) for name, path in exports.items()}
        reference = encoders["fp32"].encode(queries)
        base = ndcg(reference, documents, ids, judged)
        random = np.random.default_rng(0)
        results: dict[str, Any] = {
            "machine": machine(),
            "queries": len(queries),
        }
        for name, encoder in encoders.items():
            vectors = encoder.encode(queries)
            figures = ndcg(vectors, documents, ids, judged)
            difference = figures - base
            draws = [difference[random.integers(len(base), size=len(base))].mean() for _ in range(DRAWS)]
            change, low, high = np.array([difference.mean(), *np.percentile(draws, [2.5, 97.5])]) / base.mean()
            results[name] = {
                "ndcg_at_10": round(float(figures.mean()), 4),
                "change": [round(float(value), 4) for value in (change, low, high)],
                "cosine": round(float(np.sum(vectors * reference, axis=1).mean()), 5),
                "median_ms": milliseconds(encoder, queries),
                "bytes": (exports[name] / MODEL).stat().st_size,
            }
    text = json.dumps(results, indent=1)
    report(text, options.out)


if __name__ == "__main__":
    main()
