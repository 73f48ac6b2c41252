"""What readers' shelves pay, as text, as a field of words or as a vector of their own; and what smoothed vectors pay.

    python benchmarks/shelves.py [--raw DIR] [--encoder NAME] [--queries TSV --qrels TXT]... [--out FILE]

Measures the bundled sample, or instead the catalogue in DIR, and adds the figures to those of other catalogues and
encoders in the JSON. Documents are made by the real `build_documents`, vectors compared exactly. Judged are

- golden (sample only), and the files given: judgements that do not come from shelves;
- known items of the catalogue: titles, authors and titles, sentences of descriptions, and reviews that no text holds:
  what must not be lost.

- held-out sentence: a sentence of the description asks for its work, whose text is embedded without it. It is all that
  a build could judge smoothing by on its own.

`ndcg` is nDCG@10, `success` the share of queries with a right work among the first ten; each [mean, low, high] with a
95 % bootstrap interval over queries. `less_base` is the paired difference of nDCG@10 to vectors of the texts alone.
"""

import argparse
import gzip
import json
import random
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import recipes
from numpy.typing import NDArray
from recipes import Candidate, Encoder, documents_of, ingest_all, known_item_queries, own, unseen_review_queries
from reporting import report

from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.evaluation.queries import judged_set, trec_set
from viberary_pipeline.ranking_metrics import DEPTH, bootstrap, ndcg
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.sample.write import write_sample
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import normalised_bm25

BASE = "title-first"
AS_LIST = "nullif(array_to_string(shelves, ', '), '') || '.'"
AS_SENTENCE = "'Readers shelve it as: ' || " + AS_LIST
TITLES = "as_sentence(title), as_sentence(concat_ws(' by ', title, author))"
REVIEWS = "nullif(array_to_string(reviews, ' '), '')"
TEXTS = {
    "text: a sentence before the description": f"{TITLES}, {AS_SENTENCE}, description, {REVIEWS}",
    "text: a list before the description": f"{TITLES}, {AS_LIST}, description, {REVIEWS}",
    "text: a list after the description": f"{TITLES}, description, {AS_LIST}, {REVIEWS}",
    "text: a list at the end": f"{TITLES}, description, {REVIEWS}, {AS_LIST}",
    "text: four, before the description": f"{TITLES}, {AS_LIST.replace('shelves', 'shelves[:4]')}, description, "
    f"{REVIEWS}",
}
FIELD_WEIGHTS = (0.03, 0.06, 0.12)
VECTOR_WEIGHTS = (0.1, 0.2, 0.4)
SMOOTHINGS = ((5, 0.3), (5, 0.5), (20, 0.5), (20, 1.0))

_BLOCK_BYTES = 64 << 20  # of the cosines that smoothing holds at once

Scores = NDArray[np.float32]


def smoothed(vectors: NDArray[np.float32], *, nearest: int, weight: float) -> NDArray[np.float32]:
    """Each vector plus `weight` times the mean of its nearest others, by cosine, with norm 1 again.

    Exact. Time grows with the square of the number of vectors, memory does not: one block of cosines is held beside
    the result.

    Args:
        vectors: (works, dim), norm 1.
        nearest: How many others; fewer where there are fewer.
        weight: 0 changes nothing.

    Returns:
        float32 (works, dim), norm 1. Equal vectors that stand in the same surroundings stay equal.
    """
    count = min(nearest, len(vectors) - 1)
    if count < 1 or weight == 0:
        return vectors.copy()
    moved = np.empty_like(vectors)
    rows = max(1, _BLOCK_BYTES // (vectors.itemsize * len(vectors)))
    for first in range(0, len(vectors), rows):
        block = vectors[first : first + rows]
        cosines = block @ vectors.T
        cosines[np.arange(len(block)), np.arange(first, first + len(block))] = -np.inf
        found = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        # One neighbour at a time: all of them at once would be `count` blocks.
        mean = sum(vectors[found[:, place]] for place in range(count)) / np.float32(count)
        moved[first : first + rows] = block + np.float32(weight) * mean
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def bm25(fields: Sequence[str], queries: Sequence[str]) -> Scores:
    """(queries, works): Okapi BM25 (k1 1.2, b 0.75) of one field, normalised as the search does."""
    words = [Counter(ParsedQuery.parse(field).terms) for field in fields]
    lengths = np.array([counts.total() for counts in words])
    held = Counter(word for counts in words for word in counts)
    scores = np.zeros((len(queries), len(fields)), dtype=np.float32)
    shape = 1.2 * (0.25 + 0.75 * lengths / max(lengths.mean(), 1e-9))
    for row, query in enumerate(queries):
        for word in ParsedQuery.parse(query).terms:
            if word in held:
                rarity = np.log(1 + (len(fields) - held[word] + 0.5) / (held[word] + 0.5))
                counts = np.array([found[word] for found in words])
                scores[row] += rarity * counts * 2.2 / (counts + shape)
    return np.array([[normalised_bm25(score, len(fields)) for score in row] for row in scores], dtype=np.float32)


def systems(documents: dict[str, list[dict]], encode: Encoder, queries: Sequence[str]) -> dict[str, Scores]:
    """{way to search: (queries, works)}."""
    asked = encode(list(queries))
    vectors = {name: encode([row["text"] for row in rows]) for name, rows in documents.items()}
    found = {name: asked @ matrix.T for name, matrix in vectors.items()}
    base, rows = found[BASE], documents[BASE]
    if any(row["shelves"] for row in rows):
        words = bm25([" ".join(row["shelves"]) for row in rows], queries)
        shelves = encode([", ".join(row["shelves"]) for row in rows])
        has = np.array([bool(row["shelves"]) for row in rows])
        near = np.where(has, asked @ shelves.T, base)
        found |= {f"field: BM25 x {weight}": base + weight * words for weight in FIELD_WEIGHTS}
        found |= {f"vector: {weight} of the cosine": base + weight * (near - base) for weight in VECTOR_WEIGHTS}
    described = bm25([str(row["description"])[:600] for row in rows], queries)
    with_words = {
        f"{name}, and BM25 of the description": scores + 0.06 * described
        for name, scores in found.items()
        if name in (BASE, "text: a sentence before the description", "field: BM25 x 0.06")
    }
    moved = {
        f"smoothed: {nearest} nearest, {weight}{', shelves in the text' if name != BASE else ''}": asked
        @ smoothed(matrix, nearest=nearest, weight=weight).T
        for name, matrix in vectors.items()
        if name in (BASE, "text: a sentence before the description")
        for nearest, weight in SMOOTHINGS
    }
    return {**found, **with_words, **moved}


def measure(tables: dict[str, Path], encode: Encoder, judged: dict[str, list[tuple[str, dict[str, int]]]]) -> dict:
    """All ways on one catalogue."""
    candidates = {BASE: Candidate(RECIPES[BASE])}
    documents = {BASE: documents_of(tables, candidates[BASE])}
    rows = documents[BASE]
    if any(row["shelves"] for row in rows):
        candidates |= {name: Candidate(own(macro_of(name))) for name in TEXTS}
        documents = {name: documents_of(tables, candidate) for name, candidate in candidates.items()}
    works = [row["work_id"] for row in rows]
    texts = {row["work_id"]: row["text"] for row in rows}
    queries = {**judged, **known_item_queries(rows), "unseen review": unseen_review_queries(tables, texts)[:500]}
    result: dict[str, Any] = {
        "works": len(works),
        "works_with_shelves": sum(bool(row["shelves"]) for row in rows),
        "queries": {kind: len(pairs) for kind, pairs in queries.items()},
        "ways": {},
    }
    found = systems(documents, encode, [query for pairs in queries.values() for query, _ in pairs])
    sentences, without = held_out(rows, encode)
    if sentences:
        queries["held-out sentence"] = sentences
        result["queries"]["held-out sentence"] = len(sentences)
        asked = encode([query for query, _ in sentences])
        moved = {BASE: without} | {
            f"smoothed: {nearest} nearest, {weight}": smoothed(without, nearest=nearest, weight=weight)
            for nearest, weight in SMOOTHINGS
        }
        for name, matrix in found.items():
            rest = asked @ moved[name].T if name in moved else np.full((len(asked), len(works)), np.nan, np.float32)
            found[name] = np.concatenate([matrix, rest])
    first = 0
    for kind, pairs in queries.items():
        values: dict[str, NDArray[np.float64]] = {}
        part, first = slice(first, first + len(pairs)), first + len(pairs)
        for name, scores in found.items() if pairs else ():
            if np.isnan(scores[part]).any():
                continue  # not a way of these queries
            orders = [[works[index] for index in np.argsort(-row, kind="stable")[:DEPTH]] for row in scores[part]]
            values[name] = np.array([ndcg(order, grades) for order, (_, grades) in zip(orders, pairs, strict=True)])
            right = [
                any(grades.get(work, 0) >= max(grades.values()) for work in order)
                for order, (_, grades) in zip(orders, pairs, strict=True)
            ]
            result["ways"].setdefault(name, {})[kind] = {
                "ndcg": interval(values[name]),
                "success": interval(np.array(right, dtype=np.float64)),
                "less_base": interval(values[name] - values[BASE]),
            }
    return result


def held_out(rows: Sequence[dict], encode: Encoder) -> tuple[list[tuple[str, dict[str, int]]], NDArray[np.float32]]:
    """Up to 300 sentences with the works they are of; and the vectors of all works, of these without their sentence."""
    queries, texts = [], [row["text"] for row in rows]
    for place in sorted(range(len(rows)), key=lambda place: zlib.crc32(rows[place]["work_id"].encode())):
        row = rows[place]
        sentences = [part for part in re.split(r"(?<=[.!?])\s+", row["description"]) if 8 <= len(part.split()) <= 30]
        if len(sentences) > 2 and sentences[-1] in row["text"] and len(queries) < 300:
            texts[place] = row["text"].replace(sentences[-1], "")
            queries.append((sentences[-1], {row["work_id"]: 1}))
    return queries, encode(texts)


def misplace_shelves(books: Path, share: float) -> None:
    """Give that share of all shelves to another book: readers err, and the sample's shelves are its author's labels."""
    chosen = random.Random(0)
    with gzip.open(books, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.startswith('{"isbn') and line.endswith("}\n")]
    names = [shelf["name"] for record in records for shelf in record["popular_shelves"][1:]]
    for record in records if share else ():
        for shelf in record["popular_shelves"]:
            if chosen.random() < share:
                shelf["name"] = chosen.choice(names)
    if share:
        with gzip.open(books, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(record) + "\n" for record in records)


def interval(values: NDArray[np.float64]) -> list[float]:
    return [round(figure, 4) for figure in bootstrap(values)]


def macro_of(name: str) -> str:
    return "text_" + re.sub(r"\W+", "_", name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="a folder with a catalogue to measure instead of the sample")
    parser.add_argument(
        "--wrong", type=float, default=0.0, help="of the sample's shelves, the share that is another book's"
    )
    parser.add_argument("--encoder", default=recipes.ENCODER, help=f"default {recipes.ENCODER}")
    parser.add_argument("--queries", type=Path, action="append", default=[], help="judged queries, id TAB text")
    parser.add_argument("--qrels", type=Path, action="append", default=[], help="their judgements, as TREC has them")
    parser.add_argument("--texts", type=int, default=len(TEXTS), help="how many of the texts with shelves are tried")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default 2)")
    parser.add_argument("--out", type=Path, help="the JSON to write, or to add to")
    options = parser.parse_args()
    for name in list(TEXTS)[options.texts :]:
        del TEXTS[name]
    recipes.BODIES |= {macro_of(name): parts for name, parts in TEXTS.items()}
    recipes.add_macros()
    encode = Encoder(options.threads, options.encoder)
    sets = {
        queries.stem: trec_set(queries, qrels) for queries, qrels in zip(options.queries, options.qrels, strict=True)
    }
    with tempfile.TemporaryDirectory() as folder:
        raw, tables = options.raw or Path(folder) / "raw", Path(folder) / "tables"
        tables.mkdir()
        if not options.raw:
            write_sample(raw)
            misplace_shelves(raw / "goodreads_books.json.gz", options.wrong)
            sets["golden"] = judged_set(GOLDEN)
        judged = {name: [(query.text, dict(query.grades)) for query in found.queries] for name, found in sets.items()}
        measured = measure(ingest_all(raw, tables), encode, judged)
    name = f"{options.raw.name if options.raw else 'bundled sample'}, {options.encoder}"
    name += f", {options.wrong:.0%} of the shelves wrong" if options.wrong else ""
    before = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.exists() else {}
    text = json.dumps(before | {name: measured}, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+([^\[\]{}]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    report(text, options.out)


if __name__ == "__main__":
    main()
