"""Places, here and in S3: writes that are whole or absent, jobs and encoders and stores that lie there."""

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import boto3
import numpy as np
import pyarrow as pa
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from shards import finished_shard
from tiny_model import DIMENSIONS

from viberary_pipeline.embedding import worker
from viberary_pipeline.embedding.heartbeat import heartbeats
from viberary_pipeline.embedding.jobs import Job, JobOptions, write_job
from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.errors import EncoderError, StorageError
from viberary_pipeline.storage import (
    Bucket,
    Folder,
    ObjectChangedError,
    ObjectVersion,
    Place,
    open_place,
    replacing,
    replacing_folder,
    write_atomically,
)
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA, ShardManifest
from viberary_pipeline.vectors.store import EmbeddingStore

BUCKET = "viberary-places"


@pytest.fixture
def encoder(tiny_encoder) -> ResolvedEncoder:
    return tiny_encoder


@pytest.fixture(params=["folder", "s3"])
def somewhere(request, tmp_path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "place")
    request.getfixturevalue("s3")
    return Bucket(f"s3://{BUCKET}/a prefix")


def batch(count: int) -> pa.RecordBatch:
    texts = [f"revenge by the sea, volume {n}" for n in range(count)]
    rows = [{"text_hash": hashlib.sha256(text.encode()).hexdigest(), "text": text} for text in texts]
    return pa.RecordBatch.from_pylist(rows, TEXTS_SCHEMA)


# ---- places


def test_a_place_reads_writes_lists_and_forgets(somewhere, tmp_path):
    assert somewhere.names() == []
    somewhere.write("a/1.txt", b"one")
    somewhere.write("a/2.txt", b"two")
    somewhere.write("b.txt", b"three")
    somewhere.write("a/1.txt", b"one again")
    (tmp_path / "source").write_bytes(b"from a file")
    somewhere.put("a/3.txt", tmp_path / "source")
    assert somewhere.names() == ["a/1.txt", "a/2.txt", "a/3.txt", "b.txt"]
    assert somewhere.names("a/") == ["a/1.txt", "a/2.txt", "a/3.txt"]
    assert somewhere.inside("a").names() == ["1.txt", "2.txt", "3.txt"]
    assert somewhere.read("a/1.txt") == b"one again"
    assert somewhere.local("a/3.txt", tmp_path / "scratch").read_bytes() == b"from a file"
    for absent in (lambda: somewhere.read("c"), lambda: somewhere.local("c", tmp_path / "scratch")):
        with pytest.raises(FileNotFoundError):
            absent()
    somewhere.delete("a/1.txt", "c")
    assert somewhere.names() == ["a/2.txt", "a/3.txt", "b.txt"]
    somewhere.delete_all()
    assert somewhere.names() == []


def test_where_a_place_is_follows_from_its_address(tmp_path):
    assert isinstance(open_place("s3://bucket/prefix"), Bucket)
    assert isinstance(open_place(tmp_path), Folder)


def test_more_objects_than_one_page_are_listed_and_removed(s3, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    bucket = Bucket(f"s3://{BUCKET}/many")
    for n in range(8):
        bucket.write(str(n), b"")
    assert bucket.names() == [str(n) for n in range(8)]
    bucket.delete_all()
    assert bucket.names() == []


def test_an_upload_that_breaks_off_leaves_what_was_there(s3, proxy, monkeypatch):
    bucket = Bucket(f"s3://{BUCKET}/broken")
    bucket.write("vectors", b"old")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(StorageError) as caught:
            Bucket(f"s3://{BUCKET}/broken").write("vectors", b"new" * 1_000_000)
    assert caught.value.passing
    assert bucket.read("vectors") == b"old"


def test_a_bucket_that_is_not_there_does_not_pass(s3, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    bucket = Bucket("s3://no-such-bucket/jobs")
    for use in (bucket.names, lambda: bucket.write("a", b""), lambda: bucket.put("a", tmp_path / "file")):
        with pytest.raises(StorageError) as caught:
            use()
        assert not caught.value.passing
        assert "NoSuchBucket" in caught.value.found


@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [(503, "SlowDown", True), (500, "InternalError", True), (403, "AccessDenied", False), (400, "ExpiredToken", False)],
)
def test_what_may_pass_and_what_may_not(s3, status, code, passing):
    bucket = Bucket(f"s3://{BUCKET}/refused")
    answer = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    bucket.client.meta.events.register(
        "before-call.s3.PutObject", lambda **_: (SimpleNamespace(status_code=status), answer)
    )
    with pytest.raises(StorageError) as caught:
        bucket.write("name", b"data")
    assert caught.value.passing is passing
    assert code in caught.value.found


def test_an_object_that_s3_does_not_remove_is_an_error(s3):
    """S3 answers 200 and lists those that it kept."""
    bucket = Bucket(f"s3://{BUCKET}/kept")
    kept = {"Errors": [{"Key": "kept/a", "Code": "AccessDenied", "Message": "no right"}]}
    bucket.client.meta.events.register(
        "before-call.s3.DeleteObjects", lambda **_: (SimpleNamespace(status_code=200), kept)
    )
    with pytest.raises(StorageError) as caught:
        bucket.delete("a", "b")
    assert (caught.value.expected, caught.value.found) == (f"to reach s3://{BUCKET}/kept/a", "AccessDenied: no right")
    assert not caught.value.passing


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_read_goes_on_where_the_connection_broke(s3, proxy, tmp_path, reset):
    bucket, data = Bucket(f"s3://{BUCKET}/long"), os.urandom(3_000_000)
    bucket.write("weights", data)
    proxy.cut_next(1_500_000, reset=reset)
    assert bucket.read("weights") == data
    proxy.cut_next(1_500_000, reset=reset)
    assert bucket.local("weights", tmp_path).read_bytes() == data
    assert len(proxy.ranges) == 1


def test_bytes_that_changed_on_their_way_are_not_taken(s3):
    """moto sends no checksum with an object; S3 does."""
    bucket, asked = Bucket(f"s3://{BUCKET}/flipped"), []
    checksum = base64.b64encode(hashlib.sha256(b"whole").digest()).decode()

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        asked.append(request.headers.get("Range"))
        headers = {"ETag": '"1"', "content-length": "5", "x-amz-checksum-sha256": checksum}
        return AWSResponse(request.url, 200, headers, io.BytesIO(b"whale"))

    bucket.client.meta.events.register("before-send.s3.GetObject", answer)
    with pytest.raises(StorageError, match="FlexibleChecksumError") as caught:
        bucket.read("weights")
    assert caught.value.passing
    assert asked == [None]  # there is nothing to go on from


def test_a_version_that_is_gone_is_told_from_another_one(s3):
    bucket = Bucket(f"s3://{BUCKET}/versions")
    bucket.write("a", b"one")
    version, size, start = bucket.head("a", 2)
    assert (size, start, ObjectVersion.parse(str(version))) == (3, b"on", version)
    with bucket.stream("a", version) as stream:
        assert stream.read() == b"one"
    bucket.write("a", b"two")
    with pytest.raises(ObjectChangedError, match="An object in S3 has changed"):
        bucket.stream("a", version)
    bucket.delete("a")
    with pytest.raises(FileNotFoundError):
        bucket.stream("a", version)


# ---- local files


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, "\u00fc")
    assert path.read_bytes() == b"\xc3\xbc"
    with suppress(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_text() == "\u00fc"
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "folder"
    for content in ("one", "two"):
        with replacing_folder(folder) as temporary:
            (temporary / content).write_text(content)
        assert [path.name for path in folder.iterdir()] == [content]
    with suppress(RuntimeError), replacing_folder(folder) as temporary:
        (temporary / "three").write_text("half")
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [folder]


# ---- jobs in S3


def write(encoder: ResolvedEncoder, options: JobOptions, count: int = 20) -> Job:
    return write_job(Bucket(f"s3://{BUCKET}/jobs/one"), [batch(count)], encoder=encoder, shard_rows=5, options=options)


def run_worker(job: Job, *arguments: str) -> int:
    return worker.main(["--job", job.place.uri, *arguments])


def test_a_job_in_s3_is_done_there_and_a_heartbeat_tells_of_it(s3, encoder, on_cpu):
    job = write(encoder, on_cpu)
    assert run_worker(job, "--heartbeat", "0.05") == 0
    assert all(job.finished(shard) for shard in job.shards)
    assert job.declared_done() == 4
    (beat,) = heartbeats(job.place)
    assert (beat.state, beat.exit_code, beat.rows, beat.total, beat.shards) == ("ended", 0, 20, 20, 4)
    assert beat.tokens > 20 * 4


def test_a_worker_in_a_process_of_its_own_takes_the_model_that_the_job_carries(s3, encoder, tmp_path):
    """Neither the folder of the model nor a hub is within its reach."""
    job = write_job(Bucket(f"s3://{BUCKET}/jobs/carried"), [batch(6)], encoder=encoder, shard_rows=5, carry_model=True)
    description = json.loads(job.place.read("job.json"))
    job.place.write("job.json", json.dumps(description | {"model_folder": str(tmp_path / "elsewhere")}).encode())
    done = subprocess.run(
        [sys.executable, "-m", "viberary_pipeline.embedding.worker", "--job", job.place.uri],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(job.finished(shard) for shard in job.shards)


@pytest.mark.parametrize("lost", ["done/00001.json", "vectors/00001.arrow"])
def test_a_shard_that_lost_its_manifest_or_vectors_is_done_again_and_no_other(s3, encoder, on_cpu, lost):
    job = write(encoder, on_cpu)
    run_worker(job)
    vectors = job.place.read(Job.vectors(1))
    job.place.delete(lost)
    assert job.finished(job.shards[1]) is None
    assert run_worker(job) == 0
    assert job.place.read(Job.vectors(1)) == vectors
    assert [job.finished(shard).attempts for shard in job.shards] == [1, 2, 1, 1]


def test_vectors_that_arrived_damaged_are_computed_again(s3, encoder, on_cpu):
    job = write(encoder, on_cpu)
    run_worker(job)
    whole = job.place.read(Job.vectors(2))
    s3.put_object(Bucket=BUCKET, Key="jobs/one/" + Job.vectors(2), Body=whole[: len(whole) // 2])
    assert run_worker(job) == 0
    assert job.place.read(Job.vectors(2)) == whole


def test_an_upload_of_vectors_that_fails_is_worth_another_try(s3, encoder, on_cpu, monkeypatch, capsys):
    """The connection is lost while the third shard is written: no manifest speaks of it."""
    job = write(encoder, on_cpu)
    write_object = Bucket.write

    def fails(self: Bucket, name: str, data: bytes, **options: bool) -> None:
        if name == Job.vectors(2):
            self = Bucket(self.uri, boto3.client("s3", endpoint_url="http://127.0.0.1:9"))
        write_object(self, name, data, **options)

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(Bucket, "write", fails)
    assert run_worker(job) == 75
    assert "EndpointConnectionError" in capsys.readouterr().err
    assert [job.read_manifest(shard) is not None for shard in job.shards] == [True, True, False, False]
    monkeypatch.setattr(Bucket, "write", write_object)
    assert run_worker(job) == 0
    assert [job.finished(shard).attempts for shard in job.shards] == [1, 1, 2, 1]


def test_no_right_and_no_job_are_a_matter_of_configuration(s3, encoder, on_cpu, monkeypatch, tmp_path, capsys):
    assert worker.main(["--job", f"s3://{BUCKET}/nothing"]) == 78
    assert "There is no embedding job in" in capsys.readouterr().err
    assert worker.main(["--job", "s3://no-such-bucket/job"]) == 78
    job = write(encoder, on_cpu)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert run_worker(job) == 78
    assert "NoCredentialsError" in capsys.readouterr().err


def test_a_child_of_an_array_takes_its_range(s3, encoder, on_cpu, monkeypatch):
    job = write(encoder, on_cpu)
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "1")
    assert run_worker(job, "--range-size", "3") == 0
    assert [job.finished(shard) is not None for shard in job.shards] == [False, False, False, True]
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "2")
    assert run_worker(job, "--range-size", "3") == 2


def test_several_processes_share_the_shards(encoder, on_cpu, tmp_path):
    job = write_job(tmp_path / "job", [batch(30)], encoder=encoder, shard_rows=5, options=on_cpu)
    assert worker.main(["--job", job.place.uri, "--processes", "2"]) == 0
    assert all(job.finished(shard) for shard in job.shards)
    assert sorted(beat.shards for beat in heartbeats(job.place)) == [3, 3]


def test_the_worst_exit_code_of_several_processes_counts(encoder, on_cpu, tmp_path):
    job = write_job(tmp_path / "job", [batch(30)], encoder=encoder, shard_rows=5, options=on_cpu)
    job.place.delete(Job.texts(4))
    assert worker.main(["--job", job.place.uri, "--processes", "2"]) == 78
    assert all(job.finished(shard) for shard in job.shards if shard.index % 2)


# ---- encoders in S3


def test_an_encoder_in_s3_is_fetched_once_and_has_the_same_fingerprint(s3, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    bucket = Bucket(f"s3://{BUCKET}/models/tiny")
    for path in encoder.model_files():
        bucket.write(str(path.relative_to(encoder.folder)), path.read_bytes())
    bucket.write("pytorch_model.bin", b"a pickle")
    found = resolve(bucket.uri)
    assert (found.spec.name, found.spec.source, found.fingerprint) == ("tiny", bucket.uri, encoder.fingerprint)
    assert not (found.folder / "pytorch_model.bin").exists()
    assert resolve(bucket.uri) == found
    assert resolve(bucket.uri, max_tokens=16).fingerprint != found.fingerprint
    with pytest.raises(EncoderError, match="The encoder in S3 is not there"):
        resolve(f"s3://{BUCKET}/models/none")


# ---- a store that machines share


def shard(names: list[str], seed: int) -> tuple[bytes, ShardManifest]:
    vectors = np.random.default_rng(seed).normal(size=(len(names), DIMENSIONS)).astype(np.float32)
    return finished_shard(names, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_what_one_machine_embedded_another_has(s3, tmp_path):
    shared = Bucket(f"s3://{BUCKET}/vectors")
    here, there = (EmbeddingStore(tmp_path / name, "f" * 16, DIMENSIONS, shared=shared) for name in ("here", "there"))
    for n in range(20):
        here.adopt(*shard([f"{n}-a", f"{n}-b"], n))
    everything = pa.array([f"{n}-{letter}" for n in range(20) for letter in "ba"])
    expected = here.vectors_for(everything)
    np.testing.assert_array_equal(there.vectors_for(everything), expected)
    assert here.compact() == 20
    assert len(shared.names()) == 1
    np.testing.assert_array_equal(there.vectors_for(everything), expected)
    assert len(list(there.folder.glob("*.arrow"))) == 1
    assert there.prune([pa.array(["0-a", "19-b"])]) == 38
    assert sorted(here.known().to_pylist()) == ["0-a", "19-b"]


def test_a_damaged_copy_of_a_shared_part_is_fetched_again_and_a_damaged_original_is_removed(s3, tmp_path, caplog):
    shared = Bucket(f"s3://{BUCKET}/vectors")
    store = EmbeddingStore(tmp_path / "here", "f" * 16, DIMENSIONS, shared=shared)
    part = store.adopt(*shard(["a", "b"], 1))
    whole, wanted = part.read_bytes(), pa.array(["a", "b"])
    part.write_bytes(whole[:-1])
    assert len(store.missing(wanted)) == 0
    assert part.read_bytes() == whole
    name = f"{'f' * 16}/{part.name}"
    assert shared.names() == [name]
    shared.write(name, whole[:-1])
    elsewhere = EmbeddingStore(tmp_path / "there", "f" * 16, DIMENSIONS, shared=shared)
    assert len(elsewhere.missing(wanted)) == 2
    assert shared.names() == []
    assert f"{shared.uri}/{name} is damaged" in caplog.text


def test_what_is_left_on_disk_is_what_the_address_says(tmp_path):
    assert Path(open_place(tmp_path / "x").uri) == tmp_path / "x"
