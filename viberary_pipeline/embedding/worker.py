"""The embedding worker: `python -m viberary_pipeline.embedding.worker --job FOLDER [--shards A:B]`.

Computes the vectors of a job's shards and leaves out those that are whole already, so that starting it again
resumes. It needs neither dagster nor duckdb. Progress and messages go to standard error; standard output
stays empty. Exit codes (sysexits.h): 0 all shards of the range are done; 75 try again (out of memory, disk,
a GPU that failed); 78 configuration (no such job, no CUDA where asked, no model or another model); 2 usage.
"""

import argparse
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from viberary_pipeline.embedding.compute import TextEncoder
from viberary_pipeline.embedding.jobs import Job, Shard, ShardManifest, read_job
from viberary_pipeline.embedding.vectors import problem_with, vectors_table, write_table
from viberary_pipeline.errors import ArtifactError, EncoderError, SettingsError, WorkerError

DONE = 0
USAGE = 2
TRY_AGAIN = 75
CONFIGURATION = 78

# torch's own exceptions for a full or failing GPU, by name: torch may not be imported yet when one is caught.
_PASSING_FAILURES = {"OutOfMemoryError", "AcceleratorError"}
_PARENT_CHECK_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns its exit code."""
    parser = argparse.ArgumentParser(prog="viberary_pipeline.embedding.worker")
    parser.add_argument("--job", type=Path, required=True, help="the job folder")
    parser.add_argument("--shards", type=_range, help="A:B, the shards A to B-1; default all")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes (the parent died)",
    )
    options = parser.parse_args(arguments)
    if options.until_stdin_closes:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        job = read_job(options.job)
        first, stop = options.shards or (0, len(job.shards))
        if stop > len(job.shards):
            print(f"--shards {first}:{stop}: the job has {len(job.shards)} shards", file=sys.stderr)
            return USAGE
        run(job, job.shards[first:stop])
    except (ArtifactError, EncoderError, SettingsError) as error:
        print(error, file=sys.stderr)
        return CONFIGURATION
    except (WorkerError, OSError, MemoryError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return TRY_AGAIN
    except RuntimeError as error:
        if type(error).__name__ not in _PASSING_FAILURES:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return TRY_AGAIN
    return DONE


def run(job: Job, shards: Sequence[Shard]) -> None:
    """Compute those of `shards` that are not whole yet.

    Raises:
        SettingsError, EncoderError, ArtifactError: the job cannot be done on this machine.
        WorkerError: the model gave vectors that cannot be used.
    """
    from tqdm import tqdm

    waiting = [shard for shard in shards if job.finished(shard) is None]
    if not waiting:
        return
    encoder = TextEncoder(job)
    rows = sum(shard.rows for shard in waiting)
    quiet = 0.5 if sys.stderr.isatty() else 10.0  # a log file gets a line now and then
    with tqdm(total=rows, unit="text", desc=job.spec.name, mininterval=quiet, file=sys.stderr) as bar:
        for shard in waiting:
            _compute(job, shard, encoder, bar.update)


def _compute(job: Job, shard: Shard, encoder: TextEncoder, progress: Callable[[int], Any]) -> None:
    attempts = job.begin_attempt(shard.index)
    job.manifest(shard.index).unlink(missing_ok=True)  # it may speak of vectors that are about to be replaced
    texts = job.read_texts(shard)
    encoded = encoder.encode(texts["text"].to_pylist(), progress=progress)
    problem = problem_with(encoded.vectors, rows=shard.rows, dimensions=job.spec.dimensions)
    if problem is not None:
        raise WorkerError(
            f"The vectors of shard {shard.index} cannot be used",
            expected=f"{shard.rows} finite vectors of {job.spec.dimensions} dimensions and norm 1",
            found=f"{problem} ({encoder.dtype} on {encoder.device})",
            todo="try again; if it stays so, use another dtype or another encoder",
        )
    table = vectors_table(texts["text_hash"].combine_chunks(), encoded.vectors)
    sha256 = write_table(job.vectors(shard.index), table)
    job.write_manifest(
        ShardManifest(
            shard=shard.index,
            sha256=sha256,
            input_sha256=shard.sha256,
            fingerprint=job.fingerprint,
            rows=shard.rows,
            dimensions=job.spec.dimensions,
            dtype=encoder.dtype,
            device=encoder.device,
            tokens=encoded.tokens,
            seconds=round(encoded.seconds, 3),
            attempts=attempts,
            host=socket.gethostname(),
        )
    )


def _end_with_parent(parent: int) -> None:
    """End this process when standard input closes or the parent is another one: nobody waits any more."""
    while True:
        readable, _, _ = select.select([0], [], [], _PARENT_CHECK_SECONDS)
        if (readable and not os.read(0, 4096)) or os.getppid() != parent:
            os._exit(TRY_AGAIN)  # files are renamed into place when whole, so nothing is left half-written


def _range(text: str) -> tuple[int, int]:
    first, separator, stop = text.partition(":")
    if not separator or not first.isdigit() or not stop.isdigit() or int(first) >= int(stop):
        raise argparse.ArgumentTypeError(f"expected A:B with A below B, found {text!r}")
    return int(first), int(stop)


if __name__ == "__main__":
    sys.exit(main())
