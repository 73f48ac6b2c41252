"""Embedding jobs, the worker as a process, the store, and `embed_missing` over all of them."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from filelock import FileLock
from shards import finished_shard
from tiny_model import DIMENSIONS, make_tiny_model

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.embedding import worker
from viberary_pipeline.embedding.devices import choose_dtype, runs_on
from viberary_pipeline.embedding.embed import EmbedCounts, embed_missing
from viberary_pipeline.embedding.executors import JobStatus, LocalExecutor, run_job
from viberary_pipeline.embedding.heartbeat import Pulse, heartbeats
from viberary_pipeline.embedding.jobs import FORMAT, Job, JobOptions, Shard, read_job, write_job
from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.quantize import int8_name
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import ArtifactError, SettingsError, WorkerError
from viberary_pipeline.storage import Folder
from viberary_pipeline.vectors.arrow_files import (
    TEXTS_SCHEMA,
    ShardManifest,
    map_table,
    problem_with,
    vectors_schema,
)
from viberary_pipeline.vectors.store import EmbeddingStore

WORKER = [sys.executable, "-m", "viberary_pipeline.embedding.worker"]
WORDS = ("revenge", "sea", "garden", "robot", "quiet", "winter")


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pairs(numbers: range) -> list[tuple[str, str]]:
    """Texts of many lengths, with their hashes."""
    texts = [" ".join(WORDS[: 1 + n % 6]) + f" {n}" for n in numbers]
    return [(hashlib.sha256(text.encode()).hexdigest(), text) for text in texts]


def batch(texts: list[tuple[str, str]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"text_hash": h, "text": t} for h, t in texts], TEXTS_SCHEMA)


def root(job: Job) -> Path:
    """The folder that a local job lies in."""
    return Path(job.place.uri)


def at(job: Job, name: str) -> Path:
    """The path of one of a local job's files."""
    return root(job) / name


def hashes(texts: list[tuple[str, str]]) -> pa.Array:
    return pa.array([text_hash for text_hash, _ in texts], pa.string())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> ResolvedEncoder:
    folder = make_tiny_model(
        tmp_path_factory.mktemp("models") / "tiny", normalize=False, prompts={"document": "passage: "}
    )
    return resolve(str(folder))


@pytest.fixture(scope="module")
def expected(encoder) -> Callable[[list[tuple[str, str]]], np.ndarray]:
    """What sentence-transformers itself gives for documents, scaled to norm 1."""
    model = load_sentence_transformer(encoder.spec, encoder.folder)

    def vectors(texts: list[tuple[str, str]]) -> np.ndarray:
        found = model.encode([text for _, text in texts], prompt="passage: ", show_progress_bar=False)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return vectors


@pytest.fixture(scope="module")
def done_job(encoder, tmp_path_factory) -> tuple[Job, subprocess.CompletedProcess[str]]:
    """A job of three shards that a worker process finished, without dagster and duckdb. Tests copy it."""
    job = write_job(
        tmp_path_factory.mktemp("jobs") / "job",
        [batch(pairs(range(20)))],
        encoder=encoder,
        shard_rows=8,
    )
    blocked = "import sys; sys.modules.update(dict.fromkeys(['dagster', 'duckdb', 'onnxruntime']));"
    run = "from viberary_pipeline.embedding.worker import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", blocked + run, "--job", str(root(job))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return job, done


@pytest.fixture
def own_job(done_job, tmp_path) -> Job:
    return read_job(Path(shutil.copytree(root(done_job[0]), tmp_path / "job")))


def vector_digests(job: Job) -> list[str]:
    return [file_sha256(at(job, job.vectors(shard.index))) for shard in job.shards]


def attempts(job: Job) -> list[int]:
    return [json.loads(at(job, job.manifest(shard.index)).read_text())["attempts"] for shard in job.shards]


# ---- jobs


def test_a_job_holds_every_text_once_in_shards_sorted_by_length(encoder, tmp_path):
    texts = pairs(range(20))
    portions = [batch(texts[:3]), batch(texts[3:17]), batch(texts[17:])]
    job = write_job(tmp_path / "job", portions, encoder=encoder, shard_rows=8, options=JobOptions(threads=2))
    assert dataclasses.replace(job, place=None) == Job(
        place=None,
        format=FORMAT,
        spec=encoder.spec,
        model_folder=str(encoder.folder),
        fingerprint=encoder.fingerprint,
        options=JobOptions(threads=2),
        carries_model=False,
        shards=tuple(Shard(i, rows, file_sha256(at(job, job.texts(i)))) for i, rows in enumerate((8, 8, 4))),
    )
    for shard, first in zip(job.shards, (0, 8, 16), strict=True):
        rows = [tuple(row.values()) for row in job.read_texts(shard).to_pylist()]
        assert rows == sorted(texts[first : first + shard.rows], key=lambda pair: len(pair[1]))


def test_a_job_for_an_unknown_device_is_refused(encoder, tmp_path):
    with pytest.raises(SettingsError):
        write_job(tmp_path / "job", [], encoder=encoder, shard_rows=8, options=JobOptions(device="tpu"))
    with pytest.raises(SettingsError):  # a GPU has no quantised graph
        write_job(tmp_path / "job", [], encoder=encoder, shard_rows=8, options=JobOptions(device="cuda", dtype="int8"))


# ---- worker


def test_the_worker_embeds_every_shard(done_job, encoder, expected):
    job, done = done_job
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "20/20" in done.stderr
    model = load_sentence_transformer(encoder.spec, encoder.folder)
    for shard in job.shards:
        texts = [tuple(row.values()) for row in job.read_texts(shard).to_pylist()]
        table = map_table(at(job, job.vectors(shard.index)), vectors_schema(DIMENSIONS))
        assert table["text_hash"].to_pylist() == [text_hash for text_hash, _ in texts]
        np.testing.assert_allclose(table["vector"].to_pylist(), expected(texts), atol=1e-6)

        manifest = ShardManifest(**json.loads(at(job, job.manifest(shard.index)).read_text()))
        assert manifest == ShardManifest(
            shard=shard.index,
            sha256=file_sha256(at(job, job.vectors(shard.index))),
            input_sha256=shard.sha256,
            fingerprint=encoder.fingerprint,
            rows=shard.rows,
            dimensions=DIMENSIONS,
            dtype="float32",
            device="cpu",
            tokens=sum(len(model.tokenizer(f"passage: {text}")["input_ids"]) for _, text in texts),
            seconds=manifest.seconds,
            attempts=1,
            host=os.uname().nodename,
        )
        assert 0 < manifest.seconds < 60


def damage_vectors_deleted(job: Job) -> None:
    at(job, job.vectors(1)).unlink()


def damage_vectors_cut(job: Job) -> None:
    os.truncate(at(job, job.vectors(1)), at(job, job.vectors(1)).stat().st_size // 2)


def damage_vectors_flipped(job: Job) -> None:
    content = bytearray(at(job, job.vectors(1)).read_bytes())
    content[len(content) // 2] ^= 1
    at(job, job.vectors(1)).write_bytes(content)


def damage_manifest_deleted(job: Job) -> None:
    at(job, job.manifest(1)).unlink()


def damage_manifest_cut(job: Job) -> None:
    os.truncate(at(job, job.manifest(1)), 20)


def damage_manifest_of_another_input(job: Job) -> None:
    values = json.loads(at(job, job.manifest(1)).read_text())
    at(job, job.manifest(1)).write_text(json.dumps(values | {"input_sha256": "0" * 64}))


def damage_manifest_of_another_encoder(job: Job) -> None:
    values = json.loads(at(job, job.manifest(1)).read_text())
    at(job, job.manifest(1)).write_text(json.dumps(values | {"fingerprint": "0" * 16}))


def manifest_of(content: bytes) -> Callable[[Job], None]:
    return lambda job: at(job, job.manifest(1)).write_bytes(content) and None


OTHER_JSON = [b"", b"[]", b"null", b"7", b'"x"', b"{}", b"[[]]", b"\xff"]
DAMAGES = [value for name, value in list(globals().items()) if name.startswith("damage_")]
DAMAGES += [manifest_of(content) for content in OTHER_JSON]


@pytest.mark.parametrize("content", OTHER_JSON)
def test_a_job_of_another_shape_is_no_job(own_job, content, capsys):
    at(own_job, "job.json").write_bytes(content)
    assert worker.main(["--job", str(root(own_job))]) == 78
    assert "There is no embedding job" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("spec", value) for value in ([], None, 7, "x", {"name": 1})),
        *(("options", value) for value in ([], None, {"device": 1}, {"threads": "two"}, {"stored": "float8"})),
        *(("shards", value) for value in ({}, None, [1], [{"index": "0", "rows": 1, "sha256": ""}], [[]])),
        *(("format", value) for value in (None, "2", [], 1)),
        *(("fingerprint", value) for value in (None, 7)),
        ("carries_model", "no"),
    ],
)
def test_a_job_with_a_value_of_another_kind_is_no_job(own_job, key, value):
    path = at(own_job, "job.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ArtifactError, match="There is no embedding job"):
        read_job(root(own_job))


@pytest.mark.parametrize("content", [*OTHER_JSON, b'{"worker": 1}', b'{"worker": "w", "host": "h", "pid": "1"}'])
def test_a_heartbeat_of_another_shape_is_left_out(tmp_path, content):
    place = Folder(tmp_path)
    pulse = Pulse(place, name="alive")
    pulse.end(0)
    place.write("workers/other.json", content)
    assert [beat.worker for beat in heartbeats(place)] == ["alive"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_alone_is_computed_again_with_the_same_result(own_job, damage):
    before = vector_digests(own_job)
    damage(own_job)
    assert worker.main(["--job", str(root(own_job))]) == 0
    assert vector_digests(own_job) == before
    assert attempts(own_job) == [1, 2, 1]
    assert all(own_job.finished(shard) for shard in own_job.shards)


def test_a_finished_job_is_left_as_it_is(own_job):
    def times() -> dict[Path, int]:
        files = (path for path in root(own_job).rglob("*") if path.is_file())
        return {path: path.stat().st_mtime_ns for path in files if path.parent.name != "workers"}

    before = times()
    assert worker.main(["--job", str(root(own_job))]) == 0
    assert times() == before


def test_a_range_of_shards_is_computed_and_no_other(encoder, tmp_path):
    job = write_job(tmp_path / "job", [batch(pairs(range(20)))], encoder=encoder, shard_rows=5)
    assert worker.main(["--job", str(root(job)), "--shards", "1:3"]) == 0
    assert [job.finished(shard) is not None for shard in job.shards] == [False, True, True, False]


@pytest.mark.parametrize("shards", ["1:9", "2:2", "1", "a:b"])
def test_a_wrong_range_is_wrong_usage(own_job, shards, capsys):
    try:
        code = worker.main(["--job", str(root(own_job)), "--shards", shards])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert shards in capsys.readouterr().err


def test_a_worker_killed_in_mid_job_resumes_to_the_same_vectors(encoder, tmp_path):
    texts = pairs(range(400))
    job = write_job(tmp_path / "job", [batch(texts)], encoder=encoder, shard_rows=4)
    process = subprocess.Popen([*WORKER, "--job", str(root(job))], stderr=subprocess.DEVNULL)
    wait_for(lambda: at(job, job.manifest(2)).exists() or process.poll() is not None)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = [shard for shard in job.shards if job.finished(shard) is not None]
    assert 3 <= len(done) < len(job.shards)
    times = {shard.index: at(job, job.vectors(shard.index)).stat().st_mtime_ns for shard in done}

    assert worker.main(["--job", str(root(job))]) == 0
    assert all(job.finished(shard) for shard in job.shards)
    assert {index: at(job, job.vectors(index)).stat().st_mtime_ns for index in times} == times
    whole = write_job(tmp_path / "whole", [batch(texts)], encoder=encoder, shard_rows=4)
    assert worker.main(["--job", str(root(whole))]) == 0
    assert vector_digests(job) == vector_digests(whole)


def test_a_worker_killed_again_and_again_does_the_same_work_in_the_end(encoder, tmp_path):
    """At random moments, also while it starts; at most one shard per kill was begun in vain."""
    export_query_encoder(encoder, tmp_path / "graph")
    options = JobOptions(graph=str(tmp_path / "graph"), threads=1)  # it starts faster without torch
    job, whole = (
        write_job(tmp_path / name, [batch(pairs(range(2400)))], encoder=encoder, shard_rows=4, options=options)
        for name in ("job", "whole")
    )
    chance, kills = random.Random(5), 0
    while kills < 5:
        before = job.declared_done()
        process = subprocess.Popen([*WORKER, "--job", str(root(job))], stderr=subprocess.DEVNULL)
        if kills:  # the first one wherever it is, the others amid the work
            wait_for(lambda done=before, process=process: job.declared_done() > done or process.poll() is not None)
        time.sleep(chance.uniform(0, 0.2))
        assert process.poll() is None, "it finished before all kills"
        process.kill()
        process.wait()
        kills += 1
    assert 0 < job.declared_done() < len(job.shards)
    for each in (job, whole):
        assert worker.main(["--job", str(root(each))]) == 0
    assert vector_digests(job) == vector_digests(whole)
    assert sum(attempts(job)) - len(job.shards) <= kills


def test_cuda_asked_for_and_absent_is_a_matter_of_configuration(encoder, tmp_path, capsys):
    if has_cuda():
        pytest.skip("this machine has CUDA")
    job = write_job(
        tmp_path / "job", [batch(pairs(range(3)))], encoder=encoder, shard_rows=8, options=JobOptions(device="cuda")
    )
    assert worker.main(["--job", str(root(job))]) == 78
    assert "cannot use CUDA" in capsys.readouterr().err
    assert not at(job, job.vectors(0)).exists()


def test_another_model_than_the_jobs_is_a_matter_of_configuration(own_job, tmp_path, capsys):
    other = make_tiny_model(tmp_path / "other", seed=8, normalize=False, prompts={"document": "passage: "})
    description = root(own_job) / "job.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"model_folder": str(other)}))
    at(own_job, own_job.manifest(1)).unlink()
    assert worker.main(["--job", str(root(own_job))]) == 78
    assert "differs from the job's" in capsys.readouterr().err


def test_a_missing_model_is_a_matter_of_configuration(own_job, tmp_path, capsys):
    description = root(own_job) / "job.json"
    values = json.loads(description.read_text())
    values["spec"]["source"] = f"folder:{tmp_path / 'gone'}"
    description.write_text(json.dumps(values | {"model_folder": str(tmp_path / "gone")}))
    at(own_job, own_job.manifest(1)).unlink()
    assert worker.main(["--job", str(root(own_job))]) == 78
    assert "The model is incomplete" in capsys.readouterr().err


def test_no_job_and_damaged_texts_are_a_matter_of_configuration(own_job, tmp_path, capsys):
    assert worker.main(["--job", str(tmp_path)]) == 78
    assert "There is no embedding job" in capsys.readouterr().err
    at(own_job, own_job.manifest(1)).unlink()
    os.truncate(at(own_job, own_job.texts(1)), 100)
    assert worker.main(["--job", str(root(own_job))]) == 78
    assert "The texts of shard 1 are damaged" in capsys.readouterr().err


def test_a_model_that_gives_nan_is_not_believed(own_job, encoder, tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    broken = Path(shutil.copytree(encoder.folder, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["transformer.layer.1.output_layer_norm.weight"][:] = np.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    job = write_job(tmp_path / "nan", [batch(pairs(range(5)))], encoder=resolve(str(broken)), shard_rows=8)
    assert worker.main(["--job", str(root(job))]) == 75
    assert "5 of 5 vectors that are not finite or not of norm 1" in capsys.readouterr().err
    assert not at(job, job.vectors(0)).exists()


def test_a_gpu_runs_code_of_its_architecture_only():
    cuda_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
    cuda_126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
    table = {
        ((7, 0), "cuda_13"): False,  # V100
        ((7, 0), "cuda_126"): True,
        ((7, 5), "cuda_13"): True,  # T4
        ((8, 9), "cuda_13"): True,  # L4: code for 8.6
        ((9, 0), "cuda_126"): True,  # H100
        ((10, 0), "cuda_126"): False,
        ((12, 0), "cuda_13"): True,
    }
    lists = {"cuda_13": cuda_13, "cuda_126": cuda_126}
    assert {key: runs_on(key[0], lists[key[1]]) for key in table} == table
    assert runs_on((12, 0), ["sm_80", "compute_90"])  # compiled when it starts
    assert not runs_on((8, 0), ["sm_86", "sm_80a1", "compute_90"])
    assert not runs_on((9, 1), ["sm_90a"])
    assert runs_on((9, 0), ["sm_90a"])


def test_a_cpu_computes_in_float32_unless_told_otherwise():
    assert choose_dtype("cpu", "auto") == "float32"
    assert choose_dtype("cpu", "bfloat16") == "bfloat16"


# ---- executors


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_the_worker_ends_when_its_parent_is_killed(encoder, tmp_path):
    job = write_job(tmp_path / "job", [batch(pairs(range(800)))], encoder=encoder, shard_rows=4)
    code = (
        "import sys; from viberary_pipeline.embedding.jobs import read_job;"
        "from viberary_pipeline.embedding.executors import LocalExecutor, run_job;"
        "run_job(LocalExecutor(), read_job(sys.argv[1]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(root(job))], stderr=subprocess.DEVNULL)
    wait_for(lambda: at(job, job.manifest(0)).exists() or parent.poll() is not None)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive
    assert not at(job, job.manifest(len(job.shards) - 1)).exists()  # it did not merely finish


def test_the_local_executor_says_what_failed(encoder, tmp_path, capfd):
    if has_cuda():
        pytest.skip("this machine has CUDA")
    job = write_job(
        tmp_path / "job", [batch(pairs(range(3)))], encoder=encoder, shard_rows=8, options=JobOptions(device="cuda")
    )
    with pytest.raises(WorkerError) as caught:
        run_job(LocalExecutor(), job)
    assert "exit code 78, the job cannot be done on this machine" in caught.value.found
    assert "cannot use CUDA" in caught.value.found
    out, err = capfd.readouterr()
    assert out == ""
    assert "cannot use CUDA" in err  # passed through as well


def test_a_broken_standard_error_does_not_stop_the_worker(own_job, tmp_path):
    """As in `viberary build 2>&1 | head`; the child writes more than a pipe holds."""
    code = (
        "import sys; from viberary_pipeline.embedding.jobs import read_job;"
        "from viberary_pipeline.embedding.executors import local;"
        "local.WORKER = 'chatter'; executor = local.LocalExecutor();"
        "status = executor.poll(executor.submit(read_job(sys.argv[1])), wait_seconds=60);"
        "print(status.state)"
    )
    (tmp_path / "chatter.py").write_text("import sys\nfor _ in range(20000): print('words ' * 10, file=sys.stderr)\n")
    reading, writing = os.pipe()
    os.close(reading)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(root(own_job))],
            stdout=subprocess.PIPE,
            stderr=writing,
            env=environment,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert done.stdout == b"succeeded\n"


# ---- store


def unit_vectors(rows: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def store(tmp_path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "store", "f" * 16, DIMENSIONS)


def test_an_empty_store_knows_nothing(store):
    assert store.known().to_pylist() == []
    assert store.missing(pa.array(["b", "a", "b"])).to_pylist() == ["b", "a"]
    assert store.read().schema == vectors_schema(DIMENSIONS)
    assert store.vectors_for(pa.array([], pa.string())).shape == (0, DIMENSIONS)


def test_adopted_vectors_come_back_in_the_order_asked(store, tmp_path):
    first, second = unit_vectors(3, 1), unit_vectors(2, 2)
    data, manifest = finished_shard(["a", "b", "c"], first)
    part = store.adopt(data, manifest)
    assert part == store.folder / f"{manifest.sha256}.arrow"
    assert part.read_bytes() == data
    store.adopt(*finished_shard(["d", "e"], second))

    assert sorted(store.known().to_pylist()) == ["a", "b", "c", "d", "e"]
    assert store.missing(pa.array(["x", "c", "x", "d"])).to_pylist() == ["x"]
    asked = pa.chunked_array([["e", "a", "c"], ["d", "a"]])
    vectors = store.vectors_for(asked)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [second[1], first[0], first[2], second[0], first[0]])


def test_reading_the_store_copies_no_vector(store, tmp_path):
    store.adopt(*finished_shard([str(n) for n in range(2000)], unit_vectors(2000)))
    before = pa.total_allocated_bytes()
    table = store.read()
    assert table.num_rows == 2000
    assert pa.total_allocated_bytes() - before < 2000 * DIMENSIONS  # the vectors alone are four times that


def test_adopting_twice_changes_nothing(store, tmp_path):
    vectors = unit_vectors(2)
    store.adopt(*finished_shard(["a", "b"], vectors))
    store.adopt(*finished_shard(["a", "b"], vectors))
    assert len(list(store.folder.glob("*.arrow"))) == 1
    assert store.read()["text_hash"].to_pylist() == ["a", "b"]


def test_a_hash_in_two_parts_is_harmless(store, tmp_path):
    store.adopt(*finished_shard(["a", "b"], unit_vectors(2, 1)))
    store.adopt(*finished_shard(["b", "c"], unit_vectors(2, 1)[::-1].copy()))
    assert sorted(store.known().to_pylist()) == ["a", "b", "c"]
    a, b, c = store.vectors_for(pa.array(["a", "b", "c"]))
    np.testing.assert_array_equal([a, b, c], unit_vectors(2, 1)[[0, 1, 0]])


def test_a_missing_vector_is_an_error_that_counts(store, tmp_path):
    store.adopt(*finished_shard(["a"], unit_vectors(1)))
    with pytest.raises(ArtifactError) as caught:
        store.vectors_for(pa.array(["a", "x", "y"]))
    assert caught.value.found == "2 missing"


@pytest.mark.parametrize(
    ("values", "changes", "found"),
    [
        (unit_vectors(2), {"sha256": "0" * 64}, "SHA-256"),
        (unit_vectors(2), {"fingerprint": "0" * 16}, "encoder 0000000000000000"),
        (unit_vectors(2), {"rows": 3}, "shape (2, 32), not (3, 32)"),
        (unit_vectors(2) * np.float32(np.nan), {}, "2 of 2 vectors that are not finite or not of norm 1"),
        (unit_vectors(2) * np.float32(np.inf), {}, "2 of 2 vectors that are not finite or not of norm 1"),
        (unit_vectors(2) * np.float32(1.01), {}, "2 of 2 vectors that are not finite or not of norm 1"),
        (np.zeros((2, DIMENSIONS), np.float32), {}, "2 of 2 vectors that are not finite or not of norm 1"),
        (unit_vectors(2)[:, :16].copy(), {}, "fixed_size_list<item: float>[16]"),
    ],
)
def test_a_shard_that_does_not_verify_is_not_adopted(store, tmp_path, values, changes, found):
    data, manifest = finished_shard(["a", "b"], values)
    with pytest.raises(ArtifactError) as caught:
        store.adopt(data, dataclasses.replace(manifest, **changes))
    assert found in caught.value.found
    assert store.known().to_pylist() == []


def test_norms_within_the_tolerance_pass():
    assert problem_with(unit_vectors(5) * np.float32(1.0009), rows=5, dimensions=DIMENSIONS) is None
    assert problem_with(unit_vectors(5), rows=5, dimensions=DIMENSIONS + 1) == "shape (5, 32), not (5, 33)"


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_part_is_set_aside_and_the_others_serve(store, tmp_path, caplog, damage):
    part = store.adopt(*finished_shard(["a", "b"], unit_vectors(2, 1)))
    store.adopt(*finished_shard(["c"], unit_vectors(1, 2)))
    content = bytearray(part.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    part.write_bytes(content[: {"cut": len(content) // 2, "emptied": 0}.get(damage)])

    fresh = EmbeddingStore(store.folder.parent, store.fingerprint, DIMENSIONS)
    assert fresh.known().to_pylist() == ["c"]
    assert fresh.missing(pa.array(["a", "b", "c"])).to_pylist() == ["a", "b"]
    assert f"the part {part} is damaged" in caplog.text
    assert not part.exists()
    assert len(list(store.folder.glob("*.damaged-*"))) == 1


# ---- embed_missing


class ThisProcess:
    """An executor that runs the real worker in this process: torch is loaded once for all these tests."""

    name = "this-process"

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.texts: list[str] = []
        self.stop_after = stop_after

    def submit(self, job: Job) -> "ThisProcess":
        self.job, self.executor, self.id = job, self.name, "here"
        self.texts += [t for shard in job.shards for t in job.read_texts(shard)["text"].to_pylist()]
        arguments = ["--job", str(root(job))]
        if self.stop_after is not None:
            arguments += ["--shards", f"0:{self.stop_after}"]
        with contextlib.redirect_stderr(io.StringIO()):
            assert worker.main(arguments) == 0
        return self

    def poll(self, submission, *, wait_seconds):
        return JobStatus("succeeded")

    def cancel(self, submission) -> None:
        pass

    def cancel_job(self, job) -> None:
        pass

    def facts(self, submission):
        return {}


@pytest.fixture
def embed(encoder, tmp_path):
    """`embed_missing` over one store; returns the counts and the texts that the worker was given, sorted."""
    store = EmbeddingStore(tmp_path / "store", encoder.fingerprint, DIMENSIONS)

    def run(texts, executor=None) -> tuple[EmbedCounts, list[str]]:
        executor = executor or ThisProcess()
        counts = embed_missing(
            texts,
            encoder=encoder,
            store=store,
            executor=executor,
            jobs_root=tmp_path / "jobs",
            shard_rows=8,
        )
        return counts, sorted(getattr(executor, "texts", []))

    run.store, run.jobs = store, tmp_path / "jobs"
    return run


def numbers(counts: EmbedCounts) -> tuple[int, int, int]:
    return counts.texts, counts.embedded, counts.reused


def test_exactly_the_new_texts_are_embedded(embed, expected):
    counts, given = embed(pairs(range(20)))
    assert numbers(counts) == (20, 20, 0)
    assert given == sorted(text for _, text in pairs(range(20)))
    assert counts.tokens > 20 * 4
    assert counts.seconds > 0
    assert list(embed.jobs.iterdir()) == []

    table = pa.Table.from_batches([batch(pairs(range(10, 25))), batch(pairs(range(12)))])  # with repetitions
    counts, given = embed(table)
    assert numbers(counts) == (25, 5, 20)
    assert given == sorted(text for _, text in pairs(range(20, 25)))
    every = pairs(range(24, -1, -1))
    np.testing.assert_allclose(embed.store.vectors_for(hashes(every)), expected(every), atol=1e-6)

    counts, given = embed(pairs(range(25)))
    assert (numbers(counts), counts.tokens, given) == ((25, 0, 25), 0, [])


def test_another_encoder_embeds_all_and_the_old_vectors_stay(embed, encoder, tmp_path):
    texts = pairs(range(20))
    embed(texts)
    other = resolve(str(encoder.folder), max_tokens=16)
    theirs = EmbeddingStore(embed.store.folder.parent, other.fingerprint, DIMENSIONS, dtype="float16")
    executor = ThisProcess()
    counts = embed_missing(
        texts,
        encoder=other,
        store=theirs,
        executor=executor,
        jobs_root=embed.jobs,
        shard_rows=8,
        options=JobOptions(stored="float16"),
    )
    assert numbers(counts) == (20, 20, 0)
    assert len(executor.texts) == 20
    assert theirs.read().schema == vectors_schema(DIMENSIONS, "float16")
    assert numbers(embed(texts)[0]) == (20, 0, 20)


def test_what_is_computed_shapes_the_key_only_where_vectors_differ(encoder):
    fingerprint = encoder.fingerprint
    keys = {dtype: JobOptions(dtype=dtype, graph="x").key(fingerprint) for dtype in ("auto", "float16", "int8")}
    assert keys == {"auto": fingerprint, "float16": fingerprint, "int8": int8_name(fingerprint)}


def test_int8_without_its_graph_is_a_matter_of_configuration(encoder, tmp_path, capsys):
    options = JobOptions(dtype="int8", graph=str(tmp_path / "gone"))
    job = write_job(tmp_path / "job", [batch(pairs(range(3)))], encoder=encoder, shard_rows=8, options=options)
    assert worker.main(["--job", str(root(job))]) == 78
    assert "The quantised encoder is not on this machine" in capsys.readouterr().err


def test_no_texts_need_no_worker(embed):
    counts, given = embed([])
    assert (numbers(counts), given) == ((0, 0, 0), [])


def test_the_whole_way_through_a_worker_process(embed, expected):
    texts = pairs(range(20))
    counts, _ = embed(texts, executor=LocalExecutor())
    assert numbers(counts) == (20, 20, 0)
    np.testing.assert_allclose(embed.store.vectors_for(hashes(texts)), expected(texts), atol=1e-6)


def test_a_killed_builds_finished_shards_are_adopted(embed, encoder):
    texts = pairs(range(20))
    embed.jobs.mkdir()
    job = write_job(embed.jobs / "left", [batch(texts)], encoder=encoder, shard_rows=8)
    assert worker.main(["--job", str(root(job)), "--shards", "0:2"]) == 0
    (embed.jobs / "unwritten" / "texts").mkdir(parents=True)  # killed before its job.json

    counts, given = embed(texts)
    assert numbers(counts) == (20, 4, 16)
    assert given == sorted(text for _, text in texts[16:])
    assert list(embed.jobs.iterdir()) == []


def test_a_damaged_shard_of_a_killed_build_is_embedded_again(embed, own_job, expected):
    texts = pairs(range(20))
    shutil.copytree(root(own_job), embed.jobs / "left")
    damage_vectors_flipped(read_job(embed.jobs / "left"))
    counts, _ = embed(texts)
    assert numbers(counts) == (20, 8, 12)
    np.testing.assert_allclose(embed.store.vectors_for(hashes(texts)), expected(texts), atol=1e-6)


def test_a_living_builds_job_is_left_alone(embed, own_job):
    left = Path(shutil.copytree(root(own_job), embed.jobs / "theirs"))
    before = sorted(path for path in left.rglob("*"))
    with FileLock(f"{left}.lock"):
        counts, _ = embed(pairs(range(20)))
        assert numbers(counts) == (20, 20, 0)
        assert sorted(path for path in left.rglob("*")) == before
    embed(pairs(range(20)))
    assert list(embed.jobs.iterdir()) == []


def test_another_encoders_job_waits_for_its_own_build(embed, own_job):
    left = Path(shutil.copytree(root(own_job), embed.jobs / "theirs"))
    description = json.loads((left / "job.json").read_text())
    (left / "job.json").write_text(json.dumps(description | {"fingerprint": "0" * 16}))
    embed(pairs(range(3)))
    assert (left / "job.json").exists()


def test_a_worker_that_leaves_texts_out_is_an_error_and_its_work_is_kept(embed):
    texts = pairs(range(20))
    with pytest.raises(WorkerError) as caught:
        embed(texts, executor=ThisProcess(stop_after=2))
    assert (caught.value.expected, caught.value.found) == ("20 vectors that pass their checks", "4 missing")
    assert list(embed.jobs.iterdir()) == []
    assert numbers(embed(texts)[0]) == (20, 4, 16)


def test_a_damaged_part_of_the_store_is_embedded_again(embed, expected, encoder):
    texts = pairs(range(20))
    embed(texts)
    part = sorted(embed.store.folder.glob("*.arrow"))[0]
    os.truncate(part, part.stat().st_size - 8)
    counts, given = embed(texts)
    assert counts.embedded == len(given) > 0
    np.testing.assert_allclose(embed.store.vectors_for(hashes(texts)), expected(texts), atol=1e-6)


def test_texts_with_a_missing_value_are_refused(embed):
    with pytest.raises(ArtifactError) as caught:
        embed(pa.table({"text_hash": ["a", "b"], "text": ["sea", None]}))
    assert "missing values in text" in caught.value.found
    with pytest.raises(ArtifactError) as caught:
        embed(pa.table({"text_hash": ["a"]}))
    assert caught.value.found == "columns text_hash; missing values in none"
