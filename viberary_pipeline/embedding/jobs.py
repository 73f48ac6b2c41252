"""Embedding jobs: a folder, here or in S3, that carries everything a worker needs, on this machine or on another.

Layout::

    job.json                 the encoder, its fingerprint, device, dtype, and the shards with their digests
    model/                   the encoder's files, where the job is to run on another machine
    texts/00000.arrow        one shard's texts, shortest first
    vectors/00000.arrow      its vectors, same order
    done/00000.json          its `ShardManifest`, written last: a shard without one is not done
    attempts/00000           how often its computation was begun
    workers/{name}.json      what one worker last said of itself: the heartbeat (`embedding.heartbeat`)
    failed/{name}.json       the same, of those that ended with another exit code than 0

Shards are independent, so any number of workers may share a job by ranges, and one that was killed is
resumed by starting it again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.embedding.options import JobOptions
from viberary_pipeline.embedding.worker_job import JobKind
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.storage import Place, open_place
from viberary_pipeline.typed_json import parse_json
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA, ShardManifest, map_table, table_bytes

FORMAT = 2
JOB = "job.json"
EMBEDDING = JobKind("embedding", counted="texts embedded", kept="finished shards are kept")


@dataclass(frozen=True)
class Shard:
    """One shard's input: its number, its rows, and the SHA-256 of its texts file."""

    index: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class JobFile:
    """What `job.json` holds. `model_folder` is where the encoder's files lie on the machine that wrote the job;
    elsewhere the worker takes those that the job carries, or finds them by `spec.source`."""

    format: int
    spec: ModelSpec
    model_folder: str
    fingerprint: str
    options: JobOptions
    carries_model: bool
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Job(JobFile):
    """A job, read, and where it lies."""

    place: Place

    @property
    def kind(self) -> JobKind:
        return EMBEDDING

    @property
    def command(self) -> tuple[str, ...]:
        return "--job", self.place.uri

    @property
    def pieces(self) -> int:
        return len(self.shards)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def key(self) -> str:
        """The name under which its vectors are kept."""
        return self.options.key(self.fingerprint)

    @staticmethod
    def texts(index: int) -> str:
        return f"texts/{index:05d}.arrow"

    @staticmethod
    def vectors(index: int) -> str:
        return f"vectors/{index:05d}.arrow"

    @staticmethod
    def manifest(index: int) -> str:
        return f"done/{index:05d}.json"

    def begin_attempt(self, index: int) -> int:
        """Count one more attempt at a shard; returns how many that makes."""
        name = f"attempts/{index:05d}"
        try:
            attempts = int(self.place.read(name)) + 1
        except (FileNotFoundError, ValueError):
            attempts = 1
        self.place.write(name, str(attempts).encode(), durable=False)
        return attempts

    def read_texts(self, shard: Shard) -> pa.Table:
        """A shard's texts. Raises `ArtifactError` if the file is not the one the job was written with."""
        with tempfile.TemporaryDirectory(prefix="viberary-") as scratch:
            try:
                path = self.place.local(self.texts(shard.index), Path(scratch))
                found = file_sha256(path)
            except FileNotFoundError:
                found = "no such file"
            if found != shard.sha256:
                raise ArtifactError(
                    f"The texts of shard {shard.index} are damaged",
                    expected=f"{self.place.uri}/{self.texts(shard.index)} with SHA-256 {shard.sha256}",
                    found=found,
                    todo="run the build again, which writes the job again",
                )
            return map_table(path, TEXTS_SCHEMA)  # the mapping outlives the file's name

    def finish(self, vectors: bytes, manifest: ShardManifest) -> None:
        """Put a shard's vectors in place and then declare it done."""
        self.place.write(self.vectors(manifest.shard), vectors)
        self.place.write(self.manifest(manifest.shard), json.dumps(asdict(manifest), indent=1).encode())

    def read_manifest(self, shard: Shard) -> ShardManifest | None:
        """What a worker said of a shard if that is about this input and this encoder, or None."""
        try:
            manifest = parse_json(ShardManifest, self.place.read(self.manifest(shard.index)))
        except (FileNotFoundError, ValueError):
            return None
        fits = (manifest.input_sha256, manifest.fingerprint, manifest.rows) == (shard.sha256, self.key, shard.rows)
        return manifest if fits else None

    def finished(self, shard: Shard) -> ShardManifest | None:
        """The manifest of a shard that is whole, or None: it fits, and the vectors have the digest that it states."""
        manifest = self.read_manifest(shard)
        if manifest is None:
            return None
        try:
            found = hashlib.sha256(self.place.read(self.vectors(shard.index))).hexdigest()
        except FileNotFoundError:
            return None
        return manifest if found == manifest.sha256 else None

    def declared_done(self) -> int:
        """How many shards have a manifest. One listing, and no proof: it is what progress reports use."""
        return len(self.place.names("done/"))

    def declared_rows(self) -> int:
        """The rows of these shards."""
        rows = {self.manifest(shard.index): shard.rows for shard in self.shards}
        return sum(rows.get(name, 0) for name in self.place.names("done/"))


def write_job(
    at: Place | Path,
    batches: Iterable[pa.RecordBatch],
    *,
    encoder: ResolvedEncoder,
    shard_rows: int,
    options: JobOptions | None = None,
    carry_model: bool = False,
) -> Job:
    """Write a job; `job.json` comes last, so a place without one is no job.

    Args:
        at: The job's place, filled here.
        batches: The texts, of schema `TEXTS_SCHEMA`, in portions of any size; read once, never all in memory.
        encoder: Who embeds them.
        shard_rows: Texts per shard.
        options: How they are computed.
        carry_model: Put the encoder's files in too, for machines that have no other way to them.

    Raises:
        SettingsError: options that no worker takes.
    """
    options = options or JobOptions()
    options.check()
    target = open_place(at) if isinstance(at, Path) else at
    if carry_model:
        for path in encoder.model_files():
            target.put(f"model/{path.relative_to(encoder.folder)}", path)
    shards = []
    for index, table in enumerate(_portions(batches, shard_rows)):
        # By length, so that equal texts lie together; within the shard only, so that shards take equally long.
        data = table_bytes(table.take(pc.sort_indices(pc.utf8_length(table["text"]))))
        target.write(Job.texts(index), data)
        shards.append(Shard(index, table.num_rows, hashlib.sha256(data).hexdigest()))
    described = JobFile(
        format=FORMAT,
        spec=encoder.spec,
        model_folder=str(encoder.folder),
        fingerprint=encoder.fingerprint,
        options=options,
        carries_model=carry_model,
        shards=tuple(shards),
    )
    target.write(JOB, json.dumps(asdict(described), indent=1, ensure_ascii=False).encode())
    return read_job(target)


def read_job(at: Place | Path | str) -> Job:
    """Read a job.

    Raises:
        ArtifactError: there is no job that this version can read.
        StorageError: its place cannot be reached.
    """
    source = open_place(at) if isinstance(at, (Path, str)) else at
    try:
        file = parse_json(JobFile, source.read(JOB))
        if file.format != FORMAT:
            raise ValueError(f"format {file.format}")
        return Job(**vars(file), place=source)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"There is no embedding job in {source.uri}",
            expected=f"a {JOB} of format {FORMAT}",
            found=f"{type(error).__name__}: {error}",
            todo="give a folder into which the pipeline wrote a job",
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
