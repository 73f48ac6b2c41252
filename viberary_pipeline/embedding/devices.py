"""The device that a worker may use, and the dtype that it computes in there."""

import re
from collections.abc import Sequence

from viberary_pipeline.errors import SettingsError

# First compute capability with tensor cores (V100); below it float16 is no faster than float32.
_FLOAT16_FROM = (7, 0)
_BFLOAT16_FROM = (8, 0)


def choose_dtype(device: str, wanted: str) -> str:
    """The dtype that the model computes in on `device`, once both are known to work here.

    `auto` is float32 on a CPU; on a GPU bfloat16 where it has it (from Ampere on: no value overflows), else float16
    where there are tensor cores (V100, T4).

    Raises:
        SettingsError: CUDA was asked for and there is none, or this torch has no code for the GPU, or the
            GPU has no bfloat16.
    """
    if device == "cpu":
        return "float32" if wanted == "auto" else wanted
    import torch

    if not torch.cuda.is_available():
        raise SettingsError(
            "The worker cannot use CUDA",
            expected="torch.cuda.is_available()",
            found=f"no usable GPU (torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'})",
            todo="run it on a machine with a GPU, its driver and a CUDA build of torch; or use a CPU "
            "(VIBERARY_EMBEDDING_DEVICE=cpu; for a training, --device cpu)",
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
            todo="set VIBERARY_EMBEDDING_DTYPE to auto or float16",
        )
    if wanted != "auto":
        return wanted
    if capability >= _BFLOAT16_FROM:
        return "bfloat16"
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
