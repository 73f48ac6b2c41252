"""The EC2 executor: one GPU machine per job, started for it and gone with it.

Types, markets and zones are tried in order. What is a matter of capacity moves on to the next; what is a matter of
rights or settings stops at once. A spot loss is submitted again by `run_job`: what is done stays done.

What keeps a machine from running on, each alone enough: it shuts itself down when the worker ends and after a time
limit, and a shutdown terminates it; whoever waits has a deadline and a stall limit and cancels in `finally`; tags say
when it expires, for `viberary gpu reap`, cron, and the Dagster sensors on failed and cancelled runs.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from viberary_pipeline.artifacts import digest
from viberary_pipeline.embedding.executors.aws import client_of, refusals, refused
from viberary_pipeline.embedding.executors.base import JobStatus, Machine, Submission
from viberary_pipeline.embedding.executors.ec2_machine import (
    ON_DEMAND_PRICE,
    TAG,
    TAG_EXPIRES,
    TAG_JOB,
    TAG_MARKET,
    Ec2Settings,
    job_tag,
    request,
    user_data,
)
from viberary_pipeline.embedding.heartbeat import Heartbeat, forget, heartbeats
from viberary_pipeline.embedding.worker_job import WorkerJob
from viberary_pipeline.errors import WorkerError
from viberary_pipeline.storage import error_code

log = logging.getLogger(__name__)

# Another zone, market or type may have what this one has not.
_NO_CAPACITY = {
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
    "InstanceLimitExceeded",
    "VcpuLimitExceeded",
    "Unsupported",
    "UnsupportedOperation",
}
_GONE = ("shutting-down", "terminated", "stopping", "stopped")
_KNOWN_AFTER_SECONDS = 120
_ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
_AMI_OWNER = "amazon"
# Drivers with open kernel modules know no V100.
_AMI_NAME = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) *"
_AMI_NAME_P3 = "Deep Learning Base Proprietary Nvidia Driver GPU AMI (Ubuntu *"


class Ec2Executor:
    """Machines in the region, with the credentials and the endpoint that boto3 finds."""

    name = "ec2"

    def __init__(
        self, settings: Ec2Settings, deadline_minutes: int, *, poll_seconds: float = 10.0, client: Any = None
    ) -> None:
        self.settings = settings
        self.deadline_minutes = deadline_minutes
        self._poll_seconds = poll_seconds
        self._ec2 = client or client_of("ec2")
        self._started: dict[str, float] = {}

    def submit(self, job: WorkerJob) -> Submission:
        for instance in self._of_job(job):
            if instance["State"]["Name"] in ("pending", "running"):
                return Submission(self.name, job, instance["InstanceId"])
        running = len(list(self._instances({TAG: "embedding"}, ["pending", "running"])))
        if running >= self.settings.max_machines:
            raise WorkerError(
                "No further machine may be started",
                expected=f"fewer than {self.settings.max_machines} of our machines running (VIBERARY_EC2_MAX_MACHINES)",
                found=f"{running}; `viberary gpu list` shows them",
                todo="wait for them, end those that have expired (`viberary gpu reap`), or raise the limit",
            )
        forget(job.place)
        return Submission(self.name, job, self._start(job))

    def poll(self, submission: Submission, *, wait_seconds: float) -> JobStatus:
        time.sleep(max(wait_seconds, self._poll_seconds))
        beats = heartbeats(submission.job.place)
        rows = sum(beat.rows for beat in beats)
        instance = next(self._instances({}, None, [submission.id]), None)
        # EC2 may not know a machine yet that it has just started.
        young = time.monotonic() - self._started.get(submission.id, 0) < _KNOWN_AFTER_SECONDS
        gone = not young if instance is None else instance["State"]["Name"] in _GONE
        ended = [beat for beat in beats if beat.state == "ended"]
        if beats and len(ended) == len(beats):
            failed = [beat for beat in ended if beat.exit_code]
            if not failed and submission.job.declared_done() >= submission.job.pieces:
                return JobStatus("succeeded", rows=rows)
            if failed:
                return _of_exit(max(failed, key=lambda beat: beat.exit_code or 0), submission.job.kind.kept, rows)
        if not gone:
            return JobStatus("running", rows=rows)
        if submission.job.declared_done() >= submission.job.pieces:
            return JobStatus("succeeded", rows=rows)
        reason = (instance or {}).get("StateReason", {})
        why = f"{reason.get('Code', '')} {reason.get('Message', '')}".strip() or "no reason given"
        return JobStatus("lost", f"machine {submission.id} is gone: {why}", rows=rows)

    def cancel(self, submission: Submission) -> None:
        self._terminate([submission.id])

    def cancel_job(self, job: WorkerJob) -> None:
        alive = [
            i["InstanceId"] for i in self._of_job(job) if i["State"]["Name"] not in ("shutting-down", "terminated")
        ]
        self._terminate(alive)

    def facts(self, submission: Submission) -> Mapping[str, Any]:
        instance = next(self._instances({}, None, [submission.id]), None) or {}
        kind, market = instance.get("InstanceType", "?"), _tags(instance).get(TAG_MARKET, "?")
        seconds = time.monotonic() - self._started.get(submission.id, time.monotonic())
        price = self._price(kind, market)
        return {
            "instance": submission.id,
            "instance_type": kind,
            "market": market,
            "zone": instance.get("Placement", {}).get("AvailabilityZone", "?"),
            "machine_seconds": round(seconds, 1),
            "estimated_usd": round(price * seconds / 3600, 4) if price is not None else None,
        }

    def machines(self) -> list[Machine]:
        """Machines of ours that have not ended, those of other jobs and other people's runs included."""
        return [_machine(instance) for instance in self._instances({TAG: "embedding"}, _ALIVE)]

    def reap(self) -> list[Machine]:
        """End the machines of ours whose time is over, and only those; returns them."""
        expired = [machine for machine in self.machines() if machine.expired and machine.state != "shutting-down"]
        self._terminate([machine.id for machine in expired])
        return expired

    def _start(self, job: WorkerJob) -> str:
        """Start a machine for `job`; returns its id."""
        script = user_data(job, self.settings, self.deadline_minutes, self._ec2.meta.region_name, _endpoint())
        refusals_met: list[str] = []
        for attempt, (kind, market, zone) in enumerate(self._choices(refusals_met)):
            ami, root_device = self._image(kind)
            # EC2 gives the same machine for the same token, should an answer get lost and the call be repeated.
            token = digest([job.place.uri, kind, market, zone, attempt, time.time()])
            asked = request(
                job,
                self.settings,
                self.deadline_minutes,
                instance_type=kind,
                market=market,
                zone=zone,
                ami=ami,
                script=script,
                token=token,
                root_device=root_device,
            )
            try:
                with refusals("ec2", f"{kind} ({market}) in {zone or 'any zone'}"):
                    answer = self._ec2.run_instances(**asked)
            except WorkerError as error:
                code = error_code(error.__cause__)
                if code not in _NO_CAPACITY and not code.startswith("InvalidInstanceType"):
                    raise
                log.info("no %s (%s) in %s: %s", kind, market, zone or "any zone", code)
                refusals_met.append(f"{kind} {market} {zone}: {code}")
                continue
            identity = str(answer["Instances"][0]["InstanceId"])
            self._started[identity] = time.monotonic()
            log.info("started %s: %s (%s) in %s", identity, kind, market, zone or "any zone")
            return identity
        raise WorkerError(
            "No GPU machine is available",
            expected=f"one of {', '.join(self.settings.instance_types)}",
            found="; ".join(refusals_met) or "no type that the region offers within the price limit",
            todo="try later, allow on-demand (VIBERARY_EC2_MARKETS), more types, another region, or a higher price",
        )

    def _choices(self, refused: list[str]) -> Iterator[tuple[str, str, str]]:
        """(type, market, zone or subnet) in the order in which they are tried."""
        offered = self._offered()
        zones = self.settings.subnets or self._zones()
        for kind in self.settings.instance_types:
            price = ON_DEMAND_PRICE.get(kind)
            if kind not in offered:
                log.info("%s is not offered in this region: skipped", kind)
                refused.append(f"{kind}: not offered here")
                continue
            for market in self.settings.markets:
                if market != "spot" and (price is None or price > self.settings.max_price):
                    refused.append(f"{kind} {market}: {price or 'unknown'} USD/hour, limit {self.settings.max_price}")
                    continue
                for zone in zones:
                    yield kind, market, zone

    def _offered(self) -> set[str]:
        """Those of the wanted types that the region offers."""
        pages = self._call(
            "describe_instance_type_offerings",
            LocationType="region",
            Filters=[{"Name": "instance-type", "Values": list(self.settings.instance_types)}],
        )
        return {offer["InstanceType"] for offer in pages["InstanceTypeOfferings"]}

    def _zones(self) -> list[str]:
        zones = self._call("describe_availability_zones", Filters=[{"Name": "state", "Values": ["available"]}])
        return [zone["ZoneName"] for zone in zones["AvailabilityZones"]] or [""]

    def _image(self, kind: str) -> tuple[str, str]:
        """The AMI for a type, and the name of its root device."""
        name = _AMI_NAME_P3 if kind.startswith("p3") else _AMI_NAME
        if self.settings.ami:
            images = self._call("describe_images", ImageIds=[self.settings.ami])["Images"]
        else:
            filters = [
                {"Name": "name", "Values": [name]},
                {"Name": "architecture", "Values": ["x86_64"]},
                {"Name": "state", "Values": ["available"]},
            ]
            images = self._call("describe_images", Owners=[_AMI_OWNER], Filters=filters)["Images"]
        if not images:
            raise refused("ec2", f"no image {self.settings.ami or name!r} in this region")
        newest = max(images, key=lambda image: image.get("CreationDate", ""))
        return newest["ImageId"], newest.get("RootDeviceName") or "/dev/sda1"

    def _price(self, kind: str, market: str) -> float | None:
        """USD per hour: the spot market's last price, or the list's."""
        if market == "spot":
            with contextlib.suppress(Exception):
                history = self._ec2.describe_spot_price_history(
                    InstanceTypes=[kind], ProductDescriptions=["Linux/UNIX"], MaxResults=1
                )["SpotPriceHistory"]
                return float(history[0]["SpotPrice"])
        return ON_DEMAND_PRICE.get(kind)

    def _of_job(self, job: WorkerJob) -> Iterator[dict[str, Any]]:
        return self._instances({TAG_JOB: job_tag(job)}, _ALIVE)

    def _instances(
        self, tags: Mapping[str, str], states: list[str] | None, ids: list[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]
        if states:
            filters.append({"Name": "instance-state-name", "Values": states})
        # A machine may be forgotten, or not known yet.
        with refusals("ec2", "describe_instances", harmless="InvalidInstanceID.NotFound"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                **({"InstanceIds": ids} if ids else {}), Filters=filters
            )
            for page in pages:
                for reservation in page["Reservations"]:
                    yield from reservation["Instances"]

    def _terminate(self, ids: list[str]) -> None:
        if ids:
            with refusals("ec2", f"machines {', '.join(ids)} could not be ended", harmless="InvalidInstanceID"):
                self._ec2.terminate_instances(InstanceIds=ids)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with refusals("ec2", operation):
            answer: dict[str, Any] = getattr(self._ec2, operation)(**arguments)
            return answer


def _of_exit(beat: Heartbeat, kept: str, rows: int) -> JobStatus:
    """What a worker's exit code asks for: 75 another try, anything else a person."""
    detail = f"the worker on {beat.host} ended with exit code {beat.exit_code}: {beat.message}"
    if beat.exit_code == 75:
        return JobStatus("lost", detail, f"correct what the message names, then run it again; {kept}", rows=rows)
    return JobStatus("failed", detail, "do what the message says", rows=rows)


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL", "")


def _tags(instance: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


def _machine(instance: Mapping[str, Any]) -> Machine:
    tags = _tags(instance)
    expires = tags.get(TAG_EXPIRES, "")
    try:
        expired = datetime.fromisoformat(expires) < datetime.now(UTC)
    except (ValueError, TypeError):
        expired = True  # ours by its tag, and nobody can say until when
    return Machine(
        id=instance["InstanceId"],
        job=tags.get(TAG_JOB, ""),
        kind=f"{instance['InstanceType']} {tags.get(TAG_MARKET, '')}".strip(),
        state=instance["State"]["Name"],
        expires=expires,
        expired=expired,
    )
