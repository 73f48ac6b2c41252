"""The EC2 executor against moto, with the real worker started by the machine's own script, and what it leaves."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pytest
from aws_cloud import BUCKET, IMAGE, Cloud, pairs, wait_for
from filelock import FileLock

from viberary_pipeline.embedding.embed import embed_missing
from viberary_pipeline.embedding.executors.base import Limits, run_job
from viberary_pipeline.embedding.executors.ec2 import Ec2Executor
from viberary_pipeline.embedding.executors.ec2_machine import Ec2Settings, user_data
from viberary_pipeline.embedding.jobs import Job, JobOptions, read_job, write_job
from viberary_pipeline.encoders import ResolvedEncoder
from viberary_pipeline.errors import SettingsError, WorkerError
from viberary_pipeline.storage import Bucket
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA
from viberary_pipeline.vectors.store import EmbeddingStore

JOBS = f"s3://{BUCKET}/jobs"
TYPES = ("p3.2xlarge", "g6.xlarge", "g5.xlarge")


@pytest.fixture(autouse=True)
def empty_cloud(cloud: Cloud) -> Any:
    cloud.reset()
    yield
    wait_for(lambda: not cloud.alive(), 20)  # after every test, whatever happened in it


@pytest.fixture
def encoder(tiny_encoder) -> ResolvedEncoder:
    return tiny_encoder


def new_job(encoder: ResolvedEncoder, options: JobOptions, name: str, count: int = 40, rows: int = 10) -> Job:
    batch = pa.RecordBatch.from_pylist([{"text_hash": h, "text": t} for h, t in pairs(count)], TEXTS_SCHEMA)
    return write_job(Bucket(f"{JOBS}/{name}"), [batch], encoder=encoder, shard_rows=rows, options=options)


def settings(**changes: Any) -> Ec2Settings:
    values = {"instance_types": TYPES, "image": IMAGE, "instance_profile": "", "heartbeat": 0.2, "max_machines": 2}
    return Ec2Settings(**{**values, **changes})


def executor(deadline_minutes: int = 360, **changes: Any) -> Ec2Executor:
    return Ec2Executor(settings(**changes), deadline_minutes, poll_seconds=0.2, client=boto3.client("ec2"))


def refuse(executor: Ec2Executor, *codes: str) -> list[tuple[str, str, str]]:
    """Have EC2 refuse the next calls with these codes; returns what was asked for, refused or not."""
    left, asked = list(codes), []

    def answer(params: Any, **_: Any) -> Any:
        body = params["body"]
        market = "spot" if "InstanceMarketOptions.MarketType" in body else "on-demand"
        asked.append((body["InstanceType"], market, body["Placement.AvailabilityZone"]))
        if not left:
            return None
        error = {"Code": left.pop(0), "Message": "injected"}
        return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {}}

    executor._ec2.meta.events.register("before-call.ec2.RunInstances", answer)
    return asked


def is_whole(job: Job) -> bool:
    return all(job.finished(shard) is not None for shard in job.shards)


@pytest.mark.slow
def test_a_type_not_offered_and_no_capacity_twice_then_a_machine_that_does_the_work(cloud, encoder, tmp_path):
    """From texts to the store, by torch, with the model that the job carries."""
    ec2 = executor()
    asked = refuse(ec2, "InsufficientInstanceCapacity", "SpotMaxPriceTooLow")
    elsewhere = ResolvedEncoder(encoder.spec, encoder.folder, encoder.fingerprint)
    store = EmbeddingStore(tmp_path / "store", encoder.fingerprint, encoder.spec.dimensions)
    said: list[str] = []
    counts = embed_missing(
        pairs(40),
        encoder=elsewhere,
        store=store,
        executor=ec2,
        jobs_root=tmp_path / "jobs",
        jobs_at=Bucket(JOBS),
        shard_rows=10,
        options=JobOptions(threads=1),
        say=said.append,
    )
    zones = [f"us-east-1{letter}" for letter in "abc"]
    assert asked == [("g6.xlarge", "spot", zone) for zone in zones]  # p3.2xlarge is not offered
    assert (counts.texts, counts.embedded, counts.retried) == (40, 40, 0)
    facts = dict(counts.facts)
    assert (facts["instance_type"], facts["market"], facts["zone"]) == ("g6.xlarge", "spot", zones[2])
    assert (facts["submissions"], facts["machine_seconds"] > 0) == (1, True)
    assert store.missing(pa.array([h for h, _ in pairs(40)])).to_pylist() == []
    assert cloud.alive() == []
    assert Bucket(JOBS).names() == []  # nothing is left in the bucket either


def test_a_machine_ends_itself_when_its_worker_ends(cloud, encoder, on_cpu):
    """Whoever started it is gone."""
    job = new_job(encoder, on_cpu, "alone")
    machine = executor().submit(job).id
    wait_for(lambda: not cloud.alive())
    assert is_whole(job)
    assert cloud.log(machine) == ["shutdown -h +375", "shutdown -h now"]


def test_what_a_machine_is_asked_for(encoder, on_cpu):
    ec2 = executor(deadline_minutes=60)
    job = new_job(encoder, on_cpu, "asked")
    submission = ec2.submit(job)
    (instance,) = boto3.client("ec2").describe_instances(InstanceIds=[submission.id])["Reservations"][0]["Instances"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    expires = datetime.fromisoformat(tags["viberary:expires"])
    assert (tags["viberary"], tags["viberary:job"], tags["viberary:market"]) == ("embedding", f"{JOBS}/asked", "spot")
    assert timedelta(minutes=88) < expires - datetime.now(UTC) <= timedelta(minutes=90)
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert "KeyName" not in instance
    (volume,) = boto3.client("ec2").describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [submission.id]}]
    )["Volumes"]
    assert {"Key": "viberary", "Value": "embedding"} in volume["Tags"]
    attribute = boto3.client("ec2").describe_instance_attribute(
        InstanceId=submission.id, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert attribute["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    script = user_data(job, settings(), 60, "us-east-1")
    assert script.index("shutdown -h +75") < script.index("docker run")
    assert "AWS_SECRET" not in script
    ec2.cancel_job(job)


def test_a_lost_spot_machine_is_replaced_and_its_shards_are_not_done_again(cloud, encoder, on_cpu):
    job = new_job(encoder, on_cpu, "spot", count=400, rows=4)
    ec2 = executor()

    def take_away() -> None:
        wait_for(lambda: job.declared_done() >= 3)
        cloud.interrupt_spot(cloud.alive()[0])

    thief = threading.Thread(target=take_away)
    thief.start()
    said: list[str] = []
    facts = run_job(ec2, job, Limits(), said.append)
    thief.join()
    assert facts["submissions"] == 2
    assert any("Server.SpotInstanceTermination" in line for line in said)
    assert is_whole(job)
    attempts = [job.read_manifest(shard).attempts for shard in job.shards]
    assert attempts.count(2) <= 1  # the shard in hand
    assert set(attempts) <= {1, 2}


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        pytest.param(Limits(deadline=4), "not done after the deadline of 4 s", marks=pytest.mark.slow),
        (Limits(stall=2), "nothing has moved for 2 s"),
    ],
)
def test_a_machine_that_hangs_is_ended_by_the_deadline_or_the_stall_limit(cloud, encoder, on_cpu, limits, found):
    job = new_job(encoder, on_cpu, "hangs", count=800, rows=4)

    def freeze() -> None:
        wait_for(lambda: job.declared_done() >= 1)
        cloud.freeze(cloud.alive()[0])

    helper = threading.Thread(target=freeze)
    helper.start()
    with pytest.raises(WorkerError) as caught:
        run_job(executor(), job, limits)
    helper.join()
    assert caught.value.found == found


def test_an_interrupt_ends_the_machine(cloud, encoder, on_cpu):
    job = new_job(encoder, on_cpu, "interrupted", count=800, rows=4)
    ec2 = executor()
    poll = ec2.poll

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if job.declared_done():
            raise KeyboardInterrupt
        return poll(*arguments, **options)

    ec2.poll = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_job(ec2, job)
    assert not is_whole(job)


def test_an_interrupt_before_submit_returns_ends_the_machine(cloud, encoder, on_cpu):
    job = new_job(encoder, on_cpu, "early")
    ec2 = executor()
    start = ec2._start

    def interrupted(job: Job) -> str:
        start(job)
        raise KeyboardInterrupt

    ec2._start = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_job(ec2, job)


def test_a_job_submitted_twice_has_one_machine(cloud, encoder, on_cpu):
    job = new_job(encoder, on_cpu, "twice", count=800, rows=4)
    first, second = executor().submit(job), executor().submit(job)
    assert first.id == second.id
    assert cloud.alive() == [first.id]
    executor().cancel_job(job)


def test_no_more_machines_than_allowed(cloud, encoder, on_cpu):
    jobs = [new_job(encoder, on_cpu, f"many-{n}", count=800, rows=4) for n in range(2)]
    executor(max_machines=1).submit(jobs[0])
    with pytest.raises(WorkerError, match="No further machine may be started"):
        executor(max_machines=1).submit(jobs[1])
    executor().cancel_job(jobs[0])


def test_a_right_that_is_missing_stops_at_once(cloud, encoder, on_cpu):
    ec2 = executor()
    asked = refuse(ec2, "UnauthorizedOperation", "UnauthorizedOperation")
    with pytest.raises(WorkerError, match="EC2 refused") as caught:
        run_job(ec2, new_job(encoder, on_cpu, "rights"))
    assert len(asked) == 1
    assert "UnauthorizedOperation" in caught.value.found


def test_no_region_and_no_credentials_are_told(cloud, encoder, on_cpu, monkeypatch, tmp_path):
    job = new_job(encoder, on_cpu, "nobody")
    with monkeypatch.context() as nobody:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            nobody.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            nobody.setenv(name, str(tmp_path / "none"))
        with pytest.raises(WorkerError) as caught:
            Ec2Executor(settings(), 360).submit(job)
        assert "NoCredentialsError" in caught.value.found
        nobody.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(SettingsError, match="AWS cannot be used"):
            Ec2Executor(settings(), 360)


def test_no_capacity_anywhere_names_all_that_was_tried(cloud, encoder, on_cpu):
    ec2 = executor(instance_types=("p3.2xlarge", "g6.xlarge"), max_price=0.5)
    refuse(ec2, *["InsufficientInstanceCapacity"] * 20)
    with pytest.raises(WorkerError, match="No GPU machine is available") as caught:
        run_job(ec2, new_job(encoder, on_cpu, "full"))
    assert caught.value.found.startswith("p3.2xlarge: not offered here; g6.xlarge spot us-east-1a: Insufficient")
    assert caught.value.found.endswith("g6.xlarge on-demand: 0.8048 USD/hour, limit 0.5")


def test_a_worker_that_cannot_do_the_job_is_not_tried_again(cloud, encoder, on_cpu):
    job = new_job(encoder, JobOptions(device="cuda"), "no-gpu")
    with pytest.raises(WorkerError) as caught:
        run_job(executor(), job)
    assert "exit code 78" in caught.value.found
    assert "cannot use CUDA" in caught.value.found
    assert len(cloud.processes) == 1


def test_the_reaper_ends_expired_machines_of_ours_and_no_other(cloud, encoder, on_cpu):
    ec2, client = executor(max_machines=9), boto3.client("ec2")
    kept = ec2.submit(new_job(encoder, on_cpu, "kept", count=800, rows=4)).id
    ours, theirs = (
        client.run_instances(
            ImageId=ec2._image("g5.xlarge")[0],
            InstanceType="g5.xlarge",
            MinCount=1,
            MaxCount=1,
            UserData="#!/bin/bash\nsleep 300",
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )["Instances"][0]["InstanceId"]
        for tags in (
            [
                {"Key": "viberary", "Value": "embedding"},
                {"Key": "viberary:expires", "Value": "2026-01-01T00:00:00+00:00"},
            ],
            [
                {"Key": "Name", "Value": "someone else's"},
                {"Key": "viberary:expires", "Value": "2020-01-01T00:00:00+00:00"},
            ],
        )
    )
    assert {machine.id: machine.expired for machine in ec2.machines()} == {kept: False, ours: True}
    assert [machine.id for machine in ec2.reap()] == [ours]
    assert sorted(cloud.alive()) == sorted([kept, theirs])
    client.terminate_instances(InstanceIds=[kept, theirs])


def test_what_a_dead_build_left_running_is_ended_by_the_next_and_by_the_sensor(cloud, encoder, on_cpu, tmp_path):
    from viberary_pipeline.embedding.embed import end_abandoned

    jobs_root = tmp_path / "jobs"
    jobs_root.mkdir()
    (jobs_root / "dead.lock").touch()  # its process is gone: nobody holds the lock
    job = new_job(encoder, on_cpu, "dead", count=800, rows=4)
    executor().submit(job)
    assert len(cloud.alive()) == 1
    assert end_abandoned(jobs_root, Bucket(JOBS), executor()) == ["dead"]
    assert cloud.alive() == []
    wait_for(lambda: job.declared_done() >= 0)
    store = EmbeddingStore(tmp_path / "store", encoder.fingerprint, encoder.spec.dimensions)
    done = job.declared_done()
    with suppress(WorkerError):
        embed_missing(
            [],
            encoder=encoder,
            store=store,
            executor=executor(),
            jobs_root=jobs_root,
            jobs_at=Bucket(JOBS),
            shard_rows=4,
        )
    assert len(store.known()) == done * 4
    assert Bucket(JOBS).names() == []
    assert list(Path(jobs_root).iterdir()) == []


def test_the_command_lists_machines_and_reaps_the_expired(cloud, encoder, on_cpu, monkeypatch):
    from click.testing import CliRunner

    from viberary_pipeline.cli import main

    refused = CliRunner().invoke(main, ["gpu", "list"])
    assert (refused.exit_code, "VIBERARY_EXECUTOR=local" in refused.output) == (1, True)
    for name, value in {
        "EXECUTOR": "ec2",
        "EMBEDDING_JOBS": JOBS,
        "EC2_IMAGE": IMAGE,
        "EC2_INSTANCE_PROFILE": "p",
    }.items():
        monkeypatch.setenv(f"VIBERARY_{name}", value)
    assert CliRunner().invoke(main, ["gpu", "list"]).output == "none\n"
    machine = executor(deadline_minutes=-31).submit(new_job(encoder, on_cpu, "old", count=800, rows=4)).id
    listed = CliRunner().invoke(main, ["gpu", "list"]).output
    assert listed.startswith(f"{machine}  running      g6.xlarge spot           expired 20")
    assert listed.endswith(f"  {JOBS}/old\n")
    (as_json,) = CliRunner().invoke(main, ["gpu", "list", "--json"]).output.splitlines()
    assert json.loads(as_json)["expired"] is True
    assert CliRunner().invoke(main, ["gpu", "reap"]).output.startswith(f"ended {machine} (g6.xlarge spot), expired 20")
    assert CliRunner().invoke(main, ["gpu", "reap"]).output == "none had expired\n"


def test_the_sensors_end_what_a_failed_run_left(cloud, encoder, on_cpu, tmp_path):
    import dagster as dg

    from viberary_pipeline.jobs.sensors import end_machines
    from viberary_pipeline.resources import Pipeline
    from viberary_pipeline.settings import load_settings

    values = load_settings(
        home=tmp_path,
        executor="ec2",
        embedding_jobs=JOBS,
        ec2_image=IMAGE,
        ec2_instance_profile="p",
        ec2_max_machines=3,
    )
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "failed.lock").touch()
    left = executor().submit(new_job(encoder, on_cpu, "failed", count=800, rows=4)).id
    living = executor().submit(new_job(encoder, on_cpu, "living", count=800, rows=4))
    with FileLock(tmp_path / "jobs" / "living.lock"):
        ended = end_machines(Pipeline(values), dg.get_dagster_logger())
    assert ended == ["failed"]
    assert cloud.alive() == [living.id] != [left]
    executor().cancel(living)


def test_the_vectors_of_a_machine_are_those_of_this_one(cloud, encoder, on_cpu):
    remote = new_job(encoder, on_cpu, "remote")
    run_job(executor(), remote)
    from viberary_pipeline.embedding import worker

    local = new_job(encoder, on_cpu, "local")
    assert worker.main(["--job", local.place.uri]) == 0
    for shard in remote.shards:
        assert remote.place.read(Job.vectors(shard.index)) == local.place.read(Job.vectors(shard.index))
    assert np.all([read_job(remote.place.uri).finished(shard) for shard in remote.shards])
