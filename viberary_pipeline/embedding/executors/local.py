"""The local executor: the worker as a child process of this one; it starts one process per GPU itself."""

import codecs
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from viberary_pipeline.embedding.executors.base import JobStatus, Machine, Submission
from viberary_pipeline.embedding.heartbeat import heartbeats
from viberary_pipeline.embedding.worker_job import WorkerJob
from viberary_pipeline.errors import WorkerError

WORKER = "viberary_pipeline.worker"
LAST_LINES = 20
_GRACE_SECONDS = 5.0
_MEANING = {
    75: (
        "a passing failure: out of memory, a full disk, a GPU that failed",
        "mend what the lines above name and run again; {kept}",
    ),
    78: ("the job cannot be done on this machine", "do what the lines above say"),
}


class LocalExecutor:
    """Runs the worker with this interpreter, one process per submission. Its standard error is passed
    through; it ends when this process ends, even by `kill -9`, because its standard input then closes."""

    name = "local"

    def __init__(self) -> None:
        self._running: dict[str, _Child] = {}

    def submit(self, job: WorkerJob) -> Submission:
        for identity, child in self._running.items():
            if child.job.place.uri == job.place.uri:
                return Submission(self.name, job, identity)
        child = _Child(job)
        identity = f"process {child.process.pid}"
        self._running[identity] = child
        return Submission(self.name, job, identity)

    def poll(self, submission: Submission, *, wait_seconds: float) -> JobStatus:
        child = self._running[submission.id]
        try:
            code = child.process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return JobStatus("running", rows=sum(beat.rows for beat in heartbeats(submission.job.place)))
        if code == 0:
            return JobStatus("succeeded")
        meaning, todo = _MEANING.get(code, ("an error in the worker", "report the lines above"))
        if code < 0:
            meaning = f"killed by {signal.Signals(-code).name}"
            todo = "run the command again; {kept} (if the signal is SIGKILL, the machine may be out of memory)"
        lines = "".join(f"\n    {line}" for line in child.last_lines())
        return JobStatus(
            "failed",
            f"exit code {code}, {meaning}; its last lines:{lines or ' none'}",
            todo.format(kept=submission.job.kind.kept),
        )

    def cancel(self, submission: Submission) -> None:
        if (child := self._running.pop(submission.id, None)) is not None:
            child.end()

    def cancel_job(self, job: WorkerJob) -> None:
        for identity in [identity for identity, child in self._running.items() if child.job.place.uri == job.place.uri]:
            self.cancel(Submission(self.name, job, identity))

    def machines(self) -> list[Machine]:
        return []  # its processes end with this one

    def reap(self) -> list[Machine]:
        return []

    def facts(self, submission: Submission) -> Mapping[str, Any]:
        return {"host": os.uname().nodename}


class _Child:
    """A worker process, and the thread that passes its standard error on."""

    def __init__(self, job: WorkerJob) -> None:
        self.job = job
        command = [sys.executable, "-m", WORKER, *job.command, "--until-stdin-closes"]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise WorkerError(
                f"The {job.kind.name} worker cannot be started",
                expected=f"to run {' '.join(command)}",
                found=f"{type(error).__name__}: {error}",
                todo="repair the Python installation, or free some memory",
            ) from error
        assert self.process.stderr is not None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._relay = threading.Thread(target=self._pass_on, args=(self.process.stderr,), daemon=True)
        self._relay.start()

    def last_lines(self) -> list[str]:
        """The last lines that the ended worker wrote, progress bars left out."""
        self._relay.join(_GRACE_SECONDS)
        return list(self._lines)

    def end(self) -> None:
        """End the process if it runs, and close its pipes."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._relay.join(_GRACE_SECONDS)
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _pass_on(self, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        line = ""
        while chunk := os.read(stream.fileno(), 65536):
            text = decoder.decode(chunk)
            # Where ours is closed or broken (`... 2>&1 | head`), go on reading: a full pipe would stop the worker.
            with suppress(OSError, ValueError):
                sys.stderr.write(text)
                sys.stderr.flush()
            *whole, line = (line + text).split("\n")
            for ended in whole:
                # A progress bar redraws its line after a carriage return: only what stands at the end counts.
                self._lines.append(ended.rsplit("\r", 1)[-1])
        if line:
            self._lines.append(line.rsplit("\r", 1)[-1])
