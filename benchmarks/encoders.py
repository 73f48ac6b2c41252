"""Encoders beside each other: nDCG@10 and success@10 on every judged set by exact cosine, milliseconds a query,
documents a second, megabytes; beside BM25 and word2vec.

    python benchmarks/encoders.py --catalogue NAME=HOME ... --judged NAME=FOLDER ... [--encoder NAME ...] [--out FILE]

Each catalogue is a home with a build; its documents are embedded as its recipe wrote them. A judged folder holds
`*.queries*.tsv` with their qrels (docs/judging.md). The sample's golden set and known items (title, with a typo, author
and title, author, a sentence; 50 each) are asked where the catalogue is the sample. An encoder `DOCUMENTS+QUERIES`
embeds documents by one and queries by the other, of its space. Vectors are kept in --cache. Query times are those of
one query after the other through the exported graph (int8 where its gate allows), one thread.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from order import Bm25
from reporting import report

from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.torch_backend import TorchBackend
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.known_items import known_items
from viberary_pipeline.evaluation.queries import QuerySet, judged_files, judged_set, trec_set
from viberary_pipeline.evaluation.word2vec_baseline import word2vec_system
from viberary_pipeline.ranking_metrics import bootstrap, ndcg, success
from viberary_pipeline.sample import GOLDEN

Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", action="append", required=True, help="NAME=HOME")
    parser.add_argument("--judged", action="append", default=[], help="NAME=FOLDER")
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--baselines", action="store_true", help="BM25 and word2vec too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    homes = {name: places[-1] for name, places in named_places(options.catalogue).items()}
    judged = named_places(options.judged)
    options.cache.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out and options.out.is_file() else {}
    for name, home in homes.items():
        parquet = newest_documents(home)
        rows = pq.read_table(parquet, columns=["work_id", "text"]).to_pylist()
        works, texts = [row["work_id"] for row in rows], [row["text"] for row in rows]
        sets = judged_sets(parquet, works, judged.get(name, []))
        for encoder in options.encoder:
            of_documents, _, of_queries = encoder.partition("+")
            documents = vectors_of(options.cache, of_documents, name, texts)
            for asked in sets:
                queries = vectors_of(options.cache, of_queries or of_documents, f"{name}.{asked.name}", _texts(asked))
                _note(found, encoder, name, asked, works, queries @ documents.T)
        if options.baselines:
            bm25 = Bm25(texts)
            word2vec = word2vec_system(works, texts)
            for asked in sets:
                _note(found, "BM25", name, asked, works, np.stack([bm25(text)[0] for text in _texts(asked)]))
                answers = [list(word2vec.answer(query) or ()) for query in asked.queries]
                _note(found, "word2vec", name, asked, works, answers)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    for encoder in options.encoder:
        found[encoder]["cost"] = found[encoder].get("cost") or _cost(encoder, options.cache)
    text = json.dumps(found, indent=1)
    report(text, options.out)


def named_places(given: list[str]) -> dict[str, list[Path]]:
    """What NAME=PLACE options name, by name; a name may be given several times."""
    places: dict[str, list[Path]] = {}
    for name, _, place in (option.partition("=") for option in given):
        places.setdefault(name, []).append(Path(place))
    return places


def newest_documents(home: Path) -> Path:
    return max(home.glob("artifacts/documents/*/documents.parquet"), key=lambda path: path.stat().st_mtime)


def judged_sets(documents: Path, works: list[str], folders: list[Path]) -> list[QuerySet]:
    golden = judged_set(GOLDEN)
    own = [golden, known_items(documents, 50)] if golden.judges(works) else []
    return own + [trec_set(*files).within(works)[0] for files in judged_files(folders)]


def _texts(asked: QuerySet) -> list[str]:
    return [query.text for query in asked.queries]


def _note(
    found: dict[str, Any], system: str, catalogue: str, asked: QuerySet, works: list[str], answers: Floats | list[Any]
) -> None:
    """Add the figures of one system on one set."""
    if isinstance(answers, np.ndarray):
        answers = [[works[at] for at in np.argsort(-row, kind="stable")[:10]] for row in answers]
    pairs = [(query.grades, answer) for query, answer in zip(asked.queries, answers, strict=True)]
    figures = {
        "ndcg_at_10": bootstrap([ndcg(answer, grades) for grades, answer in pairs]),
        "success_at_10": bootstrap([success(answer, grades, asked.relevant) for grades, answer in pairs]),
    }
    rounded = {name: [round(value, 4) for value in values] for name, values in figures.items()}
    found.setdefault(system, {})[f"{catalogue}: {asked.name}"] = {"queries": len(pairs), **rounded}


def vectors_of(cache: Path, encoder: str, name: str, texts: list[str]) -> Floats:
    """The vectors of texts, float32 (texts, dimensions), from the cache or made."""
    path = cache / f"{encoder}.{name}.npz".replace(" ", "-")
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            if kept["texts"].tolist() == texts:
                return kept["vectors"]  # type: ignore[no-any-return]
    resolved = resolve(encoder)
    backend = TorchBackend(resolved.spec, resolved.folder, device="cpu", dtype="float32")
    started = time.perf_counter()
    vectors = TextEncoder(backend).encode(texts).vectors
    np.savez(path, texts=np.array(texts), vectors=vectors)
    print(f"{path.name}: {len(texts) / (time.perf_counter() - started):.1f} texts/s", flush=True)
    return vectors


def _cost(encoder: str, cache: Path) -> dict[str, Any]:
    """Milliseconds a query, documents a second on this machine, the graph's and the weights' megabytes."""
    of_documents, _, of_queries = encoder.partition("+")
    resolved = resolve(of_queries or of_documents)
    queries = [query.text for query in judged_set(GOLDEN).queries if query.text]
    with tempfile.TemporaryDirectory() as scratch:
        export_query_encoder(resolved, Path(scratch), precision="auto")
        graph = QueryEncoder(Path(scratch))
        size = sum(path.stat().st_size for path in Path(scratch).glob("*.onnx")) / 1e6
        times = []
        for query in queries * 3:
            started = time.perf_counter()
            graph.encode([query])
            times.append(time.perf_counter() - started)
    embedder = resolve(of_documents)
    backend = TorchBackend(embedder.spec, embedder.folder, device="cpu", dtype="float32")
    with np.load(max(cache.glob(f"{of_documents}.*.npz"), key=lambda path: path.stat().st_size)) as kept:
        texts = kept["texts"].tolist()[:96]
    started = time.perf_counter()
    TextEncoder(backend).encode(texts)
    return {
        "query_ms": round(1000 * statistics.median(times), 2),
        "documents_per_second": round(len(texts) / (time.perf_counter() - started), 1),
        "query_graph_mb": round(size, 1),
        "weights_mb": round(sum(path.stat().st_size for path in embedder.folder.rglob("*.safetensors")) / 1e6, 1),
        "dimensions": embedder.spec.dimensions,
    }


if __name__ == "__main__":
    main()
