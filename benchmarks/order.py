"""What the order could gain beside `cosine + 0.06 BM25` of the 50 nearest: wider candidates, learned weights, trees,
smoothed documents, feedback; each beside the rule, with 95 % bootstrap intervals of the paired difference.

    python benchmarks/order.py --home DIR --requests DIR --out-of-fold FILE.npz [--encoder NAME] [--out FILE.json]

The home holds a build of the requests' works; the folder `train.queries.tsv`, `validation.queries.tsv`, their long
forms and qrels. Weights are learned on the training requests and judged on the validation ones. The encoder has seen
the training requests, so their cosines come from a file: arrays `q0` to `q4` and `d0` to `d4`, the vectors of all
requests (each short, then long; training, then validation) and of the documents by five encoders, each tuned on four
fifths of the training works (`fold`). BM25 is Lucene's over title and description (k1 1.2, b 0.75).
"""

import argparse
import hashlib
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from reporting import report
from scipy.optimize import minimize

from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.torch_backend import TorchBackend
from viberary_pipeline.encoders import resolve
from viberary_pipeline.ranking_metrics import paired_bootstrap
from viberary_pipeline.search.query import STOP_WORDS

FORMS = {"short": "", "long": "_long"}
NEAREST, WEIGHT = 50, 0.06
Floats = NDArray[np.float32]


def fold(work_id: str) -> int:
    """Which of five folds a work is in."""
    return int.from_bytes(hashlib.sha256(work_id.encode()).digest()[:4], "big") % 5


class Bm25:
    """BM25 of every document for a query."""

    def __init__(self, texts: list[str]) -> None:
        tokens = [_tokens(text) for text in texts]
        self._length = np.array([len(words) for words in tokens]) / np.mean([len(words) for words in tokens])
        self._postings: dict[str, tuple[list[int], list[int]]] = {}
        for row, words in enumerate(tokens):
            for word, count in Counter(words).items():
                rows, counts = self._postings.setdefault(word, ([], []))
                rows.append(row)
                counts.append(count)

    def __call__(self, query: str) -> tuple[Floats, Floats]:
        """The scores over ln(1 + documents), and the share of the query's rarity that each document holds."""
        scores, covered, total = np.zeros(len(self._length)), np.zeros(len(self._length)), 1e-9
        for word in dict.fromkeys(_tokens(query)):
            if word in self._postings:
                rows, counts = map(np.array, self._postings[word])
                rarity = math.log(1 + (len(scores) - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += rarity * counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * self._length[rows]))
                covered[rows] += rarity
                total += rarity
        return (scores / math.log(1 + len(scores))).astype(np.float32), (covered / total).astype(np.float32)


def gains(scores: Floats, wanted: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """nDCG@10 and success@10 of each query, of which one document is wanted."""
    own = scores[np.arange(len(wanted)), wanted]
    places = (scores > own[:, None]).sum(axis=1)
    found = places < 10
    return {"ndcg_at_10": np.where(found, 1 / np.log2(places + 2), 0.0), "success_at_10": found.astype(float)}


def learn(features: Floats, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of the features, that of the first 1, by the softmax over the 100 works that the rule puts first."""
    rule = features[..., 0] + WEIGHT * features[..., 1]
    top = np.argsort(-rule, axis=1)[:, :100]
    top[:, -1] = np.where((top == wanted[:, None]).any(axis=1), top[:, -1], wanted)
    x, y = np.take_along_axis(features, top[..., None], axis=1).astype(np.float64), (top == wanted[:, None])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ weights
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        gradient = np.einsum("qd,qdf->f", p - y, x) / len(x)
        return float(-np.log(p[y]).mean() + 1e-4 * weights @ weights), gradient + 2e-4 * weights

    weights: NDArray[np.float64] = minimize(loss, np.r_[10.0, np.zeros(x.shape[2] - 1)], jac=True).x
    return weights / weights[0]


def trees(features: Floats, wanted: NDArray[np.int64]) -> Any:
    """LambdaMART over the same features of the 50 works that the rule puts first."""
    top = np.argsort(-(features[..., 0] + WEIGHT * features[..., 1]), axis=1)[:, :NEAREST]
    x, y = _within(features, top), (top == wanted[:, None]).astype(int)
    model = lightgbm.LGBMRanker(
        n_estimators=300, num_leaves=7, learning_rate=0.03, min_child_samples=50, n_jobs=1, random_state=0, verbose=-1
    )
    return model.fit(x.reshape(-1, x.shape[2]), y.ravel(), group=[NEAREST] * len(wanted))


def by_trees(model: Any, features: Floats) -> Floats:
    """The model's scores of the 50 works that the rule puts first; the others come after them."""
    top = np.argsort(-(features[..., 0] + WEIGHT * features[..., 1]), axis=1)[:, :NEAREST]
    scores = np.full(features.shape[:2], -1e9, np.float32)
    x = _within(features, top)
    np.put_along_axis(scores, top, model.predict(x.reshape(-1, x.shape[2])).reshape(top.shape), axis=1)
    return scores


def smoothed(documents: Floats, k: int, weight: float) -> Floats:
    """Vectors moved towards the mean of their k nearest."""
    similarity = documents @ documents.T
    np.fill_diagonal(similarity, -1)
    return _unit(documents + weight * _unit(documents[np.argsort(-similarity, axis=1)[:, :k]].mean(axis=1)))


def fed_back(queries: Floats, documents: Floats, k: int, weight: float) -> Floats:
    """Similarities of queries moved towards the mean of their k nearest documents."""
    top = np.argsort(-(queries @ documents.T), axis=1)[:, :k]
    return _unit(queries + weight * _unit(documents[top].mean(axis=1))) @ documents.T


def only_nearest(scores: Floats, cosines: Floats, k: int, others: Floats | None = None, of_others: int = 0) -> Floats:
    """The scores of the k nearest works, and of the first by another score; the rest come after them."""
    kept = _places(cosines) < k
    if others is not None:
        kept |= _places(others) < of_others
    return np.where(kept, scores, -1e9).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--out-of-fold", type=Path, required=True)
    parser.add_argument("--encoder", default="viberary-minilm-v1")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    documents = pq.read_table(max(options.home.glob("artifacts/documents/*/documents.parquet"))).to_pylist()
    row = {document["work_id"]: number for number, document in enumerate(documents)}
    bm25 = Bm25([f"{document['title']} {document['description'] or ''}" for document in documents])
    encoder = resolve(options.encoder)
    encode = TextEncoder(TorchBackend(encoder.spec, encoder.folder, device="cpu", dtype="float32")).encode
    vectors = encode([document["text"] for document in documents]).vectors
    requests = {name: _requests(options.requests, name) for name in ("train", "validation")}
    wanted = {name: np.array([row[work] for _, work in asked["short"]]) for name, asked in requests.items()}
    folds = np.array([fold(work) for _, work in requests["train"]["short"]])
    with np.load(options.out_of_fold) as other:
        cosines: dict[tuple[str, str], Floats] = {}
        for at, form in enumerate(FORMS):
            mine = np.empty((len(folds), len(documents)), np.float32)
            for number in range(5):
                queries = other[f"q{number}"][: 2 * len(folds)][at::2].astype(np.float32)
                mine[folds == number] = queries[folds == number] @ other[f"d{number}"].astype(np.float32).T
            cosines["train", form] = mine
    found: dict[str, Any] = {"encoder": options.encoder, "fingerprint": encoder.fingerprint, "works": len(documents)}
    features: dict[tuple[str, str], Floats] = {}
    queries = {form: encode([text for text, _ in requests["validation"][form]]).vectors for form in FORMS}
    for (name, asked), form in ((item, form) for item in requests.items() for form in FORMS):
        if name == "validation":
            cosines[name, form] = queries[form] @ vectors.T
        words = [bm25(text) for text, _ in asked[form]]
        columns = [cosines[name, form], *(np.stack(column) for column in zip(*words, strict=True))]
        features[name, form] = np.stack(columns, axis=-1)
    learned = learn(np.concatenate([features["train", form] for form in FORMS]), np.tile(wanted["train"], 2))
    model = trees(np.concatenate([features["train", form] for form in FORMS]), np.tile(wanted["train"], 2))
    found["learned"] = dict(zip(("cosine", "bm25", "coverage"), learned.round(4).tolist(), strict=True))
    smooth = smoothed(vectors, 20, 0.5)
    for form in FORMS:
        x, right, q = features["validation", form], wanted["validation"], queries[form]
        cosine, lexical = x[..., 0], x[..., 1]
        rule = cosine + WEIGHT * lexical
        ways = {
            "the rule: BM25 x 0.06 orders the 50 nearest": only_nearest(rule, cosine, NEAREST),
            "vectors alone": cosine,
            "BM25 over all works": rule,
            "50 nearest and the 50 first by BM25": only_nearest(rule, cosine, NEAREST, lexical, 50),
            "linear, learned": x @ learned.astype(np.float32),
            "LambdaMART, learned": by_trees(model, x),
            "documents smoothed (20, 0.5)": q @ smooth.T + WEIGHT * lexical,
            "feedback (10, 0.3)": fed_back(q, vectors, 10, 0.3) + WEIGHT * lexical,
        }
        scored = {way: gains(scores, right) for way, scores in ways.items()}
        base = next(iter(scored.values()))
        found[form] = {
            way: {
                name: {
                    "mean": round(float(values.mean()), 4),
                    "change": [round(float(part), 4) for part in _change(values, base[name])],
                }
                for name, values in figures.items()
            }
            for way, figures in scored.items()
        }
    text = json.dumps(found, indent=1)
    report(text, options.out)


def _requests(folder: Path, name: str) -> dict[str, list[tuple[str, str]]]:
    """{form: texts with the work that each means}."""
    lines = (folder / f"{name}.qrels.txt").read_text(encoding="utf-8").splitlines()
    means = {line.split()[0]: line.split()[2] for line in lines}
    found = {}
    for form, ending in FORMS.items():
        rows = (folder / f"{name}.queries{ending}.tsv").read_text(encoding="utf-8").split("\n")
        pairs = [line.split("\t", 1) for line in rows if line]
        found[form] = [(text, means[number]) for number, text in pairs]
    return found


def _change(values: NDArray[np.float64], base: NDArray[np.float64]) -> tuple[float, ...]:
    return paired_bootstrap(values.tolist(), base.tolist())


def _within(features: Floats, top: NDArray[np.int64]) -> Floats:
    """Features of some works, and how far each is from the best of its query."""
    x = np.take_along_axis(features, top[..., None], axis=1)
    return np.concatenate([x, x[..., :2] - x[..., :2].max(axis=1, keepdims=True)], axis=-1)


def _places(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(np.argsort(-scores, axis=1), axis=1)


def _tokens(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W_]+", text.lower()) if word not in STOP_WORDS]


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
