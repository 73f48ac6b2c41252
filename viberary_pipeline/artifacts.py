"""Artifacts: the files that stages hand each other, whole or absent, named by what they were made from.

Layout under VIBERARY_HOME::

    artifacts/{stage}/{key}.{attempt}/...files...   one folder per artifact
    artifacts/{stage}/{key}.{attempt}/manifest.json written last, inside the temporary folder
    artifacts/{stage}/current.json                  which artifact the next stage reads
    current/{file}                                  links to the files of current artifacts, for people and notebooks

`key` is a digest of the stage's name, its inputs' keys and the settings that shaped it: same inputs and same
settings find the artifact again, anything else makes a new one. A folder is filled under a temporary name and
renamed when whole, so a killed process leaves at most a `.tmp-` folder, which the next run removes.

Whoever finds an artifact finds a verified one. The manifest holds its own digest and the SHA-256 of every file. A
file is hashed when it is first met, and again when its size, inode or one of its times has changed; programs cannot
set back the time of the last change (ctime), so a rewrite is seen whatever its other times say. What is not seen is a
disk that returns other bytes than were written: `viberary build --force` makes everything anew. A damaged artifact is
set aside as `.damaged-{folder}`, and a plain build makes it again.

Of a home in S3 (`origin`) the folder is a copy: what is made is sent before the pointer to it is, and what is asked for
and not here, or damaged here, is fetched.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from viberary_pipeline.errors import ArtifactError, StorageError, out_of_room
from viberary_pipeline.machine import process_lives
from viberary_pipeline.origin import CURRENT, MANIFEST, origin_of
from viberary_pipeline.storage import file_signature, write_atomically

log = logging.getLogger(__name__)

_VERIFIED = ".verified.json"
_DAMAGED = ".damaged-"
_HALF_MADE = ".tmp-"


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
    files: Mapping[str, str]
    created: str
    seconds: float

    @property
    def is_here(self) -> bool:
        """Whether all its files are: of a home in S3, the manifest comes first."""
        return all((self.path / name).is_file() for name in self.files)

    @property
    def page(self) -> Path:
        """The page that its stage wrote; `facts["page"]` says where, from VIBERARY_HOME on: homes are moved."""
        return self.path.parents[2] / str(self.facts["page"])

    def file(self, name: str) -> Path:
        """The path of one of its files or folders. Raises `ArtifactError` if it has none of that name."""
        path = self.path / name
        if not path.exists():
            raise ArtifactError(
                f"The artifact {self.stage} has no such file",
                expected=f"{path}",
                found=", ".join(sorted({file.split("/")[0] for file in self.files})) or "no files",
                todo="run `viberary build` with this version: it makes the artifact again",
            )
        return path


@dataclass(frozen=True)
class Produced:
    """What `ArtifactStore.produce` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    reused: bool


class _Damaged(Exception):
    """Why an artifact, or the pointer to it, cannot be used."""


class ArtifactStore:
    """The artifacts of one VIBERARY_HOME."""

    def __init__(self, home: Path) -> None:
        self.root = home / "artifacts"
        self.links = home / "current"
        self._origin = origin_of(home)

    def current(self, stage: str, *, fetch: bool = True) -> Artifact:
        """The artifact that `stage` last produced, verified.

        Args:
            stage: The stage.
            fetch: Fetch its files where they are only in S3.

        Raises:
            ArtifactError: the stage never ran here, or what it left is damaged (and set aside now).
            StorageError: it is to be fetched, and S3 cannot be used.
        """
        pointer = self.root / stage / CURRENT
        try:
            folder = _read_object(pointer)["folder"]
        except FileNotFoundError:
            self._refuse(stage, f"The stage {stage} has not run in this VIBERARY_HOME", f"no {pointer}")
        except (_Damaged, KeyError, OSError) as error:
            self._refuse(stage, f"What the stage {stage} last made is not known", f"a damaged {pointer}: {error}")
        artifact = self._verified(stage, str(folder), fetch=fetch)
        if artifact is None and self._origin is not None and fetch:
            self._origin.fetch_manifests(stage, str(folder).partition(".")[0])
            artifact = self._verified(stage, str(folder))
        if artifact is None:
            self._refuse(
                stage, f"The artifact {stage} is damaged or gone", f"{self.root / stage / str(folder)}: see the log"
            )
        return artifact

    def find(self, stage: str, key: str, *, fetch: bool = True) -> Artifact | None:
        """The newest whole artifact of `stage` with that key, verified, or None. Damaged ones are set aside.

        Args:
            stage: The stage.
            key: The key.
            fetch: Fetch it from S3 where it is not here.

        Raises:
            StorageError: it is to be fetched, and S3 cannot be used.
            ViberaryError: there is no room for it.
        """
        found = self._newest(stage, key, fetch=False)
        if self._origin is None or not fetch or (found is not None and found.is_here):
            return found
        self._origin.fetch_manifests(stage, key)
        return self._newest(stage, key, fetch=True)

    def _newest(self, stage: str, key: str, *, fetch: bool) -> Artifact | None:
        folders = [folder.name for folder in (self.root / stage).glob(f"{key}.*")]
        found = [one for folder in folders if (one := self._verified(stage, folder, fetch=fetch)) is not None]
        return max(found, key=lambda artifact: (artifact.is_here, artifact.created), default=None)

    def unneeded(self, keep: Mapping[str, Collection[str]]) -> list[Path]:
        """The folders that nothing needs: neither current, nor an input of a needed one, nor of a key in `keep`.

        Args:
            keep: Stage to keys that are needed whatever `current.json` says.
        """
        needs = self.needs({stage: dict.fromkeys(keys, "kept") for stage, keys in keep.items()})
        damaged = sorted(self.root.glob(f"*/{_DAMAGED}*"))
        remains = self._origin.remains() if self._origin is not None else []
        return sorted({*(artifact.path for artifact, by in needs if not by), *remains}) + damaged

    def needs(self, keep: Mapping[str, Mapping[str, str]]) -> list[tuple[Artifact, list[str]]]:
        """Every artifact with what needs it: "current" where the next stage reads it, the stages whose needed artifacts
        were made from it, and what `keep` says; nothing at all for garbage.

        Args:
            keep: {stage: {key: what needs it}}.
        """
        known = {artifact.path: artifact for artifact in self._all()}
        needed: dict[Path, set[str]] = {}
        waiting = [(one, keep[one.stage][one.key]) for one in known.values() if one.key in keep.get(one.stage, ())]
        for stage in {artifact.stage for artifact in known.values()}:
            with contextlib.suppress(ArtifactError):
                waiting.append((self.current(stage, fetch=False), "current"))
        while waiting:
            artifact, by = waiting.pop()
            if artifact.path not in needed:
                found = (self.find(stage, key, fetch=False) for stage, key in artifact.inputs.items())
                waiting += [(upstream, artifact.stage) for upstream in found if upstream is not None]
            needed.setdefault(artifact.path, set()).add(by)
        return [(artifact, sorted(needed.get(path, ()))) for path, artifact in known.items()]

    def fetch_all(self, stage: str, *, but: Collection[Path] = ()) -> None:
        """Fetch the artifacts of a stage, all `but` these, where the home is in S3."""
        for artifact in list(self._all()) if self._origin is not None else ():
            if artifact.stage == stage and artifact.path not in but:
                self._verified(stage, artifact.path.name)

    def half_made(self) -> list[Path]:
        """What killed processes left, for whoever holds the home: nobody fills these folders any more."""
        return sorted(self.root.glob(f"*/{_HALF_MADE}*"))

    def made(self, stage: str, *, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> Artifact | None:
        """The artifact that these inputs and settings determine; None where `produce` would have to make it."""
        return self.find(stage, _key(stage, inputs, settings))

    def produce(
        self,
        stage: str,
        *,
        inputs: Mapping[str, str],
        settings: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any]],
        force: bool = False,
        links: Collection[str] = (),
    ) -> Produced:
        """Find the artifact that these inputs and settings determine, or make it, and point `current` at it.

        Args:
            stage: The stage's name.
            inputs: Upstream stage to the key of its artifact.
            settings: Everything else that shapes the result (parameters, digests of code).
            build: Fills the empty folder it is given and returns the facts for the manifest.
            force: Make it anew even if it exists.
            links: Of its files, those that `current/` under VIBERARY_HOME links to.
        """
        key = _key(stage, inputs, settings)
        self._sweep(self.root / stage)
        if not force and (known := self.find(stage, key)) is not None:
            self._point(known, links)
            return Produced(known, reused=True)
        artifact = self._make(stage, key, inputs, settings, build)
        self._point(artifact, links)
        return Produced(artifact, reused=False)

    def note(self, stage: str, key: str, *, inputs: Mapping[str, str], facts: Mapping[str, Any]) -> Artifact:
        """Write down what a run of `stage` found or did, in place of what the run before wrote; `current` points at it.

        Args:
            stage: The stage's name.
            key: Names what the stages downstream depend on.
            inputs: Upstream stage to the key of its artifact.
            facts: JSON values.
        """
        self._sweep(self.root / stage)
        artifact = self._make(stage, key, inputs, {}, lambda _: facts)
        self._point(artifact, ())
        earlier = [folder for folder in (self.root / stage).glob("[!.]*.*") if folder.is_dir()]
        self.remove(folder for folder in earlier if folder != artifact.path)
        return artifact

    def remove(self, folders: Iterable[Path]) -> None:
        """Remove artifacts, here and where they lie in S3."""
        gone = list(folders)
        if self._origin is not None:
            self._origin.forget_artifacts(gone)
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)

    def _make(
        self,
        stage: str,
        key: str,
        inputs: Mapping[str, str],
        settings: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any]],
    ) -> Artifact:
        folder = self.root / stage
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{_HALF_MADE}{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir()
        started = time.monotonic()
        try:
            facts = dict(build(temporary))
            made = sorted(path for path in temporary.rglob("*") if path.is_file())
            manifest = {
                "stage": stage,
                "key": key,
                "inputs": dict(inputs),
                "settings": dict(settings),
                "facts": facts,
                "files": {str(path.relative_to(temporary)): file_sha256(path) for path in made},
                "created": datetime.now(UTC).isoformat(),
                "seconds": round(time.monotonic() - started, 3),
            }
            # As it will be read: tuples become lists, paths become texts.
            manifest = json.loads(json.dumps(manifest, default=str))
            write_atomically(temporary / MANIFEST, json.dumps({**manifest, "digest": digest(manifest)}, indent=1))
            signatures = {str(path.relative_to(temporary)): file_signature(path) for path in made}
            (temporary / _VERIFIED).write_text(json.dumps(signatures))
            final = folder / f"{key}.{uuid.uuid4().hex[:8]}"
            temporary.rename(final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return self._load(stage, final.name)

    def _all(self) -> Iterator[Artifact]:
        """Every artifact with a manifest that can be read; its files are not looked at."""
        for manifest in self.root.glob(f"*/*/{MANIFEST}"):
            if not manifest.parent.name.startswith("."):
                with contextlib.suppress(_Damaged, OSError):
                    yield self._load(manifest.parent.parent.name, manifest.parent.name)

    def _load(self, stage: str, folder: str) -> Artifact:
        """An artifact by its manifest. Raises `_Damaged`, or OSError if there is none."""
        path = self.root / stage / folder
        manifest = _read_object(path / MANIFEST)
        if manifest.pop("digest", None) != digest(manifest):
            raise _Damaged(f"{MANIFEST} does not have the digest that it states")
        try:
            return Artifact(path=path, **manifest)
        except TypeError as error:
            raise _Damaged(f"{MANIFEST} is of another version ({error})") from error

    def _verified(self, stage: str, folder: str, *, fetch: bool = True) -> Artifact | None:
        """The artifact in that folder if it is what its stage made; else None, and a damaged one is set aside.

        Without `fetch`, one of which only the manifest is here is taken as it is.
        """
        path = self.root / stage / folder
        try:
            artifact = self._load(stage, folder)
            if self._origin is not None and not artifact.is_here:
                if not fetch:
                    return artifact
                self._complete(artifact)
            _verify(artifact)
        except FileNotFoundError as error:
            if not path.is_dir():
                return None
            problem = f"it has lost {error.filename}"
        except (_Damaged, OSError) as error:
            problem = str(error)
        else:
            return artifact
        log.warning("the artifact %s of %s is damaged, and `viberary build` makes it anew: %s", path, stage, problem)
        aside = path.with_name(f"{_DAMAGED}{folder}")
        with contextlib.suppress(OSError):  # a home that may only be read
            shutil.rmtree(aside, ignore_errors=True)  # of the same artifact, fetched again since
            path.rename(aside)
        return None

    def _complete(self, artifact: Artifact) -> None:
        """Fetch the files that are not here. Raises `_Damaged` where S3 has not what its stage made."""
        assert self._origin is not None
        try:
            problems = self._origin.fetch_artifact(artifact.stage, artifact.path.name, artifact.files)
        except OSError as error:  # this machine's disk: the artifact is whole
            raise out_of_room(error) or StorageError(
                "An artifact cannot be fetched from S3",
                expected=f"{artifact.path} to be written",
                found=f"{type(error).__name__}: {error}",
                todo="repair the disk or the permissions of this folder, or set VIBERARY_WORKDIR to another one",
            ) from error
        if problems:
            self._origin.withdraw(artifact.stage, artifact.path.name)
            raise _Damaged("; ".join(problems))

    def _point(self, artifact: Artifact, links: Collection[str]) -> None:
        if self._origin is not None:
            self._origin.send_artifact(artifact.stage, artifact.path.name, artifact.files)
        write_atomically(self.root / artifact.stage / CURRENT, json.dumps({"folder": artifact.path.name}))
        if self._origin is not None:
            self._origin.point(artifact.stage)
        for name in links:
            self.links.mkdir(exist_ok=True)
            link = self.links / name
            temporary = link.with_name(f".{name}.{uuid.uuid4().hex[:8]}")
            if link.is_dir() and not link.is_symlink():  # of a home that was copied without its links
                copied = link.with_name(f"{name}.copied-{uuid.uuid4().hex[:8]}")
                log.warning("%s was no link; it is %s now", link, copied.name)
                link.rename(copied)
            temporary.symlink_to(os.path.relpath(artifact.path / name, self.links))
            temporary.replace(link)

    def _refuse(self, stage: str, what: str, found: str) -> NoReturn:
        raise ArtifactError(
            what,
            expected=f"an artifact of {stage} as its stage wrote it",
            found=found,
            todo=f"run `viberary build`, or materialize {stage}; either makes it again",
        )

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Remove what killed processes left half-made; folders of living ones stay."""
        for leftover in folder.glob(f"{_HALF_MADE}*"):
            if not _owner_lives(leftover):
                shutil.rmtree(leftover, ignore_errors=True)


def _key(stage: str, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    return digest({"stage": stage, "inputs": dict(inputs), "settings": dict(settings)})


def _verify(artifact: Artifact) -> None:
    """Raises `_Damaged`, or OSError, unless every file has the digest that the manifest states."""
    remembered = artifact.path / _VERIFIED
    try:
        known = _read_object(remembered)
    except (_Damaged, OSError):
        known = {}
    found = {name: file_signature(artifact.path / name) for name in artifact.files}
    changed = [name for name, signature in found.items() if known.get(name) != signature]
    for name in changed:
        if (actual := file_sha256(artifact.path / name)) != artifact.files[name]:
            raise _Damaged(f"{name} has SHA-256 {actual[:16]}..., not {artifact.files[name][:16]}...")
    if changed:
        with contextlib.suppress(OSError):  # a home that may only be read is verified each time
            write_atomically(remembered, json.dumps(found))


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `_Damaged` for anything else, OSError if it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _Damaged(f"{path.name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Damaged(f"{path.name} holds a {type(value).__name__}, not an object")
    return value


def _owner_lives(folder: Path) -> bool:
    """Whether the process that fills this `.tmp-{pid}-...` folder is still there."""
    owner = folder.name.split("-")[1]
    return owner.isdigit() and process_lives(int(owner))
