"""Turns queries into vectors with onnxruntime, tokenizers and numpy alone: no torch where readers search.

Reads the folder that `encoders.onnx_export` writes::

    model.onnx       input_ids, attention_mask (int64, batch x tokens) -> sentence_embedding (float32, norm 1)
    tokenizer.json   for the tokenizers library
    encoder.json     spec, fingerprint, precision, padding, digests of both files, parity figures, probes
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.errors import EncoderError

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
ENCODER = "encoder.json"
FORMAT = 1
OUTPUT = "sentence_embedding"
# At most so many texts at once. 32 bounds memory. An int8 graph scales its activations over the whole batch, so there a
# query's vector would depend on the queries beside it: each goes alone, as a reader's does.
BATCH = {"fp32": 32, "int8": 1}
PROBES = ("cold-blooded revenge", "a quiet garden by the sea", "1984")
# int8 kernels differ between processors, and those without VNNI may saturate: this much they may differ.
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
        import onnxruntime

        self.folder = Path(folder)
        description = read_description(self.folder)
        try:
            spec = description["spec"]
            self.spec_name: str = spec["name"]
            self.precision: str = description.get("precision", "fp32")
            self._batch = BATCH[self.precision]
            self.fingerprint: str = description["fingerprint"]
            self.dimensions: int = spec["dimensions"]
            self.query_prefix: str = spec["query_prefix"]
            self.document_prefix: str = spec["document_prefix"]
            verify_files(self.folder, description["files"])
            self._tokenizer = load_tokenizer(self.folder, description)
        except (KeyError, TypeError) as error:
            raise _damaged(self.folder / ENCODER, f"a value missing or of the wrong kind: {error}") from error

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings go to the process's standard error
        # Spinning idle threads would take the cores from the web server between two queries.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(self.folder / MODEL), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._prove(description.get("probes", ()))

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
                    todo="build with VIBERARY_QUERY_PRECISION=fp32, or with the onnxruntime that runs here",
                )

    def _run(self, batch: list[str]) -> NDArray[np.float32]:
        (vectors,) = self._session.run([OUTPUT], model_inputs(self._tokenizer, batch))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if vectors.shape != (len(batch), self.dimensions) or not np.all(np.isfinite(norms) & (norms > 0)):
            raise EncoderError(
                f"The query encoder {self.spec_name} does not work",
                expected=f"finite vectors of {self.dimensions} dimensions",
                found=f"an array of shape {vectors.shape} with norms {norms.min():.3g} to {norms.max():.3g}",
                todo="build again, which exports the encoder anew",
            )
        # The graph normalises already; this removes the last rounding and costs nothing beside it.
        return (vectors / norms).astype(np.float32, copy=False)


def _encodable(text: str) -> str:
    """`text` with lone surrogates replaced: the command line passes bytes that are not UTF-8 as such."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def load_tokenizer(folder: Path, description: Mapping[str, Any]) -> Any:
    """The tokenizer of an export, which cuts and pads as `description` says. Raises `KeyError` if it does not say."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    padding = description["padding"]
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.enable_truncation(max_length=description["spec"]["max_tokens"])
    tokenizer.enable_padding(direction=padding["side"], pad_id=padding["id"], pad_token=padding["token"])
    return tokenizer


def model_inputs(tokenizer: Any, texts: list[str]) -> dict[str, NDArray[np.int64]]:
    """What the graph takes for these texts: input_ids and attention_mask, int64 (texts, tokens)."""
    encodings = tokenizer.encode_batch(texts)
    return {
        "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
    }


def read_description(folder: Path) -> dict[str, Any]:
    """What `encoder.json` says of an export, without loading it. Raises `EncoderError` if it cannot be read."""
    path = folder / ENCODER
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise _damaged(path, "another format than this version reads")
    return description


def verify_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise `EncoderError` unless the files of an export are those that its description names by their SHA-256."""
    for name in (MODEL, TOKENIZER):
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _damaged(folder / name, f"{type(error).__name__}") from error
        if found != digests[name]:
            raise _damaged(folder / name, f"SHA-256 {found[:16]}..., not {digests[name][:16]}...")


def _damaged(path: Path, found: str) -> EncoderError:
    return EncoderError(
        "The query encoder's files are damaged",
        expected=f"{path} as the export wrote it",
        found=found,
        todo="build again, which exports the encoder anew",
    )
