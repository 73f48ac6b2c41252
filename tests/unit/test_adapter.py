"""Adapters: merged into their base once, the same bytes everywhere; whatever does not fit is refused by name."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny_model import DIMENSIONS, edit_json, make_tiny_model

from viberary_pipeline.embedding.compute import TextEncoder, encoder_of
from viberary_pipeline.embedding.jobs import write_job
from viberary_pipeline.embedding.torch_backend import TorchBackend
from viberary_pipeline.encoders import ModelSpec, ResolvedEncoder, onnx_export, resolve
from viberary_pipeline.encoders.adapter import read_adapter, save_adapter, weights_sha256
from viberary_pipeline.encoders.files import fingerprint, model_folder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.encoders.shortened import outer_layers
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.tuning.trainable import keep_layers

LAYERS = ("transformer.layer.0.attention.q_lin", "transformer.layer.1.ffn.lin1")
TEXTS = ["Cold-blooded Revenge!", "a quiet winter garden by the sea", "", "robot of the sea " * 30]
SCALE, RANK, PROJECTED = 2.0, 3, 48


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "viberary"


@pytest.fixture
def base(tmp_path) -> ResolvedEncoder:
    return resolve(str(make_tiny_model(tmp_path / "tiny")))


def tensors(base: ResolvedEncoder, *, projected: bool = False) -> dict[str, np.ndarray]:
    random, weights = np.random.default_rng(5), load_file(base.folder / "model.safetensors")
    found = {}
    for layer in LAYERS:
        rows, columns = weights[f"{layer}.weight"].shape
        found[f"{layer}.down"] = random.normal(0, 0.2, (RANK, columns)).astype(np.float16)
        found[f"{layer}.up"] = random.normal(0, 0.2, (rows, RANK)).astype(np.float16)
    if projected:
        found["projection.weight"] = random.normal(0, 0.2, (PROJECTED, DIMENSIONS)).astype(np.float16)
    return found


@pytest.fixture
def adapter(base, tmp_path) -> Path:
    save_adapter(tmp_path / "adapter.safetensors", tensors(base), base=base, scale=SCALE)
    return tmp_path / "adapter.safetensors"


def spec_of(base: ResolvedEncoder, adapter: Path, **changes: object) -> ModelSpec:
    return replace(base.spec, name="tuned", source="", base=str(base.folder), adapter=str(adapter), **changes)


def resolved(spec: ModelSpec) -> ResolvedEncoder:
    folder = model_folder(spec)
    return ResolvedEncoder(spec, folder, fingerprint(spec, folder))


def test_the_merged_weights_are_those_of_the_base_and_the_scaled_product(base, adapter):
    merged = load_file(model_folder(spec_of(base, adapter)) / "model.safetensors")
    expected = load_file(base.folder / "model.safetensors")
    for layer in LAYERS:
        up, down = (tensors(base)[f"{layer}.{part}"].astype(np.float64) for part in ("up", "down"))
        expected[f"{layer}.weight"] = (expected[f"{layer}.weight"] + SCALE * (up @ down)).astype(np.float32)
    assert merged.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(merged[name], values, rtol=0, atol=1e-6, err_msg=name)
    assert (
        np.abs(
            merged[f"{LAYERS[0]}.weight"] - load_file(base.folder / "model.safetensors")[f"{LAYERS[0]}.weight"]
        ).max()
        > 0.05
    )


def test_a_merged_model_embeds_and_exports_as_one_model(base, adapter, tmp_path):
    encoder = resolved(spec_of(base, adapter))
    model = load_sentence_transformer(encoder.spec, encoder.folder)
    expected = model.encode(TEXTS)
    backend = TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype="float32")
    np.testing.assert_allclose(TextEncoder(backend).encode(TEXTS).vectors, expected, atol=1e-5)
    description = onnx_export.export_query_encoder(encoder, tmp_path / "out")
    assert description["fingerprint"] == encoder.fingerprint
    np.testing.assert_allclose(QueryEncoder(tmp_path / "out").encode(TEXTS), expected, atol=1e-5)
    own = load_sentence_transformer(base.spec, base.folder).encode(TEXTS)
    assert np.abs(own - expected).max() > 1e-2  # the adapter did count


def test_a_base_may_be_merged_with_some_of_its_layers_alone(base, tmp_path):
    given = {name.replace("layer.1", "layer.0"): tensor for name, tensor in tensors(base).items() if "layer.1" in name}
    path = tmp_path / "shortened.safetensors"
    save_adapter(path, given, base=base, scale=SCALE, kept=(1,))
    assert read_adapter(path).kept == (1,)
    found = resolved(spec_of(base, path))
    merged, whole = load_file(found.folder / "model.safetensors"), load_file(base.folder / "model.safetensors")
    (changed,) = read_adapter(path).changed
    for name, tensor in merged.items():
        expected = whole[name.replace("layer.0.", "layer.1.")].astype(np.float64)
        if name == f"{changed}.weight":
            up, down = (given[f"{changed}.{half}"].astype(np.float64) for half in ("up", "down"))
            expected = expected + SCALE * up @ down
        np.testing.assert_allclose(tensor, expected, atol=1e-6)
    assert set(whole) - set(merged) == {name for name in whole if "layer.1." in name}
    model = load_sentence_transformer(found.spec, found.folder)
    onnx_export.export_query_encoder(found, tmp_path / "out")
    np.testing.assert_allclose(QueryEncoder(tmp_path / "out").encode(TEXTS), model.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(("kept", "found"), [((2,), "2"), ((0, -1), "0, -1")])
def test_layers_that_a_base_does_not_have_are_refused(base, tmp_path, kept, found):
    path = tmp_path / "adapter.safetensors"
    given = {"projection.weight": tensors(base, projected=True)["projection.weight"]}
    save_adapter(path, given, base=base, scale=1, kept=kept)
    with pytest.raises(EncoderError, match="no such layers") as caught:
        model_folder(spec_of(base, path, dimensions=PROJECTED))
    assert (caught.value.expected, caught.value.found) == ("some of 2, counted from 0", found)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_projection_follows_the_pooling(normalize, tmp_path):
    base = resolve(str(make_tiny_model(tmp_path / "base", normalize=normalize)))
    path, given = tmp_path / "projected.safetensors", tensors(base, projected=True)
    save_adapter(path, {"projection.weight": given["projection.weight"]}, base=base, scale=1)
    encoder = resolved(spec_of(base, path, dimensions=PROJECTED))
    pooled = load_sentence_transformer(base.spec, base.folder).encode(TEXTS)
    expected = pooled @ given["projection.weight"].astype(np.float32).T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.05)):
        backend = TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype=dtype)
        np.testing.assert_allclose(TextEncoder(backend).encode(TEXTS).vectors, expected, atol=tolerance)
    onnx_export.export_query_encoder(encoder, tmp_path / "out")
    np.testing.assert_allclose(QueryEncoder(tmp_path / "out").encode(TEXTS), expected, atol=1e-5)


def test_the_fingerprint_follows_base_adapter_and_spec(base, adapter, tmp_path):
    spec = spec_of(base, adapter)
    merged = resolved(spec)
    other = tmp_path / "other.safetensors"
    save_adapter(other, tensors(base), base=base, scale=SCALE / 2)
    save_adapter(tmp_path / "p.safetensors", tensors(base, projected=True), base=base, scale=SCALE)
    found = {
        base.fingerprint,
        merged.fingerprint,
        resolved(replace(spec, max_tokens=20)).fingerprint,
        resolved(replace(spec, adapter=str(other))).fingerprint,
        resolved(replace(spec, adapter=str(tmp_path / "p.safetensors"), dimensions=PROJECTED)).fingerprint,
    }
    assert len(found) == 5
    moved = Path(shutil.copy(adapter, tmp_path / "moved.safetensors"))
    assert resolved(replace(spec, adapter=str(moved), name="renamed")).fingerprint == merged.fingerprint


def test_whoever_merges_gets_the_same_bytes(base, adapter, tmp_path, cache):
    """Two processes at once, with other numbers of threads for BLAS: one model, whole, in one place."""
    code = (
        "from viberary_pipeline.encoders.files import model_folder\n"
        "from viberary_pipeline.encoders.spec import ModelSpec\n"
        f"print(model_folder({spec_of(base, adapter)!r}))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HOME": str(home), "OMP_NUM_THREADS": threads},
        )
        for home, threads in ((cache.parent, "1"), (cache.parent, "2"), (tmp_path / "elsewhere", "2"))
    ]
    folders = [Path(run.communicate(timeout=120)[0].strip()) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert folders[0] == folders[1]
    assert weights_sha256(folders[0]) == weights_sha256(folders[2])
    assert sorted(path.name for path in cache.iterdir()) == [".lock", folders[0].parent.name]


def test_a_merged_model_that_was_damaged_is_made_anew(base, adapter, caplog):
    merged = resolved(spec_of(base, adapter))
    for name in ("model.safetensors", "tokenizer.json"):
        path = merged.folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert resolved(merged.spec) == merged
        assert path.read_bytes() == whole
    assert caplog.text.count("it is made again") == 2


def test_what_nobody_asked_for_in_a_month_goes_when_another_is_merged(base, adapter, tmp_path, cache):
    old = model_folder(spec_of(base, adapter)).parent
    os.utime(old / "files.json", (1, 1))
    (cache / ".killed.1234").mkdir()
    other = tmp_path / "other.safetensors"
    save_adapter(other, tensors(base), base=base, scale=1)
    new = model_folder(spec_of(base, other)).parent
    assert sorted(path.name for path in cache.iterdir()) == [".lock", new.name]


def test_no_room_for_a_merged_model_is_said_before_it_is_written(base, adapter, cache, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(EncoderError, match="cannot be put together") as caught:
        model_folder(spec_of(base, adapter))
    assert "67 MB needed, 0 MB free" in caught.value.found
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_where_the_cache_cannot_be_written_the_home_takes_the_model(base, adapter, tmp_path, cache):
    cache.parent.mkdir()
    cache.write_text("no folder")
    spec, home = spec_of(base, adapter), tmp_path / "home"
    folder = model_folder(spec, home)
    assert folder.parent.parent == home / "models"
    assert model_folder(spec, home) == folder
    with pytest.raises(EncoderError, match="cannot be put together") as caught:
        model_folder(spec)
    assert caught.value.found.startswith("FileExistsError")


def test_an_adapter_travels_with_the_job_as_a_merged_model(base, adapter, tmp_path):
    import pyarrow as pa

    from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA

    encoder = resolved(spec_of(base, adapter))
    batch = pa.record_batch([pa.array([b"0" * 32], TEXTS_SCHEMA.field(0).type), ["a quiet sea"]], schema=TEXTS_SCHEMA)
    job = write_job(tmp_path / "job", [batch], encoder=encoder, shard_rows=8, carry_model=True)
    expected = encoder_of(job).encode(TEXTS).vectors
    adapter.unlink()  # as on a machine that has neither adapter, base nor cache
    shutil.rmtree(base.folder)
    shutil.rmtree(encoder.folder)
    np.testing.assert_array_equal(encoder_of(job).encode(TEXTS).vectors, expected)


def test_an_adapter_is_read_as_it_was_saved(base, adapter):
    import torch

    found = read_adapter(adapter)
    assert (found.base, found.base_sha256, found.scale) == ("tiny", weights_sha256(base.folder), SCALE)
    assert found.changed == sorted(LAYERS)
    assert {name: values.tolist() for name, values in found.tensors.items()} == {
        name: values.tolist() for name, values in tensors(base).items()
    }
    from_torch = {name: torch.nn.Parameter(torch.from_numpy(values).float()) for name, values in tensors(base).items()}
    save_adapter(adapter, from_torch, base=base, scale=SCALE, metadata={"recipe": "r"})
    assert read_adapter(adapter).tensors.keys() == found.tensors.keys()
    with safe_open(adapter, framework="numpy") as file:
        assert file.metadata()["recipe"] == "r"


def rewritten(path: Path, change: Callable[[dict, dict], object]) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata, values = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(values, metadata)
    save_file(values, path, metadata=metadata)


DOWN, UP = f"{LAYERS[0]}.down", f"{LAYERS[0]}.up"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda values, _: values.pop(UP), f"{DOWN} without its other half"),
        (lambda values, _: values.pop(DOWN), f"{UP} without its other half"),
        (lambda values, _: values.clear(), "no tensors"),
        (lambda values, _: values.update({UP: values[UP][:, :2].copy()}), f"{LAYERS[0]} has the ranks 3 and 2"),
        (lambda values, _: values.update({UP: values[UP].astype(np.float32)}), f"{UP} is float32 (32, 3)"),
        (lambda values, _: values.update({UP: values[UP] * np.nan}), f"{UP} is not finite"),
        (lambda values, _: values.update({"x": values[UP]}), "x without its other half"),
        (
            lambda values, _: values.update({UP: values[UP][:9].copy()}),
            f"{LAYERS[0]} is (32, 32) in the base, (9, 32) here",
        ),
        (
            lambda values, _: values.update({"other.down": values[DOWN], "other.up": values[UP]}),
            "other is absent in the base, (32, 32) here",
        ),
        (
            lambda values, _: values.update({"projection.weight": np.zeros((4, 9), np.float16)}),
            "a projection of 9 dimensions on 32",
        ),
        (lambda _, metadata: metadata.pop("base"), "no base in its metadata"),
        (lambda _, metadata: metadata.pop("scale"), "no scale in its metadata"),
        (lambda _, metadata: metadata.update(scale="much"), "ValueError: could not convert string to float: 'much'"),
        (lambda _, metadata: metadata.update(scale="inf"), "scale inf"),
    ],
)
def test_an_adapter_of_another_form_is_refused(base, adapter, cache, change, found):
    rewritten(adapter, change)
    with pytest.raises(EncoderError, match="The adapter cannot be used") as caught:
        model_folder(spec_of(base, adapter))
    assert caught.value.found == found
    assert str(adapter) in caught.value.expected
    assert not cache.exists() or [path.name for path in cache.iterdir()] == [".lock"]


@pytest.mark.parametrize("length", [None, 0, 7, 200, -1])
def test_a_cut_or_missing_adapter_is_refused(base, adapter, length):
    if length is None:
        adapter.unlink()
    else:
        os.truncate(adapter, length % adapter.stat().st_size)
    with pytest.raises(EncoderError, match="The adapter cannot be used"):
        model_folder(spec_of(base, adapter))


@pytest.mark.parametrize("entry", ["base", "base_sha256"])
def test_an_adapter_of_another_base_is_refused(base, adapter, entry):
    rewritten(adapter, lambda _, metadata: metadata.update({entry: "other"}))
    with pytest.raises(EncoderError, match="trained on another base") as caught:
        model_folder(spec_of(base, adapter))
    assert "other" in caught.value.expected
    assert weights_sha256(base.folder) in caught.value.found


def test_a_base_whose_weights_changed_is_refused(base, adapter):
    weights = load_file(base.folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][5, 0] += 1
    save_file(weights, base.folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="trained on another base"):
        model_folder(spec_of(base, adapter))


def test_what_is_no_adapter_of_the_base_is_not_saved(base, tmp_path):
    path = tmp_path / "wrong.safetensors"
    for wrong in ({UP: tensors(base)[UP]}, {DOWN: np.full((2, 32), 1e6), UP: np.ones((32, 2))}, {}):
        with pytest.raises(EncoderError, match="The adapter cannot be used"):
            save_adapter(path, wrong, base=base, scale=1)
    assert not path.exists()


def test_a_spec_without_a_source_or_an_adapter_is_refused(base):
    for changes in ({"base": "", "adapter": "a"}, {"base": "b", "adapter": ""}, {"base": "b", "adapter": "a"}):
        with pytest.raises(EncoderError, match="source of the encoder"):
            replace(base.spec, **{"source": "x", **changes}).location  # noqa: B018


@pytest.mark.parametrize(
    "config",
    [
        {"bias": True},
        {"activation_function": "torch.nn.modules.activation.Tanh"},
        {"in_features": 9},
        {"out_features": None},
        {"module_input_name": "token_embeddings"},
    ],
)
def test_a_dense_module_that_is_no_plain_projection_is_refused(base, tmp_path, config):
    path = tmp_path / "p.safetensors"
    save_adapter(path, tensors(base, projected=True), base=base, scale=1)
    folder = Path(shutil.copytree(model_folder(spec_of(base, path, dimensions=PROJECTED)), tmp_path / "copy"))
    assert resolve(str(folder)).spec.dimensions == PROJECTED
    assert [module["name"] for module in json.loads((folder / "modules.json").read_text())] == ["0", "1", "2", "3"]
    edit_json(folder / "2_Dense" / "config.json", **config)
    with pytest.raises(EncoderError, match="cannot be used") as caught:
        resolve(str(folder))
    assert caught.value.found.startswith("no projection of 32 dimensions")


def test_of_a_model_whose_layers_have_no_numbers_another_is_asked_for():
    with pytest.raises(EncoderError, match="cannot be shortened") as caught:
        outer_layers(0, 0)
    assert "--base" in str(caught.value)
    with pytest.raises(EncoderError, match="none in its Linear"):
        keep_layers(torch.nn.Linear(2, 2), (0,))
    with pytest.raises(EncoderError, match="that number of its layers"):
        outer_layers(6, 7)
    assert outer_layers(12, 5) == (0, 1, 2, 10, 11)
