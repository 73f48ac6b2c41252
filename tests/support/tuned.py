"""Encoders made from others by adapters of random numbers: near to their base, and not equal to it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from viberary_pipeline.encoders import ModelSpec, ResolvedEncoder, resolve
from viberary_pipeline.encoders.adapter import save_adapter
from viberary_pipeline.encoders.home import register
from viberary_pipeline.encoders.layout import state_dict_header

ACCEPTED: Mapping[str, Any] = {"verdict": "accepted"}


def random_adapter(base: ResolvedEncoder, path: Path, *, size: float, seed: int = 0, scale: float = 1.0) -> Path:
    """An adapter of rank 2 on every linear layer of the base's transformer; `size` is the numbers' deviation."""
    random, tensors = np.random.default_rng(seed), {}
    for name, _, shape, _ in state_dict_header(base.folder / "model.safetensors"):
        layer = name.removesuffix(".weight")
        if ".layer." in name and layer != name and len(shape) == 2:
            tensors[f"{layer}.down"] = random.normal(0, size, (2, shape[1]))
            tensors[f"{layer}.up"] = random.normal(0, size, (shape[0], 2))
    save_adapter(path, tensors, base=base, scale=scale)
    return path


def register_tuned(
    home: Path, base: ResolvedEncoder, name: str, *, size: float, seed: int = 0, space: ResolvedEncoder | None = None
) -> ResolvedEncoder:
    """Register such an encoder in `home`, for queries in `space` where that is given."""
    spec: ModelSpec = replace(base.spec, source="", base=_named(base))
    if space is not None:
        spec = replace(spec, space=space.spec.name, space_fingerprint=space.fingerprint)
    home.mkdir(parents=True, exist_ok=True)
    path = random_adapter(base, home / f"{name}.safetensors", size=size, seed=seed)
    register(home, name, spec, card="", verdict=ACCEPTED, adapter=path)
    path.unlink()
    return resolve(name, home)


def _named(base: ResolvedEncoder) -> str:
    kind, value = base.spec.location
    return value if kind == "folder" else base.spec.name
