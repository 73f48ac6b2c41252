"""`viberary gc`: what nothing needs any more, in Redis and under VIBERARY_HOME.

Kept are the live build and the previous one, builds that await their publish, and the current artifact of each stage;
of all these the query encoders, the documents, and what they were made from; and the documents alone of some builds
before, for comparison. Vectors are touched only where that is
asked for, since texts come back; those of texts in kept documents stay then, whoever encoded them.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import redis
from filelock import FileLock, Timeout

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.encoders.files import float32_graphs, int8_graphs
from viberary_pipeline.encoders.quantize import int8_names
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.index.clean import known_builds, orphaned_builds, remove_build, unneeded_builds
from viberary_pipeline.index.lock import build_lock
from viberary_pipeline.index.publish import save
from viberary_pipeline.origin import origin_of
from viberary_pipeline.redis_contract import BuildRecord, read_pointer, read_record
from viberary_pipeline.storage import Place

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Garbage:
    """What was, or would be, removed.

    Attributes:
        builds: Of Redis, with or without a record.
        folders: Artifacts, half-made ones of dead processes, and jobs of dead builds; absolute.
        bytes: Of these folders.
        vectors: How many, of all encoders.
        left: Why something was left that may be garbage; '' if nothing was.
    """

    builds: tuple[str, ...]
    folders: tuple[Path, ...]
    bytes: int
    left: str
    vectors: int = 0

    def by_kind(self, home: Path) -> list[tuple[str, int, int]]:
        """(what, folders, bytes) of the folders, by the stage that left them or the place that they lie in; the largest
        first."""
        kinds: dict[str, list[int]] = {}
        size_of = _sizes(home)
        for folder in self.folders:
            kind = " ".join(folder.relative_to(home).parts[:-1])
            kinds.setdefault(kind, []).append(size_of(folder))
        return sorted(((kind, len(sizes), sum(sizes)) for kind, sizes in kinds.items()), key=lambda row: -row[2])


def collect_garbage(
    client: redis.Redis,
    home: Path,
    *,
    dry_run: bool = False,
    vectors: bool = False,
    shared_vectors: Place | None = None,
    keep_documents: Collection[str] = (),
) -> Garbage:
    """Remove what nothing needs, or only say what that is. Waits for no build.

    Args:
        client: The server.
        home: VIBERARY_HOME.
        dry_run: Remove nothing.
        vectors: Those of texts that no kept documents have, too.
        shared_vectors: Where in S3 the vectors of this home lie.
        keep_documents: Keys of documents that are kept for comparison, without what they were made from.

    Raises:
        HomeBusyError: a build is under way in this home.
        IndexBuildError: a build is under way on this Redis.
    """
    with hold_home(home, wait_seconds=0), build_lock(client, wait_seconds=0):
        builds = [*unneeded_builds(client), *orphaned_builds(client)]
        kept = [
            record for build in known_builds(client) if build not in builds and (record := read_record(client, build))
        ]
        folders = [f for f in _folders(home, kept) if not _is_kept(home, f, keep_documents)]
        garbage = Garbage(tuple(builds), tuple(folders), sum(map(_sizes(home), folders)), "")
        if vectors:
            garbage = _with_vectors(garbage, home, shared_vectors, dry_run=dry_run)
        if dry_run:
            return garbage
        for build in builds:
            remove_build(client, build)
        live = read_pointer(client).live
        if builds and live and not save(client, live):
            log.warning("Redis did not save: a restart of it brings the removed builds back")
        ArtifactStore(home).remove(folders)
        for folder in folders:
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    return garbage


def artifacts_needed(
    client: redis.Redis, home: Path, keep_documents: Collection[str] = ()
) -> list[tuple[Artifact, int, list[str]]]:
    """Every artifact of a home, its bytes, and what needs it (`ArtifactStore.needs`): nothing for what `gc` removes.

    Args:
        client: The server, whose builds need their encoders and documents.
        home: VIBERARY_HOME.
        keep_documents: As for `collect_garbage`.
    """
    pointer, keep = read_pointer(client), {"query_encoder": dict[str, str](), "documents": dict[str, str]()}
    unneeded = unneeded_builds(client)
    for build in known_builds(client):
        record = read_record(client, build)
        if record is not None and build not in unneeded:
            named = {pointer.live: "live build", pointer.previous: "previous build"}.get(build, f"build {build}")
            keep["query_encoder"][record.query_encoder] = keep["documents"][record.documents_key] = named
    needs = ArtifactStore(home).needs(keep)
    size_of = _sizes(home)
    return [
        (artifact, size_of(artifact.path), by or ["comparison"] * _is_kept(home, artifact.path, keep_documents))
        for artifact, by in sorted(needs, key=lambda need: (need[0].stage, need[0].created))
    ]


def _folders(home: Path, kept: Sequence[BuildRecord]) -> list[Path]:
    store, fingerprints = ArtifactStore(home), {record.fingerprint for record in kept}
    needed = {
        "query_encoder": {record.query_encoder for record in kept},
        "documents": {record.documents_key for record in kept},
    }
    graphs, jobs = _unneeded_graphs(home, fingerprints), _dead_jobs(home / "jobs", fingerprints)
    return [*store.unneeded(needed), *graphs, *store.half_made(), *jobs]


def _is_kept(home: Path, folder: Path, documents: Collection[str]) -> bool:
    key = folder.name.partition(".")[0]
    return folder.parent == home / "artifacts" / "documents" and key in documents


def _unneeded_graphs(home: Path, fingerprints: set[str]) -> Iterator[Path]:
    """The copies of graphs, in float32 and int8, of encoders that neither a kept build nor the next one has."""
    with contextlib.suppress(ArtifactError):
        facts = ArtifactStore(home).current("query_encoder", fetch=False).facts
        fingerprints = {*fingerprints, facts.get("fingerprint"), facts.get("space", {}).get("fingerprint")} - {None}
    kept = {
        *(float32_graphs(home) / fingerprint for fingerprint in fingerprints),
        *(int8_graphs(home) / name for fingerprint in fingerprints for name in int8_names(fingerprint)),
    }
    for folder in sorted((*float32_graphs(home).glob("*"), *int8_graphs(home).glob("*"))):
        if folder.is_dir() and folder not in kept:
            yield folder


def _with_vectors(garbage: Garbage, home: Path, shared: Place | None, *, dry_run: bool) -> Garbage:
    """Remove, or count, the vectors of texts that no kept documents have."""
    import pyarrow.parquet as pq

    from viberary_pipeline.vectors.store import EmbeddingStore

    if _job_under_way(home / "jobs"):
        return replace(garbage, left="vectors, because texts are being embedded")
    ArtifactStore(home).fetch_all("documents", but=garbage.folders)
    paths = (home / "artifacts").glob("*/*/documents.parquet")
    documents = [path for path in paths if path.parent not in garbage.folders]
    try:
        ArtifactStore(home).current("documents")
    except ArtifactError:
        documents = []
    if not documents:  # then they are lost, and the vectors are what a build need not compute again
        return replace(garbage, left="vectors, because there are no documents to tell which are needed")
    keep = [pq.read_table(path, columns=["text_hash"])["text_hash"] for path in documents]
    stores = EmbeddingStore.all_under(home / "embeddings", shared)
    return replace(garbage, vectors=sum(store.unneeded(keep) if dry_run else store.prune(keep) for store in stores))


def _job_under_way(jobs: Path) -> bool:
    for lock in jobs.glob("*.lock"):
        try:
            with FileLock(lock, blocking=False):
                pass
        except Timeout:
            return True
    return False


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

    try:
        return read_job(folder).fingerprint
    except ArtifactError:
        return ""


def _sizes(home: Path) -> Callable[[Path], int]:
    """What gives the bytes of a folder: of an artifact in S3, those that it has there, whether it is here or not."""
    origin = origin_of(home)
    there = origin.sizes() if origin is not None else {}

    def size_of(folder: Path) -> int:
        known = there.get(f"{folder.parent.name}/{folder.name}")
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if known is None else known

    return size_of
