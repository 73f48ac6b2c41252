"""Embeds the texts that the store does not know yet, by way of a job and an executor.

A job belongs to the process that holds the lock file of its name under `jobs_root`. The lock goes with the process, so
a job whose lock is free was left by a build that died: whatever still runs for it is ended, and its finished shards are
adopted before anything is computed. A killed build loses at most the shard in hand.
"""

import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from viberary_pipeline.embedding.executors.base import Executor, Limits, Say, run_job
from viberary_pipeline.embedding.jobs import Job, JobOptions, read_job, write_job
from viberary_pipeline.embedding.texts import TableTexts, Texts, take_rows
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.errors import ArtifactError, WorkerError
from viberary_pipeline.storage import Folder, Place
from viberary_pipeline.vectors.arrow_files import ShardManifest
from viberary_pipeline.vectors.rows import distinct_keys
from viberary_pipeline.vectors.store import EmbeddingStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbedCounts:
    """What `embed_missing` did: distinct texts asked for; those computed now; those that were there already
    (from a build that died too); seconds in all; tokens computed on; shards that took more than one attempt; and what
    the executor says of the run (instance type, market, estimated cost)."""

    texts: int
    embedded: int
    reused: int
    seconds: float
    tokens: int
    retried: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


def embed_missing(
    texts: Texts | pa.Table | Iterable[tuple[str, str]],
    *,
    encoder: ResolvedEncoder,
    store: EmbeddingStore,
    executor: Executor,
    jobs_root: Path,
    shard_rows: int,
    options: JobOptions | None = None,
    jobs_at: Place | None = None,
    jobs_alone: bool = False,
    limits: Limits | None = None,
    say: Say = log.info,
) -> EmbedCounts:
    """See to it that `store` has a vector for every text.

    Args:
        texts: Where the texts are. A hash that comes more than once counts once, with its first text.
        encoder: Who embeds; the store is its (`JobOptions.key`).
        store: Where vectors go.
        executor: Where the worker runs.
        jobs_root: Folder for the jobs' locks, and for the jobs themselves unless `jobs_at` says otherwise.
        shard_rows: Texts per shard: what a kill can lose.
        options: How they are computed.
        jobs_at: Where jobs lie that other machines are to reach: a prefix in S3.
        jobs_alone: Every job that lies there is of a dead build: the caller holds the home that the place is of.
        limits: How long to wait.
        say: Called with what is done, now and then.

    Raises:
        WorkerError: the worker failed, or texts are still without a vector after it.
        ArtifactError: the texts have a missing value or the wrong columns.
    """
    started = time.monotonic()
    options = options or JobOptions()
    source: Texts = TableTexts(texts) if isinstance(texts, (pa.Table, list, tuple)) else texts  # type: ignore[assignment]
    keys, rows = distinct_keys(source.hashes())
    jobs = jobs_at or Folder(jobs_root)
    _adopt_leftovers(jobs_root, jobs, store, executor, jobs_alone)

    lacking = store.lacks(keys)
    missing = keys[lacking]
    done: list[ShardManifest] = []
    facts: Mapping[str, Any] = {}
    if len(missing):
        wanted = np.sort(rows[lacking])
        with _own_job(jobs_root, jobs) as own:
            job = write_job(
                own,
                take_rows(source.batches(), wanted),
                encoder=encoder,
                shard_rows=shard_rows,
                options=options,
                carry_model=jobs_at is not None,
            )
            parts = "1 shard" if len(job.shards) == 1 else f"{len(job.shards):,} shards"
            say(f"embedding {len(wanted):,} texts in {parts}")
            try:
                facts = run_job(executor, job, limits, say)
            finally:
                done = _adopt_finished(job, store)
        if still := np.count_nonzero(store.lacks(missing)):
            raise WorkerError(
                "The embedding worker left texts without a vector",
                expected=f"{len(missing)} vectors that pass their checks",
                found=f"{still} missing",
                todo="run the command again; the vectors that exist are kept",
            )
        store.compact()
    return EmbedCounts(
        texts=len(keys),
        embedded=len(missing),
        reused=len(keys) - len(missing),
        seconds=round(time.monotonic() - started, 3),
        tokens=sum(manifest.tokens for manifest in done),
        retried=sum(manifest.attempts > 1 for manifest in done),
        facts=facts,
    )


def end_abandoned(jobs_root: Path, jobs_at: Place | None, executor: Executor) -> list[str]:
    """End whatever runs for jobs whose process is dead; returns the jobs' names. Their shards wait for a build."""
    ended = []
    for name in _names(jobs_root):
        with suppress(Timeout), FileLock(_lock_path(jobs_root, name), blocking=False):
            try:
                executor.cancel_job(read_job((jobs_at or Folder(jobs_root)).inside(name)))
            except ArtifactError:
                continue
            ended.append(name)
    return ended


def _names(jobs_root: Path) -> list[str]:
    """The jobs that this home knows of."""
    paths = (path for path in jobs_root.glob("*") if path.is_dir() or path.suffix == ".lock")
    return sorted({path.name.removesuffix(".lock") for path in paths})


@contextmanager
def _own_job(jobs_root: Path, jobs: Place) -> Iterator[Place]:
    """The place of a new job that is this process's alone; emptied at the end."""
    jobs_root.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with FileLock(_lock_path(jobs_root, name)):  # before the job: whoever sees the job finds it locked
        own = jobs.inside(name)
        try:
            yield own
        finally:
            own.delete_all()
            _lock_path(jobs_root, name).unlink(missing_ok=True)


def _adopt_leftovers(jobs_root: Path, jobs: Place, store: EmbeddingStore, executor: Executor, alone: bool) -> None:
    """Adopt what builds that died had finished with this encoder, end what still runs for them, and remove their
    jobs. Those of other encoders wait for a build with theirs; those of living builds are theirs.

    With `alone`, those that other machines left are adopted too.
    """
    names = {*_names(jobs_root), *(name.partition("/")[0] for name in (jobs.names() if alone else ()))}
    jobs_root.mkdir(parents=True, exist_ok=True)
    for name in sorted(names):
        try:
            with FileLock(_lock_path(jobs_root, name), blocking=False):
                # Where it lies follows from the settings, which may have changed since: look here too.
                places = (jobs.inside(name), Folder(jobs_root / name))
                gone = [_adopt_leftover(at, store, executor) for at in places]
                if all(gone):
                    _lock_path(jobs_root, name).unlink(missing_ok=True)
        except Timeout:
            log.info("left the job %s alone: another build runs it", name)


def _adopt_leftover(at: Place, store: EmbeddingStore, executor: Executor) -> bool:
    """Take over one job if it is this encoder's or none; returns whether nothing of it is left."""
    try:
        job = read_job(at)
    except ArtifactError:  # killed before the job was written, or it lies elsewhere
        at.delete_all()
        return True
    if job.key != store.fingerprint:
        return False
    executor.cancel_job(job)
    _adopt_finished(job, store)
    at.delete_all()
    return True


def _adopt_finished(job: Job, store: EmbeddingStore) -> list[ShardManifest]:
    """Take every shard of `job` that verifies into the store; returns their manifests."""
    taken = []
    for shard in job.shards:
        manifest = job.read_manifest(shard)
        if manifest is None:
            continue
        try:
            store.adopt(job.place.read(job.vectors(shard.index)), manifest)
        except FileNotFoundError:
            log.warning("shard %d of %s is not adopted: its vectors are gone", shard.index, job.place.uri)
        except ArtifactError as error:
            log.warning("shard %d of %s is not adopted: %s", shard.index, job.place.uri, error.found)
        else:
            taken.append(manifest)
    return taken


def _lock_path(jobs_root: Path, name: str) -> Path:
    return jobs_root / f"{name}.lock"
