"""Calibrates how well books fit a query: each build asks queries whose answer is known (`fit.toml`)."""

import tomllib
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import redis

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.search.fit import NEAREST, Fit, fit_of, known_share
from viberary_pipeline.search.knn import nearest

# Of the cosines of books that are shown for vibes: a quarter is strong, and three in ten are loose.
_GOOD, _STRONG = 0.3, 0.75
# Between what nearly all vibes exceed and nearly none of the others: few readers are told wrongly that nothing fits.
_VIBES, _OTHERS = 0.05, 0.9


def calibrate(client: redis.Redis, record: BuildRecord, encoder: QueryEncoder, is_held: Callable[[str], bool]) -> Fit:
    """What is good in a build.

    Args:
        client: The server.
        record: The build, whose index is whole.
        encoder: What readers' queries go through.
        is_held: Whether the build's texts hold a word.
    """
    asked = tomllib.loads(files("viberary_pipeline.index").joinpath("fit.toml").read_text(encoding="utf-8"))

    def cosines(blob: bytes) -> list[float]:
        found = nearest(client, record.build, blob, NEAREST, fields=(), ef_runtime=record.ef_runtime)
        return [hit["score"] for hit in found]

    fits, shown = {}, {}
    for kind, queries in asked.items():
        blobs = record.hnsw.to_bytes(encoder.encode(queries))
        shown[kind] = [cosines(blob) for blob in blobs]
        shares = [known_share(query, is_held, encoder.has_word) for query in queries]
        fits[kind] = [fit_of(found, share) for found, share in zip(shown[kind], shares, strict=True)]
    poor = (np.quantile(fits["vibes"], _VIBES) + np.quantile(fits["off_topic"], _OTHERS)) / 2
    good, strong = np.quantile([cosine for found in shown["vibes"] for cosine in found] or [0.0], [_GOOD, _STRONG])
    return Fit(float(poor), float(good), float(strong))
