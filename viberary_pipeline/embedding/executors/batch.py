"""The AWS Batch executor: an array job, one child per range of shards, thousands of them if need be.

Batch starts and ends the machines. What it says of an array's parent is not relied on (a failed child can leave it
SUBMITTED for ever): the job is done when every shard is declared done, its children are what counts, and whoever waits
has a deadline of its own (`base.Limits`).
"""

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any

from viberary_pipeline.artifacts import digest
from viberary_pipeline.embedding.executors.aws import client_of, refusals
from viberary_pipeline.embedding.executors.base import JobStatus, Machine, Submission
from viberary_pipeline.embedding.heartbeat import failures, forget, heartbeats
from viberary_pipeline.embedding.settings import BatchSettings
from viberary_pipeline.embedding.worker_job import WorkerJob

log = logging.getLogger(__name__)
MOST_CHILDREN = 10_000
_PREFIX = "viberary-"
_ALIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
_ENDED = ("SUCCEEDED", "FAILED")
# The first rule that fits decides. 75 is the worker's "try again", "Host EC2" Batch's word for a spot loss.
RETRY = [
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onExitCode": "75", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
]


class BatchExecutor:
    """Array jobs in a queue of AWS Batch, with the credentials and the endpoint that boto3 finds."""

    name = "batch"

    def __init__(
        self, settings: BatchSettings, deadline_minutes: int, *, poll_seconds: float = 15.0, client: Any = None
    ) -> None:
        self.settings = settings
        self.deadline_minutes = deadline_minutes
        self._poll_seconds = poll_seconds
        self._batch = client or client_of("batch")
        self._started: dict[str, float] = {}

    def submit(self, job: WorkerJob) -> Submission:
        if (known := next(self._of_job(job), None)) is not None:
            return Submission(self.name, job, known["jobId"])
        forget(job.place)
        size = max(self.settings.shards_per_child, ceil(job.pieces / MOST_CHILDREN))
        children = ceil(job.pieces / size)
        answer = self._call(
            "submit_job",
            jobName=_name(job),
            jobQueue=self.settings.queue,
            jobDefinition=self.settings.definition,
            **({"arrayProperties": {"size": children}} if children > 1 else {}),  # Batch takes no array of one
            containerOverrides={"command": [*job.command, *(["--range-size", str(size)] if children > 1 else [])]},
            retryStrategy={"attempts": self.settings.attempts, "evaluateOnExit": RETRY},
            timeout={"attemptDurationSeconds": self.deadline_minutes * 60},
            tags={"viberary": "embedding"},
        )
        self._started[answer["jobId"]] = time.monotonic()
        log.info("submitted %s: %d children of at most %d shards", answer["jobId"], children, size)
        return Submission(self.name, job, str(answer["jobId"]))

    def poll(self, submission: Submission, *, wait_seconds: float) -> JobStatus:
        time.sleep(max(wait_seconds, self._poll_seconds))
        job = submission.job
        rows = job.declared_rows()  # of thousands of children: one listing, not their heartbeats
        if job.declared_done() >= job.pieces:
            return JobStatus("succeeded", rows=rows)
        hopeless = [beat for beat in failures(job.place) if beat.exit_code != 75]
        if hopeless:  # every other child would end the same way
            beat = hopeless[0]
            return JobStatus("failed", f"a child ended with exit code {beat.exit_code}: {beat.message}", rows=rows)
        counts, reason = self._children(submission.id)
        if sum(counts.values()) and not sum(count for state, count in counts.items() if state not in _ENDED):
            if job.declared_done() >= job.pieces:  # the last ones were declared while we asked
                return JobStatus("succeeded", rows=rows)
            failed = counts.get("FAILED", 0)
            detail = f"{failed} of {sum(counts.values())} children of {submission.id} failed{reason and ': ' + reason}"
            return JobStatus("lost", detail, "see the children's logs in CloudWatch (/aws/batch/job)", rows=rows)
        return JobStatus("running", rows=rows)

    def cancel(self, submission: Submission) -> None:
        described = self._call("describe_jobs", jobs=[submission.id])["jobs"]
        if described and not self._over(described[0]):
            self._call("terminate_job", jobId=submission.id, reason="viberary: no longer wanted")

    def cancel_job(self, job: WorkerJob) -> None:
        for found in list(self._of_job(job)):
            self._call("terminate_job", jobId=found["jobId"], reason="viberary: no longer wanted")

    def facts(self, submission: Submission) -> Mapping[str, Any]:
        counts, _ = self._children(submission.id)
        beats = heartbeats(submission.job.place)
        return {
            "batch_job": submission.id,
            "queue": self.settings.queue,
            "children": sum(counts.values()),
            "children_failed": counts.get("FAILED", 0),
            "machine_seconds": round(sum(beat.time - beat.started for beat in beats), 1),
            "waited_seconds": round(time.monotonic() - self._started.get(submission.id, time.monotonic()), 1),
        }

    def machines(self) -> list[Machine]:
        """Jobs of ours in the queue that have not ended."""
        return [self._machine(job) for job in self._alive()]

    def reap(self) -> list[Machine]:
        """End the jobs of ours whose time is over, and only those; returns them."""
        expired = [machine for machine in self.machines() if machine.expired]
        for machine in expired:
            self._call("terminate_job", jobId=machine.id, reason="viberary: its time is over")
        return expired

    def _children(self, identity: str) -> tuple[dict[str, int], str]:
        """{state: children}, and a failed one's reason. A job that is no array counts as its own child."""
        described = self._call("describe_jobs", jobs=[identity])["jobs"]
        if not described:
            return {}, ""
        array = described[0].get("arrayProperties", {})
        if "size" not in array:
            return {described[0]["status"]: 1}, described[0].get("statusReason", "")
        # The summary of the children, never the parent's own status: that can stay behind for ever.
        counts = {state: count for state, count in array.get("statusSummary", {}).items() if count}
        failed = self._list(arrayJobId=identity, jobStatus="FAILED") if counts.get("FAILED") else iter(())
        return counts, next(failed, {}).get("statusReason", "")

    def _over(self, described: Mapping[str, Any]) -> bool:
        if described["status"] in _ENDED:
            return True
        counts, _ = self._children(described["jobId"])
        return bool(counts) and set(counts) <= set(_ENDED)

    def _of_job(self, job: WorkerJob) -> Iterator[dict[str, Any]]:
        """Jobs of that name some of whose children still run or wait."""
        for found in self._alive():
            if found["jobName"] == _name(job) and not self._over({"jobId": found["jobId"], "status": "RUNNING"}):
                yield found

    def _alive(self) -> Iterator[dict[str, Any]]:
        for state in _ALIVE:
            for job in self._list(jobQueue=self.settings.queue, jobStatus=state):
                # Children of an array are listed by their array alone; moto lists them here too.
                if job["jobName"].startswith(_PREFIX) and ":" not in job["jobId"]:
                    yield job

    def _list(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        following: dict[str, Any] = {}
        while True:
            page = self._call("list_jobs", **arguments, **following)
            yield from page["jobSummaryList"]
            if not page.get("nextToken"):
                return
            following = {"nextToken": page["nextToken"]}

    def _machine(self, job: Mapping[str, Any]) -> Machine:
        created = job.get("createdAt", 0) / 1000
        expires = created + (self.deadline_minutes + 30) * 60
        return Machine(
            id=job["jobId"],
            job=job["jobName"],
            kind="batch",
            state=str(job.get("status", "?")).lower(),
            expires=datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds"),
            expired=expires < time.time(),
        )

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with refusals("batch", operation):
            answer: dict[str, Any] = getattr(self._batch, operation)(**arguments)
            return answer


def _name(job: WorkerJob) -> str:
    return f"{_PREFIX}{digest(job.place.uri)}"
