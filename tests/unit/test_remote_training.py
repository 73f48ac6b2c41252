"""Training on other machines, against moto's EC2, with the real worker started by the machine's own script."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_cloud import BUCKET, IMAGE, Cloud, wait_for
from filelock import FileLock
from homes import Cli
from small_training import write_small_training
from tiny_model import make_tiny_model
from tuned import register_tuned
from tuning_home import embed_documents, tuning_home, write_requests

from viberary_pipeline.embedding.executors import Executor, Limits, LocalExecutor
from viberary_pipeline.embedding.executors.ec2 import Ec2Executor
from viberary_pipeline.embedding.settings import Ec2Settings
from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.home import encoders_of
from viberary_pipeline.errors import SettingsError, WorkerError
from viberary_pipeline.resources import Pipeline
from viberary_pipeline.resources.tuning import trainer
from viberary_pipeline.settings import load_settings
from viberary_pipeline.storage import Bucket, Folder
from viberary_pipeline.tuning.remote import RemoteTrainer, end_abandoned_trainings
from viberary_pipeline.tuning.run import TuneOptions, lock_folder
from viberary_pipeline.tuning.training import ADAPTER, CHECKPOINT, read_training, run_training

JOBS = f"s3://{BUCKET}/jobs"
EPOCHS = 10  # 30 steps, a checkpoint after each: long enough to be interrupted in


@pytest.fixture(autouse=True)
def empty_cloud(cloud: Cloud) -> Any:
    cloud.reset()
    yield
    wait_for(lambda: not cloud.alive(), 20)  # after every test, whatever happened in it


def ec2() -> Ec2Executor:
    settings = Ec2Settings(instance_types=("g6.xlarge",), image=IMAGE, heartbeat=0.1)
    return Ec2Executor(settings, 360, poll_seconds=0.2, client=boto3.client("ec2"))


def train(folder: Path, base: ResolvedEncoder, executor: Executor, *, device: Any = "cpu") -> Any:
    """Returns what the trainer does, and the lines that it said."""
    said: list[str] = []
    options = TuneOptions("mine", base.spec.name, device=device, checkpoint_seconds=0)
    return *RemoteTrainer(executor, Bucket(JOBS), Limits())(folder, base, options, said.append, lambda _: None), said


def trained_here(folder: Path, base: ResolvedEncoder, **options: Any) -> bytes:
    """The adapter of an equal training by this process, in one thread as the workers: the number of threads changes
    the last digit of a sum."""
    import torch

    write_small_training(folder, base, **options)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_training(folder, device="cpu")
    finally:
        torch.set_num_threads(threads)
    return (folder / ADAPTER).read_bytes()


def checkpointed() -> bool:
    return any(name.endswith(f"/{CHECKPOINT}") for name in Bucket(JOBS).names())


class _Killed(BaseException):
    """Stands for a `kill -9` of whoever waits."""


def left_behind(folder: Path, base: ResolvedEncoder, *, when: Callable[[], Any] = checkpointed) -> str:
    """Start a training and kill whoever waits, when its machine has a checkpoint; returns the machine."""
    executor = ec2()

    def killed(*_: Any, **__: Any) -> Any:
        wait_for(when, 300)
        raise _Killed

    executor.poll = killed  # type: ignore[method-assign]
    executor.cancel_job = lambda job: None  # type: ignore[method-assign]
    with pytest.raises(_Killed):
        train(folder, base, executor)
    (machine,) = boto3.client("ec2").describe_instances()["Reservations"][-1]["Instances"]
    return str(machine["InstanceId"])


def test_a_lost_spot_machine_is_replaced_and_goes_on_from_the_checkpoint(cloud, tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder, epochs=EPOCHS)

    def take_away() -> None:
        wait_for(checkpointed, 300)
        cloud.interrupt_spot(cloud.alive()[0])

    thief = threading.Thread(target=take_away)
    thief.start()
    trained, machine, said = train(folder, tiny_encoder, ec2())
    thief.join()
    assert (trained.identity, trained.examples) == ("one", 24)
    assert (machine["submissions"], machine["instance_type"], machine["market"]) == (2, "g6.xlarge", "spot")
    assert any("Server.SpotInstanceTermination" in line and "from its last checkpoint" in line for line in said)
    outputs = [(cloud.folder / f"{instance}.out").read_text() for instance in cloud.processes]
    first_steps = [int(text.split(f"/{3 * EPOCHS} ")[0].rpartition("|")[2]) for text in outputs]
    assert first_steps[0] == 0 < first_steps[1]
    assert (folder / ADAPTER).read_bytes() == trained_here(tmp_path / "here", tiny_encoder, epochs=EPOCHS)
    assert Bucket(JOBS).names() == []


def test_the_same_command_after_a_kill_follows_the_machine_that_trains(cloud, tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder, epochs=EPOCHS)
    machine = left_behind(folder, tiny_encoder)
    _, found, _ = train(folder, tiny_encoder, ec2())
    assert (found["instance"], found["submissions"], list(cloud.processes)) == (machine, 1, [machine])
    assert Bucket(JOBS).names() == []


@pytest.mark.slow
def test_what_a_machine_finished_while_nobody_waited_is_fetched(cloud, tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder, epochs=EPOCHS)
    machine = left_behind(folder, tiny_encoder)
    wait_for(lambda: not cloud.alive(), 300)
    trained, facts, _ = train(folder, tiny_encoder, ec2())
    assert (trained.identity, facts, list(cloud.processes)) == ("one", {}, [machine])


@pytest.mark.slow
def test_a_machine_that_trains_for_other_data_is_ended(cloud, tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder, epochs=2000)
    machine = left_behind(folder, tiny_encoder)
    write_small_training(folder, tiny_encoder, identity="two")
    trained, found, _ = train(folder, tiny_encoder, ec2())
    assert (trained.identity, found["instance"] != machine) == ("two", True)
    assert (folder / ADAPTER).read_bytes() == trained_here(tmp_path / "here", tiny_encoder, identity="two")
    wait_for(lambda: cloud.processes[machine].poll() is not None)
    left = {name.split("/")[1] for name in Bucket(JOBS).names()}
    assert left <= {CHECKPOINT, "workers"}  # what the machine still wrote as it was ended


def test_the_sensors_end_the_machine_of_a_dead_training_and_keep_its_place(cloud, tiny_encoder, tmp_path):
    folder = tmp_path / "tuning" / "mine"
    folder.parent.mkdir()
    write_small_training(folder, tiny_encoder)
    machine = left_behind(folder, tiny_encoder, when=cloud.alive)
    lock = lock_folder(tmp_path, "mine") / "build.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):  # its process lives
        assert end_abandoned_trainings(tmp_path, ec2()) == []
    assert cloud.alive() == [machine]
    assert end_abandoned_trainings(tmp_path, ec2()) == ["mine"]
    assert cloud.alive() == []
    assert {"adapter.safetensors", "job.json"} - {name.rpartition("/")[2] for name in Bucket(JOBS).names()} == {
        "adapter.safetensors"
    }  # what the next command goes on with


def test_a_machine_without_cuda_is_told_and_not_tried_again(cloud, tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder)
    with pytest.raises(WorkerError) as caught:
        train(folder, tiny_encoder, ec2(), device="auto")
    assert caught.value.what.startswith("The training worker failed (ec2 i-")
    assert "exit code 78" in caught.value.found
    assert "cannot use CUDA" in caught.value.found
    assert len(cloud.processes) == 1


def test_a_place_without_a_training_is_left_as_it_is(tmp_path):
    worker = [sys.executable, "-m", "viberary_pipeline.worker", "train", str(tmp_path / "none")]
    done = subprocess.run(worker, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr.startswith("This folder holds no training")
    assert not (tmp_path / "none").exists()


def test_a_child_process_trains_too(tiny_encoder, tmp_path):
    folder = write_small_training(tmp_path / "mine", tiny_encoder)
    here = RemoteTrainer(LocalExecutor(), Folder(tmp_path / "jobs"), Limits())
    options = TuneOptions("mine", tiny_encoder.spec.name, device="cpu")
    trained, _ = here(folder, tiny_encoder, options, lambda _: None, lambda _: None)
    assert trained.identity == read_training(folder).identity
    assert (folder / ADAPTER).read_bytes() == trained_here(tmp_path / "here", tiny_encoder)


def test_settings_that_are_not_whole_are_told_before_anything_is_trained(tmp_path):
    with pytest.raises(SettingsError) as caught:
        trainer(Pipeline(load_settings(home=tmp_path, executor="ec2")))
    assert caught.value.expected.startswith("VIBERARY_EMBEDDING_JOBS (s3://bucket/prefix); either VIBERARY_EC2_IMAGE")


@pytest.mark.slow
def test_the_command_is_killed_and_goes_on_with_its_machine_and_its_gate(cloud, tmp_path, monkeypatch):
    """`viberary distil`, whose gate needs vectors of the teacher alone: these are known, and a GPU is not here."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))
    cli, tiny = Cli(tuning_home(tmp_path / "home")), str(make_tiny_model(tmp_path / "tiny"))
    embed_documents(cli.home, register_tuned(cli.home, resolve(tiny), "teacher", size=0.05))
    requests = write_requests(tmp_path)
    command = ["distil", "--teacher", "teacher", "--base", tiny, "--device", "cpu", "--json", *requests]
    elsewhere = {
        "VIBERARY_EXECUTOR": "ec2",
        "VIBERARY_EMBEDDING_JOBS": JOBS,
        "VIBERARY_EC2_IMAGE": IMAGE,
        "VIBERARY_EC2_INSTANCE_PROFILE": "worker",
        "VIBERARY_EC2_INSTANCE_TYPES": "g6.xlarge",
        "VIBERARY_EC2_HEARTBEAT": "0.2",
    }
    command += ["--out", "mine", "--epochs", "4", "--most-texts", "1000", "--checkpoint-seconds", "0"]
    boto3.client("iam").create_instance_profile(InstanceProfileName="worker")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "viberary_pipeline.cli", *command], env={**cli.environment, **elsewhere}
    )
    wait_for(checkpointed, 300)
    waiting.kill()
    waiting.wait()
    (machine,) = cloud.alive()
    done = cli(*command, **elsewhere)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["verdict"], result["machine"].get("instance", machine)) == ("accepted", machine)
    assert list(cloud.processes) == [machine]
    assert "mine" in encoders_of(cli.home)
    assert Bucket(JOBS).names() == []
    assert not (cli.home / "tuning" / "mine").exists()
