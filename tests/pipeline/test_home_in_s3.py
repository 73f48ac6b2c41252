"""The whole flow with VIBERARY_HOME in S3: built on machines with empty disks, embedded by AWS Batch, searched on a web
host that has nothing but Redis and S3.

A machine is a VIBERARY_WORKDIR: the folder that holds its copy of the home.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_cloud import BUCKET, Cloud, deploy_batch
from homes import Built, Cli, warm, write_few

from viberary_pipeline import redis_server
from viberary_pipeline.origin import make_copy

URI = f"s3://{BUCKET}/viberary"
SHARD_ROWS = 13  # of 25 works: two shards


@dataclass
class Flow:
    """One home in S3, its Redis, and what the first build said."""

    folder: Path
    cloud: Cloud
    environment: dict[str, str]
    outcome: dict[str, Any] = field(default_factory=dict)

    def run(self, machine: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {**self.environment, "VIBERARY_WORKDIR": str(self.folder / machine), **environment}
        return Cli(Path(URI))(*command, **given)

    def build(self, machine: str, **environment: str) -> dict[str, Any]:
        done = self.run(machine, "build", "--json", **environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def objects(self, prefix: str = "") -> list[str]:
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"viberary/{prefix}")
        return [item["Key"].removeprefix("viberary/") for page in pages for item in page.get("Contents", ())]

    def live_encoder(self) -> dict[str, Any]:
        """The artifact of the live build's query encoder, as `viberary artifacts` lists it."""
        listed = json.loads(self.run("laptop", "artifacts", "--json").stdout)["artifacts"]
        live = [one for one in listed if one["stage"] == "query_encoder" and "live build" in one["needed_by"]]
        assert len(live) == 1
        return dict(live[0])

    def made(self) -> set[str]:
        """The artifacts that take long to make: the export, tables, checks, documents, reports, the evaluation."""
        folders = {"/".join(key.split("/")[1:3]) for key in self.objects("artifacts/")}
        # Each run writes new notes: of files, of what is published, of tables that have no file.
        notes = ("raw_", "embeddings", "search_index", "published_index")
        return {folder for folder in folders if not folder.startswith(notes) and "/absent." not in folder}

    @contextmanager
    def web(self, machine: str, **environment: str) -> Iterator["Web"]:
        process = subprocess.Popen(
            [sys.executable, "-m", "viberary_pipeline.cli", "serve", "--port", "0"],
            env={
                **os.environ,
                **{name: self.environment[name] for name in ("VIBERARY_HOME", "VIBERARY_REDIS_URL")},
                "VIBERARY_WORKDIR": str(self.folder / machine),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if "answers at" in line), "")
            yield Web(re.findall(r"http://[^ ]+/", said)[0])
        finally:
            process.kill()
            process.wait()


@dataclass
class Web:
    """A page that is served."""

    url: str

    def get(self, path: str, **values: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(values)}", timeout=30) as answer:
                return answer.status, dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return error.code, dict(json.load(error))

    def ready(self, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (answer := self.get("readyz"))[0] != 200:
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
        return answer[1]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory, cloud: Cloud, built_sample: Built) -> Iterator[Flow]:
    """A home in S3 whose first build was embedded by Batch. The machine that built it had the export of the encoder."""
    cloud.reset()
    stack = deploy_batch(Gpus="0", InstanceTypes="c7i.xlarge")
    folder = tmp_path_factory.mktemp("home-in-s3")
    write_few(folder / "raw")
    make_copy(URI, folder / "builder")
    warm(folder / "builder", built_sample, embeddings=False)
    server = redis_server.ensure(folder / "redis")
    flow = Flow(
        folder,
        cloud,
        {
            "VIBERARY_HOME": URI,
            "VIBERARY_REDIS_URL": server.url,
            "VIBERARY_RAW": str(folder / "raw"),
            "VIBERARY_EXECUTOR": "batch",
            "VIBERARY_BATCH_QUEUE": stack["Queue"],
            "VIBERARY_BATCH_DEFINITION": stack["Definition"],
            "VIBERARY_BATCH_DEVICE": "cpu",
            "VIBERARY_BATCH_SHARDS_PER_CHILD": "1",
            "VIBERARY_EMBEDDING_SHARD_ROWS": str(SHARD_ROWS),
        },
    )
    try:
        flow.outcome = flow.build("builder")
        yield flow
    finally:
        redis_server.stop(folder / "redis")


def test_the_first_build_is_embedded_by_batch_and_published(flow: Flow) -> None:
    documents = flow.outcome["documents"]
    assert (flow.outcome["published"], flow.outcome["embedded"]) == (True, documents)
    assert sorted(flow.cloud.children) == [(index, 0) for index in range(-(-documents // SHARD_ROWS))]
    assert flow.objects("jobs/") == []  # a job is removed when its build ends
    kinds = {key.split("/")[0] for key in flow.objects()}
    assert kinds == {"artifacts", "embeddings", "history", "quality", "lease.json"}


def test_a_web_host_needs_redis_and_s3_and_nothing_else(flow: Flow) -> None:
    with flow.web("web") as web:
        assert web.ready() == {
            "ready": True,
            "build": flow.outcome["build"],
            "documents": flow.outcome["documents"],
            "reason": "ready",
        }
        status, found = web.get("api/search", query="cold-blooded revenge")
        assert (status, len(found["results"])) == (200, 10)
    copy = flow.folder / "web"
    assert [path.name for path in (copy / "artifacts").iterdir()] == ["query_encoder"]
    assert not (copy / "embeddings").exists()


def test_a_machine_with_an_empty_disk_computes_nothing_again(flow: Flow) -> None:
    children, made = len(flow.cloud.children), flow.made()
    outcome = flow.build("second")
    assert (outcome["published"], outcome["build"]) == (False, flow.outcome["build"])
    assert (outcome["embedded"], outcome["reused"]) == (0, flow.outcome["documents"])
    assert len(flow.cloud.children) == children
    assert flow.made() == made
    builds = json.loads(flow.run("laptop", "builds", "--json").stdout)["builds"]
    verdicts = [(one["verdict"], one["build"]) for one in builds]
    assert (verdicts[0], verdicts[-1]) == (("unchanged", outcome["build"]), ("published", outcome["build"]))


def test_artifacts_are_listed_from_s3(flow: Flow) -> None:
    listed = json.loads(flow.run("laptop", "artifacts", "--json").stdout)
    assert listed["home"] == URI
    encoder = flow.live_encoder()
    assert encoder in listed["artifacts"]
    assert encoder["bytes"] > 30_000_000
    assert not list((flow.folder / "laptop" / "artifacts").glob("*/*/*.onnx"))  # to list them, nothing was fetched


@pytest.mark.parametrize("how", ["flipped", "truncated"])
def test_an_encoder_that_is_damaged_in_s3_is_refused_until_the_next_build(flow: Flow, how: str) -> None:
    s3 = boto3.client("s3")
    folder = Path(flow.live_encoder()["path"]).name
    (key,) = [key for key in flow.objects(f"artifacts/query_encoder/{folder}/") if key.endswith("model.onnx")]
    data = s3.get_object(Bucket=BUCKET, Key=f"viberary/{key}")["Body"].read()
    damaged = data[:-1000] if how == "truncated" else bytes([data[0] ^ 1]) + data[1:]
    s3.put_object(Bucket=BUCKET, Key=f"viberary/{key}", Body=damaged)
    with flow.web(f"web-{how}") as web:
        status, said = web.get("readyz")
        assert (status, said["reason"]) == (503, "the query encoder of the live build cannot be used")
        assert web.get("api/search", query="revenge")[0] == 503
        outcome = flow.build("builder")  # which has it whole
        assert (outcome["published"], outcome["embedded"]) == (False, 0)
        assert web.ready()["build"] == flow.outcome["build"]
        assert web.get("api/search", query="revenge")[0] == 200


def test_with_s3_away_readers_read_on_and_a_build_says_what_is_wrong(flow: Flow) -> None:
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with flow.web("web") as web:
        web.ready()  # it has the encoder now
    with flow.web("web", **away) as web:
        assert web.ready()["build"] == flow.outcome["build"]
        assert web.get("api/search", query="revenge")[0] == 200
    refused = flow.run("builder", "build", **away)
    assert refused.returncode == 1
    assert "S3 cannot be used" in refused.stderr
    assert "what to do: try again; if that does not help, check the network and AWS_ENDPOINT_URL" in refused.stderr
    with flow.web("web-empty", **away) as web:
        status, said = web.get("readyz")
        assert (status, said["ready"]) == (503, False)


def test_a_new_build_and_the_way_back_from_another_machine(flow: Flow) -> None:
    """A web host that is up has the next build's encoder when it is published; garbage goes from S3 too."""
    with flow.web("web") as web:
        new = flow.build("third", VIBERARY_QUERY_PRECISION="fp32")
        assert (new["published"], new["embedded"]) == (True, 0)
        assert web.ready()["build"] == new["build"]
        back = flow.run("fourth", "rollback")
        assert (back.returncode, back.stderr) == (0, "")
        assert web.ready()["build"] == flow.outcome["build"]
    before = len(flow.objects("artifacts/"))
    collected = json.loads(flow.run("third", "gc", "--json").stdout)
    assert collected["folders"]
    assert len(flow.objects("artifacts/")) < before
    records = json.loads(flow.run("laptop", "builds", "--json").stdout)["builds"]
    assert records[0]["verdict"] == "rolled back"
    # What is live has another build before it now: its evaluation is made again, once. The other tests find it made.
    assert flow.build("builder")["build"] == flow.outcome["build"]
