"""Embedding jobs: a folder that carries everything a worker needs, on this machine or on another.

Layout::

    job.json                 the encoder, its fingerprint, device, dtype, and the shards with their digests
    texts/00000.arrow        one shard's texts, shortest first
    vectors/00000.arrow      its vectors, same order
    done/00000.json          its `ShardManifest`, written last: a shard without one is not done
    attempts/00000           how often its computation was begun

Shards are independent, so any number of workers may share a job by ranges, and one that was killed is
resumed by starting it again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from viberary_pipeline.artifacts import file_sha256, write_atomically
from viberary_pipeline.embedding.vectors import TEXTS_SCHEMA, map_table, write_table
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import ArtifactError, SettingsError

FORMAT = 1
JOB = "job.json"
DEVICES = ("cpu", "cuda")
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Shard:
    """One shard's input: its number, its rows, and the SHA-256 of its texts file."""

    index: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class ShardManifest:
    """What a worker says of one finished shard. `sha256` is the vectors file's, `input_sha256` the texts'."""

    shard: int
    sha256: str
    input_sha256: str
    fingerprint: str
    rows: int
    dimensions: int
    dtype: str
    device: str
    tokens: int
    seconds: float
    attempts: int
    host: str


@dataclass(frozen=True)
class Job:
    """A job folder, read. `model_folder` is where the encoder's files lie on the machine that wrote the job;
    elsewhere the worker finds them by `spec.source`. `threads` None: as many as the worker may use."""

    folder: Path
    spec: ModelSpec
    model_folder: str
    fingerprint: str
    device: str
    dtype: str
    threads: int | None
    shards: tuple[Shard, ...]

    def texts(self, index: int) -> Path:
        return self.folder / "texts" / f"{index:05d}.arrow"

    def vectors(self, index: int) -> Path:
        return self.folder / "vectors" / f"{index:05d}.arrow"

    def manifest(self, index: int) -> Path:
        return self.folder / "done" / f"{index:05d}.json"

    def begin_attempt(self, index: int) -> int:
        """Count one more attempt at a shard; returns how many that makes."""
        path = self.folder / "attempts" / f"{index:05d}"
        attempts = (int(path.read_text()) if path.exists() else 0) + 1
        write_atomically(path, str(attempts))
        return attempts

    def read_texts(self, shard: Shard) -> pa.Table:
        """A shard's texts. Raises `ArtifactError` if the file is not the one the job was written with."""
        path = self.texts(shard.index)
        found = file_sha256(path) if path.is_file() else "no such file"
        if found != shard.sha256:
            raise ArtifactError(
                f"The texts of shard {shard.index} are damaged",
                expected=f"{path} with SHA-256 {shard.sha256}",
                found=found,
                todo="write the job again",
            )
        return map_table(path, TEXTS_SCHEMA)

    def write_manifest(self, manifest: ShardManifest) -> None:
        """Declare a shard done. Its vectors file must be in place."""
        write_atomically(self.manifest(manifest.shard), json.dumps(asdict(manifest), indent=1))

    def finished(self, shard: Shard) -> ShardManifest | None:
        """The manifest of a shard that is whole, or None: the manifest is there, is about this input and
        this encoder, and the vectors file has the digest that it states."""
        try:
            manifest = ShardManifest(**json.loads(self.manifest(shard.index).read_text(encoding="utf-8")))
            whole = (
                manifest.input_sha256 == shard.sha256
                and manifest.fingerprint == self.fingerprint
                and manifest.rows == shard.rows
                and manifest.sha256 == file_sha256(self.vectors(shard.index))
            )
        except (OSError, ValueError, TypeError):
            return None
        return manifest if whole else None


def write_job(
    folder: Path,
    batches: Iterable[pa.RecordBatch],
    *,
    encoder: ResolvedEncoder,
    device: str,
    shard_rows: int,
    dtype: str = "auto",
    threads: int | None = None,
) -> Job:
    """Write a job folder; `job.json` comes last, so a folder without one is not a job.

    Args:
        folder: The job's folder, made here.
        batches: The texts, of schema `TEXTS_SCHEMA`, in portions of any size; read once, never all in memory.
        encoder: Who embeds them.
        device: `cpu` or `cuda`.
        shard_rows: Texts per shard.
        dtype: What the model computes in; `auto`: float32 on a CPU, float16 on a GPU that is fast at it.
        threads: The worker's CPU threads; None: as many as it may use.

    Raises:
        SettingsError: a device or dtype that is none of these.
    """
    if device not in DEVICES or dtype not in DTYPES:
        raise SettingsError(
            "The embedding job cannot be written",
            expected=f"a device of {', '.join(DEVICES)} and a dtype of {', '.join(DTYPES)}",
            found=f"{device}, {dtype}",
            todo="set VIBERARY_DEVICE to one of these",
        )
    job = Job(folder, encoder.spec, str(encoder.folder), encoder.fingerprint, device, dtype, threads, ())
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for index, table in enumerate(_portions(batches, shard_rows)):
        # By length, so that a batch pads little; within the shard only, so that shards take equally long.
        order = pc.sort_indices(pc.utf8_length(table["text"]))
        sha256 = write_table(job.texts(index), table.take(order))
        shards.append(Shard(index, table.num_rows, sha256))
    description = {
        "format": FORMAT,
        "spec": job.spec.to_json(),
        "model_folder": job.model_folder,
        "fingerprint": job.fingerprint,
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "shards": [asdict(shard) for shard in shards],
    }
    write_atomically(folder / JOB, json.dumps(description, indent=1, ensure_ascii=False))
    return read_job(folder)


def read_job(folder: Path) -> Job:
    """Read a job folder.

    Raises:
        ArtifactError: it holds no job that this version can read.
    """
    try:
        values: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        return Job(
            folder=folder,
            spec=ModelSpec.from_json(values["spec"]),
            model_folder=values["model_folder"],
            fingerprint=values["fingerprint"],
            device=values["device"],
            dtype=values["dtype"],
            threads=values["threads"],
            shards=tuple(Shard(**shard) for shard in values["shards"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"There is no embedding job in {folder}",
            expected=f"a {JOB} of format {FORMAT}",
            found=f"{type(error).__name__}: {error}",
            todo="name a folder that the pipeline wrote as a job",
        ) from error


def _portions(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The rows of `batches` in tables of `rows` rows; the last may be smaller."""
    held: list[pa.RecordBatch] = []
    count = 0
    for incoming in batches:
        batch = incoming
        while count + batch.num_rows >= rows:
            taken = rows - count
            yield pa.Table.from_batches([*held, batch.slice(0, taken)], TEXTS_SCHEMA)
            held, count, batch = [], 0, batch.slice(taken)
        if batch.num_rows:
            held.append(batch)
            count += batch.num_rows
    if held:
        yield pa.Table.from_batches(held, TEXTS_SCHEMA)
