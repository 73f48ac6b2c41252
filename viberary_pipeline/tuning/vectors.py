"""Vectors of texts by any encoder, kept in a folder, so that a killed command computes none twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.artifacts import digest
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.storage import replacing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_AT_ONCE = 1024  # texts of a file: what a kill may cost
_BATCH = {"cpu": 32, "cuda": 512}


class Vectors:
    """What encoders give for texts.

    Args:
        folder: Where they are kept.
        device: `cpu` or `cuda`.
    """

    def __init__(self, folder: Path, device: Literal["cpu", "cuda"] = "cpu") -> None:
        self._folder, self._device = folder, device
        self._models: dict[str, SentenceTransformer] = {}

    def of(
        self, encoder: ResolvedEncoder, texts: Sequence[str], side: Literal["query", "document"]
    ) -> NDArray[np.float32]:
        """float32 (len(texts), dimensions), norm 1, with the encoder's prefix for queries or documents."""
        prefix = encoder.spec.query_prefix if side == "query" else encoder.spec.document_prefix
        # Of like length together: little padding.
        order = np.argsort([len(text) for text in texts], kind="stable")
        found = np.empty((len(texts), encoder.spec.dimensions), np.float32)
        for start in range(0, len(texts), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            found[rows] = self._part(encoder, [prefix + texts[row] for row in rows])
        return found

    def _part(self, encoder: ResolvedEncoder, texts: list[str]) -> NDArray[np.float32]:
        path = self._folder / f"{encoder.fingerprint}-{digest(texts)}.npy"
        if path.exists():
            known: NDArray[np.float32] = np.load(path)
            return known
        if encoder.fingerprint not in self._models:
            # One model in memory at a time.
            self._models = {
                encoder.fingerprint: load_sentence_transformer(encoder.spec, encoder.folder, device=self._device)
            }
        model: Any = self._models[encoder.fingerprint]
        made = np.asarray(
            model.encode(
                texts,
                prompt="",
                batch_size=_BATCH[self._device],
                show_progress_bar=False,
                normalize_embeddings=True,
            )
        ).astype(np.float32)
        with replacing(path, durable=False) as temporary, temporary.open("wb") as file:
            np.save(file, made)
        return made
