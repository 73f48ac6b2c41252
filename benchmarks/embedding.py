"""The encode loop beside sentence-transformers, on a CPU or a GPU: documents/s, tokens/s, and how near the vectors are.

    python benchmarks/embedding.py [--model minilm|distilbert] [--device cpu|cuda] [--documents 600] [--tokens 256]
        [--rounds 3] [--raw DIR] [--out benchmarks/results/embedding.json]

Documents are made by the real `build_documents` from `viberary synth`, whose lengths are those of the real catalogue
(or from the catalogue in DIR). `distilbert` is the architecture of msmarco-distilbert-base-v3 (six layers of 768) with
seeded weights, for speed alone. All variants run in turn in one process, three times over each hundred documents; the
best times count, tokenisation included.

On a CPU `ours` is what the worker does there (onnxruntime, float32) beside the same loop on torch, and int8. On a GPU
it is the worker's half precision, beside sentence-transformers' defaults and its float16 at the best of several batch
sizes; `of_peak` is the share of the card's dense half-precision peak, from 2 FLOPs per parameter and token in matrices
plus attention. This file runs where CUDA is; no figure for a GPU is committed unless a card gave it.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "support"))

from viberary_pipeline.documents import assemble  # noqa: E402
from viberary_pipeline.documents.recipes import RECIPES  # noqa: E402
from viberary_pipeline.documents.rules import DocumentRules  # noqa: E402
from viberary_pipeline.duck import DuckLimits  # noqa: E402
from viberary_pipeline.embedding.batches import Tokens  # noqa: E402
from viberary_pipeline.embedding.compute import TextEncoder  # noqa: E402
from viberary_pipeline.embedding.devices import choose_dtype  # noqa: E402
from viberary_pipeline.embedding.int8 import quality, quantise  # noqa: E402
from viberary_pipeline.embedding.onnx_backend import OnnxBackend  # noqa: E402
from viberary_pipeline.embedding.torch_backend import TorchBackend  # noqa: E402
from viberary_pipeline.encoders import ResolvedEncoder, resolve  # noqa: E402
from viberary_pipeline.encoders.torch_model import load_sentence_transformer  # noqa: E402
from viberary_pipeline.machine import usable_cores  # noqa: E402
from viberary_pipeline.sources.ingest import ingest  # noqa: E402
from viberary_pipeline.sources.raw_files import find  # noqa: E402
from viberary_pipeline.synth.write import write_synthetic  # noqa: E402

LIMITS = DuckLimits("2GB", 2)
PORTION = {"cpu": 100, "cuda": 100_000}
Variant: TypeAlias = Callable[[list[str]], NDArray[np.float32]]
SEED_DOCUMENTS_PER_SECOND = 670  # the original system on a P3, by its author's account
# Dense half-precision peak in TFLOP/s, from the vendors' data sheets.
PEAK = {"V100": 125, "T4": 65, "A10G": 125, "L4": 121, "L40S": 362, "A100": 312, "H100": 989, "H200": 989}


def documents(raw: Path | None, count: int) -> list[str]:
    """The texts of `count` works, in an order that mixes lengths."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if raw is None:
            raw = folder / "synth"
            write_synthetic(raw, books=4 * count, reviews=24 * count, seed=1, limits=LIMITS)
        (folder / "tables").mkdir()
        for name in assemble.TABLES:
            ingest(name, find(name, str(raw)), folder / "tables", LIMITS, reject_ceiling=0.5)
        tables = {name: folder / "tables" / f"{name}.parquet" for name in assemble.TABLES}
        (folder / "out").mkdir()
        assemble.build_documents(
            tables, folder / "out", LIMITS, RECIPES["title-first"], DocumentRules(reviews_per_work=3)
        )
        import duckdb

        query = f"SELECT text FROM '{folder}/out/documents.parquet' ORDER BY hash(work_id) LIMIT {count}"
        return [row[0] for row in duckdb.sql(query).fetchall()]


def encoder_named(name: str, tokens: int, scratch: Path) -> ResolvedEncoder:
    if name == "minilm":
        return resolve("all-MiniLM-L6-v2", max_tokens=tokens)
    from distilbert import make_distilbert

    return resolve(str(make_distilbert(scratch / "distilbert")), max_tokens=tokens)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(
    variants: dict[str, Variant], texts: list[str], tokens: int, portion_size: int, rounds: int
) -> dict[str, Any]:
    """{variant: figures}. Portion by portion all variants in turn, `rounds` times, and of each the best time counts: a
    busy moment of the machine meets them all alike, and none for long."""
    seconds: dict[str, float] = dict.fromkeys(variants, 0.0)
    vectors: dict[str, list[NDArray[np.float32]]] = {name: [] for name in variants}
    for run in variants.values():
        run(texts[:8])  # whatever a library does on its first call
    for start in range(0, len(texts), portion_size):
        portion = texts[start : start + portion_size]
        best = dict.fromkeys(variants, float("inf"))
        for turn in range(rounds):
            for name, run in variants.items():
                started = time.perf_counter()
                found = run(portion)
                best[name] = min(best[name], time.perf_counter() - started)
                if not turn:
                    vectors[name].append(found)
        for name, value in best.items():
            seconds[name] += value
        print({name: round(len(portion) / value, 1) for name, value in best.items()}, file=sys.stderr, flush=True)
    together = {name: np.concatenate(parts) for name, parts in vectors.items()}
    reference = unit(next(iter(together.values())))
    first = next(iter(seconds.values()))
    return {
        name: {
            "documents_per_second": round(len(texts) / value, 1),
            "tokens_per_second": round(tokens / value),
            "times_the_defaults": round(first / value, 3),
            "least_cosine": round(float((reference * unit(together[name])).sum(axis=1).min()), 6),
        }
        for name, value in seconds.items()
    } | {"_vectors": together}


def on_cpu(encoder: ResolvedEncoder, texts: list[str], scratch: Path) -> tuple[dict[str, Variant], Tokens]:
    import torch

    from viberary_pipeline.encoders.onnx_export import export_query_encoder

    torch.set_num_threads(usable_cores())
    graph = scratch / "graph"
    export_query_encoder(encoder, graph)
    quantise(graph, graph)
    reference = load_sentence_transformer(encoder.spec, encoder.folder)
    loops = {
        "ours: onnxruntime float32": OnnxBackend(encoder.spec, encoder.fingerprint, graph, dtype="float32"),
        "ours: torch float32": TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype="float32"),
        "ours: onnxruntime int8": OnnxBackend(encoder.spec, encoder.fingerprint, graph, dtype="int8"),
    }
    variants: dict[str, Variant] = {
        "sentence-transformers encode, defaults": lambda some: reference.encode(some, show_progress_bar=False)
    }
    for name, backend in loops.items():
        variants[name] = lambda some, backend=backend: TextEncoder(backend).encode(some).vectors
    return variants, TextEncoder(loops["ours: onnxruntime float32"]).tokenize(texts)


def on_cuda(encoder: ResolvedEncoder, texts: list[str]) -> tuple[dict[str, Variant], Tokens]:
    dtype = choose_dtype("cuda", "auto")
    full = load_sentence_transformer(encoder.spec, encoder.folder, device="cuda")
    half = load_sentence_transformer(encoder.spec, encoder.folder, device="cuda", dtype="float16")
    ours = TextEncoder(TorchBackend(encoder.spec, encoder.folder, device="cuda", dtype=dtype))
    variants: dict[str, Variant] = {
        "sentence-transformers encode, defaults": lambda some: full.encode(some, show_progress_bar=False)
    }
    for size in (64, 128, 256, 512, 1024):
        variants[f"sentence-transformers float16, batch {size}"] = lambda some, size=size: half.encode(
            some, batch_size=size, show_progress_bar=False
        ).astype(np.float32)
    variants[f"ours: torch {dtype}"] = lambda some: ours.encode(some).vectors
    return variants, ours.tokenize(texts)


def of_peak(encoder: ResolvedEncoder, tokens: Tokens, seconds: float) -> tuple[str, float | None]:
    """The card, and the share of its half-precision peak that `seconds` for these tokens make."""
    import torch

    card = torch.cuda.get_device_name()
    config = json.loads((encoder.folder / "config.json").read_text())
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    hidden = config.get("hidden_size", config.get("dim"))
    inner = config.get("intermediate_size", config.get("hidden_dim"))
    lengths = np.array([len(ids) for ids in tokens.ids], dtype=np.float64)
    matrices = layers * (4 * hidden * hidden + 2 * hidden * inner)
    flops = 2 * matrices * lengths.sum() + 4 * layers * hidden * (lengths**2).sum()
    peak = next((value for name, value in PEAK.items() if name in card), None)
    return card, round(flops / seconds / (peak * 1e12), 4) if peak else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["minilm", "distilbert"], default="minilm")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    texts = documents(options.raw, options.documents)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        encoder = encoder_named(options.model, options.tokens, scratch)
        if options.device == "cpu":
            variants, tokens = on_cpu(encoder, texts, scratch)
        else:
            variants, tokens = on_cuda(encoder, texts)
        figures = timed(variants, texts, tokens.computed, PORTION[options.device], options.rounds)
        vectors = figures.pop("_vectors")
        result: dict[str, Any] = {
            "model": encoder.spec.name,
            "device": options.device,
            "documents": len(texts),
            "from": str(options.raw.name) if options.raw else "viberary synth",
            "characters_per_document": round(sum(map(len, texts)) / len(texts)),
            "tokens_per_document": round(tokens.computed / len(tokens.ids), 1),
            "cut_at": options.tokens,
            "rounds": options.rounds,
            "share_cut": round(float(np.mean([len(ids) == options.tokens for ids in tokens.ids])), 3),
            "figures": figures,
            "machine": f"{platform.machine()}, {usable_cores()} cores, Python {platform.python_version()}",
            "versions": {
                name: version(name) for name in ("torch", "onnxruntime", "sentence-transformers", "transformers")
            },
        }
        if options.device == "cpu":
            measured = quality(vectors["ours: onnxruntime float32"], vectors["ours: onnxruntime int8"])
            result["int8_beside_float32"] = asdict(measured)
        else:
            ours = next(name for name in figures if name.startswith("ours"))
            seconds = len(texts) / figures[ours]["documents_per_second"]
            result["card"], result["of_peak"] = of_peak(encoder, tokens, seconds)
            result["seed_documents_per_second_on_p3"] = SEED_DOCUMENTS_PER_SECOND
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        known[f"{options.model} on {options.device} at {options.tokens} tokens"] = result
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
