"""Embeds the texts that the store does not know yet, by way of a job folder and an executor.

A job folder under `jobs_root` belongs to the process that holds the lock file beside it. The lock goes with
the process, so a folder whose lock is free was left by a build that died: its finished shards are adopted
before anything is computed, and a killed build loses at most the shard in hand.
"""

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from viberary_pipeline.embedding.jobs import Job, read_job, write_job
from viberary_pipeline.embedding.store import EmbeddingStore
from viberary_pipeline.embedding.vectors import TEXTS_SCHEMA
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.errors import ArtifactError, WorkerError
from viberary_pipeline.executors.base import Executor, run_job

log = logging.getLogger(__name__)
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class EmbedCounts:
    """What `embed_missing` did: distinct texts asked for; those computed now; those that were there already
    (from a build that died too); seconds in all; tokens computed on."""

    texts: int
    embedded: int
    reused: int
    seconds: float
    tokens: int


def embed_missing(
    texts: pa.Table | Iterable[tuple[str, str]],
    *,
    encoder: ResolvedEncoder,
    store: EmbeddingStore,
    executor: Executor,
    jobs_root: Path,
    device: str,
    shard_rows: int,
) -> EmbedCounts:
    """See to it that `store` has a vector for every text.

    Args:
        texts: A table with the columns `text_hash` and `text`, or such pairs (which are held in memory). A
            hash that comes more than once counts once, with its first text.
        encoder: Who embeds; its fingerprint is the store's.
        store: Where vectors go.
        executor: Where the worker runs.
        jobs_root: Folder for job folders, best on the store's file system.
        device: `cpu` or `cuda`.
        shard_rows: Texts per shard: what a kill can lose.

    Raises:
        WorkerError: the worker failed, or texts are still without a vector after it.
        ArtifactError: the texts have a missing value or the wrong columns.
    """
    started = time.monotonic()
    table = _as_table(texts)
    rows, hashes = _distinct(table["text_hash"])
    _adopt_leftovers(jobs_root, store)

    missing = store.missing(hashes)
    tokens = 0
    if len(missing):
        wanted = rows[np.asarray(pc.is_in(hashes, value_set=missing))]
        with _own_job(jobs_root) as folder:
            job = write_job(folder, _take(table, wanted), encoder=encoder, device=device, shard_rows=shard_rows)
            log.info("embedding %d texts in %d shards", len(wanted), len(job.shards))
            try:
                run_job(executor, folder)
            finally:
                tokens = _adopt_finished(job, store)
        if still := len(store.missing(missing)):
            raise WorkerError(
                "The embedding worker left texts without a vector",
                expected=f"{len(missing)} vectors that verify",
                found=f"{still} missing",
                todo="run again; what is there is kept",
            )
    return EmbedCounts(
        texts=len(hashes),
        embedded=len(missing),
        reused=len(hashes) - len(missing),
        seconds=round(time.monotonic() - started, 3),
        tokens=tokens,
    )


def _as_table(texts: pa.Table | Iterable[tuple[str, str]]) -> pa.Table:
    if not isinstance(texts, pa.Table):
        pairs = list(texts)
        columns = [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
        texts = pa.table([pa.array(column, pa.string()) for column in columns], schema=TEXTS_SCHEMA)
    absent = [name for name in TEXTS_SCHEMA.names if name not in texts.column_names]
    empty = [name for name in TEXTS_SCHEMA.names if name not in absent and texts[name].null_count]
    if absent or empty:
        raise ArtifactError(
            "The texts cannot be embedded",
            expected="the columns text_hash and text, without missing values",
            found=f"columns {', '.join(texts.column_names)}; missing values in {', '.join(empty) or 'none'}",
            todo="materialize documents again",
        )
    return texts.select(TEXTS_SCHEMA.names).cast(TEXTS_SCHEMA)


def _distinct(hashes: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """The rows where each hash first appears, ascending, and the hashes at these rows."""
    distinct = pc.unique(hashes)
    codes = np.asarray(pc.index_in(hashes, value_set=distinct))
    _, rows = np.unique(codes, return_index=True)
    return np.sort(rows), distinct


def _take(table: pa.Table, rows: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The `rows` (ascending) of `table`, batch by batch: a take on the whole table copies all its text."""
    offset = 0
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        first, stop = np.searchsorted(rows, [offset, offset + batch.num_rows])
        if first < stop:
            yield batch.take(pa.array(rows[first:stop] - offset))
        offset += batch.num_rows


@contextmanager
def _own_job(jobs_root: Path) -> Iterator[Path]:
    """The path of a new job folder that is this process's alone; removed at the end."""
    jobs_root.mkdir(parents=True, exist_ok=True)
    folder = jobs_root / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with FileLock(_lock_path(folder)):  # before the folder: whoever sees the folder finds it locked
        try:
            yield folder
        finally:
            _remove(folder)


def _adopt_leftovers(jobs_root: Path, store: EmbeddingStore) -> None:
    """Adopt what builds that died had finished with this encoder, and remove their job folders. Those of
    other encoders wait for a build with theirs; those of living builds are theirs."""
    for folder in sorted(path for path in jobs_root.glob("*") if path.is_dir()):
        try:
            with FileLock(_lock_path(folder), blocking=False):
                try:
                    job = read_job(folder)
                except ArtifactError:  # killed before the job was written
                    _remove(folder)
                    continue
                if job.fingerprint == store.fingerprint:
                    _adopt_finished(job, store)
                    _remove(folder)
        except Timeout:
            log.info("left the job %s alone: another build runs it", folder.name)


def _adopt_finished(job: Job, store: EmbeddingStore) -> int:
    """Move every shard of `job` that verifies into the store; returns their tokens."""
    tokens = 0
    for shard in job.shards:
        manifest = job.finished(shard)
        if manifest is None:
            continue
        try:
            store.adopt(job.vectors(shard.index), manifest)
        except ArtifactError as error:
            log.warning("shard %d of %s is not adopted: %s", shard.index, job.folder.name, error.found)
        else:
            tokens += manifest.tokens
    return tokens


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _lock_path(folder).unlink(missing_ok=True)
