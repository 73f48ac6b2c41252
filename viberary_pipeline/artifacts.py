"""Artifacts: the files that stages hand each other, whole or absent, named by what they were made from.

Layout under VIBERARY_HOME::

    artifacts/{stage}/{key}.{attempt}/...files...   one folder per artifact
    artifacts/{stage}/{key}.{attempt}/manifest.json written last, inside the temporary folder
    artifacts/{stage}/current.json                  which artifact the next stage reads

`key` is a digest of the stage's name, its inputs' keys and the settings that shaped it: same inputs and same
settings find the artifact again, anything else makes a new one. A folder is filled under a temporary name and
renamed when whole, so a killed process leaves at most a `.tmp-` folder, which the next run removes.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.storage import write_atomically

MANIFEST = "manifest.json"
CURRENT = "current.json"


def digest(value: Any) -> str:
    """16 hex digits over the canonical JSON of `value`: the name of whatever it determines."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Artifact:
    """One finished artifact. `facts` is what its stage said of it: counts, digests, figures (JSON values)."""

    stage: str
    key: str
    path: Path
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    created: str
    seconds: float

    def file(self, name: str) -> Path:
        """The path of one of its files. Raises `ArtifactError` if it has none of that name."""
        path = self.path / name
        if not path.exists():
            raise ArtifactError(
                f"The artifact {self.stage} has lost a file",
                expected=f"{path}",
                found="no such file",
                todo=f"remove {self.path} and run `viberary build` again; it is made anew",
            )
        return path


@dataclass(frozen=True)
class Produced:
    """What `ArtifactStore.produce` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    reused: bool


class ArtifactStore:
    """The artifacts of one VIBERARY_HOME."""

    def __init__(self, home: Path) -> None:
        self.root = home / "artifacts"

    def current(self, stage: str) -> Artifact:
        """The artifact that `stage` last produced. Raises `ArtifactError` if it never ran here."""
        pointer = self.root / stage / CURRENT
        try:
            return self._load(stage, json.loads(pointer.read_text())["folder"])
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(
                f"The stage {stage} has not run in this VIBERARY_HOME",
                expected=f"an artifact named by {pointer}",
                found=f"{type(error).__name__}",
                todo=f"materialize {stage} first, or run `viberary build`",
            ) from error

    def find(self, stage: str, key: str) -> Artifact | None:
        """The newest whole artifact of `stage` with that key, or None."""
        found = []
        for folder in (self.root / stage).glob(f"{key}.*"):
            try:
                found.append(self._load(stage, folder.name))
            except (OSError, ValueError, KeyError):
                continue  # no manifest: not an artifact
        return max(found, key=lambda artifact: artifact.created, default=None)

    def unneeded(self, keep: Mapping[str, Collection[str]]) -> list[Path]:
        """The folders that nothing needs: neither current, nor an input of a needed one, nor of a key in `keep`.

        Args:
            keep: Stage to keys that are needed whatever `current.json` says.
        """
        known = [(artifact.stage, artifact) for artifact in self._all()]
        needed: set[Path] = set()
        wanted = [artifact for stage, artifact in known if artifact.key in keep.get(stage, ())]
        for stage in {stage for stage, _ in known}:
            with contextlib.suppress(ArtifactError):
                wanted.append(self.current(stage))
        while wanted:
            artifact = wanted.pop()
            if artifact.path in needed:
                continue
            needed.add(artifact.path)
            found = (self.find(stage, key) for stage, key in artifact.inputs.items())
            wanted += [upstream for upstream in found if upstream is not None]
        return sorted(artifact.path for _, artifact in known if artifact.path not in needed)

    def half_made(self) -> tuple[list[Path], list[Path]]:
        """The `.tmp-` folders of processes that died, and those of processes that live."""
        dead: list[Path] = []
        living: list[Path] = []
        for folder in sorted(self.root.glob("*/.tmp-*")):
            (living if _owner_lives(folder) else dead).append(folder)
        return dead, living

    def _all(self) -> Iterator[Artifact]:
        for manifest in self.root.glob(f"*/*/{MANIFEST}"):
            if not manifest.parent.name.startswith("."):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    yield self._load(manifest.parent.parent.name, manifest.parent.name)

    def produce(
        self,
        stage: str,
        *,
        inputs: Mapping[str, str],
        settings: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any]],
        force: bool = False,
    ) -> Produced:
        """Find the artifact that these inputs and settings determine, or make it, and point `current` at it.

        Args:
            stage: The asset's name.
            inputs: Upstream stage to the key of its artifact.
            settings: Everything else that shapes the result (parameters, digests of SQL).
            build: Fills the empty folder it is given and returns the facts for the manifest.
            force: Make it anew even if it exists.
        """
        key = digest({"stage": stage, "inputs": dict(inputs), "settings": dict(settings)})
        folder = self.root / stage
        self._sweep(folder)
        if not force and (known := self.find(stage, key)) is not None and self._whole(known):
            self._point(known)
            return Produced(known, reused=True)

        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir()
        started = time.monotonic()
        try:
            facts = dict(build(temporary))
            manifest = {
                "stage": stage,
                "key": key,
                "inputs": dict(inputs),
                "settings": dict(settings),
                "facts": facts,
                "files": {
                    str(path.relative_to(temporary)): path.stat().st_size
                    for path in sorted(temporary.rglob("*"))
                    if path.is_file()
                },
                "created": datetime.now(UTC).isoformat(),
                "seconds": round(time.monotonic() - started, 3),
            }
            write_atomically(temporary / MANIFEST, json.dumps(manifest, indent=1, default=str))
            final = folder / f"{key}.{uuid.uuid4().hex[:8]}"
            temporary.rename(final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        artifact = self._load(stage, final.name)
        self._point(artifact)
        return Produced(artifact, reused=False)

    def _load(self, stage: str, folder: str) -> Artifact:
        path = self.root / stage / folder
        manifest = json.loads((path / MANIFEST).read_text())
        return Artifact(
            stage=stage,
            key=manifest["key"],
            path=path,
            inputs=manifest["inputs"],
            settings=manifest["settings"],
            facts=manifest["facts"],
            created=manifest["created"],
            seconds=manifest["seconds"],
        )

    def _whole(self, artifact: Artifact) -> bool:
        """Whether every file is there at the size the manifest states (a rewrite of equal size goes unseen)."""
        files = json.loads((artifact.path / MANIFEST).read_text())["files"]
        paths = {artifact.path / name: size for name, size in files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def _point(self, artifact: Artifact) -> None:
        write_atomically(self.root / artifact.stage / CURRENT, json.dumps({"folder": artifact.path.name}))

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Remove what killed processes left half-made; folders of living ones stay."""
        for leftover in folder.glob(".tmp-*"):
            if not _owner_lives(leftover):
                shutil.rmtree(leftover, ignore_errors=True)


def _owner_lives(folder: Path) -> bool:
    """Whether the process that fills this `.tmp-{pid}-...` folder is still there."""
    owner = folder.name.split("-")[1]
    return owner.isdigit() and psutil.pid_exists(int(owner))
