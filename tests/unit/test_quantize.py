"""The int8 copy of an encoder: what is changed in the graph computes the same, and pays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from distilbert import make_distilbert
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from viberary_pipeline.artifacts import digest
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.quantize import adapt, calibration_texts, int8_name, int8_names, quantize
from viberary_pipeline.machine import multiplies_int8_exactly

TEXTS = [
    "cold-blooded revenge",
    "1984",
    "Der Zauberberg: ein Roman über Zeit und Krankheit",
    "A quiet garden by the sea, where two sisters who have not spoken for thirty years plant roses. " * 4,
    "🐉🐉",
]


def vectors(model, folder, *, together=False) -> np.ndarray:
    """The vectors of TEXTS, norm 1, each text alone or all in one batch; `model` is a path or bytes."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding()
    found = []
    for batch in [TEXTS] if together else [[text] for text in TEXTS]:
        encodings = tokenizer.encode_batch(batch)
        inputs = {
            "input_ids": np.array([encoding.ids for encoding in encodings]),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
        }
        found.append(session.run(None, inputs)[0])
    joined = np.concatenate(found)
    return joined / np.linalg.norm(joined, axis=1, keepdims=True)


def error(left: np.ndarray, right: np.ndarray) -> float:
    return 1 - float((left * right).sum(axis=1).mean())


@pytest.fixture(scope="module", params=["all-MiniLM-L6-v2", pytest.param("distilbert", marks=pytest.mark.slow)])
def export(request, tmp_path_factory):
    if request.param == "all-MiniLM-L6-v2":
        return request.param, request.getfixturevalue("minilm_export")[0]
    folder = tmp_path_factory.mktemp("export")
    export_query_encoder(resolve(str(make_distilbert(folder / "model", layers=2))), folder / "graph")
    return request.param, folder / "graph"


@pytest.mark.parametrize("every_product", [False, True])
def test_the_graph_that_bears_int8_computes_the_same(export, every_product):
    _, folder = export
    model = onnx.load(folder / "model.onnx")
    before = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    adapt(model, folder, every_product=every_product)
    onnx.checker.check_model(model)
    assert before.items() <= {weight.name: tuple(weight.dims) for weight in model.graph.initializer}.items()
    for together in (False, True):
        expected = vectors(folder / "model.onnx", folder, together=together)
        found = vectors(model.SerializeToString(), folder, together=together)
        assert (expected * found).sum(axis=1).min() > 0.99999


def test_int8_stays_nearer_than_by_quantising_the_graph_as_it_is(export, tmp_path):
    name, folder = export
    for copy in ("int8.onnx", "again.onnx"):
        quantize(folder, tmp_path / copy)
    assert (tmp_path / "int8.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
    quantize(folder, tmp_path / "careful.onnx", every_product=True)
    plain = tmp_path / "plain.onnx"
    quantize_dynamic(folder / "model.onnx", plain, per_channel=True, weight_type=QuantType.QInt8)
    expected = vectors(folder / "model.onnx", folder)
    careful = vectors(tmp_path / "careful.onnx", folder, together=True)
    ours, theirs = (error(expected, vectors(path, folder)) for path in (tmp_path / "int8.onnx", plain))
    assert error(vectors(folder / "model.onnx", folder, together=True), careful) < 0.002
    # Seeded weights have no channels or tokens that stand out, so there is little to gain with them.
    assert ours < (0.3 * theirs if name == "all-MiniLM-L6-v2" else 1.1 * theirs)
    assert 0 < ours < 0.003
    assert (tmp_path / "int8.onnx").stat().st_size < 0.5 * (folder / "model.onnx").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"int8.onnx", "again.onnx", "careful.onnx", "plain.onnx"}


def test_this_processor_multiplies_the_weights_that_are_chosen_for_it_exactly():
    """Bytes as large as they come: in 16 bits, each sum of two products would be cut off."""
    rows, columns, depth = 4, 16, 64
    signed = multiplies_int8_exactly()
    weights = np.full((depth, columns), 127 if signed else 255, dtype=np.int8 if signed else np.uint8)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["texts", "weights"], ["products"])],
        "product",
        [onnx.helper.make_tensor_value_info("texts", onnx.TensorProto.UINT8, [rows, depth])],
        [onnx.helper.make_tensor_value_info("products", onnx.TensorProto.INT32, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (products,) = session.run(None, {"texts": np.full((rows, depth), 255, dtype=np.uint8)})
    assert np.unique(products).tolist() == [depth * 255 * int(weights[0, 0])]


@pytest.mark.parametrize(("flags", "exact"), [("fpu avx2", False), ("fpu avx2 avx512_vnni", True), ("avx_vnni", True)])
def test_the_weights_of_a_graph_are_those_that_the_processor_multiplies_exactly(
    tiny_graph, tmp_path, monkeypatch, flags, exact
):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("viberary_pipeline.machine._processor_flags", lambda: {*flags.split()})
    multiplies_int8_exactly.cache_clear()
    try:
        name = int8_name("f")
        quantize(tiny_graph, tmp_path / "int8.onnx")
    finally:
        monkeypatch.undo()
        multiplies_int8_exactly.cache_clear()
    weights = [weight.data_type for weight in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    int8, uint8 = weights.count(onnx.TensorProto.INT8), weights.count(onnx.TensorProto.UINT8)
    assert (name, int8 > uint8) == (int8_names("f")[not exact], exact)


def test_calibration_texts_are_always_the_same():
    """Another text would give other int8 graphs, whose vectors must not be mixed (`quantize.METHOD`)."""
    texts = calibration_texts()
    assert len(texts) == 262
    assert all(0 < len(text) <= 150 for text in texts)
    assert digest(texts) == "bc8146e9b3b5875b"
