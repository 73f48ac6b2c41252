"""The int8 copy of an encoder's graph (`encoders.quantize`), and the gate that it must pass.

On a CPU with VNNI it is twice as fast as float32, without it 1.6 times.
"""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.onnx_backend import OnnxBackend
from viberary_pipeline.embedding.texts import Texts
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.onnx_files import (
    INT8,
    MODEL,
    TOKENIZER,
    read_description,
    verify_export,
    write_description,
)
from viberary_pipeline.encoders.quantize import int8_name, quantize
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.ranking_metrics import ndcg_of_scores
from viberary_pipeline.storage import replacing_folder, write_atomically
from viberary_pipeline.typed_json import parse_json

log = logging.getLogger(__name__)
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
        "The encoder loses too much in int8",
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


def gated_graph(options: JobOptions, encoder: ResolvedEncoder, texts: Texts, root: Path) -> JobOptions:
    """`options` with the quantised graph of `options.graph`, made once per encoder under `root`, once it has passed.

    A damaged graph is named in the log and made anew. The gate is measured on the first texts, and its figures lie
    beside the graph in `quality.json`.

    Raises:
        EncoderError: int8 is too far from float32 on these texts.
    """
    options.check()
    folder = root / int8_name(encoder.fingerprint)
    try:
        verify_export(folder)
    except EncoderError as error:
        if folder.exists():
            log.warning("the int8 graph is made anew: %s (%s)", error.expected, error.found)
        quantise(Path(options.graph), folder)
    if not _has_passed(folder / _QUALITY) and (sample := _first_texts(texts)):
        backends = (
            OnnxBackend(encoder.spec, encoder.fingerprint, folder, dtype=dtype) for dtype in ("float32", "int8")
        )
        full, int8 = (TextEncoder(b, prefix=encoder.spec.document_prefix).encode(sample).vectors for b in backends)
        write_atomically(folder / _QUALITY, json.dumps(asdict(require_quality(quality(full, int8)))))
    return replace(options, graph=str(folder))


def quantise(exported: Path, folder: Path) -> None:
    """Make the folder `folder`: the float32 export in `exported`, and its quantised copy beside it."""
    with replacing_folder(folder) as scratch:
        for name in (MODEL, TOKENIZER):
            shutil.copyfile(exported / name, scratch / name)
        quantize(exported, scratch / INT8, every_product=True)  # long texts, in batches
        write_description(scratch, read_description(exported))


def _has_passed(path: Path) -> bool:
    try:
        require_quality(parse_json(Int8Quality, path.read_bytes()))
    except (OSError, ValueError, EncoderError):
        return False
    return True


def _first_texts(texts: Texts) -> list[str]:
    first = next(texts.batches(), None)
    return [] if first is None else first["text"].to_pylist()[:_GATE_TEXTS]
