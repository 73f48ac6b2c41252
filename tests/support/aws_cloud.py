"""A small AWS on loopback: moto's server, whose EC2 machines and Batch children really run what they were given.

A machine's user data runs under bash, as root would run it; `docker run IMAGE ARGUMENTS` starts the real worker with
this interpreter, and `shutdown -h now` terminates the instance through the API, which ends its processes.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto.batch.models import Job as BatchJob
from moto.batch_simple.models import BatchSimpleBackend
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import InstanceBackend
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
IMAGE = "registry.example/viberary-gpu:1"
BUCKET = "viberary-jobs"
TEMPLATES = Path(__file__).parents[2] / "deploy" / "aws"
GPU_AMI = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261101"

_DOCKER = """#!/bin/bash
[ "$1" = run ] || exit 0
while [ "$1" != "{image}" ]; do shift; done
shift
exec {python} -m viberary_pipeline.worker "$@"
"""
_SHUTDOWN = """#!{python} -S
import os, pathlib, sys, urllib.parse, urllib.request
pathlib.Path(os.environ["MACHINE_LOG"]).open("a").write("shutdown " + " ".join(sys.argv[1:]) + "\\n")
if "now" in sys.argv:
    body = urllib.parse.urlencode(
        {{"Action": "TerminateInstances", "Version": "2016-11-15", "InstanceId.1": os.environ["MACHINE"]}}
    )
    scope = "test/20261125/{region}/ec2/aws4_request"
    headers = {{"Authorization": f"AWS4-HMAC-SHA256 Credential={{scope}}, SignedHeaders=host, Signature=0"}}
    urllib.request.urlopen(urllib.request.Request("{endpoint}/", body.encode(), headers)).read()
"""


@dataclass
class Cloud:
    """The server, and the processes that run on its machines."""

    server: ThreadedMotoServer
    folder: Path
    endpoint: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    before_child: Callable[[int, int], int | None] = lambda index, attempt: None
    after_child: Callable[[int], object] = lambda index: None
    children: list[tuple[int, int]] = field(default_factory=list)
    hang_queue: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def reset(self) -> None:
        for process in list(self.processes.values()):
            _kill(process)
        self.processes.clear()
        self.children.clear()
        self.before_child, self.after_child = lambda index, attempt: None, lambda index: None
        self.hang_queue = False
        urllib.request.urlopen(f"{self.endpoint}/moto-api/reset", data=b"").close()
        request = urllib.request.Request(f"{self.endpoint}/moto-api/config", b'{"batch": {"use_docker": false}}')
        urllib.request.urlopen(request).close()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        image = boto3.client("ec2").register_image(Name=GPU_AMI, Architecture="x86_64", RootDeviceName="/dev/sda1")
        registered = self.backend.amis[image["ImageId"]]
        registered.owner_alias, registered.architecture = "amazon", "x86_64"  # moto registers neither

    @property
    def backend(self) -> Any:
        return ec2_backends["123456789012"][REGION]

    def alive(self) -> list[str]:
        """The instances that have not ended."""
        pages = boto3.client("ec2").describe_instances()["Reservations"]
        return [i["InstanceId"] for p in pages for i in p["Instances"] if i["State"]["Name"] != "terminated"]

    def log(self, instance: str) -> list[str]:
        """What the machine's script did with `shutdown`."""
        return (self.folder / f"{instance}.log").read_text().splitlines()

    def interrupt_spot(self, instance: str) -> None:
        """Take a spot machine away, as EC2 does: its processes die, and the instance says why."""
        with self._lock:
            _kill(self.processes[instance])
        self.backend.get_instance(instance).terminate()
        state = self.backend.get_instance(instance).state_reason
        state.code, state.message = "Server.SpotInstanceTermination", "Spot Instance interruption"

    def freeze(self, instance: str) -> None:
        """Stop a machine's worker in its tracks; the machine runs on."""
        os.killpg(self.processes[instance].pid, signal.SIGSTOP)

    def power_on(self, instance: str, script: str) -> None:
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "MACHINE": instance,
            "MACHINE_LOG": str(self.folder / f"{instance}.log"),
        }
        path = self.folder / f"{instance}.sh"
        path.write_text(script)
        output = (self.folder / f"{instance}.out").open("wb")
        with self._lock:
            self.processes[instance] = subprocess.Popen(
                ["bash", str(path)], env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def power_off(self, instance: str) -> None:
        with self._lock:
            process = self.processes.get(instance)
        if process is not None:
            threading.Timer(0.2, _kill, (process,)).start()  # the call may come from the machine itself

    def run_child(self, job: BatchJob, index: int, command: list[str]) -> None:
        attempt = sum(1 for number, _ in self.children if number == index)
        self.children.append((index, attempt))
        code = self.before_child(index, attempt)
        if code is None:
            environment = {**os.environ, "AWS_BATCH_JOB_ARRAY_INDEX": str(index)}
            worker = [sys.executable, "-m", "viberary_pipeline.worker", *command]
            process = subprocess.Popen(worker, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
            self.processes[job.job_id] = process
            code = process.wait()
            self.after_child(index)
        job._mark_stopped(success=code == 0)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start_cloud(folder: Path, monkeypatch: Any) -> Cloud:
    """Start the server; its address and keys are in the environment, as users set them."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    cloud = Cloud(server, folder, f"http://127.0.0.1:{port}")
    for name, value in (
        ("AWS_ENDPOINT_URL", cloud.endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("NO_PROXY", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    binaries = folder / "bin"
    binaries.mkdir()
    values = {"python": sys.executable, "image": IMAGE, "region": REGION, "endpoint": cloud.endpoint}
    for name, text in (("docker", _DOCKER), ("shutdown", _SHUTDOWN)):
        (binaries / name).write_text(text.format(**values))
        (binaries / name).chmod(0o755)
    assert shutil.which("bash")
    _make_machines_real(cloud, monkeypatch)
    _make_children_real(cloud, monkeypatch)
    return cloud


def _make_machines_real(cloud: Cloud, monkeypatch: Any) -> None:
    run, terminate = InstanceBackend.run_instances, InstanceBackend.terminate_instances

    def run_instances(self: Any, image_id: str, count: int, user_data: str | None, *rest: Any, **options: Any) -> Any:
        reservation = run(self, image_id, count, user_data, *rest, **options)
        for instance in reservation.instances:
            cloud.power_on(instance.id, _text(user_data))
        return reservation

    def terminate_instances(self: Any, instance_ids: list[str]) -> Any:
        answer = terminate(self, instance_ids)
        for instance in instance_ids:
            cloud.power_off(instance)
        return answer

    monkeypatch.setattr(InstanceBackend, "run_instances", run_instances)
    monkeypatch.setattr(InstanceBackend, "terminate_instances", terminate_instances)


def _text(user_data: Any) -> str:
    import base64

    raw = user_data if isinstance(user_data, bytes) else str(user_data).encode()
    return raw.decode() if raw.startswith(b"#!") else base64.b64decode(raw).decode()


def _make_children_real(cloud: Cloud, monkeypatch: Any) -> None:
    def submit_job(
        self: Any,
        job_name: str,
        job_def_id: str,
        job_queue: str,
        array_properties: dict[str, Any],
        container_overrides: dict[str, Any] | None = None,
        **options: Any,
    ) -> tuple[str, str, str]:
        def make(properties: dict[str, Any], identity: str | None = None) -> BatchJob:
            definition, queue = self.get_job_definition(job_def_id), self.get_job_queue(job_queue)
            job = BatchJob(
                job_name,
                definition,
                queue,
                self.backend,
                log_backend=self.logs_backend,
                container_overrides=container_overrides,
                depends_on=None,
                all_jobs=self._jobs,
                timeout=None,
                array_properties=properties,
                eks_properties_override=None,
                parameters=None,
                **({"provided_job_id": identity} if identity else {}),
            )
            self._jobs[job.job_id] = job
            return job

        size = array_properties.get("size", 0)
        parent = make(array_properties)  # it stays SUBMITTED for ever: nobody should trust it
        children = [make({"index": n}, f"{parent.job_id}:{n}") for n in range(size)]
        parent._child_jobs = children
        command = (container_overrides or {})["command"]
        if not cloud.hang_queue:
            for index, job in enumerate(children or [parent]):
                job.status = "RUNNING"
                job._start_attempt()
                threading.Thread(target=cloud.run_child, args=(job, index, command), daemon=True).start()
        return job_name, parent.job_id, parent.arn

    def terminate(self: BatchJob, reason: str) -> None:
        for job in [*(self._child_jobs or ()), self]:
            if (process := cloud.processes.get(job.job_id)) is not None:
                _kill(process)
            job.job_stopped_reason = reason
            job._mark_stopped(success=False)

    monkeypatch.setattr(BatchSimpleBackend, "submit_job", submit_job)
    monkeypatch.setattr(BatchJob, "terminate", terminate)


def deploy(name: str, template: str, **parameters: str) -> dict[str, str]:
    """Deploy a template of deploy/aws; returns what its stack prints."""
    stacks = boto3.client("cloudformation")
    stacks.create_stack(
        StackName=name,
        TemplateBody=(TEMPLATES / template).read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def deploy_batch(**parameters: str) -> dict[str, str]:
    """Deploy the queue and the job definition."""
    ec2 = boto3.client("ec2")
    # What moto lacks: the service's own role, and the splitting of a list that is a default.
    boto3.client("iam").create_role(
        Path="/aws-service-role/batch.amazonaws.com/", RoleName="AWSServiceRoleForBatch", AssumeRolePolicyDocument="{}"
    )
    given = {
        "Vpc": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        "Subnets": ",".join(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]),
        "Image": "registry.example/viberary-gpu:1",
        "Bucket": BUCKET,
        "InstanceTypes": "g6.xlarge,g5.xlarge",
    }
    return deploy("viberary", "batch.yaml", **{**given, **parameters})


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def pairs(count: int) -> list[tuple[str, str]]:
    """Texts with their hashes, as a job takes them."""
    texts = [f"revenge by the sea, volume {n}" for n in range(count)]
    return [(hashlib.sha256(text.encode()).hexdigest(), text) for text in texts]
