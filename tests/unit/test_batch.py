"""The AWS Batch executor against moto, with real workers as children, and the stack of deploy/aws deployed there."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from aws_cloud import BUCKET, TEMPLATES, Cloud, deploy_batch, pairs
from small_training import write_small_training

from viberary_pipeline.embedding.executors.base import Limits, run_job
from viberary_pipeline.embedding.executors.batch import RETRY, BatchExecutor, BatchSettings
from viberary_pipeline.embedding.jobs import Job, JobOptions, write_job
from viberary_pipeline.encoders import ResolvedEncoder
from viberary_pipeline.errors import WorkerError
from viberary_pipeline.storage import Bucket
from viberary_pipeline.tuning.remote import RemoteTrainer
from viberary_pipeline.tuning.run import TuneOptions
from viberary_pipeline.tuning.training import ADAPTER
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA

NUMBERS = itertools.count()
TEMPLATE = TEMPLATES / "batch.yaml"


@pytest.fixture
def encoder(tiny_encoder) -> ResolvedEncoder:
    return tiny_encoder


@pytest.fixture
def outputs(cloud: Cloud) -> dict[str, str]:
    """What the stack prints, once it is deployed: the queue, the job definition."""
    cloud.reset()
    return deploy_batch()


def new_job(encoder: ResolvedEncoder, options: JobOptions, shards: int) -> Job:
    batch = pa.RecordBatch.from_pylist([{"text_hash": h, "text": t} for h, t in pairs(5 * shards)], TEXTS_SCHEMA)
    # Each test's job at a place of its own: a worker of the one before may still be ending.
    return write_job(
        Bucket(f"s3://{BUCKET}/jobs/b{next(NUMBERS)}"), [batch], encoder=encoder, shard_rows=5, options=options
    )


def executor(outputs: dict[str, str], shards_per_child: int = 2) -> BatchExecutor:
    settings = BatchSettings(outputs["Queue"], outputs["Definition"], shards_per_child=shards_per_child)
    return BatchExecutor(settings, 360, poll_seconds=0.2)


def test_an_array_of_four_with_a_child_that_fails_once(cloud, outputs, encoder, on_cpu):
    """The failed child's shards alone are left for the second array, and the first one's parent is SUBMITTED still."""
    cloud.before_child = lambda index, attempt: 1 if (index, attempt) == (2, 0) else None
    job = new_job(encoder, on_cpu, shards=8)
    said: list[str] = []
    facts = run_job(executor(outputs), job, Limits(), said.append)
    assert (facts["submissions"], facts["children"]) == (2, 4)
    assert any("1 of 4 children" in line for line in said)
    assert [job.finished(shard).attempts for shard in job.shards] == [1] * 8
    assert sorted(cloud.children) == [(n, a) for n in range(4) for a in (0, 1)]
    first = boto3.client("batch").list_jobs(jobQueue=outputs["Queue"], jobStatus="SUBMITTED")["jobSummaryList"]
    assert {summary["status"] for summary in first if ":" not in summary["jobId"]} == {"SUBMITTED"}
    assert executor(outputs).submit(job).id not in [summary["jobId"] for summary in first]  # ended ones are not found


def test_a_parent_that_never_leaves_submitted_is_given_up(cloud, outputs, encoder, on_cpu):
    cloud.hang_queue = True
    job = new_job(encoder, on_cpu, shards=8)
    batch = executor(outputs)
    with pytest.raises(WorkerError) as caught:
        run_job(batch, job, Limits(start=2, stall=2))
    assert caught.value.found == "no worker has started for 2 s"
    assert batch.machines() == []  # it was terminated


def test_a_job_submitted_twice_is_one_array(cloud, outputs, encoder, on_cpu):
    cloud.hang_queue = True
    job = new_job(encoder, on_cpu, shards=8)
    first, second = executor(outputs).submit(job), executor(outputs).submit(job)
    assert first.id == second.id
    described = boto3.client("batch").describe_jobs(jobs=[first.id])["jobs"][0]
    assert described["arrayProperties"]["size"] == 4
    executor(outputs).cancel_job(job)


def test_one_shard_is_no_array(cloud, outputs, encoder, on_cpu):
    job = new_job(encoder, on_cpu, shards=1)
    run_job(executor(outputs), job)
    assert job.finished(job.shards[0]) is not None


def test_a_training_is_no_array_either_and_is_tried_again(cloud, outputs, encoder, tmp_path):
    cloud.before_child = lambda index, attempt: 75 if attempt == 0 else None
    folder = write_small_training(tmp_path / "mine", encoder)
    trainer = RemoteTrainer(executor(outputs), Bucket(f"s3://{BUCKET}/jobs"), Limits())
    options = TuneOptions("mine", encoder.spec.name, device="cpu")
    trained, machine = trainer(folder, encoder, options, lambda _: None, lambda _: None)
    assert (trained.examples, machine["submissions"], machine["children"]) == (24, 2, 1)
    assert (folder / ADAPTER).stat().st_size > 1000
    assert cloud.children == [(0, 0), (0, 1)]


def test_a_child_that_can_never_do_it_fails_the_job_at_once(cloud, outputs, encoder):
    job = new_job(encoder, JobOptions(device="cuda"), shards=4)
    with pytest.raises(WorkerError) as caught:
        run_job(executor(outputs), job)
    assert "exit code 78" in caught.value.found


def test_the_reaper_ends_jobs_whose_time_is_over(cloud, outputs, encoder, on_cpu):
    cloud.hang_queue = True
    job = new_job(encoder, on_cpu, shards=8)
    batch = executor(outputs)
    submission = batch.submit(job)
    assert [machine.expired for machine in batch.machines()] == [False]
    assert batch.reap() == []
    late = BatchExecutor(BatchSettings(outputs["Queue"], outputs["Definition"]), deadline_minutes=-60)
    assert [machine.id for machine in late.reap()] == [submission.id]
    assert batch.machines() == []


# ---- deploy/aws


def test_the_template_passes_cfn_lint():
    done = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--region", "us-east-1", "--", TEMPLATE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_stack_holds_the_retry_rules_of_the_code(outputs):
    (definition,) = boto3.client("batch").describe_job_definitions(jobDefinitions=[outputs["Definition"]])[
        "jobDefinitions"
    ]
    rules = [{**rule, "action": rule["action"].upper()} for rule in definition["retryStrategy"]["evaluateOnExit"]]
    assert rules == RETRY
    assert definition["containerProperties"]["resourceRequirements"] == [
        {"type": "GPU", "value": "1"},
        {"type": "VCPU", "value": "4"},
        {"type": "MEMORY", "value": "12000"},
    ]


# Calls of the code that the policies must allow, and nothing but these.
WORKER_ACTIONS = {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:ListBucket"}
PIPELINE_ACTIONS = {
    *(
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:ListBucket",
        "s3:AbortMultipartUpload",
        "iam:PassRole",
    ),
    *("ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "ec2:DescribeInstances", "ec2:DescribeImages"),
    *("ec2:DescribeInstanceTypeOfferings", "ec2:DescribeAvailabilityZones", "ec2:DescribeSpotPriceHistory"),
    *("batch:SubmitJob", "batch:TerminateJob", "batch:TagResource", "batch:DescribeJobs", "batch:ListJobs"),
}


def actions(policy: str) -> set[str]:
    statements = json.loads((TEMPLATES / policy).read_text())["Statement"]
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return {action for statement in statements for action in statement["Action"]}


def test_the_policies_allow_what_the_code_calls_and_no_more():
    assert actions("pipeline-policy.json") == PIPELINE_ACTIONS
    assert actions("worker-policy.json") == {
        *WORKER_ACTIONS,
        "ecr:GetAuthorizationToken",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    }


def test_only_machines_of_ours_may_be_ended():
    statements = json.loads((TEMPLATES / "pipeline-policy.json").read_text())["Statement"]
    (ends,) = [s for s in statements if "ec2:TerminateInstances" in s["Action"]]
    assert ends["Condition"] == {"StringEquals": {"aws:ResourceTag/viberary": "embedding"}}
    (starts,) = [s for s in statements if s["Sid"] == "StartInstancesThatSayWhoseTheyAre"]
    assert starts["Condition"]["StringEquals"]["ec2:MetadataHttpTokens"] == "required"
