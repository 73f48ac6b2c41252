"""A home in S3 and its copy: as with a repository and its clone, a local folder is worked in, and S3 keeps what lasts.

With VIBERARY_HOME=s3://bucket/prefix this lies in S3, under the names that it has in the folder::

    artifacts/{stage}/{key}.{attempt}/...   never changed; the manifest is written last
    artifacts/{stage}/current.json          a pointer, written after what it points to
    history/ quality/ encoders/             files that are replaced
    embeddings/ jobs/                       as VIBERARY_EMBEDDING_VECTORS and VIBERARY_EMBEDDING_JOBS would name them
    lease.json                              which home this is, and who builds in it (`Lease`)

Whatever is replaced is replaced by a conditional write: only if it still is the version that this folder has seen. Two
machines never overwrite each other, whatever their clocks say. Artifacts are fetched when they are first needed, and
verified by the digests in their manifests. Only the folder holds the embedded Redis, Dagster's store, logs and caches;
`.origin/` in it says whose copy it is, and which versions it has seen.

docs/decisions/2026-11-27-home-in-s3.md says why.
"""

import hashlib
import json
import logging
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from viberary_pipeline.errors import HomeBusyError, SettingsError, StorageError
from viberary_pipeline.owner import is_dead, read_owner, this_process
from viberary_pipeline.storage import (
    CONNECTIONS,
    Bucket,
    ObjectChangedError,
    file_signature,
    replacing,
    write_atomically,
)
from viberary_pipeline.typed_json import parse_json

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CURRENT = "current.json"
LEASE = "lease.json"
LEASE_SECONDS = 120.0
"""After which, not renewed, a lease is anybody's. Half of it is as long as a build may not have heard from S3 when it
moves a pointer."""
_RENEWALS = 5
_OWN = ".origin"
_ARTIFACTS = "artifacts/"
_REPLACED = ("history/", "quality/", "encoders/")
_POINTER = re.compile(rf"artifacts/[^/]+/{re.escape(CURRENT)}")
_LAST = (f"/{CURRENT}", "/encoder.toml")
"""Names that make what lies beside them count, and so are written after it."""
_SENT = ".sent.json"
_LARGE = 64 << 20
_BUFFER = 1 << 20
_Done = TypeVar("_Done")


@dataclass
class _Seen:
    """The version of a replaced file that this folder and S3 last had in common."""

    etag: str
    sha256: str
    signature: list[int]


@dataclass
class _State:
    """`.origin/state.json`: the id of the home, the versions seen, and the bytes of each artifact in S3."""

    home: str = ""
    files: dict[str, _Seen] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


def make_copy(uri: str, folder: Path) -> None:
    """Make a folder a copy of the home at `uri`, if it is not; nothing is fetched yet.

    Raises:
        SettingsError: it is a copy of another home, or a home of its own, or it cannot be written; or boto3 is absent.
    """
    if find_spec("boto3") is None:
        raise SettingsError(
            "A home in S3 needs a package that is not installed",
            expected="the module boto3",
            found="it is not installed",
            todo="pip install 'viberary-pipeline[s3]'",
        )
    marker = folder / _OWN / "uri"
    try:
        known = marker.read_text(encoding="utf-8") if marker.exists() else ""
        if not known and not any((folder / name).exists() for name in ("artifacts", "history")):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(marker, uri)
            return
    except OSError as error:
        raise SettingsError(
            "The local copy of the home in S3 cannot be written",
            expected=f"a folder that this user may write, at {folder}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="set VIBERARY_WORKDIR to such a folder, or make room on its disk",
        ) from error
    if known != uri:
        raise SettingsError(
            "The folder for the local copy of the home holds something else",
            expected=f"an empty folder, or a copy of {uri}, at {folder}",
            found=f"a copy of {known}" if known else "a home of its own",
            todo="set VIBERARY_WORKDIR to another folder",
        )


_origins: dict[Path, "Origin"] = {}


def origin_of(home: Path) -> "Origin | None":
    """The home in S3 that a folder is a copy of; None for a home of its own."""
    if (known := _origins.get(home)) is not None:
        return known
    try:
        uri = (home / _OWN / "uri").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _origins.setdefault(home, Origin(home, Bucket(uri)))


def refresh(home: Path) -> Path:
    """Bring a copy to what S3 has now; a home of its own is as it is. Returns the folder.

    Raises:
        StorageError: S3 cannot be used.
    """
    if (origin := origin_of(home)) is not None:
        origin.pull()
    return home


def send(home: Path, *names: str) -> None:
    """Send what changed in a copy to S3: these replaced files, or all. Where S3 is away that is a warning."""
    if (origin := origin_of(home)) is not None:
        try:
            origin.push(*names)
        except (StorageError, HomeBusyError) as error:
            log.warning("not everything is in S3 yet; the next build sends the rest: %s", error)


class Origin:
    """The home in S3 of one local folder. May be shared by threads and processes."""

    def __init__(self, home: Path, place: Bucket) -> None:
        self.home = home
        self.place = place
        self.lease: Lease | None = None
        self._lock = FileLock(home / _OWN / "lock")

    # ---- files that are replaced

    def pull(self) -> None:
        """Fetch what others have replaced, and the manifests of artifacts that are not here.

        Raises:
            StorageError: S3 cannot be used.
            SettingsError: S3 holds another home under this address than the one that was copied.
        """
        with self._state() as state:
            if not self._identify(state):
                return
            there = self.place.versions(_ARTIFACTS)
            for prefix in _REPLACED:
                there |= self.place.versions(prefix)
            self._fetch_replaced(state, {n: etag for n, (etag, _) in there.items() if _is_replaced(n)})
            artifacts = {name: size for name, (_, size) in there.items() if name.count("/") > 2 and _is_artifact(name)}
            self._fetch_manifests(name for name in artifacts if name.endswith(f"/{MANIFEST}") and name.count("/") == 3)
            state.bytes = {}
            for name, size in artifacts.items():
                folder = "/".join(name.split("/")[1:3])
                state.bytes[folder] = state.bytes.get(folder, 0) + size
            self._drop_gone(state.bytes, "*")

    def new_lease(self) -> "Lease":
        """The lease of this home, not taken yet.

        Raises:
            StorageError, SettingsError: as for `pull`.
        """
        with self._state() as state:
            return Lease(self.place, self._identify(state))

    def push(self, *names: str) -> None:
        """Send replaced files that changed here: these, or all, and then what was removed here.

        Raises:
            HomeBusyError: another machine has moved a pointer since it was seen.
            StorageError: S3 cannot be used.
        """
        with self._state() as state:
            chosen = list(names or self._replaced_here())
            for last in (False, True):
                self._each(lambda name: self._push(state, name), [n for n in chosen if n.endswith(_LAST) is last])
            if not names:
                gone = [name for name in state.files if not (self.home / name).is_file()]
                self.place.delete(*gone)
                for name in gone:
                    del state.files[name]

    def claim(self, name: str) -> None:
        """Create an empty object in S3 and an empty file here. Raises `ObjectChangedError` if S3 has one."""
        with self._state() as state:
            etag = self.place.swap(name, b"", "")
            write_atomically(self.home / name, b"")
            state.files[name] = self._seen(name, etag, b"")

    def point(self, stage: str) -> None:
        """Send the pointer of a stage.

        Raises:
            HomeBusyError: another machine builds in this home by now.
        """
        if self.lease is not None:
            self.lease.confirm()
        self.push(f"{_ARTIFACTS}{stage}/{CURRENT}")

    # ---- artifacts

    def send_artifact(self, stage: str, folder: str, files: Collection[str]) -> None:
        """See to it that S3 has this artifact as it is here, its manifest last."""
        here, prefix = self.home / _ARTIFACTS / stage / folder, f"{_ARTIFACTS}{stage}/{folder}/"
        sent = _sent(here)
        if sent:
            there = self._etags(prefix)
            names = [name for name in (*files, MANIFEST) if there.get(name) != sent.get(name, "")]
            if not names:
                return
        else:
            names = list(files)
        self._each(lambda name: self.place.put(f"{prefix}{name}", here / name), [n for n in names if n != MANIFEST])
        there = self._etags(prefix) if files else {}
        there[MANIFEST] = self.place.swap(f"{prefix}{MANIFEST}", (here / MANIFEST).read_bytes(), None)
        write_atomically(here / _SENT, json.dumps(there))

    def fetch_manifests(self, stage: str, key: str) -> None:
        """Fetch the manifests of the artifacts of `stage` with that key that are not here."""
        names = self.place.names(f"{_ARTIFACTS}{stage}/{key}.")
        self._fetch_manifests(name for name in names if name.endswith(f"/{MANIFEST}") and name.count("/") == 3)

    def fetch_artifact(self, stage: str, folder: str, files: Mapping[str, str]) -> list[str]:
        """Fetch the files of an artifact that are not here, each verified by its SHA-256.

        Args:
            files: {name: SHA-256}.

        Returns:
            What is wrong with those that S3 has not as they were written, in words.
        """
        here = self.home / _ARTIFACTS / stage / folder
        missing = [name for name in files if not (here / name).is_file()]
        if not missing:
            return []
        with FileLock(self.home / _OWN / "fetch.lock"):  # of several processes that ask, one fetches
            missing = [name for name in missing if not (here / name).is_file()]
            prefix = f"{_ARTIFACTS}{stage}/{folder}/"
            found = self._each(lambda name: self._fetch_file(f"{prefix}{name}", here / name, files[name]), missing)
            etags = {name: etag for name, (etag, _) in zip(missing, found, strict=True) if etag}
            write_atomically(here / _SENT, json.dumps({**_sent(here), **etags}))
        return [problem for _, problem in found if problem]

    def withdraw(self, stage: str, folder: str) -> None:
        """Remove the manifest of an artifact that S3 has not as it was written: then it counts no more. Where this
        machine may only read, it stays for a build to replace."""
        with suppress(StorageError):
            self.place.delete(f"{_ARTIFACTS}{stage}/{folder}/{MANIFEST}")

    def forget_artifacts(self, folders: Iterable[Path]) -> None:
        """Remove artifacts from S3, their manifests first: what is left of them counts for nothing."""
        manifests, others = [], []
        for folder in folders:
            prefix = folder.relative_to(self.home).as_posix() + "/"
            if prefix.startswith(_ARTIFACTS):
                manifests.append(f"{prefix}{MANIFEST}")
                sent = _sent(folder)  # of a note, all that there is: nothing need be listed
                names = [] if sent.keys() == {MANIFEST} and _has_no_files(folder) else self.place.names(prefix)
                others += [name for name in names if name != manifests[-1]]
        self.place.delete(*manifests)
        self.place.delete(*others)

    def remains(self) -> list[Path]:
        """Artifacts in S3 without a manifest: what builds that were killed there had sent, and what was withdrawn."""
        names = [name for name in self.place.names(_ARTIFACTS) if name.count("/") > 2 and _is_artifact(name)]
        whole = {name.rpartition("/")[0] for name in names if name.endswith(f"/{MANIFEST}")}
        folders = {"/".join(name.split("/")[:3]) for name in names} - whole
        return [self.home / folder for folder in sorted(folders)]

    def sizes(self) -> dict[str, int]:
        """{stage/folder: bytes in S3}, as the last pull saw them."""
        return self._read_state().bytes

    # ---- how

    @contextmanager
    def _state(self) -> Iterator[_State]:
        """What this folder has seen, for one process at a time; what the block changes is kept, whatever ends it."""
        with self._lock:
            state = self._read_state()
            before = json.dumps(asdict(state))
            try:
                yield state
            finally:
                if (now := json.dumps(asdict(state))) != before:
                    write_atomically(self.home / _OWN / "state.json", now)

    def _read_state(self) -> _State:
        try:
            return parse_json(_State, (self.home / _OWN / "state.json").read_bytes())
        except (OSError, ValueError):  # absent, or damaged: everything is compared by its content again
            return _State()

    def _identify(self, state: _State) -> str:
        """The id of the home; "" where nothing was built in it yet. Raises where S3 has another one than was copied, or
        none any more."""
        lease = self.place.find(LEASE)
        found = str(read_owner(lease[1]).get("home") or state.home) if lease else ""
        if state.home and found != state.home:
            raise SettingsError(
                "The home in S3 is not the one that this machine has a copy of",
                expected=f"the home {state.home} at {self.place.uri}",
                found=f"the home {found}" if found else f"none: {LEASE} is gone",
                todo="restore the objects (a bucket that keeps versions still has them); or, to continue with what S3 "
                "has now, "
                f"move the local copy {self.home} away",
            )
        state.home = found
        return found

    def _fetch_replaced(self, state: _State, there: Mapping[str, str]) -> None:
        def fetch(name: str) -> None:
            if (found := self.place.find(name)) is not None:
                write_atomically(self.home / name, found[1], durable=False)
                state.files[name] = self._seen(name, *found)

        def is_new(name: str) -> bool:
            seen = state.files.get(name)
            return seen is None or seen.etag != there[name].strip('"') or not (self.home / name).is_file()

        new = [name for name in there if is_new(name)]
        for last in (False, True):
            self._each(fetch, [name for name in new if name.endswith(_LAST) is last])
        for name in [name for name in state.files if name not in there]:
            (self.home / name).unlink(missing_ok=True)
            del state.files[name]

    def _push(self, state: _State, name: str) -> None:
        path, seen = self.home / name, state.files.get(name)
        signature = file_signature(path)
        if seen is not None and seen.signature == signature:
            return
        if signature[0] > _LARGE:  # weights of an encoder, which no two machines train under one name
            self.place.put(name, path)
            etag = self.place.versions(name)[name][0].strip('"')
            state.files[name] = _Seen(etag, "", signature)
            return
        data = path.read_bytes()
        if seen is not None and seen.sha256 == hashlib.sha256(data).hexdigest():
            seen.signature = signature
            return
        try:
            etag = self.place.swap(name, data, seen.etag if seen is not None else "")
        except ObjectChangedError as error:
            if _POINTER.fullmatch(name):
                raise _taken(self.place.uri, f"another machine has moved {name}") from error
            log.warning("another machine has replaced %s/%s meanwhile: its version stays", self.place.uri, name)
            state.files.pop(name, None)  # and the next pull fetches it
        else:
            state.files[name] = _Seen(etag, hashlib.sha256(data).hexdigest(), signature)

    def _seen(self, name: str, etag: str, data: bytes) -> _Seen:
        return _Seen(etag, hashlib.sha256(data).hexdigest(), file_signature(self.home / name))

    def _replaced_here(self) -> list[str]:
        paths = [path for prefix in _REPLACED for path in (self.home / prefix).rglob("*") if path.is_file()]
        paths += (self.home / _ARTIFACTS).glob(f"*/{CURRENT}")
        names = [path.relative_to(self.home).as_posix() for path in paths]
        return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))

    def _fetch_manifests(self, names: Iterable[str]) -> None:
        def fetch(name: str) -> None:
            if (found := self.place.find(name)) is not None:
                write_atomically(self.home / name, found[1], durable=False)
                write_atomically((self.home / name).with_name(_SENT), json.dumps({MANIFEST: found[0]}))

        self._each(fetch, [name for name in names if not (self.home / name).is_file()])

    def _etags(self, prefix: str) -> dict[str, str]:
        return {name.removeprefix(prefix): etag.strip('"') for name, (etag, _) in self.place.versions(prefix).items()}

    def _fetch_file(self, name: str, target: Path, sha256: str) -> tuple[str, str]:
        """Fetch one file of an artifact; returns its ETag, or '' and what is wrong with it."""
        problem = ""
        for _ in range(2):  # bytes may be lost on their way too
            found = hashlib.sha256()
            try:
                with (
                    self.place.stream(name) as stream,
                    replacing(target, durable=False) as temporary,
                    temporary.open("wb") as file,
                ):
                    etag = str(stream.raw.etag)  # type: ignore[attr-defined]
                    while data := stream.read(_BUFFER):
                        found.update(data)
                        file.write(data)
                    file.flush()
                    if found.hexdigest() != sha256:
                        raise _DamagedError
            except _DamagedError:
                problem = f"{self.place.uri}/{name} has SHA-256 {found.hexdigest()[:16]}..., not {sha256[:16]}..."
            except FileNotFoundError:
                return "", f"{self.place.uri}/{name} is gone"
            else:
                return etag, ""
        return "", problem

    def drop_gone(self, stage: str) -> None:
        """Remove the artifacts of a stage here that were removed from S3: `gc` ran on another machine."""
        names = self.place.names(f"{_ARTIFACTS}{stage}/")
        self._drop_gone({"/".join(name.split("/")[1:3]) for name in names}, stage)

    def _drop_gone(self, there: Collection[str], stage: str) -> None:
        for sent in (self.home / _ARTIFACTS).glob(f"{stage}/*/{_SENT}"):  # what was never sent is here alone
            folder = sent.parent
            if not folder.name.startswith(".") and f"{folder.parent.name}/{folder.name}" not in there:
                shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _each(do: Callable[[str], _Done], names: Sequence[str]) -> list[_Done]:
        """Do something for each name, some side by side; the first exception is raised when all have ended."""
        if len(names) < 2:
            return [do(name) for name in names]
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return list(threads.map(do, names))


class _DamagedError(Exception):
    """Other bytes than were written."""


class Lease:
    """Who builds in a home in S3: one object, replaced by conditional writes alone.

    Its age is told by S3's clock on both sides (the time of the write, the time of the answer), so clocks of machines
    have no part in it. It is renewed by a thread; whoever stops renewing loses it after `LEASE_SECONDS`.
    """

    def __init__(self, place: Bucket, home: str = "") -> None:
        self._place = place
        self._home = home
        self._seconds = LEASE_SECONDS
        self._etag = ""
        self._body: dict[str, object] = {}
        self._renewed = 0.0
        self._lost = ""
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def acquire(self) -> str:
        """Take the lease if it is free, expired, or of a dead process of this machine; else say who has it.

        Raises:
            StorageError: S3 cannot be used, or ignores the conditions of writes.
        """
        found = self._place.find(LEASE)
        body = read_owner(found[1]) if found is not None else {}
        if found is not None and (owner := str(body.get("owner", ""))) and not is_dead(owner):
            age = self._place.age(LEASE)
            if age <= float(body.get("seconds", LEASE_SECONDS)):
                named = read_owner(owner)
                return f"process {named.get('pid')} on {named.get('host')}, since {body.get('since')}"
            log.warning("the lease of %s was not renewed for %.0f s: taken over", self._place.uri, age)
        self._body = {
            "home": body.get("home") or self._home or uuid.uuid4().hex,
            "number": int(body.get("number", 0)) + 1,
            "owner": this_process(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": self._seconds,
        }
        try:
            self._write(found[0] if found is not None else "")
        except ObjectChangedError:
            return "another process that was faster"
        self._require_conditions()
        self._thread = threading.Thread(target=self._renew_often, daemon=True)
        self._thread.start()
        return ""

    def release(self) -> None:
        """Let it go. Where S3 is away it expires."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._body["owner"] = ""
        try:
            self._write(self._etag)
        except ObjectChangedError:
            pass  # it was taken over: it is another's
        except StorageError as error:
            log.warning("the lease of %s could not be given back, and expires in %.0f s: %s",
                        self._place.uri, self._seconds, error.found)  # fmt: skip

    def confirm(self) -> None:
        """Raise `HomeBusyError` where another machine has taken the lease over."""
        if not self._lost and _now() - self._renewed > self._seconds / 2:
            self._renew()
        if self._lost:
            raise _taken(self._place.uri, self._lost)

    def _renew_often(self) -> None:
        while not self._stop.wait(self._seconds / _RENEWALS) and not self._lost:
            try:
                self._renew()
            except StorageError as error:
                log.warning("the lease of %s could not be renewed: %s", self._place.uri, error.found)

    def _renew(self) -> None:
        with self._writing:
            try:
                self._write(self._etag)
            except ObjectChangedError:
                found = self._place.find(LEASE)
                body = read_owner(found[1]) if found is not None else {}
                named = read_owner(str(body.get("owner", "")))
                self._lost = f"process {named.get('pid')} on {named.get('host')} has taken it over"

    def _write(self, seen: str) -> None:
        # The count of renewals makes each body, and so each ETag, another one.
        self._body["renewals"] = int(str(self._body.get("renewals", -1))) + 1
        started = _now()
        self._etag = self._place.swap(LEASE, json.dumps(self._body).encode(), seen)
        self._renewed = started

    def _require_conditions(self) -> None:
        """Raise `StorageError` where S3 writes although the condition does not hold: then nothing is safe."""
        try:
            self._place.swap(f"{LEASE}.probe", b"1", "0" * 32)
        except ObjectChangedError:
            return
        self._place.delete(f"{LEASE}.probe")
        raise StorageError(
            "This object storage cannot hold a home",
            expected="conditional writes (If-Match, If-None-Match), as S3 and MinIO have them",
            found=f"{self._place.uri} was written although the condition did not hold",
            todo="use an object storage that has them, or a local VIBERARY_HOME",
        )


def _taken(uri: str, found: str) -> HomeBusyError:
    return HomeBusyError(
        "Another machine has taken over this home",
        expected=f"this build to hold the lease of {uri} until it ends",
        found=found,
        todo="wait until that build has ended, then build again; this build has published nothing since, and its "
        "artifacts are kept",
    )


def _now() -> float:
    """Seconds, of a clock that nobody sets and that runs on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _is_replaced(name: str) -> bool:
    return name.startswith(_REPLACED) or _POINTER.fullmatch(name) is not None


def _is_artifact(name: str) -> bool:
    return not name.split("/")[2].startswith(".")


def _has_no_files(folder: Path) -> bool:
    """Whether the manifest names none."""
    try:
        return parse_json(dict[str, Any], (folder / MANIFEST).read_bytes()).get("files") == {}
    except (OSError, ValueError):
        return False


def _sent(folder: Path) -> dict[str, str]:
    """{file: ETag} of an artifact's files as they were when S3 had them as they are here."""
    try:
        return parse_json(dict[str, str], (folder / _SENT).read_bytes())
    except (OSError, ValueError):
        return {}
