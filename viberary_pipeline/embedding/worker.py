"""The embedding worker: `python -m viberary_pipeline.embedding.worker --job PLACE [--shards A:B]`.

PLACE is a folder or s3://bucket/prefix. Computes the vectors of a job's shards and leaves out those that are whole
already, so that starting it again resumes. It needs neither dagster nor duckdb. Progress and messages go to standard
error; standard output stays empty. Exit codes (sysexits.h): 0 all shards of the range are done; 75 try again (out of
memory, disk, network, a GPU that failed); 78 configuration (no such job, no CUDA where asked, a GPU too old for this
torch, no model or another model, no right to the bucket); 2 usage.

On a machine with several GPUs it starts one process for each. As a child of an AWS Batch array job it takes the range
that AWS_BATCH_JOB_ARRAY_INDEX names, of `--range-size` shards.
"""

import argparse
import hashlib
import os
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from viberary_pipeline.embedding.batches import Tokens
from viberary_pipeline.embedding.compute import Encoded, TextEncoder, encoder_of
from viberary_pipeline.embedding.heartbeat import SECONDS, Pulse
from viberary_pipeline.embedding.jobs import Job, Shard, read_job
from viberary_pipeline.embedding.processes import run_processes, visible_gpus
from viberary_pipeline.embedding.worker_end import DONE, UsageError, end_with_parent, run_worker
from viberary_pipeline.errors import WorkerError
from viberary_pipeline.vectors.arrow_files import ShardManifest, problem_with, table_bytes, vectors_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns its exit code."""
    options = _parser().parse_args(arguments)
    if options.until_stdin_closes:
        end_with_parent()
    return run_worker(lambda pulse: _run(options, pulse))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="viberary_pipeline.embedding.worker")
    parser.add_argument("--job", required=True, help="the job: a folder or s3://bucket/prefix")
    parser.add_argument("--shards", type=_range, help="A:B, the shards A to B-1; default all")
    parser.add_argument("--range-size", type=int, help="in an AWS Batch array: this many shards per child")
    parser.add_argument("--processes", type=int, help="processes to share the shards; default one, or one per GPU")
    parser.add_argument("--part", type=_part, help=argparse.SUPPRESS)  # I/N: every Nth shard, from the Ith
    parser.add_argument("--heartbeat", type=float, default=SECONDS, help="seconds between heartbeats")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes (the parent died)",
    )
    return parser


def _run(options: argparse.Namespace, pulse: list[Pulse]) -> int:
    job = read_job(options.job)
    shards = _chosen(job, options)
    if options.part is None:
        gpus = visible_gpus() if job.options.device == "cuda" else []
        count = options.processes or max(1, len(gpus))
        if count > 1:
            first = shards[0].index if shards else 0
            command = ["--job", options.job, "--shards", f"{first}:{first + len(shards)}"]
            return run_processes([*command, "--heartbeat", str(options.heartbeat)], count, gpus)
    else:
        index, count = options.part
        shards = shards[index::count]
    name = f"{socket.gethostname()}-{os.getpid()}"
    pulse.append(Pulse(job.place, name=name, seconds=options.heartbeat))
    run(job, shards, pulse[0])
    return DONE


def _chosen(job: Job, options: argparse.Namespace) -> Sequence[Shard]:
    """The shards that this process and its children are to do."""
    first, stop = options.shards or (0, len(job.shards))
    if options.range_size is not None:
        index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "0")  # an array of one child is no array
        first = int(index) * options.range_size
        stop = min(first + options.range_size, len(job.shards))
    if stop > len(job.shards) or first > stop:
        raise UsageError(f"--shards {first}:{stop}: the job has {len(job.shards)} shards")
    return job.shards[first:stop]


def run(job: Job, shards: Sequence[Shard], pulse: Pulse | None = None) -> None:
    """Compute those of `shards` that are not whole yet.

    Raises:
        SettingsError, EncoderError, ArtifactError: the job cannot be done on this machine.
        WorkerError: the model gave vectors that cannot be used.
    """
    from tqdm import tqdm

    waiting = [shard for shard in shards if job.finished(shard) is None]
    if not waiting:
        return
    encoder = encoder_of(job)
    rows = sum(shard.rows for shard in waiting)
    if pulse is not None:
        pulse.now.state, pulse.now.total = "embedding", rows
    quiet = 0.5 if sys.stderr.isatty() else 10.0  # a log file gets a line now and then
    with (
        tqdm(total=rows, unit="text", desc=job.spec.name, mininterval=quiet, file=sys.stderr) as bar,
        ThreadPoolExecutor(1, "ahead") as ahead,
        ThreadPoolExecutor(1, "behind") as behind,
    ):

        def progress(count: int) -> None:
            bar.update(count)
            if pulse is not None:
                pulse.now.rows += count

        next_one = ahead.submit(_prepare, job, waiting[0], encoder)
        written: Future[None] | None = None
        for position, shard in enumerate(waiting):
            prepared = next_one.result()
            if position + 1 < len(waiting):
                next_one = ahead.submit(_prepare, job, waiting[position + 1], encoder)
            attempts = job.begin_attempt(shard.index)
            encoded = encoder.embed(prepared.tokens, progress=progress)
            if written is not None:
                written.result()
            written = behind.submit(_finish, job, shard, encoder, prepared, encoded, attempts)
            if job.options.device == "cpu":
                written.result()  # a GPU must not wait for an upload; on a CPU a kill may lose one shard, not two
            if pulse is not None:
                pulse.now.shards += 1
                pulse.now.tokens += encoded.tokens
                pulse.now.seconds = round(pulse.now.seconds + encoded.seconds, 3)
        if written is not None:
            written.result()


@dataclass(frozen=True)
class _Prepared:
    """A shard whose texts are read and tokenised."""

    hashes: pa.Array
    tokens: Tokens


def _prepare(job: Job, shard: Shard, encoder: TextEncoder) -> _Prepared:
    texts = job.read_texts(shard)
    return _Prepared(texts["text_hash"].combine_chunks(), encoder.tokenize(texts["text"].to_pylist()))


def _finish(job: Job, shard: Shard, encoder: TextEncoder, prepared: _Prepared, encoded: Encoded, attempts: int) -> None:
    problem = problem_with(encoded.vectors, rows=shard.rows, dimensions=job.spec.dimensions)
    if problem is not None:
        raise WorkerError(
            f"The vectors of shard {shard.index} cannot be used",
            expected=f"{shard.rows} finite vectors of {job.spec.dimensions} dimensions and norm 1",
            found=f"{problem} ({encoder.backend.dtype} on {job.options.device})",
            todo="try again; if that does not help, use another dtype or another encoder",
        )
    data = table_bytes(vectors_table(prepared.hashes, encoded.vectors, job.options.stored))
    job.finish(
        data,
        ShardManifest(
            shard=shard.index,
            sha256=hashlib.sha256(data).hexdigest(),
            input_sha256=shard.sha256,
            fingerprint=job.key,
            rows=shard.rows,
            dimensions=job.spec.dimensions,
            dtype=encoder.backend.dtype,
            device=job.options.device,
            tokens=encoded.tokens,
            seconds=round(encoded.seconds, 3),
            attempts=attempts,
            host=socket.gethostname(),
        ),
    )


def _range(text: str) -> tuple[int, int]:
    first, separator, stop = text.partition(":")
    if not separator or not first.isdigit() or not stop.isdigit() or int(first) >= int(stop):
        raise argparse.ArgumentTypeError(f"expected A:B with A below B, found {text!r}")
    return int(first), int(stop)


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    return int(index), int(count)


if __name__ == "__main__":
    sys.exit(main())
