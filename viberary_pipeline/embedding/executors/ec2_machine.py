"""The EC2 machine itself: what it is asked for, its tags, and the script that it runs when it starts.

The machine ends by itself, whatever becomes of whoever started it: a shutdown is scheduled before anything else is
done, another one follows the worker's end however that comes, and a shutdown terminates the instance
(`InstanceInitiatedShutdownBehavior`). Nothing on it is secret: rights come from its instance profile.
"""

import shlex
import time
from datetime import UTC, datetime
from typing import Any

from viberary_pipeline.embedding.settings import Ec2Settings
from viberary_pipeline.embedding.worker_job import WorkerJob

TAG = "viberary"
TAG_JOB = "viberary:job"
TAG_EXPIRES = "viberary:expires"
TAG_MARKET = "viberary:market"
_TORCH = "torch==2.8.0+cu126"
# Spare time on the machine beyond the deadline of whoever waits, who is to end it first, in minutes.
_MARGIN_MINUTES = 15


# USD per hour on demand in us-east-1, November 2026 or the last price published; for ceilings and estimates alone.
ON_DEMAND_PRICE = {
    "p3.2xlarge": 3.06,
    "g6e.xlarge": 1.861,
    "g6.xlarge": 0.8048,
    "g5.xlarge": 1.006,
    "g4dn.xlarge": 0.526,
}


def user_data(job: WorkerJob, settings: Ec2Settings, deadline_minutes: int, region: str, endpoint: str = "") -> str:
    """The shell script that the machine runs as root when it starts."""
    environment = {"AWS_DEFAULT_REGION": region, **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})}
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    arguments = shlex.join([*job.command, "--heartbeat", f"{settings.heartbeat:g}"])
    if settings.image:
        passed = " ".join(f"--env {name}" for name in environment)
        registry = settings.image.split("/")[0]
        login = (
            f"aws ecr get-login-password | docker login --username AWS --password-stdin {shlex.quote(registry)}\n"
            if ".dkr.ecr." in registry
            else ""
        )
        start = f"{login}docker run --rm --gpus all --network host {passed} {shlex.quote(settings.image)} {arguments}"
    else:
        wheel = shlex.quote(settings.wheel)
        name = shlex.quote(settings.wheel.rpartition("/")[2])
        start = f"""\
aws s3 cp {wheel} .
python3 -m venv venv
# torch as in Dockerfile.gpu: built for everything from V100 to H100.
venv/bin/pip install --quiet --index-url https://download.pytorch.org/whl/cu126 {_TORCH}
venv/bin/pip install --quiet ./{name}'[gpu]'
venv/bin/python -m viberary_pipeline.worker {arguments}"""
    return f"""#!/bin/bash
# A machine of viberary's, for {job.kind.name}. It ends itself: at the latest after {deadline_minutes} minutes.
shutdown -h +{deadline_minutes + _MARGIN_MINUTES}
trap 'shutdown -h now' EXIT
trap 'exit 143' TERM INT
set -eu
work=$(mktemp -d)
cd "$work"
export HOME="$work"
{exports}
{start}
"""


def request(
    job: WorkerJob,
    settings: Ec2Settings,
    deadline_minutes: int,
    *,
    instance_type: str,
    market: str,
    zone: str,
    ami: str,
    script: str,
    token: str,
    root_device: str,
) -> dict[str, Any]:
    """The arguments of RunInstances for one machine. `zone` is a subnet's id or the name of an availability zone."""
    expires = time.time() + (deadline_minutes + 2 * _MARGIN_MINUTES) * 60
    tags = [
        {"Key": "Name", "Value": f"viberary {job.kind.name}"},
        {"Key": TAG, "Value": "embedding"},  # of every machine of ours: deploy/aws/pipeline-policy.json asks for it
        {"Key": TAG_JOB, "Value": job_tag(job)},
        {"Key": TAG_MARKET, "Value": market},
        {"Key": TAG_EXPIRES, "Value": datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds")},
    ]
    asked: dict[str, Any] = {
        "ImageId": ami,
        "InstanceType": instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
        "UserData": script,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpTokens": "required",  # IMDSv2 alone
            "HttpPutResponseHopLimit": 2,  # a container is one hop further away
            "HttpEndpoint": "enabled",
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": root_device,
                "Ebs": {"VolumeSize": settings.volume_gb, "VolumeType": "gp3", "DeleteOnTermination": True},
            }
        ],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    if market == "spot":
        asked["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
                "MaxPrice": f"{settings.max_price:.4f}",
            },
        }
    if zone.startswith("subnet-"):
        asked["SubnetId"] = zone
    elif zone:
        asked["Placement"] = {"AvailabilityZone": zone}
    if settings.security_groups:
        asked["SecurityGroupIds"] = list(settings.security_groups)
    if settings.instance_profile:
        asked["IamInstanceProfile"] = {"Name": settings.instance_profile}
    return asked


def job_tag(job: WorkerJob) -> str:
    """What a machine's tag says of its job: its address, which no other job ever has."""
    return job.place.uri[-256:]
