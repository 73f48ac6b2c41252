"""The training worker: `python -m viberary_pipeline.tuning.worker PLACE [--device auto|cpu|cuda]`.

PLACE is a folder or s3://bucket/prefix with a training, as `tuning.training` describes it; the adapter and `done.json`
are put there. Starting it again goes on from the checkpoint, which in S3 is put as often as it is written. It needs
neither dagster nor duckdb: what `pip install viberary-pipeline[gpu]` brings. Exit codes (sysexits.h): 0 done; 75 try
again; 78 configuration (no such training, no CUDA where asked, no right to the bucket); 2 usage.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from viberary_pipeline.embedding.heartbeat import SECONDS, Pulse
from viberary_pipeline.embedding.worker_end import DONE as EXIT_DONE
from viberary_pipeline.embedding.worker_end import end_with_parent, run_worker
from viberary_pipeline.storage import Folder, Place, open_place
from viberary_pipeline.tuning.progress import shown_progress
from viberary_pipeline.tuning.recipe import Progress
from viberary_pipeline.tuning.training import ADAPTER, CHECKPOINT, DONE, FILES, MODEL, read_training, run_training


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns its exit code."""
    parser = argparse.ArgumentParser(prog="viberary_pipeline.tuning.worker")
    parser.add_argument("place", help="the training: a folder or s3://bucket/prefix")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, help="seconds of work that a kill may cost")
    parser.add_argument("--heartbeat", type=float, default=SECONDS, help="seconds between heartbeats")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)
    if options.until_stdin_closes:
        end_with_parent()
    return run_worker(lambda pulse: _run(options, pulse))


def _run(options: argparse.Namespace, pulses: list[Pulse]) -> int:
    place = open_place(options.place)
    with tempfile.TemporaryDirectory(prefix="viberary-") as scratch, shown_progress() as report:
        folder = place.path if isinstance(place, Folder) else _copied(place, Path(scratch))
        read_training(folder)  # where there is none, nothing is to be written
        pulse = Pulse(place, seconds=options.heartbeat)
        pulses.append(pulse)
        kept = _changed(folder / CHECKPOINT)

        def watch(progress: Progress) -> None:
            nonlocal kept
            report(progress)
            pulse.now.state, pulse.now.rows, pulse.now.total = "training", progress.step, progress.steps
            written = _changed(folder / CHECKPOINT)
            if written not in (0, kept) and not isinstance(place, Folder):
                place.put(CHECKPOINT, folder / CHECKPOINT)
                kept = written

        run_training(
            folder, device=options.device, report=watch, seconds_between_checkpoints=options.checkpoint_seconds
        )
        if not isinstance(place, Folder):
            for name in (ADAPTER, DONE):
                place.put(name, folder / name)
    return EXIT_DONE


def _copied(place: Place, folder: Path) -> Path:
    """A copy of a training in S3, heartbeats left out."""
    for name in place.names():
        if name in FILES or name.startswith(f"{MODEL}/"):
            place.local(name, folder)
    return folder


def _changed(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
