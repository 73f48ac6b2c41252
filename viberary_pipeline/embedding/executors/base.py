"""What every executor offers: submit a job, ask how it stands, cancel it, reap what was left.

An executor runs the worker of a job (`worker_job.WorkerJob`) somewhere; what the worker leaves in the job's place is
the result: vectors, or a trained adapter. Whoever submits verifies it: an executor reports only how the worker ended.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from viberary_pipeline.embedding.worker_job import WorkerJob
from viberary_pipeline.errors import WorkerError

log = logging.getLogger(__name__)
POLL_SECONDS = 1.0
_REPORT_SECONDS = 30.0
Say = Callable[[str], object]


@dataclass(frozen=True)
class Submission:
    """A job that was handed over. `id` names it where it runs (a process, a machine, a queue's job)."""

    executor: str
    job: WorkerJob
    id: str


@dataclass(frozen=True)
class JobStatus:
    """How a submission stands; `detail` says why it failed and `todo` what a person can do about it.

    `lost` is a machine that went away (a spot loss): worth another submission. `rows` are done so far.
    """

    state: Literal["running", "succeeded", "failed", "lost"]
    detail: str = ""
    todo: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Limits:
    """How long whoever submitted waits, in seconds, whatever the executor says.

    Attributes:
        deadline: For the whole job.
        stall: Without a row or a piece done, once a worker has written a heartbeat.
        start: Until the first heartbeat (a machine starts, a queue has room); remote executors alone.
        submissions: How often a job may be submitted, losses of machines included.
    """

    deadline: float = 24 * 3600
    stall: float = 30 * 60
    start: float = 30 * 60
    submissions: int = 5


@dataclass(frozen=True)
class Machine:
    """Something of ours that runs and may cost money."""

    id: str
    job: str
    kind: str
    state: str
    expires: str
    expired: bool


class Executor(Protocol):
    """Somewhere to run the worker."""

    @property
    def name(self) -> str:
        """What VIBERARY_EXECUTOR calls it."""

    def submit(self, job: WorkerJob) -> Submission:
        """Start the worker on a job; a job that runs already is found, not started twice.

        Raises:
            WorkerError: it cannot be started.
        """

    def poll(self, submission: Submission, *, wait_seconds: float) -> JobStatus:
        """How the submission stands; returns once that is final, or after `wait_seconds`."""

    def cancel(self, submission: Submission) -> None:
        """End the submission, if it still runs, and release what it holds; harmless when it has ended."""

    def cancel_job(self, job: WorkerJob) -> None:
        """End whatever runs for a job, whoever submitted it."""

    def machines(self) -> list[Machine]:
        """What of ours runs there now, of any job."""

    def reap(self) -> list[Machine]:
        """End what of ours has outlived its time, and only that; returns it."""

    def facts(self, submission: Submission) -> Mapping[str, Any]:
        """What is known of the run, for people: instance type, market, estimated cost."""


@dataclass
class _Watch:
    """The deadline and the stall limit of one wait."""

    limits: Limits
    started: float = field(default_factory=time.monotonic)
    last: tuple[int, int] = (-1, -1)
    moved: float = field(default_factory=time.monotonic)

    def check(self, job: WorkerJob, status: JobStatus) -> str:
        """What is overdue, or ""."""
        now = time.monotonic()
        progress = (status.rows, job.declared_done())
        if progress != self.last:
            self.last, self.moved = progress, now
        if now - self.started > self.limits.deadline:
            return f"not done after the deadline of {self.limits.deadline:.0f} s"
        started = any(progress)
        allowed = self.limits.stall if started else max(self.limits.stall, self.limits.start)
        if now - self.moved > allowed:
            return f"nothing has moved for {allowed:.0f} s" if started else f"no worker has started for {allowed:.0f} s"
        return ""


def run_job(executor: Executor, job: WorkerJob, limits: Limits | None = None, say: Say = log.info) -> Mapping[str, Any]:
    """Run a job to its end. However this is left, nothing of it runs on.

    Args:
        executor: Where it runs.
        job: The job.
        limits: How long to wait.
        say: Called now and then with how far it is.

    Returns:
        What the executor says of the run, and how often it was submitted.

    Raises:
        WorkerError: the worker failed, its machines were lost too often, or a limit has passed.
    """
    limits = limits or Limits()
    watch = _Watch(limits)
    submissions = 0
    facts: dict[str, Any] = {}
    try:
        while True:
            submission = executor.submit(job)
            submissions += 1
            say(f"submitted to {submission.executor}: {submission.id}")
            status, overdue = _wait(executor, submission, watch, say)
            facts = _added(facts, executor.facts(submission)) | {"submissions": submissions}
            executor.cancel(submission)
            if status.state == "succeeded":
                return facts
            if overdue or status.state != "lost" or submissions >= limits.submissions:
                raise WorkerError(
                    f"The {job.kind.name} worker failed ({submission.executor} {submission.id})",
                    expected=f"the job at {job.place.uri} to be completed",
                    found=overdue or status.detail,
                    todo=status.todo or f"run the command again; {job.kind.kept}",
                )
            say(f"{status.detail}: submitted again; {job.kind.kept}")
    finally:
        # By the job, not by what `submit` returned: an interrupt may come before it returns.
        executor.cancel_job(job)


def _added(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the last submission, with the time and cost of those before it."""
    sums = {
        name: round((before.get(name) or 0) + (now.get(name) or 0), 4)
        for name in ("machine_seconds", "estimated_usd")
        if before.get(name) is not None or now.get(name) is not None
    }
    return {**now, **sums}


def _wait(executor: Executor, submission: Submission, watch: _Watch, say: Say) -> tuple[JobStatus, str]:
    reported, job = time.monotonic(), submission.job
    while True:
        status = executor.poll(submission, wait_seconds=POLL_SECONDS)
        if status.state != "running":
            return status, ""
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            say(f"{status.rows:,} of {job.rows:,} {job.kind.counted}")
        if overdue := watch.check(job, status):
            return status, overdue
