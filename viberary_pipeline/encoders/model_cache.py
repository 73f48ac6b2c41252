"""Models that are put together on this machine: from a base and an adapter, from packages, from S3.

They lie beside the Hugging Face hub's cache, or, where that cannot be written, in `VIBERARY_HOME/models`::

    {HF_HOME}/viberary/{key}/{name}/...     the model, a sentence-transformers folder
    {HF_HOME}/viberary/{key}/files.json     the SHA-256 and signature of each of its files

`key` is a digest of all that the model is made of, so a model never changes. It is made once, under a lock, in a
temporary folder that is renamed when whole. Whoever asks gets it verified: a file is hashed again where its
signature (`storage.file_signature`) has changed, and a damaged model is made anew.
"""

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import file_signature, replacing_folder
from viberary_pipeline.typed_json import parse_json

log = logging.getLogger(__name__)

_FILES = "files.json"
_UNUSED_SECONDS = 30 * 24 * 3600
_SPARE_BYTES = 64 << 20  # room to leave on the disk


def cached_model(key: str, name: str, fill: Callable[[Path], None], *, size: int, home: Path | None = None) -> Path:
    """The folder of the model `key`, found or made. Two processes that ask at once make it once.

    Args:
        key: A digest of all that the model is made of.
        name: Its name, that of the folder.
        fill: Writes the model into the empty folder that it is given.
        size: Its bytes, which the disk must have room for.
        home: VIBERARY_HOME, which takes it where the cache cannot be written.

    Raises:
        EncoderError: neither can be written, or has room.
        Whatever `fill` raises; nothing is left then.
    """
    if (found := found_model(key, name, home)) is not None:
        return found
    problems = []
    for root in _roots(home):
        try:
            _make(root, key, name, fill, size)
        except OSError as error:
            problems.append(f"{type(error).__name__}: {error}")
        else:
            return root / key / name
    raise EncoderError(
        f"The encoder {name} cannot be put together on this machine",
        expected=f"a folder that this user may write, with free space, at {' or '.join(map(str, _roots(home)))}",
        found="; ".join(problems),
        todo="free some space, correct the permissions, or set HF_HOME to a folder that can be written",
    )


def found_model(key: str, name: str, home: Path | None = None) -> Path | None:
    """The folder of the model `key`, where there is one and it is whole."""
    folders = (root / key / name for root in _roots(home))
    return next((folder for folder in folders if _problem(folder) is None), None)


def _roots(home: Path | None) -> list[Path]:
    from huggingface_hub.constants import HF_HOME

    return [Path(HF_HOME) / "viberary", *([home.absolute() / "models"] if home is not None else [])]


def _make(root: Path, key: str, name: str, fill: Callable[[Path], None], size: int) -> None:
    folder = root / key / name
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        problem = _problem(folder)
        if problem is None:  # another process was faster
            return
        if folder.exists():
            log.warning("the model in %s is damaged (%s): it is made again", folder, problem)
        _sweep(root)
        free = shutil.disk_usage(root).free
        if free < size + _SPARE_BYTES:
            raise OSError(
                errno.ENOSPC, f"{(size + _SPARE_BYTES) / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free", str(root)
            )
        with replacing_folder(folder.parent) as scratch:
            (scratch / name).mkdir()
            fill(scratch / name)
            (scratch / _FILES).write_text(json.dumps(_describe(scratch / name)), encoding="utf-8")


def _describe(folder: Path) -> dict[str, tuple[str, list[int]]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (file_sha256(path), file_signature(path)) for path in files}


def _problem(folder: Path) -> str | None:
    """Why a model is not as it was written, or None; one that is whole notes that it was asked for."""
    manifest = folder.parent / _FILES
    try:
        written = parse_json(dict[str, tuple[str, list[int]]], manifest.read_bytes())
        for name, (sha256, signature) in written.items():
            if file_signature(folder / name) != signature and file_sha256(folder / name) != sha256:
                return f"another SHA-256 of {name}"
    except (OSError, ValueError) as error:
        return str(error)
    with suppress(OSError):  # a cache that others write
        os.utime(manifest)
    return None


def _sweep(root: Path) -> None:
    """Remove what killed processes left, and models that nobody asked for in a month. The lock is held."""
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        with suppress(OSError):
            killed = folder.name.startswith(".")
            if killed or time.time() - (folder / _FILES).stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
