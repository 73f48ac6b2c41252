"""Spaces: queries may be encoded by another model than the documents, if it gives vectors in the documents' space.

The space is named by the fingerprint of the encoder that embedded the documents. A small query encoder states whose
vectors it was trained to give (`space` and `space_fingerprint` of its spec), and is not believed: before it is
exported, its vectors of the parity queries are compared with those of the documents' encoder.
"""

from pathlib import Path
from typing import Any

import numpy as np

from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.parity_queries import PARITY_QUERIES
from viberary_pipeline.encoders.precision import cosines
from viberary_pipeline.errors import EncoderError, GateRefused

# Vectors that all-mpnet-base-v2 gives to two different ones of these queries have a cosine of 0.22 on average, and of
# 0.50 in one case of twenty; those of another space have one near 0.
LEAST_SPACE_COSINE = 0.75


def query_encoder_for(documents: ResolvedEncoder, name: str, home: Path | None = None) -> ResolvedEncoder:
    """The encoder `name`, for queries over what `documents` embedded.

    Raises:
        EncoderError: it cannot be had, or states another space.
    """
    encoder = resolve(name, home)
    if (encoder.space, encoder.spec.dimensions) != (documents.fingerprint, documents.spec.dimensions):
        of = f", that of {encoder.spec.space}" if encoder.spec.space else ""
        raise EncoderError(
            f"The query encoder {name} does not share the space of the documents' encoder {documents.spec.name}",
            expected=f"the space {documents.fingerprint} with {documents.spec.dimensions} dimensions",
            found=f"the space {encoder.space}{of}, with {encoder.spec.dimensions} dimensions",
            todo="unset VIBERARY_QUERY_ENCODER, or set VIBERARY_ENCODER to "
            f"{encoder.spec.space or name}, with a recipe that does not cut texts earlier (VIBERARY_RECIPE)",
        )
    return encoder


def measured_space(encoder: ResolvedEncoder, documents: ResolvedEncoder) -> dict[str, Any]:
    """What `encoder.json` says of a query encoder in another encoder's space, once its vectors prove it.

    Returns:
        The documents' `encoder` and its `fingerprint`; `queries`, `mean_cosine`, `min_cosine`; `least`, the bound.

    Raises:
        GateRefused: over the parity queries, the mean cosine of the two vectors of a query is below
            `LEAST_SPACE_COSINE`.
    """
    own, theirs = _vectors(encoder), _vectors(documents)
    found = cosines(own, theirs)
    if not found.mean() >= LEAST_SPACE_COSINE:
        raise GateRefused(
            f"The query encoder {encoder.spec.name} does not give vectors in the space of {documents.spec.name}",
            expected=f"a mean cosine of at least {LEAST_SPACE_COSINE} to its vectors of {len(found)} queries",
            found=f"{found.mean():.4f}",
            todo="unset VIBERARY_QUERY_ENCODER, or train the query encoder again; the live index is untouched",
        )
    return {
        "encoder": documents.spec.name,
        "fingerprint": documents.fingerprint,
        "queries": len(found),
        "mean_cosine": round(float(found.mean()), 6),
        "min_cosine": round(float(found.min()), 6),
        "least": LEAST_SPACE_COSINE,
    }


def _vectors(encoder: ResolvedEncoder) -> np.ndarray[Any, np.dtype[np.float32]]:
    from viberary_pipeline.encoders.torch_model import load_sentence_transformer

    model = load_sentence_transformer(encoder.spec, encoder.folder)
    prefix = encoder.spec.query_prefix
    return np.asarray(model.encode(list(PARITY_QUERIES), prompt=prefix, batch_size=16, show_progress_bar=False))
