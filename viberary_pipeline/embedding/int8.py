"""The int8 copy of an encoder's graph (`encoders.quantize`), and the gate that it must pass: an option, not a bargain.

On a CPU with VNNI it computes twice as fast as float32.
"""

import json
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.artifacts import write_atomically
from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.onnx_backend import ENCODER, INT8, MODEL, TOKENIZER, OnnxBackend
from viberary_pipeline.embedding.texts import Texts
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.quantize import int8_name, quantize
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.ranking_metrics import ndcg_of_scores

LEAST_MEAN_COSINE = 0.99
LEAST_NDCG = 0.99
_GATE_TEXTS = 200
_QUALITY = "quality.json"


@dataclass(frozen=True)
class Int8Quality:
    """How near int8 comes to float32 over some texts: the mean and the least cosine, and nDCG@10 of each text's
    neighbours, ranked by int8 and graded by float32's cosines."""

    texts: int
    mean_cosine: float
    least_cosine: float
    ndcg_at_10: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quantise(folder: Path) -> Path:
    """Write `model.int8.onnx` beside `model.onnx`, once; returns its path."""
    target = folder / INT8
    if target.exists():
        return target
    temporary = folder / f".{INT8}.{uuid.uuid4().hex[:8]}"
    try:
        quantize(folder, temporary, every_product=True)  # long texts, in batches
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def quality(full: NDArray[np.float32], int8: NDArray[np.float32]) -> Int8Quality:
    """Compare the vectors of the same texts, both of norm 1."""
    cosines = (full * int8).sum(axis=1)
    return Int8Quality(
        len(full), round(float(cosines.mean()), 6), round(float(cosines.min()), 6), round(_ndcg(full, int8), 6)
    )


def require_quality(measured: Int8Quality) -> Int8Quality:
    """Raise `EncoderError` where int8 is too far from float32."""
    if measured.mean_cosine >= LEAST_MEAN_COSINE and measured.ndcg_at_10 >= LEAST_NDCG:
        return measured
    raise EncoderError(
        "The encoder does not bear int8",
        expected=f"a mean cosine of at least {LEAST_MEAN_COSINE} to float32 and nDCG@10 of at least {LEAST_NDCG}",
        found=f"{measured.mean_cosine} and {measured.ndcg_at_10} over {measured.texts} texts",
        todo="use VIBERARY_EMBEDDING_DTYPE=float32",
    )


def _ndcg(full: NDArray[np.float32], int8: NDArray[np.float32]) -> float:
    """The mean nDCG@10 over all texts as queries, each against all others; gains are float32's cosines."""
    if len(full) < 2:
        return 1.0
    gains, scores = np.maximum(full @ full.T, 0), int8 @ int8.T
    np.fill_diagonal(gains, 0)
    np.fill_diagonal(scores, -np.inf)
    return float(ndcg_of_scores(scores, gains).mean())


def measure(encoders: tuple[TextEncoder, TextEncoder], texts: Sequence[str]) -> Int8Quality:
    """Embed `texts` by the float32 and the int8 `TextEncoder`, and compare."""
    full, int8 = (encoder.encode(list(texts)).vectors for encoder in encoders)
    return quality(full, int8)


def _first_texts(texts: Texts) -> list[str]:
    first = next(texts.batches(), None)
    return [] if first is None else first["text"].to_pylist()[:_GATE_TEXTS]


def gated_graph(options: JobOptions, encoder: ResolvedEncoder, texts: Texts, root: Path) -> JobOptions:
    """`options` with the quantised graph of `options.graph`, made once per encoder under `root`, once it has passed.

    The gate is measured on the first texts, and its figures lie beside the graph in `quality.json`.

    Raises:
        EncoderError: int8 is too far from float32 on these texts.
    """
    options.check()
    folder, source = root / int8_name(encoder.fingerprint), Path(options.graph)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, TOKENIZER, ENCODER):
        if not (folder / name).exists():
            shutil.copyfile(source / name, folder / f".{name}")
            (folder / f".{name}").replace(folder / name)
    quantise(folder)
    if not (folder / _QUALITY).exists() and (sample := _first_texts(texts)):
        full, int8 = (
            TextEncoder(
                OnnxBackend(encoder.spec, encoder.fingerprint, folder, dtype=dtype), prefix=encoder.spec.document_prefix
            )
            for dtype in ("float32", "int8")
        )
        measured = require_quality(measure((full, int8), sample))
        write_atomically(folder / _QUALITY, json.dumps(measured.to_json()))
    return replace(options, graph=str(folder))
