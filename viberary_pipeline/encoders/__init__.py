"""Encoders: what turns a text into a vector, named, found on disk and fingerprinted without loading torch."""

from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.names import resolve_spec
from viberary_pipeline.encoders.spec import REGISTRY, ModelSpec

__all__ = [
    "REGISTRY",
    "ModelSpec",
    "ResolvedEncoder",
    "resolve",
    "resolve_spec",
]
