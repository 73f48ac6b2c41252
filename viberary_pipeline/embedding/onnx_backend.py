"""An encoder on onnxruntime: on a CPU, where it starts sooner than torch and computes in int8 too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.embedding.batches import Ids, padded
from viberary_pipeline.encoders.onnx_files import (
    INPUTS,
    INT8,
    MODEL,
    OUTPUT,
    load_tokenizer,
    open_session,
    verify_export,
)
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.machine import usable_cores

_BUDGET = 4096


class OnnxBackend:
    """The graph that `encoders.onnx_export` writes (token ids and mask in, vectors of norm 1 out), or its quantised
    copy (`embedding.int8`).

    Raises:
        EncoderError: a file is missing, or the graph is of another encoder.
    """

    def __init__(
        self, spec: ModelSpec, fingerprint: str, folder: Path, *, dtype: str, threads: int | None = None
    ) -> None:
        description = verify_export(folder)
        if description["fingerprint"] != fingerprint:
            raise EncoderError(
                f"The ONNX graph is not that of the encoder {spec.name}",
                expected=f"fingerprint {fingerprint}",
                found=f"{description['fingerprint']} in {folder}",
                todo="materialize query_encoder again",
            )
        if description["precision"] != "fp32":
            raise EncoderError(
                f"The ONNX graph of {spec.name} is not float32",
                expected="a graph exported with precision fp32",
                found=f"{description['precision']} in {folder}",
                todo="export it in fp32, or leave the graph out, so that torch computes",
            )
        self.dtype = "int8" if dtype == "int8" else "float32"
        self.budget, self.multiple = _BUDGET, 1
        self._dimensions = spec.dimensions
        self._pad: int = description["padding"]["id"]
        self._left = description["padding"]["side"] == "left"
        self._tokenizer = load_tokenizer(folder, description, padding=False)
        self._session = open_session(folder / (INT8 if dtype == "int8" else MODEL), threads=threads or usable_cores())

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def run(self, ids: Sequence[Ids], width: int) -> Any:
        tokens, mask = padded(ids, width, self._pad, left=self._left)
        (vectors,) = self._session.run([OUTPUT], dict(zip(INPUTS, (tokens, mask), strict=True)))
        return vectors

    def collect(self, outputs: Sequence[Any]) -> NDArray[np.float32]:
        if not outputs:
            return np.empty((0, self._dimensions), dtype=np.float32)
        vectors = np.concatenate(outputs).astype(np.float32, copy=False)
        # The graph normalises already; this removes the last rounding.
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def free(self) -> None:
        pass
