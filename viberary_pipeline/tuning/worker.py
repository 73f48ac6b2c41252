"""The training worker: `python -m viberary_pipeline.tuning.worker PLACE [--device auto|cpu|cuda]`.

PLACE is a folder or s3://bucket/prefix with a training, as `tuning.training` describes it; the adapter and `done.json`
are put there. Starting it again goes on from the checkpoint, which in S3 is put every minute. It needs neither dagster
nor duckdb: what `pip install viberary-pipeline[gpu]` brings. Exit codes: 0 done, 1 failed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.storage import Place, is_s3, open_place
from viberary_pipeline.tuning.progress import shown_progress
from viberary_pipeline.tuning.recipe import Progress
from viberary_pipeline.tuning.training import ADAPTER, CHECKPOINT, DONE, run_training

_CHECKPOINT_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns its exit code."""
    parser = argparse.ArgumentParser(prog="viberary_pipeline.tuning.worker")
    parser.add_argument("place", help="the training: a folder or s3://bucket/prefix")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args(arguments)
    try:
        if is_s3(options.place):
            _train_elsewhere(open_place(options.place), options.device)
        else:
            with shown_progress() as report:
                run_training(Path(options.place), device=options.device, report=report)
    except ViberaryError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _train_elsewhere(place: Place, device: str) -> None:
    """Train on a copy of the place; what is learned goes there."""
    with tempfile.TemporaryDirectory(prefix="viberary-") as scratch, shown_progress() as report:
        folder = Path(scratch)
        for name in place.names():
            place.local(name, folder)
        put = time.monotonic()

        def watch(progress: Progress) -> None:
            nonlocal put
            report(progress)
            if time.monotonic() - put > _CHECKPOINT_SECONDS and (folder / CHECKPOINT).exists():
                place.put(CHECKPOINT, folder / CHECKPOINT)
                put = time.monotonic()

        run_training(folder, device=device, report=watch, seconds_between_checkpoints=_CHECKPOINT_SECONDS / 2)
        for name in (ADAPTER, DONE):
            place.put(name, folder / name)
        place.delete(CHECKPOINT)


if __name__ == "__main__":
    sys.exit(main())
