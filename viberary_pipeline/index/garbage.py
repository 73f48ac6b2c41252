"""`viberary gc`: what nothing needs any more, in Redis and under VIBERARY_HOME.

Kept are the live build and the previous one, builds that await their publish, the current artifact of each stage with
what it was made from, and the query encoders of all these builds. Vectors are not touched: texts come back.
"""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from filelock import FileLock, Timeout

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.index.clean import known_builds, orphaned_builds, remove_build, unneeded_builds
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import save
from viberary_pipeline.search.schema import read_pointer, read_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Garbage:
    """What was, or would be, removed.

    Attributes:
        builds: Of Redis, with or without a record.
        folders: Artifacts, half-made ones of dead processes, and jobs of dead builds; absolute.
        bytes: Of these folders.
        left: Why something was left that may be garbage; '' if nothing was.
    """

    builds: tuple[str, ...]
    folders: tuple[Path, ...]
    bytes: int
    left: str


def collect_garbage(client: redis.Redis, home: Path, *, dry_run: bool = False) -> Garbage:
    """Remove what nothing needs, or only say what that is. Waits for no build.

    Raises:
        IndexBuildError: a build is under way on this Redis.
    """
    with build_lock(client, wait_seconds=0):
        builds = [*unneeded_builds(client), *orphaned_builds(client)]
        kept = [
            record for build in known_builds(client) if build not in builds and (record := read_record(client, build))
        ]
        folders, left = _folders(
            home,
            encoders={record.query_encoder for record in kept},
            fingerprints={record.fingerprint for record in kept},
        )
        garbage = Garbage(tuple(builds), tuple(folders), sum(map(_size, folders)), left)
        if dry_run:
            return garbage
        for build in builds:
            remove_build(client, build)
        live = read_pointer(client).live
        if builds and live and not save(client, live):
            log.warning("Redis did not save: a restart of it brings the removed builds back")
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    return garbage


def _folders(home: Path, *, encoders: set[str], fingerprints: set[str]) -> tuple[list[Path], str]:
    store = ArtifactStore(home)
    dead, living = store.half_made()
    jobs = list(_dead_jobs(home / "jobs", fingerprints))
    if living:
        # Its stage reads artifacts that need not be the current ones any more.
        return [*dead, *jobs], f"artifacts, because a stage is under way ({living[0].parent.name})"
    return [*store.unneeded({"query_encoder": encoders}), *dead, *jobs], ""


def _dead_jobs(jobs: Path, fingerprints: set[str]) -> Iterator[Path]:
    """Job folders whose process is dead; those with vectors that the next build would adopt stay."""
    for folder in sorted(path for path in jobs.glob("*") if path.is_dir()):
        lock = folder.with_name(f"{folder.name}.lock")
        try:
            with FileLock(lock, blocking=False):
                adoptable = any(folder.glob("done/*.json")) and _fingerprint(folder) in fingerprints
        except Timeout:
            continue
        if not adoptable:
            yield folder


def _fingerprint(folder: Path) -> str:
    from viberary_pipeline.embedding.jobs import read_job
    from viberary_pipeline.errors import ArtifactError

    try:
        return read_job(folder).fingerprint
    except ArtifactError:
        return ""


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
