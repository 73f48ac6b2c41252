"""The worker's arithmetic: the device it may use, and the vectors of one shard."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.embedding.jobs import Job
from viberary_pipeline.encoders.files import fingerprint, model_folder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError, SettingsError

BATCH = {"cpu": 32, "cuda": 256}
# First compute capability with tensor cores (V100); below it float16 is no faster than float32.
_FLOAT16_FROM = (7, 0)
_BFLOAT16_FROM = (8, 0)


@dataclass(frozen=True)
class Encoded:
    """The vectors of some texts: (rows, dimensions) float32 of norm 1; the tokens that were computed on,
    special ones included; and the seconds it took."""

    vectors: NDArray[np.float32]
    tokens: int
    seconds: float


class TextEncoder:
    """The model of a job, loaded on the job's device.

    Raises:
        SettingsError: the device or the dtype is not to be had here.
        EncoderError: the model is missing, or is not the one that the job was written for.
    """

    def __init__(self, job: Job) -> None:
        self.device = job.device
        self.dtype = choose_dtype(job.device, job.dtype)
        folder = _folder(job)
        found = fingerprint(job.spec, folder)
        if found != job.fingerprint:
            raise EncoderError(
                f"The encoder {job.spec.name} on this machine is not the job's",
                expected=f"fingerprint {job.fingerprint}",
                found=f"{found} in {folder}",
                todo="give this machine the same model files as the one that wrote the job",
            )
        import torch

        if job.device == "cpu":
            torch.set_num_threads(job.threads or usable_cpus())
        self._prefix = job.spec.document_prefix
        self._model = load_sentence_transformer(job.spec, folder, device=job.device, dtype=self.dtype)

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], Any]) -> Encoded:
        """Embed `texts`, in their order, with the document prefix; `progress` is told each batch's rows."""
        import torch

        tokens = torch.zeros((), dtype=torch.int64, device=self.device)

        def count(_module: object, arguments: tuple[Any, ...]) -> None:
            mask = arguments[0]["attention_mask"]
            tokens.add_(mask.sum())  # stays on the device: reading it here would stall a GPU at every batch
            progress(len(mask))

        started = time.monotonic()
        hook = self._model[0].register_forward_pre_hook(count)
        try:
            raw = self._model.encode(
                list(texts),
                prompt=self._prefix,
                batch_size=BATCH[self.device],
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        finally:
            hook.remove()
        # Half precision leaves norms off by up to 1e-3: normalise in float32.
        vectors = torch.nn.functional.normalize(raw.float(), dim=1).cpu().numpy()
        return Encoded(vectors, int(tokens), time.monotonic() - started)


def choose_dtype(device: str, wanted: str) -> str:
    """The dtype that the model computes in on `device`, once both are known to work here.

    `auto` is float32 on a CPU and float16 on a GPU with tensor cores: its eleven bits of precision keep the
    vectors closer to float32's than bfloat16's eight.

    Raises:
        SettingsError: CUDA was asked for and there is none, or this torch has no code for the GPU, or the
            GPU has no bfloat16.
    """
    if device == "cpu":
        return "float32" if wanted == "auto" else wanted
    import torch

    if not torch.cuda.is_available():
        raise SettingsError(
            "The embedding worker was told to use CUDA and cannot",
            expected="torch.cuda.is_available()",
            found=f"no usable GPU (torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'})",
            todo="run it where a GPU, its driver and a CUDA build of torch are, or set VIBERARY_DEVICE=cpu",
        )
    capability, built_for = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    if not runs_on(capability, built_for):
        raise SettingsError(
            f"This torch has no code for the GPU {torch.cuda.get_device_name()}",
            expected=f"compute capability {capability[0]}.{capability[1]} in torch's list",
            found=", ".join(built_for),
            todo="install the torch wheel for an older or newer CUDA (V100: the cu126 wheels)",
        )
    if wanted == "bfloat16" and capability < _BFLOAT16_FROM:
        raise SettingsError(
            "The GPU has no bfloat16",
            expected="compute capability 8.0 or above",
            found=f"{capability[0]}.{capability[1]}",
            todo="use the dtype auto or float16",
        )
    if wanted != "auto":
        return wanted
    return "float16" if capability >= _FLOAT16_FROM else "float32"


def runs_on(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a torch built for those architectures has code for a GPU of that compute capability.

    Binary code (`sm_80`) runs on the same major version from that minor version on; intermediate code
    (`compute_80`) on everything from there on; architecture-specific code (`sm_90a`) on that one alone.
    Source: CUDA C++ Programming Guide, section Compute Capabilities / Application Compatibility.
    """
    for name in built_for:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", name)
        if match is None:
            continue
        major, minor = int(match[2]), int(match[3])
        if (
            capability == (major, minor)
            or (match[1] == "compute" and not match[4] and capability >= (major, minor))
            or (match[1] == "sm" and not match[4] and capability[0] == major and capability[1] >= minor)
        ):
            return True
    return False


def usable_cpus() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folder(job: Job) -> Path:
    """Where the encoder's files are on this machine: where the job says, or where its source leads."""
    named = Path(job.model_folder)
    return named if job.model_folder and named.is_dir() else model_folder(job.spec)
