"""The encode loop: batches, duplicates, a full memory, both backends beside sentence-transformers, int8."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distilbert import DIMENSIONS, make_distilbert
from tiny_model import MAX_TOKENS

from viberary_pipeline.embedding.batches import distinct, next_batch, padded
from viberary_pipeline.embedding.compute import TextEncoder, is_full
from viberary_pipeline.embedding.int8 import Int8Quality, gated_graph, quality, require_quality
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.onnx_backend import OnnxBackend
from viberary_pipeline.embedding.texts import TableTexts
from viberary_pipeline.embedding.torch_backend import TorchBackend
from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.quantize import int8_name
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError

TEXTS = [
    "a quiet winter garden by the sea",
    "revenge",
    "",
    "the robot and the book of the robot " * 30,
    "revenge",
    "Ünïcode 🐉 книга",
]


@pytest.fixture
def tiny(tiny_encoder) -> ResolvedEncoder:
    return tiny_encoder


@pytest.fixture
def graph(tiny_graph) -> Path:
    return tiny_graph


def reference(encoder: ResolvedEncoder, texts: Sequence[str]) -> np.ndarray:
    model = load_sentence_transformer(encoder.spec, encoder.folder)
    vectors = model.encode(list(texts), show_progress_bar=False)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def torch_backend(encoder: ResolvedEncoder) -> TorchBackend:
    return TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype="float32", threads=1)


def onnx_backend(encoder: ResolvedEncoder, graph: Path, dtype: str = "float32") -> OnnxBackend:
    return OnnxBackend(encoder.spec, encoder.fingerprint, graph, dtype=dtype, threads=1)


# ---- batches


def test_equal_texts_come_once_and_the_longest_first():
    tokens = distinct([[1, 2], [1, 7, 2], [1, 2], [1, 8, 9, 2], [1, 7, 2]])
    assert [ids.tolist() for ids in tokens.ids] == [[1, 8, 9, 2], [1, 7, 2], [1, 2]]
    assert tokens.rows.tolist() == [2, 1, 2, 0, 1]
    assert tokens.computed == 9
    assert distinct([]).rows.tolist() == []


def test_a_batch_is_as_many_rows_as_the_budget_bears():
    ids = [np.ones(n, np.int32) for n in (10, 9, 4, 4, 2, 2)]
    spans, start = [], 0
    while start < len(ids):
        stop, width = next_batch(ids, start, budget=20)
        spans.append((start, stop, width))
        start = stop
    assert spans == [(0, 2, 10), (2, 6, 4)]
    assert next_batch(ids, 0, budget=5) == (1, 10)  # one row at least
    assert next_batch(ids, 2, budget=32, multiple=8) == (6, 8)


@pytest.mark.parametrize(("left", "expected"), [(False, [[5, 6, 0], [7, 0, 0]]), (True, [[0, 5, 6], [0, 0, 7]])])
def test_padding_and_its_mask(left, expected):
    ids, mask = padded([np.array([5, 6]), np.array([7])], 3, 0, left=left)
    assert ids.tolist() == expected
    assert mask.tolist() == [[int(value > 0) for value in row] for row in expected]


# ---- the loop


class Counting:
    """A backend around a real one that counts, and has room for `room` tokens."""

    def __init__(self, inner: Any, room: int | None = None, error: type[Exception] | None = None) -> None:
        self.inner, self.room, self.error = inner, room, error
        self.dtype, self.budget, self.multiple = inner.dtype, inner.budget, inner.multiple
        self.batches: list[tuple[int, int]] = []
        self.freed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, ids: Any, width: int) -> Any:
        if self.room is not None and len(ids) * width > self.room:
            raise self.error("no room") if self.error else MemoryError("no room")
        self.batches.append((len(ids), width))
        return self.inner.run(ids, width)

    def free(self) -> None:
        self.freed += 1


def test_vectors_come_in_the_order_of_the_texts_each_computed_once(tiny):
    backend, seen = Counting(torch_backend(tiny)), []
    encoder = TextEncoder(backend)
    encoded = encoder.embed(encoder.tokenize(TEXTS), progress=seen.append)
    np.testing.assert_allclose(encoded.vectors, reference(tiny, TEXTS), atol=1e-6)
    assert sum(rows for rows, _ in backend.batches) == len(set(TEXTS))
    assert sum(seen) == len(TEXTS)
    assert encoder.encode([]).vectors.shape == (0, tiny.spec.dimensions)


def test_a_full_memory_halves_the_batch_and_the_work_goes_on(tiny):
    import torch

    texts = [f"{text} {n}" for n in range(20) for text in TEXTS]
    for error in (MemoryError, torch.OutOfMemoryError):
        backend = Counting(torch_backend(tiny), room=4 * MAX_TOKENS, error=error)
        encoder = TextEncoder(backend, budget=32 * MAX_TOKENS)
        np.testing.assert_allclose(encoder.encode(texts).vectors, reference(tiny, texts), atol=1e-6)
        assert max(rows * width for rows, width in backend.batches) <= 4 * MAX_TOKENS
        assert backend.freed == 3  # 32, 16, 8, 4
        assert encoder.budget == 4 * MAX_TOKENS  # and stays so for the next shard


def test_a_text_that_does_not_fit_alone_is_an_error(tiny):
    with pytest.raises(MemoryError):
        TextEncoder(Counting(torch_backend(tiny), room=2)).encode(["the sea"])


def test_other_errors_are_not_taken_for_a_full_memory(tiny):
    backend = Counting(torch_backend(tiny), room=2, error=RuntimeError)
    with pytest.raises(RuntimeError, match="no room"):
        TextEncoder(backend).encode(["the sea"])
    assert is_full(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_full(RuntimeError("shape mismatch"))


@pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
def test_both_backends_agree_with_sentence_transformers(tiny, graph, kind):
    backend = torch_backend(tiny) if kind == "torch" else onnx_backend(tiny, graph)
    texts = [f"{text} {n}" for n in range(9) for text in TEXTS]
    encoded = TextEncoder(backend, budget=100).encode(texts)
    np.testing.assert_allclose(encoded.vectors, reference(tiny, texts), atol=2e-6)
    assert encoded.tokens < sum(MAX_TOKENS for _ in texts)


def test_a_graph_of_another_encoder_is_refused(tiny, graph):
    with pytest.raises(EncoderError, match="is not that of the encoder tiny"):
        OnnxBackend(tiny.spec, "0" * 16, graph, dtype="float32")


# ---- the original system's architecture


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory) -> ResolvedEncoder:
    """768 dimensions, six layers, cut at 200 tokens, as the original system used it."""
    return resolve(str(make_distilbert(tmp_path_factory.mktemp("models") / "distilbert")), max_tokens=200)


@pytest.mark.slow
def test_distilbert_of_768_dimensions_through_both_backends(distilbert, tmp_path):
    spec = distilbert.spec
    assert (spec.dimensions, spec.pooling, spec.normalize, spec.max_tokens) == (DIMENSIONS, "mean", False, 200)
    texts = [*TEXTS, "An orphan counts the seconds until the train leaves. " * 40]
    expected = reference(distilbert, texts)
    export_query_encoder(distilbert, tmp_path / "graph")
    for backend in (torch_backend(distilbert), onnx_backend(distilbert, tmp_path / "graph")):
        encoded = TextEncoder(backend).encode(texts)
        assert encoded.vectors.shape == (len(texts), DIMENSIONS)
        assert (encoded.vectors * expected).sum(axis=1).min() > 0.9999
    lengths = [len(ids) for ids in TextEncoder(backend).tokenize(texts).ids]
    assert lengths[0] == 200


@pytest.mark.slow
def test_two_machines_agree_on_the_fingerprint(distilbert, tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from pathlib import Path
from distilbert import make_distilbert
from viberary_pipeline.encoders import resolve
print(resolve(str(make_distilbert(Path({str(tmp_path)!r}) / "copy")), max_tokens=200).fingerprint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == distilbert.fingerprint, done.stderr
    assert resolve(str(tmp_path / "copy")).fingerprint != distilbert.fingerprint  # another limit, other vectors


# ---- int8


def test_int8_of_no_texts_waits_for_its_gate(tiny, graph, tmp_path):
    options = gated_graph(JobOptions(dtype="int8", graph=str(graph)), tiny, TableTexts([]), tmp_path)
    assert sorted(path.name for path in Path(options.graph).iterdir() if "quality" in path.name) == []
    gated_graph(JobOptions(dtype="int8", graph=str(graph)), tiny, TableTexts([("1", "sad vampires")]), tmp_path)
    assert json.loads((Path(options.graph) / "quality.json").read_text())["texts"] == 1


def test_int8_passes_its_gate_once_and_the_figures_stay(minilm_export, tmp_path):
    encoder, (exported, _) = resolve("all-MiniLM-L6-v2"), minilm_export
    texts = TableTexts(
        [(str(n), f"{text} number {n}") for n in range(10) for text in (TEXTS[0], TEXTS[5], "sad vampires")]
    )
    options = gated_graph(JobOptions(dtype="int8", graph=str(exported)), encoder, texts, tmp_path / "int8")
    folder = tmp_path / "int8" / int8_name(encoder.fingerprint)
    assert options == JobOptions(dtype="int8", graph=str(folder))
    assert options.key(encoder.fingerprint) == int8_name(encoder.fingerprint)
    figures = json.loads((folder / "quality.json").read_text())
    assert figures["texts"] == 30
    assert 0.998 <= figures["mean_cosine"] < 0.99999  # it is quantised
    assert (folder / "model.int8.onnx").stat().st_size < 0.4 * (folder / "model.onnx").stat().st_size
    before = (folder / "model.int8.onnx").stat().st_mtime_ns
    assert gated_graph(JobOptions(dtype="int8", graph=str(exported)), encoder, texts, tmp_path / "int8") == options
    assert (folder / "model.int8.onnx").stat().st_mtime_ns == before
    vectors = TextEncoder(onnx_backend(encoder, folder, "int8")).encode(TEXTS).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name in ("model.onnx", "model.int8.onnx") for content in (b"", b"x" * 1000)),
        *((name, content) for name in ("tokenizer.json", "encoder.json") for content in (b"[]", b"{}", b"null")),
        *(("quality.json", content) for content in (b"[]", b"null", b"7", b'{"texts": 1}', b"{")),
        ("quality.json", b'{"texts": 3, "mean_cosine": 0.1, "least_cosine": 0.9, "ndcg_at_10": 1.0}'),
        *((name, None) for name in ("model.onnx", "model.int8.onnx", "tokenizer.json", "encoder.json", "quality.json")),
    ],
)
def test_a_damaged_int8_folder_is_made_anew(tiny, graph, tmp_path, caplog, name, content):
    texts, wanted = TableTexts([(text, text) for text in TEXTS]), JobOptions(dtype="int8", graph=str(graph))
    folder = Path(gated_graph(wanted, tiny, texts, tmp_path).graph)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert gated_graph(wanted, tiny, texts, tmp_path) == dataclasses.replace(wanted, graph=str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert (str(folder / name) in caplog.text) is (name != "quality.json")


def test_vectors_too_far_from_float32_are_refused():
    full = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    full /= np.linalg.norm(full, axis=1, keepdims=True)
    same = quality(full, full)
    assert (same.mean_cosine, same.ndcg_at_10) == (pytest.approx(1, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert require_quality(same) is same
    noisy = full + 0.3 * np.random.default_rng(2).normal(size=full.shape).astype(np.float32)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    with pytest.raises(EncoderError, match="loses too much in int8"):
        require_quality(quality(full, noisy))
    with pytest.raises(EncoderError, match="loses too much in int8"):
        require_quality(Int8Quality(texts=9, mean_cosine=0.99, least_cosine=0.98, ndcg_at_10=0.5))
