"""Word vectors in the space of a build's documents, by which a page chooses the sentence that it quotes.

The encoder's input embeddings of a word know what is akin to it, and are there for nothing. A ridge regression from a
description's sum of them, weighed by rarity, to the vector that the encoder gave the document takes them to the
encoder's space. No text is encoded for it.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from viberary_pipeline.encoders.onnx_files import MODEL
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.name_keys import words_of
from viberary_pipeline.search.passages import SentenceWords

log = logging.getLogger(__name__)

_MOST_TEXTS = 20_000  # descriptions that are learned from, spread over the documents
_MOST_WORDS = 30_000
_PORTION_ROWS = 8_192
_RIDGE = 1.0
_DIMENSIONS = 64
_LEAST_TEXTS = 50  # fewer teach nothing


def learn_sentence_words(documents: Path, vectors: npt.NDArray[np.float32], encoder: QueryEncoder) -> SentenceWords:
    """The word vectors of a build; rarities alone where there is too little to learn from.

    Args:
        documents: Parquet of the documents stage.
        vectors: Theirs, float32 (documents, dim), norm 1, in the same order.
        encoder: An encoder of their space, whose input embeddings are read.
    """
    chosen = np.unique(np.linspace(0, len(vectors) - 1, _MOST_TEXTS).astype(int)) if len(vectors) else np.empty(0, int)
    texts = [words_of(text) for text in _descriptions(documents, chosen)]
    held = Counter(word for text in texts for word in set(text))
    words = [word for word, _ in held.most_common(_MOST_WORDS)]
    rows = {word: row for row, word in enumerate(words)}
    rarity = np.log((len(texts) + 1) / (np.array([held[word] for word in words], np.float32) + 0.5))
    known = SentenceWords(rows, rarity.astype(np.float32))
    embeddings = word_embeddings(encoder, words) if sum(map(bool, texts)) >= _LEAST_TEXTS else None
    if embeddings is None:
        return known
    # Without what all texts share, as the vectors of the documents below.
    often = np.array([held[word] for word in words], np.float32) * rarity
    embeddings -= (often @ embeddings) / often.sum()
    weighed = embeddings * rarity[:, None]
    sums = np.array([weighed[[rows[word] for word in text if word in rows]].sum(axis=0) for text in texts])
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    target = vectors[chosen] - vectors[chosen].mean(axis=0)
    map_ = np.linalg.solve(sums.T @ sums + _RIDGE * np.eye(sums.shape[1], dtype=np.float32), sums.T @ target)
    mapped = weighed @ map_
    # Of the space of the sums, the directions that tell texts apart: eigh has the largest last.
    predicted = sums @ map_
    basis = np.linalg.eigh(predicted.T @ predicted)[1][:, -_DIMENSIONS:]
    return SentenceWords(rows, known.rarity, (mapped @ basis).astype(np.float32), basis.astype(np.float32))


def _descriptions(documents: Path, rows: npt.NDArray[np.int64]) -> Iterator[str]:
    """Those of some rows, which ascend; "" where there is none. A portion of the file is in memory at a time."""
    start = 0
    with pq.ParquetFile(documents) as file:
        for batch in file.iter_batches(batch_size=_PORTION_ROWS, columns=["description"]):
            first, end = np.searchsorted(rows, (start, start + batch.num_rows))
            yield from (text or "" for text in batch["description"].take(rows[first:end] - start).to_pylist())
            start += batch.num_rows


def word_embeddings(encoder: QueryEncoder, words: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """The encoder's input embeddings of words, float32 (words, width), norm 1: the mean of a word's pieces.

    None where its graph has no table of them.
    """
    import onnx  # here: a machine that only searches has none
    from onnx import numpy_helper

    pieces = encoder.pieces(words)
    tables = [
        tensor
        for tensor in onnx.load(str(encoder.folder / MODEL)).graph.initializer
        if len(tensor.dims) == 2 and tensor.dims[0] == encoder.vocabulary_size
    ]
    if not tables:
        log.info("the encoder's graph has no table of word embeddings: sentences are chosen by shared words alone")
        return None
    table = numpy_helper.to_array(tables[0]).astype(np.float32)
    table -= table.mean(axis=0) if table.std() > 5 else 0.0  # of whole numbers: their zero is not at 0
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-6)
    return np.array([table[of_word].mean(axis=0) if of_word else table[0] * 0 for of_word in pieces], np.float32)
