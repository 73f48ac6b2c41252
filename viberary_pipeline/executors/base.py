"""What every executor offers: submit a job folder, ask how it stands, cancel it.

An executor runs `embedding.worker` over a job folder somewhere; the vectors and manifests that it leaves in
the folder are the result. Whoever submits verifies them: an executor reports only how the worker ended.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from viberary_pipeline.errors import WorkerError

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Submission:
    """A job that was handed over. `id` names it where it runs (a process, a machine, a queue's job)."""

    executor: str
    job: Path
    id: str


@dataclass(frozen=True)
class JobStatus:
    """How a submission stands; `detail` says why it failed and `todo` what a person can do about it."""

    state: Literal["running", "succeeded", "failed"]
    detail: str = ""
    todo: str = ""


class Executor(Protocol):
    """Somewhere to run the worker."""

    @property
    def name(self) -> str:
        """What VIBERARY_EXECUTOR calls it."""

    def submit(self, job: Path) -> Submission:
        """Start the worker on a job folder. Raises `WorkerError` if it cannot be started."""

    def poll(self, submission: Submission, *, wait_seconds: float) -> JobStatus:
        """How the submission stands; returns once that is final, or after `wait_seconds`."""

    def cancel(self, submission: Submission) -> None:
        """End the submission, if it still runs, and release what it holds; harmless when it has ended."""


def run_job(executor: Executor, job: Path) -> None:
    """Run a job to its end. However this is left, nothing of it runs on.

    Raises:
        WorkerError: the worker failed; the message carries its last words.
    """
    submission = executor.submit(job)
    try:
        while (status := executor.poll(submission, wait_seconds=POLL_SECONDS)).state == "running":
            pass
    finally:
        executor.cancel(submission)
    if status.state == "failed":
        raise WorkerError(
            f"The embedding worker failed ({submission.executor} {submission.id})",
            expected=f"all shards of {job} done",
            found=status.detail,
            todo=status.todo,
        )
