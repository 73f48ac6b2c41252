"""Artifacts: found again, made anew, whole or absent."""

import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from viberary_pipeline import artifacts
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


def flipped(path: Path) -> None:
    """One byte changed, the size and the time of the last write as before."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def overwritten(text: str):
    return lambda path: path.write_text(text)


DAMAGES = {
    "flipped byte": ("file.txt", flipped),
    "truncated": ("file.txt", overwritten("who")),
    "removed": ("file.txt", Path.unlink),
    "manifest: flipped byte": ("manifest.json", flipped),
    "manifest: truncated": ("manifest.json", overwritten("{")),
    "manifest: a list": ("manifest.json", overwritten("[]")),
    "manifest: null": ("manifest.json", overwritten("null")),
    "manifest: an object of another version": ("manifest.json", overwritten('{"key": "1"}')),
    "manifest: not text": ("manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
    "manifest: removed": ("manifest.json", Path.unlink),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_never_read_is_set_aside_and_made_anew(tmp_path, damage, caplog):
    store = ArtifactStore(tmp_path)
    made = store.produce("stage", inputs={}, settings={}, build=writer("whole")).artifact
    name, harm = DAMAGES[damage]
    harm(made.path / name)
    with pytest.raises(ArtifactError, match="stage is damaged or gone") as caught:
        store.current("stage")
    assert "`viberary build`" in caught.value.todo
    assert str(made.path) in caplog.text
    assert store.find("stage", made.key) is None
    assert store.produce("stage", inputs={}, settings={}, build=writer("whole")).reused is False
    assert store.current("stage").file("file.txt").read_text() == "whole"
    assert store.unneeded({}) == [made.path.with_name(f".damaged-{made.path.name}")]


@pytest.mark.parametrize(
    "text", ["[]", "null", "7", '"folder"', "{}", "", "{", '{"folder": "gone.1234"}', '{"folder": null}']
)
def test_a_damaged_pointer_is_named_and_a_plain_build_mends_it(tmp_path, text):
    store = ArtifactStore(tmp_path)
    store.produce("stage", inputs={}, settings={}, build=writer("whole"))
    (tmp_path / "artifacts" / "stage" / "current.json").write_text(text)
    with pytest.raises(ArtifactError, match="stage") as caught:
        store.current("stage")
    assert "`viberary build`" in caught.value.todo
    assert store.produce("stage", inputs={}, settings={}, build=writer("never")).reused is True
    assert store.current("stage").facts == {"said": "whole"}


def test_an_older_whole_artifact_serves_where_the_newest_is_damaged(tmp_path):
    store = ArtifactStore(tmp_path)
    old = store.produce("stage", inputs={}, settings={}, build=writer("old")).artifact
    new = store.produce("stage", inputs={}, settings={}, build=writer("new"), force=True).artifact
    assert store.find("stage", old.key) == new
    flipped(new.path / "file.txt")
    assert store.find("stage", old.key) == old


def test_files_are_hashed_again_only_where_they_were_touched(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    made = store.produce("stage", inputs={}, settings={}, build=writer("whole")).artifact
    hashed: list[str] = []

    def counting(path: Path) -> str:
        hashed.append(path.name)
        return original(path)

    original = artifacts.file_sha256
    monkeypatch.setattr(artifacts, "file_sha256", counting)
    store.current("stage")
    assert hashed == []
    os.utime(made.path / "file.txt", ns=(0, 0))
    assert store.current("stage") == made
    assert store.current("stage") == made
    assert hashed == ["file.txt"]


def test_a_home_that_may_only_be_read_is_verified_all_the_same(tmp_path):
    store = ArtifactStore(tmp_path)
    made = store.produce("stage", inputs={}, settings={}, build=writer("whole")).artifact
    (made.path / ".verified.json").unlink()
    assert store.current("stage") == made


def test_what_a_run_did_is_noted_in_place_of_the_run_before(tmp_path):
    store = ArtifactStore(tmp_path)
    first = store.note("stage", "k1", inputs={"up": "1"}, facts={"embedded": 5})
    second = store.note("stage", "k1", inputs={"up": "1"}, facts={"embedded": 0})
    assert (store.current("stage").facts, store.current("stage").inputs) == ({"embedded": 0}, {"up": "1"})
    assert not first.path.exists()
    assert second.path.exists()


def test_one_address_leads_to_the_files_of_the_current_artifact(tmp_path):
    store = ArtifactStore(tmp_path)
    for text, setting in (("a", 1), ("b", 2), ("never", 1)):
        store.produce("stage", inputs={}, settings={"x": setting}, build=writer(text), links=["file.txt"])
        expected = "a" if setting == 1 else text
        assert (tmp_path / "current" / "file.txt").read_text() == expected
    assert [path.name for path in (tmp_path / "current").iterdir()] == ["file.txt"]
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (moved / "current" / "file.txt").read_text() == "a"


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
