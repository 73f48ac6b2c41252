"""The encoders that the pipeline knows (`registry.toml`): one frozen `ModelSpec` for worker, exporter and search."""

import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.encoders.s3_model import s3_folder
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import is_s3

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
        dimensions: Length of a vector.
        pooling: How token vectors become one (`mean`, `cls`, ...).
        normalize: Whether the model itself ends in scaling to norm 1. The pipeline scales every vector to
            norm 1 in any case: the index compares by cosine.
        query_prefix: Put before every query.
        document_prefix: Put before every document.
        max_tokens: Where a text is cut, special tokens included.
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
    query_prefix: str = ""
    document_prefix: str = ""
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
        return asdict(self) | {"languages": list(self.languages)}


def _registry() -> dict[str, ModelSpec]:
    text = (files("viberary_pipeline.encoders") / "registry.toml").read_text(encoding="utf-8")
    specs = [
        ModelSpec(**entry | {"languages": tuple(entry.get("languages", ()))})
        for entry in tomllib.loads(text)["encoder"]
    ]
    return {spec.name: spec for spec in specs}


REGISTRY: dict[str, ModelSpec] = _registry()


def resolve_spec(name: str) -> ModelSpec:
    """The registered encoder of that name, or the one in the folder of that path or S3 address.

    Raises:
        EncoderError: neither, or the folder holds no model that can be used.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if is_s3(name):
        return spec_of_folder(s3_folder(name), source=name)
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise EncoderError(
            "The encoder is unknown",
            expected=f"one of {', '.join(sorted(REGISTRY))}, or the path or s3:// address of a sentence-transformers "
            "folder",
            found=repr(name),
            todo="set VIBERARY_ENCODER or --encoder to one of these",
        )
    folder = folder.absolute()
    return spec_of_folder(folder, source=f"folder:{folder}")


def spec_of_folder(folder: Path, *, source: str) -> ModelSpec:
    """The spec that the files in `folder` state, of a model called as the last part of `source`.

    Raises:
        EncoderError: the folder holds no model that can be used.
    """
    layout = read_layout(folder)
    shared = ("dimensions", "pooling", "normalize", "max_tokens", "query_prefix", "document_prefix")
    values = {field: getattr(layout, field) for field in shared}
    return ModelSpec(name=source.rstrip("/").rpartition("/")[2], source=source, **values)
