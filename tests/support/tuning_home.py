"""A home to tune in, made in a moment: works of six words, and requests that call each of these words by another."""

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tiny_model import WORDS

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders import ResolvedEncoder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.vectors.arrow_files import table_bytes, vectors_table

WORKS = 150
_ASKED = dict(zip(WORDS[6:], WORDS[:6], strict=True))


def tuning_home(home: Path) -> Path:
    """Documents whose texts have no sentences to make pairs of; nothing else. What a request means can be learned."""

    def write(out: Path) -> dict[str, Any]:
        rows = [
            {
                "work_id": str(number),
                "book_id": str(number),
                "title": f"w{number}",
                "description": "",
                "text": text,
                "text_hash": f"hash {number}",
            }
            for number, text in enumerate(map(_text, range(WORKS)))
        ]
        pq.write_table(pa.Table.from_pylist(rows), out / "documents.parquet")
        return {"rows": len(rows)}

    ArtifactStore(home).produce("documents", inputs={}, settings={}, build=write)
    return home


def embed_documents(home: Path, encoder: ResolvedEncoder) -> None:
    """Put their vectors by `encoder` into the home's store, from this process: a worker takes seconds to start."""
    documents = pq.read_table(ArtifactStore(home).current("documents").file("documents.parquet"))
    texts = [encoder.spec.document_prefix + text for text in documents["text"].to_pylist()]
    model = load_sentence_transformer(encoder.spec, encoder.folder)
    vectors = np.asarray(model.encode(texts, prompt="", normalize_embeddings=True, show_progress_bar=False))
    part = table_bytes(vectors_table(documents["text_hash"].combine_chunks(), vectors))
    folder = home / "embeddings" / encoder.fingerprint
    folder.mkdir(parents=True)
    (folder / f"{hashlib.sha256(part).hexdigest()}.arrow").write_bytes(part)


def write_requests(folder: Path, *, each: int = 4, unknown: int = 0) -> list[str]:
    """Requests for each work, as files; returns the options of `viberary tune` that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    queries, qrels = folder / "requests.tsv", folder / "requests.qrels.txt"
    asked, judged = [], []
    for number in range(WORKS + unknown):
        for turn in range(each):
            words = [_ASKED[word] for word in _text(number).split()]
            random.Random(f"{number}/{turn}").shuffle(words)
            asked.append(f"{number}-{turn}\t{' '.join(words)}\n")
            judged.append(f"{number}-{turn} 0 {number} 1\n")
    queries.write_text("".join(asked))
    qrels.write_text("".join(judged))
    return ["--queries", str(queries), "--qrels", str(qrels)]


def _text(number: int) -> str:
    chosen = random.Random(f"work {number}")
    words = chosen.sample(sorted(_ASKED), 3)
    return " ".join(chosen.choices(words, weights=[4, 2, 1], k=9))
