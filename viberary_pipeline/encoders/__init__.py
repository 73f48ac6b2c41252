"""Encoders: what turns a text into a vector, named, found on disk and fingerprinted without loading torch."""

from viberary_pipeline.encoders.files import ResolvedEncoder, fingerprint, model_folder, resolve
from viberary_pipeline.encoders.spec import REGISTRY, ModelSpec, resolve_spec

__all__ = [
    "REGISTRY",
    "ModelSpec",
    "ResolvedEncoder",
    "fingerprint",
    "model_folder",
    "resolve",
    "resolve_spec",
]
