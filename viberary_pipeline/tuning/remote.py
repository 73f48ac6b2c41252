"""Training on another machine, by the executors that embed: the folder of a training goes to S3, an adapter comes back.

The place of a run in S3 is noted in its folder, so the same command finds it after a kill: it follows the machine that
still trains, or another one goes on from the checkpoint there. The place is emptied when the adapter is here.
"""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from viberary_pipeline.embedding.executors.base import Executor, Limits, run_job
from viberary_pipeline.embedding.heartbeat import heartbeats
from viberary_pipeline.embedding.worker_job import JobKind
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.errors import HomeBusyError, WorkerError
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.storage import Place, open_place, write_atomically
from viberary_pipeline.tuning.run import Report, Say, TuneOptions, lock_folder
from viberary_pipeline.tuning.training import (
    ADAPTER,
    DONE,
    EXAMPLES,
    FILES,
    JOB,
    MODEL,
    Trained,
    read_training,
    trained_already,
)
from viberary_pipeline.typed_json import parse_json

TRAINING = JobKind("training", counted="steps trained", kept="it goes on from its last checkpoint")
_NOTE = "remote.json"


@dataclass(frozen=True)
class RemoteTraining:
    """A training as executors see it: one piece, whose rows are steps; `worker_job.WorkerJob`."""

    place: Place
    rows: int
    command: tuple[str, ...] = ()
    kind: JobKind = TRAINING
    pieces: int = 1

    def declared_done(self) -> int:
        return len(self.place.names(DONE))

    def declared_rows(self) -> int:
        return sum(beat.rows for beat in heartbeats(self.place))


@dataclass(frozen=True)
class _Note:
    """Where a run's training lies, and which one."""

    identity: str
    place: str


@dataclass(frozen=True)
class RemoteTrainer:
    """Trains by an executor (`tuning.run.Trainer`).

    Attributes:
        executor: Where the worker runs.
        jobs: The place in S3 in which each training gets one of its own.
        limits: How long to wait.
    """

    executor: Executor
    jobs: Place
    limits: Limits

    def __call__(
        self, folder: Path, base: ResolvedEncoder, options: TuneOptions, say: Say, report: Report
    ) -> tuple[Trained, Mapping[str, Any]]:
        """Train what a folder holds.

        Raises:
            WorkerError: the worker failed, was lost too often, or left no adapter of this training.
            StorageError: S3 cannot be used.
        """
        training, facts = read_training(folder), {}
        place = self._place(folder, training.identity)
        trained = trained_already(folder, training.identity)
        if trained is None:
            steps = training.recipe.fit.steps(pq.read_metadata(folder / EXAMPLES).num_rows)
            device = "cuda" if options.device == "auto" else options.device
            every = f"{options.checkpoint_seconds:g}"
            job = RemoteTraining(place, steps, ("train", place.uri, "--device", device, "--checkpoint-seconds", every))
            _send(folder, base, place)
            if not job.declared_done():
                facts = dict(run_job(self.executor, job, self.limits, say))
            for name in (ADAPTER, DONE):
                write_atomically(folder / name, place.read(name))
            trained = trained_already(folder, training.identity)
            if trained is None:
                raise WorkerError(
                    "The training worker left the adapter of another training",
                    expected=f"the identity {training.identity} in {place.uri}/{DONE}",
                    found="another one",
                    todo="install the version of this project that runs here on the machines too, then run the "
                    "command again",
                )
        place.delete_all()
        return trained, facts

    def _place(self, folder: Path, identity: str) -> Place:
        """Where this training lies. One of another identity that a killed run left is ended and removed."""
        note = _noted(folder)
        if note is not None and note.identity == identity:
            return open_place(note.place)
        if note is not None:
            _end(self.executor, note)
            open_place(note.place).delete_all()
        place = self.jobs.inside(f"training-{uuid.uuid4().hex}")  # the same training of another home is not this one
        write_atomically(folder / _NOTE, json.dumps(asdict(_Note(identity, place.uri))))
        return place


def end_abandoned_trainings(home: Path, executor: Executor) -> list[str]:
    """End whatever runs for trainings of a home whose process is dead; returns their names. Checkpoints stay."""
    ended = []
    for path in sorted((home / "tuning").glob(f"*/{_NOTE}")):
        with suppress(HomeBusyError), hold_home(lock_folder(home, path.parent.name), wait_seconds=0):
            if (note := _noted(path.parent)) is not None:
                _end(executor, note)
                ended.append(path.parent.name)
    return ended


def _end(executor: Executor, note: _Note) -> None:
    executor.cancel_job(RemoteTraining(open_place(note.place), 0))


def _send(folder: Path, base: ResolvedEncoder, place: Place) -> None:
    """Put a training in its place; `job.json` comes last, and where it is, the rest is."""
    if JOB in place.names(JOB):
        return
    for path in base.model_files():
        place.put(f"{MODEL}/{path.relative_to(base.folder)}", path)
    for name in (*(name for name in FILES if name != JOB), JOB):
        if (folder / name).is_file():
            place.put(name, folder / name)


def _noted(folder: Path) -> _Note | None:
    with suppress(OSError, ValueError):
        return parse_json(_Note, (folder / _NOTE).read_bytes())
    return None
