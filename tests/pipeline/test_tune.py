"""`viberary tune` and `viberary distil` by their commands: accepted, refused, killed half-way, in an asset."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from homes import Cli, CliHere
from safetensors.numpy import load_file
from tiny_model import DIMENSIONS, make_tiny_model
from tuned import register_tuned
from tuning_home import WORKS, embed_documents, tuning_home, write_requests

from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.files import model_folder
from viberary_pipeline.encoders.home import encoders_of, registered_spec
from viberary_pipeline.encoders.shortened import number_of_layers
from viberary_pipeline.encoders.space import query_encoder_for
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.settings import load_settings
from viberary_pipeline.storage import Place, open_place
from viberary_pipeline.tuning.training import read_training

BUCKET = "tuning"
LEARNS = ("--learning-rate", "0.01", "--epochs", "8")
LEARNS_NOTHING = ("--learning-rate", "1e-12")


@dataclass(frozen=True)
class Asked:
    """A command of training and the home that it was run in, which tests copy before they write into it."""

    home: Path
    words: tuple[str, ...]
    done: subprocess.CompletedProcess[str] | None = None


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Trainings by this process are equal to those by processes of their own: the number of threads changes the last
    digit of a sum."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder / "hf"))
        patch.setattr("huggingface_hub.constants.HF_HOME", str(folder / "hf"))
        yield str(make_tiny_model(folder / "tiny"))


@pytest.fixture(scope="module")
def teacher(tiny, tmp_path_factory) -> tuple[Path, ResolvedEncoder]:
    """A home that has the vectors of its documents by the small encoder and by its own encoder `teacher`."""
    home = tuning_home(tmp_path_factory.mktemp("teacher") / "home")
    teacher = register_tuned(home, resolve(tiny), "teacher", size=0.05)
    for encoder in (resolve(tiny), teacher):
        embed_documents(home, encoder)
    return home, teacher


@pytest.fixture
def cli(teacher, tmp_path) -> Cli:
    """The command in a copy of the teacher's home."""
    return CliHere(Path(shutil.copytree(teacher[0], tmp_path / "home", symlinks=True)))


def copy_of(asked: Asked, folder: Path) -> Cli:
    """The command in a copy of its home."""
    return CliHere(Path(shutil.copytree(asked.home, folder / "home", symlinks=True)))


@pytest.fixture(scope="module")
def accepted(tiny, tmp_path_factory) -> Asked:
    """A training whose encoder `mine` is accepted; nothing was known of its documents."""
    folder = tmp_path_factory.mktemp("accepted")
    cli, requests = Cli(tuning_home(folder / "home")), write_requests(folder, unknown=3)
    words = ("tune", "--base", tiny, *requests, *LEARNS, "--json")
    return Asked(cli.home, words, cli(*words, "--out", "mine"))


def result_of(done: subprocess.CompletedProcess[str]) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


def test_an_encoder_that_is_better_is_used_by_its_name(accepted):
    cli, done = CliHere(accepted.home), accepted.done
    assert done.returncode == 0, done.stderr
    result = result_of(done)
    assert done.stdout.count("\n") == 1
    held = WORKS - result["pairs"]["request"] // 4
    assert (result["verdict"], result["documents"], result["kept_out"]) == ("accepted", WORKS, held)
    assert result["unknown_works"] == {"requests": 3}
    assert "3 works that it names are not in this catalogue" in done.stderr
    (judged,) = result["sets"].items()
    assert (judged[0], judged[1]["queries"]) == ("held-out requests", 4 * held)
    assert judged[1]["ndcg@10"]["before"][0] < 0.1 < 0.7 < judged[1]["ndcg@10"]["after"][0]
    assert result["training"]["examples"] == result["pairs"]["request"]
    assert result["training"]["pairs_per_second"] > 0
    assert 100 < result["peak_mb"] < 4000
    assert "pairs/s" in done.stderr

    folder = encoders_of(cli.home)["mine"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("adapter.safetensors", "card.md", "encoder.toml", "verdict.json")
    ]
    assert json.loads((folder / "verdict.json").read_text()) == result
    assert result["reason"] in (folder / "card.md").read_text()
    assert not (cli.home / "tuning" / "mine").exists()
    assert resolve("mine", cli.home).fingerprint == result["fingerprint"]

    again = cli(*accepted.words, "--out", "mine")
    assert (again.returncode, result_of(again)) == (0, result)
    assert "nothing is trained" in again.stderr


def test_an_accepted_encoder_is_trained_once_more_with_what_was_held_out(accepted, tmp_path):
    cli = copy_of(accepted, tmp_path)
    done = cli(*accepted.words, "--out", "whole", "--refit")
    assert done.returncode == 0, done.stderr
    result, alone = result_of(done), result_of(accepted.done)
    assert result["sets"] == alone["sets"]
    assert result["refit"]["pairs"] == {"request": 4 * WORKS}
    assert result["refit"]["training"]["examples"] == 4 * WORKS > result["training"]["examples"]
    assert result["refit"]["sets"] == {}  # no set is left that it did not see
    assert (alone["refit"], "refit" in alone) == ({}, True)
    whole, part = (load_file(encoders_of(cli.home)[name] / "adapter.safetensors") for name in ("whole", "mine"))
    assert any((whole[name] != part[name]).any() for name in whole)
    assert resolve("whole", cli.home).fingerprint == result["fingerprint"]


def test_an_encoder_that_is_no_better_is_left_and_not_trained_once_more(cli, tiny, tmp_path):
    asked = ("tune", "--out", "mine", "--base", tiny, *write_requests(tmp_path), *LEARNS_NOTHING)
    done = cli(*asked, "--refit", "--json")
    assert done.returncode == 3, done.stderr
    result = result_of(done)
    assert (result["verdict"], result["refit"]) == ("refused", {})
    assert result["reason"].startswith("no better than its base beyond the interval: nDCG@10 on held-out requests 0.0")
    with pytest.raises(EncoderError, match="was refused by the gate of its training") as refused:
        resolve("mine", cli.home)
    assert refused.value.found == result["reason"]
    assert resolve(str(cli.home / "encoders" / "mine")).fingerprint == result["fingerprint"]


def test_judged_files_judge_and_are_not_trained_on(cli, tiny, tmp_path):
    requests = write_requests(tmp_path)
    judge = [option.replace("--", "--judge-") for option in requests]
    done = cli("tune", "--out", "mine", "--base", tiny, *requests, *judge, "--json")
    assert done.returncode == 1
    assert "no request is left to train on" in done.stderr
    assert "There is too little to train on" in done.stderr
    assert f"found:      0, of {WORKS} works, of which" in done.stderr
    assert list(encoders_of(cli.home)) == ["teacher"]


def heed_signals():
    """What the tests before this one ignore or block would be ignored and blocked by a child, too."""
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def end_at_a_checkpoint(home: Path, words: tuple[str, ...], end: signal.Signals) -> None:
    """Run the command, and end it by this signal as soon as it has written one more checkpoint."""
    checkpoint = home / "tuning" / "mine" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    running = subprocess.Popen(
        [sys.executable, "-m", "viberary_pipeline.cli", *words, "--out", "mine"],
        env=Cli(home).environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_signals,
    )
    deadline = time.monotonic() + 240
    while running.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
            break
        time.sleep(0.02)
    os.kill(running.pid, end)
    _, stderr = running.communicate(timeout=60)
    assert checkpoint.exists(), stderr.decode()
    assert checkpoint.stat().st_mtime_ns != before, stderr.decode()
    assert running.returncode != 0


@pytest.fixture(scope="module")
def killed(teacher, tiny, tmp_path_factory) -> Asked:
    """A training that was killed after its first checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    home = Path(shutil.copytree(teacher[0], folder / "home", symlinks=True))
    requests = write_requests(folder)
    words = ("tune", "--base", tiny, *requests, "--epochs", "12", "--checkpoint-seconds", "0", "--json")
    end_at_a_checkpoint(home, words, signal.SIGKILL)
    return Asked(home, words)


def job_of(killed: Asked, folder: Path) -> Path:
    """What the killed training was to do, without anything that it did."""
    left = shutil.ignore_patterns("checkpoint.*", "adapter.safetensors", "done.json", "vectors")
    return Path(shutil.copytree(killed.home / "tuning" / "mine", folder, ignore=left))


def train_by_a_worker(place: Place) -> None:
    worker = [sys.executable, "-m", "viberary_pipeline.tuning.worker", place.uri, "--device", "cpu"]
    assert subprocess.run(worker, check=False).returncode == 0


@pytest.fixture(scope="module")
def never_killed(killed, tmp_path_factory) -> Path:
    """The folder of the same training, done at one go."""
    folder = job_of(killed, tmp_path_factory.mktemp("never-killed") / "job")
    train_by_a_worker(open_place(folder))
    return folder


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_goes_on_where_it_was(killed, never_killed, tmp_path):
    cli = copy_of(killed, tmp_path)
    assert "mine" not in encoders_of(cli.home)
    for end in (signal.SIGTERM, signal.SIGINT):
        end_at_a_checkpoint(cli.home, killed.words, end)
        assert "mine" not in encoders_of(cli.home)
    resumed = cli(*killed.words, "--out", "mine")
    first = int(resumed.stderr.split("step/s")[0].rpartition("|")[2].partition("/")[0] or 0)
    assert first > 2, resumed.stderr
    assert resumed.returncode in (0, 3), resumed.stderr
    mine = load_file(encoders_of(cli.home)["mine"] / "adapter.safetensors")
    whole = load_file(never_killed / "adapter.safetensors")
    assert mine.keys() == whole.keys()
    assert all((mine[name] == whole[name]).all() for name in mine)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--queries", "a.tsv"], 2, "give as many --qrels as --queries, in pairs"),
        (["--judge-qrels", "a.txt"], 2, "give as many --judge-qrels as --judge-queries, in pairs"),
        (["--out", "all-MiniLM-L6-v2"], 1, "An encoder of this home cannot be called 'all-MiniLM-L6-v2'"),
        (["--out", "../mine"], 1, "An encoder of this home cannot be called '../mine'"),
        (["--base", "nobody"], 1, "The encoder is unknown"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(cli, tiny, options, code, says):
    done = cli("tune", "--out", "mine", "--base", tiny, *options)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert list(encoders_of(cli.home)) == ["teacher"]


def test_a_home_without_documents_says_what_to_do(tiny, tmp_path):
    done = CliHere(tmp_path / "empty")("tune", "--out", "mine", "--base", tiny)
    assert done.returncode == 1
    assert "The stage documents has not run in this VIBERARY_HOME" in done.stderr


def test_a_student_enters_the_space_of_its_teacher(cli, teacher, tiny, tmp_path):
    done = cli(
        *("distil", "--out", "student", "--teacher", "teacher", "--base", tiny, "--epochs", "2", "--json"),
        *("--most-texts", "1000", *write_requests(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    result = result_of(done)
    assert (result["verdict"], result["space"], result["recipe"]["projection"]) == (
        *("accepted", "teacher", DIMENSIONS),
    )
    student = query_encoder_for(teacher[1], "student", cli.home)
    assert (student.spec.space, student.space, student.spec.dimensions) == (
        "teacher",
        teacher[1].fingerprint,
        DIMENSIONS,
    )


@pytest.mark.slow
def test_a_student_learns_from_further_texts(cli, tiny, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"a text {number}\n" for number in range(50)))
    asked = ("distil", "--teacher", "teacher", "--base", tiny, "--epochs", "1", "--word-rank", "2", "--json")
    done = cli(*asked, "--out", "one", "--texts", str(tmp_path / "texts.txt"), "--most-texts", "60")
    assert done.returncode in (0, 3), done.stderr
    result = result_of(done)
    assert (sum(result["pairs"].values()), result["recipe"]["word_rank"]) == (60, 2)
    (tmp_path / "other.txt").write_bytes(b"\xff\xfe")
    refused = cli(*asked, "--out", "two", "--texts", str(tmp_path / "other.txt"))
    assert (refused.returncode, "A file of texts cannot be read" in refused.stderr) == (1, True), refused.stderr


def test_a_student_keeps_half_of_its_teachers_layers_unless_another_is_named(cli, teacher, tmp_path):
    asked = ("distil", "--out", "student", "--teacher", "teacher", *write_requests(tmp_path), "--json")
    done = cli(*asked, "--epochs", "1", "--most-texts", "100")
    assert done.returncode in (0, 3), done.stderr
    result = result_of(done)
    assert (result["base"], result["space"], result["recipe"]["kept"]) == ("teacher", "teacher", [0])
    assert result["recipe"]["projection"] == 0
    assert number_of_layers(model_folder(registered_spec(cli.home / "encoders" / "student"))) == 1
    assert result["fingerprint"] != teacher[1].fingerprint
    refused = cli(*asked, "--layers", "3")
    assert refused.returncode == 1
    assert "An encoder cannot keep that number of its layers" in refused.stderr


def test_a_student_that_falls_short_of_its_teacher_is_refused(accepted, tiny, tmp_path):
    requests = write_requests(tmp_path)
    done = copy_of(accepted, tmp_path)(
        *("distil", "--out", "student", "--teacher", "mine", "--base", tiny, "--json", *requests),
        *(*LEARNS_NOTHING, "--epochs", "1", "--most-texts", "100"),
    )
    assert done.returncode == 3, done.stderr
    assert result_of(done)["reason"].startswith("less than 98% of its teacher's: nDCG@10 on held-out requests")


@pytest.mark.slow
def test_the_sample_is_judged_by_its_held_out_works_and_its_golden_set(built_sample, tiny, tmp_path):
    shutil.copytree(built_sample.home / "artifacts", tmp_path / "home" / "artifacts", symlinks=True)
    done = CliHere(tmp_path / "home")("tune", "--out", "mine", "--base", tiny, *LEARNS_NOTHING, "--json")
    assert done.returncode == 3, done.stderr
    result = result_of(done)
    assert set(result["sets"]) == {"held-out works", "golden"}
    assert result["pairs"].keys() >= {"opening", "sentence"}
    assert sum(result["pairs"].values()) > 500
    assert 0 < result["kept_out"] < result["documents"] / 5


def test_the_asset_tunes_in_a_job_of_its_own(cli, tiny, tmp_path):
    _, queries, _, qrels = write_requests(tmp_path)
    definitions = build_definitions(load_settings(home=cli.home))
    config = {"out": "mine", "base": tiny, "queries": [queries], "qrels": [qrels]}
    result = definitions.resolve_job_def("tune").execute_in_process(
        run_config={"ops": {"tuned_encoder": {"config": config}}}, instance=dg.DagsterInstance.ephemeral()
    )
    (made,) = result.asset_materializations_for_node("tuned_encoder")
    verdict = json.loads((encoders_of(cli.home)["mine"] / "verdict.json").read_text())
    assert made.metadata["verdict"].value == verdict["verdict"]
    assert (
        made.metadata["ndcg_10_held-out_requests"].value == verdict["sets"]["held-out requests"]["ndcg@10"]["after"][0]
    )
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("better_than_its_base", verdict["verdict"] == "accepted")


@pytest.mark.slow
def test_the_worker_trains_what_a_folder_holds(killed, never_killed):
    identity = json.loads((never_killed / "done.json").read_text())["identity"]
    assert identity == read_training(killed.home / "tuning" / "mine").identity
    assert (never_killed / "adapter.safetensors").stat().st_size > 1000


@pytest.mark.slow
def test_the_worker_trains_what_a_bucket_holds(killed, never_killed, tmp_path, s3):
    place = open_place(f"s3://{BUCKET}/job")
    folder = job_of(killed, tmp_path / "job")
    for path in folder.glob("*.*"):
        place.put(path.name, path)
    train_by_a_worker(place)
    assert json.loads(place.read("done.json"))["identity"] == read_training(folder).identity
    assert place.read("adapter.safetensors") == (never_killed / "adapter.safetensors").read_bytes()
