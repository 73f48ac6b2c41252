"""Turns queries into vectors with onnxruntime, tokenizers and numpy alone: no torch where readers search."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.encoders.onnx_files import (
    MODEL,
    OUTPUT,
    load_tokenizer,
    model_inputs,
    open_session,
    verify_export,
)
from viberary_pipeline.errors import EncoderError

# At most so many texts at once. 32 bounds memory. An int8 graph scales its activations over the whole batch, so there a
# query's vector would depend on the queries beside it: each goes alone, as a reader's does.
BATCH = {"fp32": 32, "int8": 1}
PROBES = ("cold-blooded revenge", "a quiet garden by the sea", "1984")
# int8 kernels differ between processors. Signed weights saturate on those without VNNI: that is more than this.
LEAST_PROBE_COSINE = 0.995


class QueryEncoder:
    """One exported encoder, loaded. Safe to share between threads.

    Args:
        folder: Where the export lies.
        threads: Threads within one call. One suits short queries, each from its own thread of the web
            server; more help only where long texts come in batches.

    Raises:
        EncoderError: a file is missing or damaged, or of a format that this version does not read; or this machine
            computes other vectors than the one that exported.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self.folder = Path(folder)
        description = verify_export(self.folder)
        spec = description["spec"]
        self.spec_name: str = spec["name"]
        self.precision: str = description["precision"]
        self._batch = BATCH[self.precision]
        self.fingerprint: str = description["fingerprint"]
        self.space: str = description.get("space", {}).get("fingerprint", self.fingerprint)
        self.dimensions: int = spec["dimensions"]
        self.query_prefix: str = spec["query_prefix"]
        self.document_prefix: str = spec["document_prefix"]
        self._tokenizer = load_tokenizer(self.folder, description)
        # Spinning idle threads would take the cores from the web server between two queries.
        self._session = open_session(self.folder / MODEL, threads=threads, spinning=False)
        self._prove(description.get("probes", ()))

    def shares(self, space: str, dimensions: int) -> bool:
        """Whether its vectors can be compared with those of the encoder whose fingerprint is `space`."""
        return (self.space, self.dimensions) == (space, dimensions)

    def __str__(self) -> str:
        of = "" if self.space == self.fingerprint else f" of the space {self.space}"
        return f"fingerprint {self.fingerprint}{of} with {self.dimensions} dimensions"

    def encode(self, texts: Sequence[str], *, prefix: str | None = None) -> NDArray[np.float32]:
        """The vectors of `texts`: float32, one row per text in the order given, norm 1.

        The encoder's query prefix, or `prefix` instead, is put before each; what exceeds its token limit is cut.

        Raises:
            EncoderError: the model gave something else than finite vectors of its stated size.
        """
        if isinstance(texts, str):
            raise TypeError("expected a sequence of texts, not one string")
        prefix = self.query_prefix if prefix is None else prefix
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), self._batch):
            batch = [_encodable(prefix + text) for text in texts[start : start + self._batch]]
            vectors[start : start + len(batch)] = self._run(batch)
        return vectors

    def has_word(self, word: str) -> bool:
        """Whether the tokenizer has this word, in lower case, whole: a common word of its language, no typo."""
        return any(self._tokenizer.token_to_id(token) is not None for token in (word, f"▁{word}"))

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return int(self._tokenizer.get_vocab_size())

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """The tokens that each word is made of."""
        return [found.ids for found in self._tokenizer.encode_batch(list(words), add_special_tokens=False)]

    def _prove(self, probes: Sequence[Mapping[str, Any]]) -> None:
        """Raise `EncoderError` unless the probes have, on this machine, the vectors that the export gave them."""
        for probe in probes:
            expected = np.asarray(probe["vector"], dtype=np.float32)
            (found,) = self.encode([probe["query"]])
            cosine = float(found @ expected / np.linalg.norm(expected)) if expected.shape == found.shape else 0.0
            if not cosine >= LEAST_PROBE_COSINE:
                raise EncoderError(
                    f"The query encoder {self.spec_name} gives other vectors here than where it was exported",
                    expected=f"a cosine of at least {LEAST_PROBE_COSINE} for {probe['query']!r} ({self.precision})",
                    found=f"{cosine:.4f}",
                    todo="build with VIBERARY_QUERY_PRECISION=fp32, or with the version of onnxruntime that runs here",
                )

    def _run(self, batch: list[str]) -> NDArray[np.float32]:
        (vectors,) = self._session.run([OUTPUT], model_inputs(self._tokenizer, batch))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if vectors.shape != (len(batch), self.dimensions) or not np.all(np.isfinite(norms) & (norms > 0)):
            raise EncoderError(
                f"The query encoder {self.spec_name} does not work",
                expected=f"finite vectors of {self.dimensions} dimensions",
                found=f"an array of shape {vectors.shape} with norms {norms.min():.3g} to {norms.max():.3g}",
                todo="build again: that exports the encoder again",
            )
        # The graph normalises already; this removes the last rounding and costs nothing beside it.
        return (vectors / norms).astype(np.float32, copy=False)


def _encodable(text: str) -> str:
    """`text` with lone surrogates replaced: the command line passes bytes that are not UTF-8 as such."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
