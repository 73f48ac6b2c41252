"""word2vec trained on the catalogue itself, the first system of the original's author: what a transformer must beat."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from viberary_pipeline.evaluation.systems import WORD2VEC, System, nearest_system

MOST_WORKS = 20_000
"""Beyond, one thread would train for many minutes."""

_DIMENSIONS = 100
_EPOCHS = 20
_LEAST_COUNT = 2
_WORD = re.compile(r"[^\W_]+")


def word2vec_system(works: Sequence[str], texts: Sequence[str], *, seed: int = 0) -> System:
    """Skip-gram vectors of the texts' words; a text is the mean of its words' vectors, each weighed by its idf.

    One thread trains, so that the same texts and seed give the same answers.

    Args:
        works: work_ids.
        texts: The text of each, in the same order.
        seed: Of the training.

    Raises:
        ModuleNotFoundError: gensim is not installed (extra `evaluation`).
    """
    from gensim.models import Word2Vec

    tokens = [_words(text) for text in texts]
    counts = Counter(word for words in tokens for word in words)
    if max(counts.values(), default=0) < _LEAST_COUNT:
        return System(WORD2VEC, lambda _: None)  # no word occurs twice: there is nothing to learn from
    model = Word2Vec(
        tokens, vector_size=_DIMENSIONS, sg=1, min_count=_LEAST_COUNT, epochs=_EPOCHS, seed=seed, workers=1
    )
    held_by = Counter(word for words in tokens for word in set(words))
    idf = {word: np.log(len(texts) / count) + 1 for word, count in held_by.items()}

    def vector(words: Sequence[str]) -> npt.NDArray[np.float32]:
        known = [word for word in words if word in model.wv]
        summed = np.zeros(_DIMENSIONS, np.float32)
        for word in known:
            summed += idf[word] * model.wv[word]
        return summed / max(float(np.linalg.norm(summed)), 1e-9)

    return nearest_system(
        WORD2VEC, works, np.stack([vector(words) for words in tokens]), lambda text: vector(_words(text))
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
