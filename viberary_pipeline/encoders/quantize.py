"""The int8 copy of an exported encoder: about a third of the time per text and of the size; its vectors stay near.

Weights are quantised once, per output channel; activations at each call, with one scale per matrix product: that is
what CPUs compute fast. One scale for all of a product's input is too coarse where a few values are far larger than
the others, so the graph is changed first, into one that computes the same in float32:

- Before products that keep or widen (attention, the first of a feed-forward pair), some *channels* are large for every
  text. They are divided, and the rows of the weights multiplied, by factors between what both bear: SmoothQuant (Xiao
  et al., 2023, arXiv:2211.10438).
- Before products that narrow (the second of the pair, behind one-sided activations), large values come with single
  *tokens*, in other channels each time. Each token is divided by its largest value, and its result multiplied by it.
  Before the others too, if so wished: in batches of long texts that halves what error is left, and costs a tenth of the
  time.

Over MiniLM this takes nine tenths of the error away: `benchmarks/query_precision.py`.

Weights are signed bytes where the processor multiplies these exactly, which is fastest. Elsewhere they are unsigned:
then onnxruntime takes a way that never saturates, on any processor.

Tables of embeddings are only looked up, so they are kept as float16, which is exact enough and half the size.
"""

import logging
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.encoders.onnx_files import MODEL, load_tokenizer, model_inputs, read_description
from viberary_pipeline.machine import multiplies_int8_exactly
from viberary_pipeline.typed_json import parse_json

if TYPE_CHECKING:
    import onnx

METHOD = 2
"""Of quantising: vectors of different methods are not mixed. Raised at each change of what is computed."""


def int8_name(fingerprint: str) -> str:
    """Of an encoder in int8: other vectors than its own, and other ones again by another method of quantising."""
    return int8_names(fingerprint)[0 if multiplies_int8_exactly() else 1]


def int8_names(fingerprint: str) -> tuple[str, str]:
    """The names of an encoder's graphs with signed and with unsigned weights."""
    name = f"{fingerprint}-int8.{METHOD}"
    return name, f"{name}u"


_ALPHA = 0.65  # how much of a channel's size goes into the weights; from 0.5 to 0.8 the error is the same to a tenth
_CALIBRATION_TEXTS = 64
_CALIBRATION_BATCH = 8
_LEAST = 1e-6  # in place of a size of 0
_LARGE_TABLE = 1_000_000  # values: of smaller ones nothing is gained


def quantize(folder: Path, target: Path, *, every_product: bool = False) -> None:
    """Write the int8 copy of the float32 export in `folder` as the file `target`.

    Args:
        folder: `model.onnx`, `tokenizer.json` and `encoder.json`, as `encoders.onnx_export` writes them.
        target: A new file.
        every_product: Scale tokens before all products, not only before those that narrow.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(folder / MODEL)
    adapt(model, folder, every_product=every_product)
    adapted = target.with_name(f"{target.name}.adapted")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises preprocessing, which changes nothing for these graphs
    try:
        onnx.save(model, adapted)
        quantize_dynamic(
            adapted,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8 if multiplies_int8_exactly() else QuantType.QUInt8,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=[node.name for node in _products(model)],
            # The graph's tensors whose types are not stated are of this one.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        root.setLevel(level)
        adapted.unlink(missing_ok=True)


def adapt(model: "onnx.ModelProto", folder: Path, *, every_product: bool = False) -> None:
    """Change the graph of the export in `folder` into one that computes the same and bears int8."""
    products = _products(model)
    weights = {weight.name: weight for weight in model.graph.initializer}
    shared = _used_more_than_once(products)
    others = [node for node in products if not _narrows(weights[node.input[1]]) and node.input[1] not in shared]
    _smooth(model, others, _channel_sizes(model, folder, [node.input[0] for node in others]))
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in products:
        if every_product or node not in others:
            users.setdefault(node.input[0], []).append(node)
    for nodes in users.values():
        _scale_tokens(model, nodes)
    _halve_tables(model)


def calibration_texts() -> list[str]:
    """The beginnings of 262 descriptions of books (`calibration_texts.json`): 150 characters each at most."""
    return parse_json(list[str], (files("viberary_pipeline.encoders") / "calibration_texts.json").read_bytes())


def _products(model: "onnx.ModelProto") -> list["onnx.NodeProto"]:
    """The products with a matrix of weights: (inputs, outputs)."""
    matrices = {weight.name for weight in model.graph.initializer if len(weight.dims) == 2}
    return [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in matrices]


def _used_more_than_once(products: Sequence["onnx.NodeProto"]) -> set[str]:
    """Weights that layers share (ALBERT's): no factor suits the inputs of all."""
    names = [node.input[1] for node in products]
    return {name for name in names if names.count(name) > 1}


def _narrows(weight: "onnx.TensorProto") -> bool:
    return weight.dims[0] > weight.dims[1]


def _channel_sizes(model: "onnx.ModelProto", folder: Path, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """{tensor: the largest absolute value of each of its channels} over the calibration texts."""
    import onnx
    import onnxruntime

    wanted = list(dict.fromkeys(names))
    if not wanted:  # or the session would give all its outputs
        return {}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sizes: dict[str, NDArray[np.float32]] = {}
    for inputs in _calibration_inputs(folder):
        mask = inputs["attention_mask"]
        for name, values in zip(wanted, session.run(wanted, inputs), strict=True):
            rows = values.reshape(-1, values.shape[-1])
            if len(rows) == mask.size:  # else a sentence's, after pooling
                rows = rows[mask.reshape(-1).astype(bool)]  # padding is computed too, and says nothing
            real = np.abs(rows).max(axis=0)
            sizes[name] = np.maximum(sizes[name], real) if name in sizes else real
    return sizes


def _calibration_inputs(folder: Path) -> Iterator[dict[str, NDArray[np.int64]]]:
    description = read_description(folder)
    tokenizer = load_tokenizer(folder, description)
    texts = [description["spec"]["document_prefix"] + text for text in calibration_texts()[:_CALIBRATION_TEXTS]]
    for start in range(0, len(texts), _CALIBRATION_BATCH):
        yield model_inputs(tokenizer, texts[start : start + _CALIBRATION_BATCH])


def _smooth(
    model: "onnx.ModelProto", products: Sequence["onnx.NodeProto"], sizes: dict[str, NDArray[np.float32]]
) -> None:
    """Move a part of each channel's size from the products' inputs into their weights; all users of an input alike."""
    from onnx import helper, numpy_helper

    weights = {weight.name: weight for weight in model.graph.initializer}
    for name, size in sizes.items():
        users = [node for node in products if node.input[0] == name]
        matrices = [numpy_helper.to_array(weights[node.input[1]]) for node in users]
        rows = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
        factors = np.maximum(size, _LEAST) ** _ALPHA / np.maximum(rows, _LEAST) ** (1 - _ALPHA)
        factors = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
        for node, matrix in zip(users, matrices, strict=True):
            changed = numpy_helper.from_array(np.ascontiguousarray(matrix * factors[:, None]), node.input[1])
            weights[node.input[1]].CopyFrom(changed)
        smoothed = f"{name}_smoothed"
        divisors = _constant(model, f"{smoothed}_factors", 1 / factors)
        at = min(_position(model, node) for node in users)
        for node in users:
            node.input[0] = smoothed
        model.graph.node.insert(at, helper.make_node("Mul", [name, divisors], [smoothed], name=smoothed))


def _scale_tokens(model: "onnx.ModelProto", users: Sequence["onnx.NodeProto"]) -> None:
    """Divide each token of an input by its largest absolute value, and multiply the results of its users by that."""
    from onnx import helper

    given = users[0].input[0]
    absolute, largest, size, scaled = (f"{given}_token_{part}" for part in ("abs", "max", "size", "scaled"))
    least = _constant(model, f"{given}_token_least", np.array(_LEAST, dtype=np.float32))
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < 18:  # the axes were an attribute
        reduce = helper.make_node("ReduceMax", [absolute], [largest], axes=[-1], keepdims=1)
    else:
        axes = _constant(model, f"{given}_token_axes", np.array([-1], dtype=np.int64))
        reduce = helper.make_node("ReduceMax", [absolute, axes], [largest], keepdims=1)
    before = [
        helper.make_node("Abs", [given], [absolute]),
        reduce,
        helper.make_node("Max", [largest, least], [size]),
        helper.make_node("Div", [given, size], [scaled]),
    ]
    first = min(_position(model, node) for node in users)
    for made in reversed(before):
        model.graph.node.insert(first, made)
    for node in users:
        result, unscaled = node.output[0], f"{node.output[0]}_unscaled"
        node.input[0], node.output[0] = scaled, unscaled
        model.graph.node.insert(_position(model, node) + 1, helper.make_node("Mul", [unscaled, size], [result]))


def _halve_tables(model: "onnx.ModelProto") -> None:
    """Keep the large tables that are only looked up as float16, and convert what is looked up."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = model.graph.node
    for table in model.graph.initializer:
        users = [node for node in nodes if table.name in node.input]
        looked_up = all(node.op_type == "Gather" and node.input[0] == table.name for node in users)
        if table.data_type != TensorProto.FLOAT or np.prod(table.dims) < _LARGE_TABLE or not looked_up:
            continue
        table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table).astype(np.float16), table.name))
        for node in users:
            result, halved = node.output[0], f"{node.output[0]}_float16"
            node.output[0] = halved
            cast = helper.make_node("Cast", [halved], [result], to=TensorProto.FLOAT)
            nodes.insert(_position(model, node) + 1, cast)


def _constant(model: "onnx.ModelProto", name: str, values: NDArray[Any]) -> str:
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _position(model: "onnx.ModelProto", node: "onnx.NodeProto") -> int:
    return list(model.graph.node).index(node)
