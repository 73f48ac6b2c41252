"""Whether an exported encoder may be published in int8: about a third of the time per query, and of the size.

int8 (`encoders.quantize`) moves each vector a little. It passes if, over the parity queries, it stays near the original
model, if what it finds is as near to the query as what the original finds, and if it is faster on this machine. Where
the quick way of quantising moves them too far, the careful one is tried (`quantize`'s `every_product`). What int8
finds is measured over the calibration texts: the nearness kept is the summed cosine, by the original vector, of the ten
texts found with the int8 vector, to that of the ten found with the original one.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.encoders.onnx_files import MODEL, TOKENIZER, read_description, write_description
from viberary_pipeline.encoders.quantize import calibration_texts, quantize
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import GateRefused

Precision = Literal["auto", "fp32", "int8"]
LEAST_MEAN_COSINE = 0.99
LEAST_NEARNESS = 0.99
_K = 10
_TIMED_QUERIES = 60


def near_in_int8(fp32: Path, scratch: Path, queries: Sequence[str], expected: NDArray[np.float32]) -> Path:
    """The export in `fp32` in int8, in a new folder of `scratch`: quantised the quick way if its vectors of the parity
    queries are near enough to the original model's, `expected`; else the careful way."""
    quick = in_int8(fp32, scratch / "int8")
    if _near(cosines(QueryEncoder(quick).encode(queries), expected)):
        return quick
    return in_int8(fp32, scratch / "int8-careful", every_product=True)


def in_int8(fp32: Path, out: Path, *, every_product: bool = False) -> Path:
    """The export in `fp32`, a folder, once more in int8 in the new folder `out`; `every_product` as for `quantize`."""
    out.mkdir()
    quantize(fp32, out / MODEL, every_product=every_product)
    shutil.copyfile(fp32 / TOKENIZER, out / TOKENIZER)
    description = read_description(fp32)
    description.pop("probes", None)  # those of float32
    write_description(out, description | {"precision": "int8"})
    return out


def choose(
    wanted: Precision, fp32: Path, int8: Path, queries: Sequence[str], expected: NDArray[np.float32]
) -> tuple[Precision, dict[str, dict[str, Any]]]:
    """Which of two exports of one model is published, and the figures that say why.

    Args:
        wanted: `int8` or `auto`.
        fp32, int8: The folders of the exports.
        queries: The parity queries.
        expected: The original model's vectors of them.

    Returns:
        `fp32` or `int8`, and {precision: figures}: cosines to the original (int8 alone; float32 has its own gate),
        `nearness_kept`, milliseconds per query at the median and the 95th percentile, bytes of the model.

    Raises:
        GateRefused: int8 is wanted and too far away.
    """
    large, small = QueryEncoder(fp32), QueryEncoder(int8)
    moved = small.encode(queries)
    found = cosines(moved, expected)
    exact = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    corpus = QueryEncoder(fp32, threads=0).encode(calibration_texts(), prefix=large.document_prefix)
    nearness = nearness_kept(exact, moved, corpus)
    timings = {"fp32": _milliseconds(large, queries), "int8": _milliseconds(small, queries)}
    figures: dict[str, dict[str, Any]] = {
        "int8": {
            "queries": len(queries),
            "min_cosine": round(float(found.min()), 8),
            "mean_cosine": round(float(found.mean()), 8),
            "nearness_kept": round(nearness, 6),
            "latency_ms": timings["int8"],
            "bytes": (int8 / MODEL).stat().st_size,
            "fp32_latency_ms": timings["fp32"],
            "fp32_bytes": (fp32 / MODEL).stat().st_size,
        }
    }
    near = _near(found) and nearness >= LEAST_NEARNESS
    if wanted == "int8":
        if not near:
            raise GateRefused(
                f"The encoder {large.spec_name} changes too much in int8",
                expected=f"a mean cosine of {LEAST_MEAN_COSINE} to the float32 vectors of {len(queries)} queries, and "
                f"texts that keep {LEAST_NEARNESS} of their nearness to a query",
                found=f"{found.mean():.5f} and {nearness:.5f}",
                todo="set VIBERARY_QUERY_PRECISION to auto or fp32",
            )
        return "int8", figures
    return ("int8" if near and timings["int8"]["p50"] < timings["fp32"]["p50"] else "fp32"), figures


def nearness_kept(exact: NDArray[np.float32], moved: NDArray[np.float32], corpus: NDArray[np.float32]) -> float:
    """How near to the queries `exact` (n, dim) the works are that the queries `moved` find, beside their own finds.

    1.0: as near. Over all queries: sum of cosines of the ten found, by sum of cosines of the ten nearest.
    """
    true = exact @ corpus.T
    k = min(_K, len(corpus))
    best = np.sort(true, axis=1)[:, -k:]
    chosen = np.argsort(moved @ corpus.T, axis=1)[:, -k:]
    return float(np.take_along_axis(true, chosen, axis=1).sum() / best.sum())


def _near(found: NDArray[np.float64]) -> bool:
    """Whether int8's cosines to the original vectors are high enough."""
    return float(found.mean()) >= LEAST_MEAN_COSINE


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cosine of each row of `left` with the same row of `right`."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    found: NDArray[np.float64] = (left * right).sum(axis=1) / norms
    return found


def _milliseconds(encoder: QueryEncoder, queries: Sequence[str]) -> dict[str, float]:
    """One query at a time, as readers ask."""
    taken = []
    for query in queries[:_TIMED_QUERIES]:
        started = time.perf_counter()
        encoder.encode([query])
        taken.append((time.perf_counter() - started) * 1000)
    return {"p50": round(float(np.percentile(taken, 50)), 3), "p95": round(float(np.percentile(taken, 95)), 3)}
