"""The encoders that the pipeline knows (`registry.toml`): one frozen `ModelSpec` for worker, exporter and search."""

import json
import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Literal

from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import is_s3
from viberary_pipeline.typed_json import parse_json

SourceKind = Literal["package", "hub", "folder", "s3", "adapter"]


@dataclass(frozen=True)
class ModelSpec:
    """One encoder: where its files come from, and everything that shapes its vectors.

    Attributes:
        name: What it is called in settings and reports.
        source: `package:MODULE` (files inside an installed package), `hub:OWNER/NAME` (Hugging Face),
            `folder:/PATH` (a local sentence-transformers folder) or `s3://BUCKET/PREFIX` (such a folder in S3); empty
            where there is an adapter.
        base: With `adapter`: the encoder that it changes, by name, folder or address.
        adapter: A file in `encoders/adapters/`, or an absolute path (`encoders.adapter` has the format).
        revision: The hub's branch, tag or commit; empty for the other sources.
        packages: Distributions that together hold the model as a zip in parts: where all are installed, the hub is not
            asked (`encoders.packages`).
        sha256: Of the weights, where they must be these and no others; empty: whatever the source has.
        dimensions: Length of a vector.
        pooling: How token vectors become one (`mean`, `cls`, ...).
        normalize: Whether the model itself ends in scaling to norm 1. The pipeline scales every vector to
            norm 1 in any case: the index compares by cosine.
        query_prefix: Put before every query.
        document_prefix: Put before every document.
        max_tokens: Where a text is cut, special tokens included.
        space: The encoder whose vectors this one was trained to give for queries; empty: it has a space of its own.
        space_fingerprint: That encoder's fingerprint.
        languages: ISO 639-1 codes; empty: not stated.
        licence: SPDX identifier; empty: not stated.
    """

    name: str
    dimensions: int
    pooling: str
    normalize: bool
    max_tokens: int
    source: str = ""
    base: str = ""
    adapter: str = ""
    revision: str = ""
    packages: tuple[str, ...] = ()
    sha256: str = ""
    query_prefix: str = ""
    document_prefix: str = ""
    space: str = ""
    space_fingerprint: str = ""
    languages: tuple[str, ...] = ()
    licence: str = ""

    @property
    def location(self) -> tuple[SourceKind, str]:
        """The kind of the source, and the module, repository or path. Raises `EncoderError`."""
        if self.base and self.adapter and not self.source:
            return "adapter", self.adapter
        if is_s3(self.source):
            return "s3", self.source
        kind, _, value = self.source.partition(":")
        if kind in ("package", "hub", "folder") and value:
            return kind, value  # type: ignore[return-value]
        raise EncoderError(
            f"The source of the encoder {self.name} cannot be read",
            expected="package:MODULE, hub:OWNER/NAME, folder:/PATH or s3://BUCKET/PREFIX; or a base with an adapter",
            found=f"source {self.source!r}, base {self.base!r}, adapter {self.adapter!r}",
            todo="correct the encoder's entry",
        )

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _registry() -> dict[str, ModelSpec]:
    text = (files("viberary_pipeline.encoders") / "registry.toml").read_text(encoding="utf-8")
    specs = [parse_json(ModelSpec, json.dumps(entry)) for entry in tomllib.loads(text)["encoder"]]
    return {spec.name: spec for spec in specs}


REGISTRY: dict[str, ModelSpec] = _registry()
