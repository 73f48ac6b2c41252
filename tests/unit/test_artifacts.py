"""Artifacts: found again, made anew, whole or absent."""

import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.errors import ArtifactError, GateRefused


def writer(text: str):
    def build(folder: Path) -> dict[str, str]:
        (folder / "file.txt").write_text(text)
        return {"said": text}

    return build


def test_same_inputs_and_settings_are_found_again(tmp_path):
    store = ArtifactStore(tmp_path)
    first = store.produce("stage", inputs={"up": "1"}, settings={"x": 1}, build=writer("a"))
    again = store.produce("stage", inputs={"up": "1"}, settings={"x": 1}, build=writer("b"))
    assert (first.reused, again.reused) == (False, True)
    assert again.artifact == first.artifact
    assert store.current("stage").file("file.txt").read_text() == "a"


@pytest.mark.parametrize("changed", [{"inputs": {"up": "2"}}, {"settings": {"x": 2}}, {"force": True}])
def test_anything_else_makes_a_new_one_and_keeps_the_old(tmp_path, changed):
    store = ArtifactStore(tmp_path)
    same = {"inputs": {"up": "1"}, "settings": {"x": 1}}
    first = store.produce("stage", **same, build=writer("a"))
    second = store.produce("stage", **{**same, **changed}, build=writer("b"))
    assert second.reused is False
    assert store.current("stage").facts == {"said": "b"}
    assert first.artifact.file("file.txt").read_text() == "a"


def test_going_back_to_old_settings_points_at_the_old_artifact(tmp_path):
    store = ArtifactStore(tmp_path)
    for text, setting in (("a", 1), ("b", 2), ("never", 1)):
        store.produce("stage", inputs={}, settings={"x": setting}, build=writer(text))
    assert store.current("stage").facts == {"said": "a"}


def test_a_failed_build_leaves_nothing_and_current_stays(tmp_path):
    store = ArtifactStore(tmp_path)
    store.produce("stage", inputs={}, settings={}, build=writer("a"))

    def fail(folder: Path) -> dict[str, str]:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.produce("stage", inputs={"new": "1"}, settings={}, build=fail)
    assert store.current("stage").facts == {"said": "a"}
    assert [path.name for path in (tmp_path / "artifacts" / "stage").glob(".*")] == []


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_artifact_is_made_anew(tmp_path, damage):
    store = ArtifactStore(tmp_path)
    path = store.produce("stage", inputs={}, settings={}, build=writer("whole")).artifact.file("file.txt")
    path.write_text("who") if damage == "truncate" else path.unlink()
    assert store.produce("stage", inputs={}, settings={}, build=writer("whole")).reused is False
    assert store.current("stage").file("file.txt").read_text() == "whole"


def _produce_slowly(home: str, started: str) -> None:
    def build(folder: Path) -> dict[str, str]:
        (folder / "half.txt").write_text("half")
        Path(started).touch()
        time.sleep(60)
        return {}

    ArtifactStore(Path(home)).produce("stage", inputs={}, settings={}, build=build)


def test_a_killed_process_leaves_no_artifact_and_its_leftover_is_swept(tmp_path):
    started = tmp_path / "started"
    process = multiprocessing.get_context("spawn").Process(target=_produce_slowly, args=(str(tmp_path), str(started)))
    process.start()
    while not started.exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    stage = tmp_path / "artifacts" / "stage"
    assert len(list(stage.glob(".tmp-*"))) == 1
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactError, match="has not run"):
        store.current("stage")
    assert store.produce("stage", inputs={}, settings={}, build=writer("a")).reused is False
    assert list(stage.glob(".tmp-*")) == []


def test_a_lost_file_is_named(tmp_path):
    store = ArtifactStore(tmp_path)
    artifact = store.produce("stage", inputs={}, settings={}, build=writer("a")).artifact
    with pytest.raises(ArtifactError, match=r"other\.parquet"):
        artifact.file("other.parquet")


def test_errors_survive_pickling():
    """Dagster may carry them between processes."""
    error = GateRefused("w", expected="e", found="f", todo="t")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_code) == (GateRefused, str(error), 3)
