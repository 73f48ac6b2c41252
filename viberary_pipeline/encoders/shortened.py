"""A model with some of its transformer's layers: a smaller one that begins with what the larger one knows."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from viberary_pipeline.encoders.layout import ModelLayout, model_files, read_json, read_layout, state_dict_header
from viberary_pipeline.errors import EncoderError

Layers = tuple[int, ...]

_LAYER = re.compile(r"(?P<stack>\w+\.layers?)\.(?P<number>\d+)\.(?P<rest>.+)")  # encoder.layer.0.attention.self.query
WEIGHTS_INDEX = "model.safetensors.index.json"
_COUNTS = ("num_hidden_layers", "n_layers")  # of most architectures, of DistilBERT


def number_of_layers(folder: Path) -> int:
    """How many layers the transformer in a sentence-transformers folder has."""
    config = read_json(_config(read_layout(folder)))
    return int(next((config[key] for key in _COUNTS if key in config), 0))


def outer_layers(layers: int, kept: int) -> Layers:
    """The first and the last layers of so many: the first half of `kept` and the last, the first if it is odd.

    What reads words and what makes the vector stay as they are; the middle, which refines, goes. Of six subsets of
    all-mpnet-base-v2's layers this one came nearest to the whole model's vectors without any training.
    """
    if not layers:
        raise no_layers("config.json")
    if not 1 <= kept <= layers:
        raise EncoderError(
            "An encoder cannot keep that number of its layers",
            expected=f"1 to {layers}",
            found=str(kept),
            todo="choose another number (--layers)",
        )
    first = kept - kept // 2
    return (*range(first), *range(layers - kept // 2, layers))


def no_layers(found: str) -> EncoderError:
    """What is said of a model whose layers cannot be told apart."""
    return EncoderError(
        "This encoder cannot be shortened",
        expected="a transformer that numbers its layers as BERT, MPNet and DistilBERT do (encoder.layer.0)",
        found=f"none in its {found}",
        todo="give a small encoder to train instead (--base)",
    )


def kept_shapes(layout: ModelLayout, kept: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's tensors by name, once these layers alone are kept (none named: all)."""
    return {
        new: shape
        for path in layout.weights
        for name, _, shape, _ in state_dict_header(path)
        for new in _new_names(name, kept)
    }


def write_shortened(folder: Path, kept: Sequence[int], out: Path) -> None:
    """Write the model in `folder` with these layers of its transformer into `out`; the same bytes each time.

    Raises:
        EncoderError: it has no such layers.
    """
    layout = read_layout(folder)
    layers = number_of_layers(folder)
    if not kept or not set(kept) <= set(range(layers)):
        raise EncoderError(
            "The model has no such layers",
            expected=f"some of {layers}, counted from 0",
            found=", ".join(map(str, kept)) or "none",
            todo="choose a model that has them",
        )
    config = _config(layout)
    sharded = {path for path in layout.weights if path.parent == config.parent}
    for path in model_files(folder):
        target = out / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path == config:
            values = read_json(path)
            values |= {key: len(kept) for key in _COUNTS if key in values}
            target.write_text(json.dumps(values, indent=1), encoding="utf-8")
        elif path not in sharded and path.name != WEIGHTS_INDEX:
            shutil.copyfile(path, target)
    _write_tensors(sorted(sharded), kept, out / config.relative_to(folder).with_name("model.safetensors"))


def _config(layout: ModelLayout) -> Path:
    return layout.weights[0].with_name("config.json")


def _new_names(name: str, kept: Sequence[int]) -> list[str]:
    found = _LAYER.match(name)
    if not kept or not found:
        return [name]
    number = int(found["number"])
    return [f"{found['stack']}.{at}.{found['rest']}" for at, layer in enumerate(kept) if layer == number]


def _write_tensors(paths: Sequence[Path], kept: Sequence[int], target: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {}
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  # no mapping
                tensors |= {new: file.get_tensor(name) for new in _new_names(name, kept)}
    save_file(tensors, target, metadata={"format": "pt"})
