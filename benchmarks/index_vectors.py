"""Made-up vectors with the neighbourhoods of real text embeddings, for the benchmarks of the index.

Uniform noise would be the wrong test: in hundreds of dimensions all its points are equally far apart, and a graph
finds nothing in it that a list would not. Here each vector is the sum of what all share, of a topic, drawn by Zipf's
law, and of what is its own; the last two have a spectrum that falls as a power, as that of sentence embeddings does.
The constants were chosen so that neighbours are about as similar, and the local intrinsic dimension about as high, as
those of all-MiniLM-L6-v2 over the bundled sample; `describe` gives these figures, and the results record them.
"""

import numpy as np
import numpy.typing as npt

TOPICS = 2_000
SPREAD = 1.15
DECAY = 0.4
COMMON = 0.6
Vectors = npt.NDArray[np.float32]


def realistic_vectors(rows: int, dimensions: int, seed: int = 0, *, topics: int = TOPICS) -> Vectors:
    """float32 (rows, dimensions), each row of norm 1; the first rows of a longer draw are not those of a shorter."""
    random = np.random.default_rng([seed, dimensions])
    spectrum = (np.arange(1, dimensions + 1) ** -DECAY).astype(np.float32)
    spectrum /= np.linalg.norm(spectrum)
    centres = random.standard_normal((topics, dimensions), dtype=np.float32) * spectrum
    weights = 1 / np.arange(1, topics + 1)
    chosen = random.choice(topics, size=rows, p=weights / weights.sum())
    vectors = random.standard_normal((rows, dimensions), dtype=np.float32)
    vectors *= SPREAD * spectrum
    vectors += centres[chosen]
    vectors[:, 0] += COMMON
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def describe(vectors: Vectors, probes: int = 200, k: int = 20) -> dict[str, float]:
    """How similar neighbours are, and the local intrinsic dimension (Levina and Bickel's estimator, 2004)."""
    rows = np.random.default_rng(0).choice(len(vectors), size=min(probes, len(vectors)), replace=False)
    similarity = vectors[rows] @ vectors.T
    similarity[np.arange(len(rows)), rows] = -1
    nearest = -np.sort(-similarity, axis=1)[:, :k]
    distance = np.sqrt(np.maximum(2 - 2 * nearest, 1e-9))
    dimension = 1 / np.log(distance[:, -1:] / distance[:, :-1]).mean(axis=1)
    return {
        "cosine_to_the_nearest": round(float(nearest[:, 0].mean()), 3),
        "cosine_to_the_10th": round(float(nearest[:, 9].mean()), 3),
        "cosine_of_random_pairs": round(float(similarity.mean()), 3),
        "intrinsic_dimension": round(float(np.median(dimension)), 1),
    }
