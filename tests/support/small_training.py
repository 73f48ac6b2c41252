"""A training of a tiny encoder, as `viberary tune` writes one: a second on one core."""

import random
from pathlib import Path

from tiny_model import WORDS

from viberary_pipeline.encoders import ResolvedEncoder
from viberary_pipeline.tuning.recipe import FitSettings, Recipe
from viberary_pipeline.tuning.training import Examples, TrainingJob, write_training

DOCUMENTS = [" ".join(random.Random(row).sample(WORDS, 1 + row % 6)) for row in range(12)]
QUERIES = [" ".join(random.Random(row + 100).sample(WORDS, 3)) for row in range(24)]


def write_small_training(
    folder: Path, base: ResolvedEncoder, *, identity: str = "one", seed: int = 0, epochs: int = 3
) -> Path:
    """Write it in a folder: three steps an epoch."""
    folder.mkdir(exist_ok=True)
    recipe = Recipe(rank=2, fit=FitSettings(learning_rate=1e-2, epochs=epochs, batch=8, part=4, seed=seed))
    rows = [row % len(DOCUMENTS) for row in range(len(QUERIES))]
    write_training(
        folder,
        TrainingJob(identity, base.spec, str(base.folder), base.fingerprint, recipe),
        Examples(QUERIES, rows, [True] * len(rows)),
        DOCUMENTS,
    )
    return folder
