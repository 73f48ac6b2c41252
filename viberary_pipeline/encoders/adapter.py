"""Adapters: a tuned encoder as a small difference to its base.

Format (safetensors; all tensors float16)::

    NAME.down            (rank, in)      NAME is a linear layer of the merged transformer, as in its state dict:
    NAME.up              (out, rank)     encoder.layer.0.attention.self.query, ...
    projection.weight    (d_out, d_in)   optional: a linear layer without bias after the pooling, before Normalize
    metadata             base (name), base_sha256 (of its weights), scale; layers: those of the base that are kept,
                         such as 0,1,10,11 (absent: all); further entries are free

The merged weight of a layer is W + scale * up @ down (LoRA: Hu et al., 2021, arXiv:2106.09685). A base and an adapter
become an ordinary sentence-transformers folder, once, in the cache of models (`encoders.model_cache`); what embeds,
exports, compares and ships encoders knows nothing of adapters. The sum is computed in one order, element by element in
float64, and written into a copy of the base's file: every machine gets the same bytes, hence the same fingerprint.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.artifacts import digest, file_sha256
from viberary_pipeline.encoders.layout import MODULES, model_files, read_layout, state_dict_header
from viberary_pipeline.encoders.model_cache import cached_model
from viberary_pipeline.encoders.shortened import Layers, kept_shapes, write_shortened
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import replacing

if TYPE_CHECKING:
    from viberary_pipeline.encoders.files import ResolvedEncoder

DOWN, UP, PROJECTION = ".down", ".up", "projection.weight"
METHOD = 1
"""Of merging: raised at each change of what is computed."""
_DENSE = {
    "bias": False,
    "activation_function": "torch.nn.modules.linear.Identity",
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
}


@dataclass(frozen=True)
class Adapter:
    """An adapter, read: what it was trained on, its tensors by name (float16), the layers of the base that are kept
    (none named: all)."""

    path: Path
    base: str
    base_sha256: str
    scale: float
    tensors: Mapping[str, NDArray[np.float16]]
    kept: Layers = ()

    @property
    def changed(self) -> list[str]:
        """The linear layers that it changes."""
        return sorted(name.removesuffix(DOWN) for name in self.tensors if name.endswith(DOWN))


def save_adapter(
    path: Path,
    tensors: Mapping[str, Any],
    *,
    base: "ResolvedEncoder",
    scale: float,
    kept: Layers = (),
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write an adapter of `base`, whole or not at all.

    Args:
        path: The file, `*.safetensors`.
        tensors: By the format's names; arrays or torch tensors of any float type, stored as float16.
        base: The encoder that it was trained on.
        scale: What the products are multiplied by.
        kept: The layers of the base's transformer that are kept; none named: all.
        metadata: Further entries, such as the recipe.

    Raises:
        EncoderError: the tensors are no adapter of this base, or do not fit float16.
    """
    from safetensors.numpy import save

    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused below
        arrays = {name: np.ascontiguousarray(_array(value), np.float16) for name, value in tensors.items()}
    stated = {"base": base.spec.name, "base_sha256": weights_sha256(base.folder), "scale": repr(float(scale))}
    if kept:
        stated["layers"] = ",".join(map(str, kept))
    adapter = Adapter(path, stated["base"], stated["base_sha256"], float(scale), arrays, tuple(kept))
    _check(adapter)
    _check_against(adapter, base.spec.name, base.folder)
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(save(arrays, metadata={**(metadata or {}), **stated})))


def read_adapter(path: Path) -> Adapter:
    """Read an adapter.

    Raises:
        EncoderError: it is missing, damaged, or not of this format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            adapter = Adapter(
                path,
                metadata["base"],
                metadata["base_sha256"],
                float(metadata["scale"]),
                {name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118  # no mapping
                tuple(map(int, filter(None, metadata.get("layers", "").split(",")))),
            )
    except KeyError as error:
        raise _unusable(path, f"no {error.args[0]} in its metadata") from error
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    _check(adapter)
    return adapter


def merged_folder(path: Path, name: str, base_name: str, base_folder: Path, home: Path | None = None) -> Path:
    """The sentence-transformers folder of a base with an adapter merged into it, from the cache or made.

    Args:
        path: The adapter.
        name: The merged encoder's name.
        base_name: The base's name.
        base_folder: Its files.
        home: As for `cached_model`.

    Raises:
        EncoderError: the adapter is damaged, is of another base, or the cache cannot be written.
    """
    adapter = read_adapter(path)
    layout, files = read_layout(base_folder), model_files(base_folder)

    def fill(out: Path) -> None:
        _check_against(adapter, base_name, base_folder)
        _merge(adapter, base_folder, out)

    # The adapter states the digest of the base's weights: they need not be hashed to find what was made of them.
    small = {str(file.relative_to(base_folder)): file_sha256(file) for file in files if file not in layout.weights}
    made_of = [METHOD, name, file_sha256(path), base_name, small]
    return cached_model(digest(made_of), name, fill, size=sum(file.stat().st_size for file in files), home=home)


def weights_sha256(folder: Path) -> str:
    """The hex SHA-256 of a model's weights: of the file, or of its files one after the other."""
    found = hashlib.sha256()
    for path in read_layout(folder).weights:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def _check(adapter: Adapter) -> None:
    """Raise `EncoderError` unless the tensors are pairs of the format's shapes and types, and finite."""
    tensors, problems = adapter.tensors, []
    if not math.isfinite(adapter.scale):
        problems.append(f"scale {adapter.scale}")
    if not tensors:
        problems.append("no tensors")
    for name, tensor in tensors.items():
        stem, kind = name.rpartition(".")[0], "." + name.rpartition(".")[2]
        if tensor.dtype != np.float16 or tensor.ndim != 2 or not tensor.size:
            problems.append(f"{name} is {tensor.dtype} {tensor.shape}")
        elif not np.isfinite(tensor).all():
            problems.append(f"{name} is not finite")
        elif name != PROJECTION and (kind not in (DOWN, UP) or stem + (UP if kind == DOWN else DOWN) not in tensors):
            problems.append(f"{name} without its other half")
    for layer in adapter.changed:
        down, up = tensors[layer + DOWN], tensors.get(layer + UP)
        if up is not None and up.ndim == down.ndim == 2 and up.shape[1] != down.shape[0]:
            problems.append(f"{layer} has the ranks {down.shape[0]} and {up.shape[1]}")
    if problems:
        raise _unusable(adapter.path, "; ".join(problems[:3]))


def _check_against(adapter: Adapter, base_name: str, base_folder: Path) -> None:
    """Raise `EncoderError` unless the adapter was trained on exactly this base."""
    found = weights_sha256(base_folder)
    if (adapter.base, adapter.base_sha256) != (base_name, found):
        raise EncoderError(
            "The adapter was trained on another base",
            expected=f"the encoder {adapter.base} with weights of SHA-256 {adapter.base_sha256}, "
            f"on which {adapter.path} was trained",
            found=f"{base_name} with SHA-256 {found} in {base_folder}",
            todo="use the base that it was trained on, fetch that base again, or train a new adapter",
        )
    layout = read_layout(base_folder)
    shapes = kept_shapes(layout, adapter.kept)
    problems = []
    for layer in adapter.changed:
        shape = (adapter.tensors[layer + UP].shape[0], adapter.tensors[layer + DOWN].shape[1])
        if shapes.get(f"{layer}.weight") != shape:
            problems.append(f"{layer} is {shapes.get(f'{layer}.weight', 'absent')} in the base, {shape} here")
    if PROJECTION in adapter.tensors and (
        layout.projected or adapter.tensors[PROJECTION].shape[1] != layout.dimensions
    ):
        problems.append(f"a projection of {adapter.tensors[PROJECTION].shape[1]} dimensions on {layout.dimensions}")
    if problems:
        raise _unusable(adapter.path, "; ".join(problems[:3]))


def _merge(adapter: Adapter, base_folder: Path, out: Path) -> None:
    """Write the merged model into the empty folder `out`."""
    if adapter.kept:
        write_shortened(base_folder, adapter.kept, out)
    else:
        for path in model_files(base_folder):
            target = out / path.relative_to(base_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    layers = set(adapter.changed)
    for path in read_layout(out).weights:
        for name, dtype, shape, offset in state_dict_header(path):
            layer = name.removesuffix(".weight")
            if layer not in layers or layer == name:
                continue
            if dtype != "F32":
                raise _unusable(adapter.path, f"a base in {dtype}, where adapters are merged into float32")
            weight = np.memmap(path, "<f4", mode="r+", offset=offset, shape=tuple(shape))
            weight[:] = weight + adapter.scale * _product(adapter.tensors[layer + UP], adapter.tensors[layer + DOWN])
            weight.flush()
    if PROJECTION in adapter.tensors:
        _add_projection(out, adapter.tensors[PROJECTION])


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in another order each time, and the same
    adapter is to have the same bytes."""
    length = int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[8 + length :]


def _array(value: Any) -> Any:
    return value.detach().cpu().float().numpy() if hasattr(value, "detach") else value


def _product(up: NDArray[np.float16], down: NDArray[np.float16]) -> NDArray[np.float64]:
    """up @ down, in float64. Not by BLAS, whose order of summing differs between machines."""
    found = np.zeros((up.shape[0], down.shape[1]))
    for column, row in zip(up.T.astype(np.float64), down.astype(np.float64), strict=True):
        found += np.multiply.outer(column, row)
    return found


def _add_projection(folder: Path, weight: NDArray[np.float16]) -> None:
    """Put a Dense module without bias or activation behind the pooling."""
    from safetensors.numpy import save_file

    modules: Sequence[Mapping[str, Any]] = json.loads((folder / MODULES).read_text(encoding="utf-8"))
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    chain = [*modules[:2], dense, *modules[2:]]
    numbered = [{**module, "idx": at, "name": str(at)} for at, module in enumerate(chain)]
    (folder / MODULES).write_text(json.dumps(numbered, indent=1), encoding="utf-8")
    path = folder / dense["path"]
    path.mkdir()
    sizes = {"in_features": weight.shape[1], "out_features": weight.shape[0]}
    (path / "config.json").write_text(json.dumps({**sizes, **_DENSE}, indent=1), encoding="utf-8")
    save_file({"linear.weight": weight.astype(np.float32)}, path / "model.safetensors")


def _unusable(path: Path, found: str) -> EncoderError:
    return EncoderError(
        "The adapter cannot be used",
        expected=f"pairs of float16 tensors NAME{DOWN} and NAME{UP}, perhaps {PROJECTION}, and as metadata base, "
        f"base_sha256 and scale, in {path}",
        found=found,
        todo="fetch the adapter again, or train it again",
    )
