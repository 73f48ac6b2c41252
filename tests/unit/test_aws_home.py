"""deploy/aws/home.yaml, deployed to moto: the bucket keeps what is removed, and nobody may do more than they must.

Of a bucket, moto's CloudFormation makes the encryption alone; it makes no policy of it, and no alarms. Those are read
in the template.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_cloud import TEMPLATES, Cloud, deploy, deploy_batch

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.errors import StorageError
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.index.garbage import collect_garbage
from viberary_pipeline.origin import make_copy, origin_of, refresh
from viberary_pipeline.storage import Bucket


@pytest.fixture(scope="module")
def stack(cloud: Cloud) -> dict[str, str]:
    """What the stack prints."""
    cloud.reset()
    return deploy("home", "home.yaml", Email="ops@example.org", Prefix="books")


def resources() -> dict[str, Any]:
    """Those of the template, as CloudFormation reads it."""
    from cfnlint.decode import cfn_yaml

    return dict(cfn_yaml.load(TEMPLATES / "home.yaml")["Resources"])


@pytest.mark.parametrize("template", ["home.yaml", "batch.yaml"])
def test_the_templates_pass_cfn_lint(template: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--region", "us-east-1", "--", TEMPLATES / template],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_bucket_is_nobody_elses_and_keeps_what_is_removed(stack: dict[str, str]) -> None:
    s3, bucket, made = boto3.client("s3"), stack["Bucket"], resources()["Bucket"]
    assert stack["Home"] == f"s3://{bucket}/books"
    assert made["DeletionPolicy"] == made["UpdateReplacePolicy"] == "Retain"
    stated = made["Properties"]
    assert stated["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    assert stated["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in stated["LifecycleConfiguration"]["Rules"]}
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OldVersionsDays"}}
    # What expires while it is current are jobs, and nothing else.
    assert [name for name, rule in rules.items() if "ExpirationInDays" in rule] == ["jobs-of-dead-builds"]
    assert rules["jobs-of-dead-builds"]["Prefix"] == {"Fn::Sub": "${Prefix}/jobs/"}
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    policy = resources()["OverTlsAlone"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_alarms_and_failed_jobs_reach_the_topic(stack: dict[str, str]) -> None:
    alarms = [one["Properties"] for one in resources().values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert [alarm["MetricName"] for alarm in alarms] == ["BucketSizeBytes", "5xxErrors"]
    assert all(alarm["AlarmActions"] == [{"Ref": "Topic"}] for alarm in alarms)
    deploy_batch(Topic=stack["Topic"], Bucket=stack["Bucket"], Prefix="books/jobs")
    (rule,) = boto3.client("events").list_rules()["Rules"]
    assert json.loads(rule["EventPattern"])["detail"]["status"] == ["FAILED"]
    (target,) = boto3.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == stack["Topic"]


@pytest.fixture
def with_rights(cloud: Cloud, stack: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes copies of the home for whoever has one of the stack's policies, and no other rights."""
    iam, made = boto3.client("iam"), []

    def give(policy: str) -> Path:
        name = f"somebody{len(made)}"
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn=stack[policy])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        folder = tmp_path / name
        make_copy(stack["Home"], folder)
        place = origin_of(folder).place
        place._client = boto3.client(
            "s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
        )
        made.append(name)
        return folder

    yield give
    _judge(cloud, False)


def _judge(cloud: Cloud, on: bool) -> None:
    """Whether moto asks IAM for each request."""
    body = b"0" if on else b"inf"
    request = urllib.request.Request(f"{cloud.endpoint}/moto-api/reset-auth", body, {"Content-Type": "text/plain"})
    urllib.request.urlopen(request).close()


def fill(folder: Path) -> dict[str, Any]:
    (folder / "model.onnx").write_bytes(b"weights")
    return {}


def test_a_builder_may_build_and_a_web_host_may_fetch_encoders(cloud, stack, with_rights, client, tmp_path) -> None:
    builder, web = with_rights("BuilderPolicy"), with_rights("ReaderPolicy")
    _judge(cloud, True)
    with hold_home(builder):
        store = ArtifactStore(builder)
        encoder = store.produce("query_encoder", inputs={}, settings={}, build=fill).artifact
        documents = store.produce("documents", inputs={}, settings={"x": 1}, build=fill).artifact
        store.produce("documents", inputs={}, settings={"x": 2}, build=fill)
        (builder / "quality").mkdir()
        (builder / "quality" / "page.html").write_text("a page")
    _judge(cloud, False)  # moto asks for the right to remove several objects at once of the bucket, AWS of the objects
    collected = collect_garbage(client, builder)
    _judge(cloud, True)
    assert [folder.name for folder in collected.folders] == [documents.path.name]
    assert (refresh(builder) / "quality" / "page.html").is_file()

    found = ArtifactStore(web).find("query_encoder", encoder.key)
    assert found is not None
    assert found.file("model.onnx").read_bytes() == b"weights"
    origin_of(web).drop_gone("query_encoder")
    place = origin_of(web).place
    for refused in (
        lambda: place.write("artifacts/query_encoder/x", b""),
        lambda: place.delete(f"artifacts/query_encoder/{encoder.path.name}/manifest.json"),
        lambda: place.read("lease.json"),
        lambda: place.read("quality/page.html"),
    ):
        with pytest.raises(StorageError, match="AccessDenied"):
            refused()
    beside = Bucket(f"s3://{stack['Bucket']}/other", origin_of(builder).place.client)
    with pytest.raises(StorageError, match="AccessDenied"):
        beside.write("x", b"")
