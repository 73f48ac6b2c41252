"""The worker's arithmetic: texts in, vectors of norm 1 out, as fast as the device allows.

Texts are tokenised (in Rust, without Python's lock, so that the next shard's are ready when this one's vectors are),
equal ones are put together, and the rest goes through the model longest first, in batches of a fixed number of tokens.
Where memory does not suffice the number is halved and the work goes on. A `Backend` is the model on one device.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.embedding.batches import Ids, Tokens, distinct, next_batch
from viberary_pipeline.embedding.devices import choose_dtype
from viberary_pipeline.embedding.jobs import Job
from viberary_pipeline.encoders.files import fingerprint, model_folder
from viberary_pipeline.encoders.layout import MODULES
from viberary_pipeline.errors import EncoderError, StorageError
from viberary_pipeline.storage import write_atomically

log = logging.getLogger(__name__)
# A full memory by the names of those who report it: torch's CUDA allocator; torch's on a CPU; onnxruntime.
_FULL = ("OutOfMemoryError", "can't allocate memory", "Failed to allocate memory", "bad_alloc", "bad allocation")


class Backend(Protocol):
    """A model on a device."""

    dtype: str
    budget: int
    """Tokens per batch that suit the device."""
    multiple: int
    """Batches are padded to a multiple of this many tokens."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Token ids, cut to the limit, special ones included."""

    def run(self, ids: Sequence[Ids], width: int) -> Any:
        """Start on a batch padded to `width`; what comes back, `collect` turns into vectors."""

    def collect(self, outputs: Sequence[Any]) -> NDArray[np.float32]:
        """The vectors of some batches, one after the other, float32, of norm 1."""

    def free(self) -> None:
        """Give back what memory is held for later."""


@dataclass(frozen=True)
class Encoded:
    """The vectors of some texts: (rows, dimensions) float32 of norm 1; the tokens that were computed on,
    special ones included; and the seconds it took."""

    vectors: NDArray[np.float32]
    tokens: int
    seconds: float


class TextEncoder:
    """The encode loop over one backend. `encode` is `tokenize` and `embed`; a worker overlaps the two."""

    def __init__(self, backend: Backend, *, prefix: str = "", budget: int | None = None) -> None:
        self.backend = backend
        self.budget = budget or backend.budget
        self._prefix = prefix

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The texts with the document prefix as tokens. May run beside `embed` in another thread."""
        return distinct(self.backend.tokenize([self._prefix + text for text in texts]))

    def embed(self, tokens: Tokens, *, progress: Callable[[int], Any] = lambda _: None) -> Encoded:
        """The vectors of tokenised texts, in the texts' order; `progress` is called with each batch's rows.

        Raises:
            MemoryError and its like: not even a single text fits.
        """
        started = time.monotonic()
        outputs: list[Any] = []
        start, ids = 0, tokens.ids
        copies = np.bincount(tokens.rows, minlength=len(ids))
        while start < len(ids):
            stop, width = next_batch(ids, start, budget=self.budget, multiple=self.backend.multiple)
            try:
                outputs.append(self.backend.run(ids[start:stop], width))
            except (RuntimeError, MemoryError) as error:
                if not is_full(error) or stop - start == 1:
                    raise
                self.budget = max(width, width * (stop - start) // 2)
                log.warning(
                    "out of memory at %d tokens per batch: going on with %d", width * (stop - start), self.budget
                )
            else:
                progress(int(copies[start:stop].sum()))
                start = stop
                continue
            # Outside of the handler: the exception's traceback holds the tensors that did not fit.
            gc.collect()
            self.backend.free()
        vectors = self.backend.collect(outputs)
        return Encoded(vectors[tokens.rows], tokens.computed, time.monotonic() - started)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The vectors of `texts`, in their order."""
        return self.embed(self.tokenize(texts))


def is_full(error: BaseException) -> bool:
    """Whether an exception of torch, onnxruntime or Python says that memory does not suffice."""
    return isinstance(error, MemoryError) or any(name in f"{type(error).__name__}: {error}" for name in _FULL)


def encoder_of(job: Job) -> TextEncoder:
    """The encoder of a job, loaded on the job's device, once its files are known to be the job's.

    Raises:
        SettingsError: the device or the dtype is not to be had here.
        EncoderError: the model is missing, or is not the one that the job was written for.
    """
    options = job.options
    graph = Path(options.graph) if options.graph else None
    dtype = options.dtype
    if options.device == "cpu" and graph is not None and graph.is_dir() and dtype in ("auto", "float32", "int8"):
        from viberary_pipeline.embedding.onnx_backend import OnnxBackend

        backend: Backend = OnnxBackend(job.spec, job.fingerprint, graph, dtype=dtype, threads=options.threads)
        return TextEncoder(backend, prefix=job.spec.document_prefix)
    if dtype == "int8":
        raise EncoderError(
            "The quantised encoder is not on this machine",
            expected=f"the folder {options.graph} with its graph",
            found="no such folder",
            todo="run the job where it was written, or use VIBERARY_EMBEDDING_DTYPE=float32",
        )
    dtype = choose_dtype(options.device, dtype)
    from viberary_pipeline.embedding.torch_backend import TorchBackend

    with TemporaryDirectory(prefix="viberary-model-") as scratch:  # safetensors are copied when loaded
        folder = _folder(job, Path(scratch))
        found = fingerprint(job.spec, folder)
        if found != job.fingerprint:
            raise EncoderError(
                f"The encoder {job.spec.name} on this machine differs from the job's",
                expected=f"fingerprint {job.fingerprint}",
                found=f"{found} in {folder}",
                todo="give this machine the same model files as the machine that wrote the job",
            )
        backend = TorchBackend(job.spec, folder, device=options.device, dtype=dtype, threads=options.threads)
    return TextEncoder(backend, prefix=job.spec.document_prefix)


def _folder(job: Job, scratch: Path) -> Path:
    """Where the encoder's files are here: where the job says, in the job itself, or where its source leads."""
    named = Path(job.model_folder)
    if job.model_folder and named.is_dir():
        return named
    if job.carries_model:
        model = job.place.inside("model")
        try:
            for name in model.names():
                write_atomically(scratch / name, model.read(name), durable=False)
        except FileNotFoundError as error:
            raise StorageError(
                "The job lost a file of its model",
                expected=f"{model.uri} to stay as it was written",
                found=str(error),
                todo="run the build again, which writes the job again",
            ) from error
        if (scratch / MODULES).is_file():
            return scratch
    return model_folder(job.spec)
