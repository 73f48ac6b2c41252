"""The store over time: compaction, what is kept and what goes, float16, kills at every write, and a rebuild of 1 %."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shards
from shards import finished_shard

from viberary_pipeline.embedding.texts import ParquetTexts
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.vectors.arrow_files import problem_with, vectors_schema
from viberary_pipeline.vectors.rows import distinct_keys, keys_of
from viberary_pipeline.vectors.store import EmbeddingStore

DIMENSIONS = 16
KEY = "f" * 16


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled(root: Path, shards: int = 20, **options: str) -> EmbeddingStore:
    """A store of `shards` parts of three: hash `n-i` has row i of `unit(3, n)`."""
    store = EmbeddingStore(root, KEY, DIMENSIONS, **options)
    for n in range(shards):
        store.adopt(*finished_shard([f"{n}-{i}" for i in range(3)], unit(3, n), options.get("dtype", "float32")))
    return store


EVERY = pa.array([f"{n}-{i}" for n in range(20) for i in (2, 0, 1)])
EXPECTED = np.concatenate([unit(3, n)[[2, 0, 1]] for n in range(20)])


def parts(store: EmbeddingStore) -> list[Path]:
    return sorted(store.folder.glob("*.arrow"))


def test_compaction_makes_one_part_of_many_and_loses_nothing(tmp_path):
    store = filled(tmp_path)
    store.adopt(*finished_shard(["0-0", "0-1"], unit(2, 99)))  # hashes that are there already: the first part serves
    before = dict(zip(EVERY.to_pylist(), store.vectors_for(EVERY), strict=True))
    assert store.compact() == 21
    assert len(parts(store)) == 1
    assert len(store.read()) == 60
    fresh = EmbeddingStore(tmp_path, KEY, DIMENSIONS)
    np.testing.assert_array_equal(fresh.vectors_for(EVERY), list(before.values()))
    assert fresh.compact() == 0  # one part is not worth it


def test_few_parts_are_left_as_they_are(tmp_path):
    store = filled(tmp_path, shards=15)
    assert store.compact() == 0
    assert len(parts(store)) == 15


def test_hashes_are_told_apart_by_their_keys_and_the_first_row_of_each_counts():
    portions = [pa.array(["sea", "robot"]), pa.array([], pa.string()), pa.array(["robot", "\u00e9t\u00e9", "sea"])]
    keys, rows = distinct_keys(portions)
    assert sorted(rows) == [0, 1, 3]
    assert dict(zip(rows, keys, strict=True)) == dict(
        zip([0, 1, 3], keys_of(pa.array(["sea", "robot", "\u00e9t\u00e9"])), strict=True)
    )
    assert list(keys) == sorted(keys)
    assert [len(found) for found in distinct_keys([])] == [0, 0]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells what is mapped")
def test_parts_are_mapped_no_longer_than_they_are_read(tmp_path):
    # What was read of a mapping counts as memory of the process: kept, it would grow with the store.
    store = filled(tmp_path)

    def mapped() -> int:
        return sum(str(store.folder) in line for line in Path("/proc/self/maps").read_text().splitlines())

    held = store.parts()
    assert mapped() == 20
    del held
    assert max(mapped() for _ in store.each_part()) <= 2  # the one that is read, and the one before
    assert len(store.missing(pa.array(["0-0", "x"]))) == 1
    assert mapped() == 0
    assert store.compact() == 20
    assert mapped() == 0


def test_pruning_keeps_what_any_kept_build_needs(tmp_path):
    store = filled(tmp_path)
    kept = [pa.array(["0-0", "0-1", "0-2", "1-0"]), pa.chunked_array([["1-0", "7-2"], ["x"]])]
    assert store.unneeded(kept) == 55
    assert len(store.known()) == 60  # it only counts
    assert store.prune(kept) == 55
    assert store.unneeded(kept) == 0
    assert sorted(store.known().to_pylist()) == ["0-0", "0-1", "0-2", "1-0", "7-2"]
    np.testing.assert_array_equal(store.vectors_for(pa.array(["7-2", "1-0"])), [unit(3, 7)[2], unit(3, 1)[0]])
    assert store.prune(kept) == 0
    assert store.prune([]) == 5
    assert parts(store) == []


def test_float16_takes_half_and_both_kinds_are_read(tmp_path):
    store = filled(tmp_path, dtype="float16")
    np.testing.assert_allclose(store.vectors_for(EVERY), EXPECTED, atol=5e-4)
    assert store.vectors_for(EVERY).dtype == np.float32
    assert store.read().schema == vectors_schema(DIMENSIONS, "float16")
    store.adopt(*finished_shard(["y"], unit(1, 1234)))
    assert store.read().num_rows == 61
    np.testing.assert_array_equal(store.vectors_for(pa.array(["y"])), unit(1, 1234))
    full = EmbeddingStore(tmp_path, KEY, DIMENSIONS)
    assert full.read().schema == vectors_schema(DIMENSIONS)
    full.compact()
    assert [table.schema for table in full.parts()] == [vectors_schema(DIMENSIONS)]


def test_a_part_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    filled(tmp_path).known()
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("viberary_pipeline.vectors.store.file_sha256", count)
    fresh = EmbeddingStore(tmp_path, KEY, DIMENSIONS)
    assert len(fresh.known()) == 60
    assert hashed == []
    damaged = parts(fresh)[3]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert len(EmbeddingStore(tmp_path, KEY, DIMENSIONS).known()) == 57
    assert hashed == [damaged]


def rewritten(path: Path) -> None:
    """One value of a vector changed in place: a file of the same size and inode, whose old times come back."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(stat.st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 64]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced(path: Path) -> None:
    """Another file under the old name, with the old size and times."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    other = path.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("alter", [rewritten, replaced])
@pytest.mark.parametrize("opened_before", [True, False])
def test_vectors_altered_under_their_old_times_are_set_aside_by_name(tmp_path, caplog, alter, opened_before):
    store = filled(tmp_path)
    store.known()
    damaged = parts(store)[3]
    time.sleep(0.02)  # a few ticks of the file system's clock
    alter(damaged)
    if not opened_before:
        store = EmbeddingStore(tmp_path, KEY, DIMENSIONS)
    assert len(store.missing(EVERY)) == 3
    assert not damaged.exists()
    assert [path.stem for path in store.folder.glob("*.damaged-*")] == [damaged.stem]
    assert str(damaged) in caplog.text


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'"x"', b'{"a": 1}', b'{"a": ["b"]}', b"{", b"\xff", b""])
def test_a_damaged_memory_of_what_was_verified_is_made_anew(tmp_path, content):
    store = filled(tmp_path)
    store.known()
    whole = json.loads((store.folder / "verified.json").read_text())
    (store.folder / "verified.json").write_bytes(content)
    fresh = EmbeddingStore(tmp_path, KEY, DIMENSIONS)
    assert len(fresh.known()) == 60
    assert json.loads((store.folder / "verified.json").read_text()) == whole


def test_a_hash_that_is_asked_for_often_and_one_that_is_stored_twice(tmp_path):
    store = filled(tmp_path, shards=2)
    store.adopt(*finished_shard(["1-1", "z", "z"], unit(3, 50)))
    asked = pa.chunked_array([["1-1", "z", "1-1"], ["0-2", "1-1"]])
    found = store.vectors_for(asked)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[0], found[4])
    np.testing.assert_array_equal(found[[1, 3]], [unit(3, 50)[1], unit(3, 0)[2]])
    with pytest.raises(ArtifactError) as caught:
        store.vectors_for(pa.array(["0-0", "no", "no", "none"]))
    assert caught.value.found == "3 missing"


# Does one thing to the store and is killed at the nth change of the file system: `python -c CODE ROOT WHAT N`.
KILLED = """
import os, signal, sys
sys.path[:0] = {folders!r}
from pathlib import Path
import pyarrow as pa
from test_store import DIMENSIONS, KEY, EVERY, EmbeddingStore, finished_shard, unit

root, what = Path(sys.argv[1]), sys.argv[2]
left = [int(sys.argv[3])]
def killing(original):
    def change(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    return change
Path.replace, Path.unlink = killing(Path.replace), killing(Path.unlink)
store = EmbeddingStore(root, KEY, DIMENSIONS)
if what == "compact":
    store.compact()
elif what == "adopt":
    store.adopt(*finished_shard(["new"], unit(1, 77)))
else:
    store.prune([EVERY.filter(pa.compute.starts_with(EVERY, "1"))])
print("survived")
"""


@pytest.mark.parametrize(
    ("what", "moments"), [("adopt", range(2)), ("compact", (0, 1, 2, 9, 21)), ("prune", (0, 1, 5))]
)
def test_a_kill_at_any_write_loses_nothing_that_is_wanted(tmp_path, what, moments):
    code = KILLED.format(folders=[str(Path(__file__).parent), str(Path(shards.__file__).parent)])
    wanted = EVERY if what != "prune" else EVERY.filter(pa.compute.starts_with(EVERY, "1"))
    expected = EXPECTED if what != "prune" else EXPECTED[[name.startswith("1") for name in EVERY.to_pylist()]]
    for moment in moments:
        root = tmp_path / str(moment)
        filled(root)
        done = subprocess.run(
            [sys.executable, "-c", code, str(root), what, str(moment)], capture_output=True, text=True, check=False
        )
        assert done.stdout == "" or moment > 0, done.stderr
        assert done.returncode in (-9, 0)
        np.testing.assert_array_equal(EmbeddingStore(root, KEY, DIMENSIONS).vectors_for(wanted), expected)
        again = subprocess.run([sys.executable, "-c", code, str(root), what, "999"], capture_output=True, check=False)
        assert again.returncode == 0
        np.testing.assert_array_equal(EmbeddingStore(root, KEY, DIMENSIONS).vectors_for(wanted), expected)


def test_a_parquet_file_gives_its_texts_in_portions(tmp_path):
    path = tmp_path / "documents.parquet"
    table = pa.table({"work_id": ["1", "2"], "text": ["sea", "robot"], "text_hash": ["a", "b"]})
    pq.write_table(table, path)
    texts = ParquetTexts(path)
    assert pa.chunked_array(texts.hashes()).to_pylist() == ["a", "b"]
    assert [row for batch in texts.batches() for row in batch.to_pylist()] == [
        {"text_hash": "a", "text": "sea"},
        {"text_hash": "b", "text": "robot"},
    ]
    pq.write_table(pa.table({"text_hash": ["a"], "text": pa.array([None], pa.string())}), path)
    with pytest.raises(ArtifactError, match="cannot be embedded"):
        list(ParquetTexts(path).batches())
    pq.write_table(pa.table({"text_hash": pa.array([None], pa.string()), "text": ["sea"]}), path)
    with pytest.raises(ArtifactError, match="cannot be embedded"):
        list(ParquetTexts(path).hashes())
    pq.write_table(pa.table({"text": ["sea"]}), path)
    with pytest.raises(ArtifactError) as caught:
        ParquetTexts(path)
    assert json.dumps(caught.value.found) == '"columns text; missing values in none"'


def test_many_vectors_lie_in_a_file_that_has_no_name(tmp_path, monkeypatch):
    store = filled(tmp_path)
    monkeypatch.setattr("viberary_pipeline.vectors.arrow_files._MAPPED_FROM_BYTES", EXPECTED.nbytes)
    before = sorted(store.folder.iterdir())
    found = store.vectors_for(EVERY)
    assert is_mapped(found)
    np.testing.assert_array_equal(found, EXPECTED)
    assert not is_mapped(store.vectors_for(EVERY[1:]))
    assert [path for path in sorted(store.folder.iterdir()) if path.name != "verified.json"] == before


def test_where_the_disk_is_full_many_vectors_lie_in_memory(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = filled(tmp_path)
    monkeypatch.setattr("viberary_pipeline.vectors.arrow_files._MAPPED_FROM_BYTES", 0)
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    assert_in_memory(store)


def test_many_vectors_leave_room_on_the_disk_for_as_much_again(tmp_path, monkeypatch):
    store = filled(tmp_path)
    monkeypatch.setattr("viberary_pipeline.vectors.arrow_files._MAPPED_FROM_BYTES", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2 * EXPECTED.nbytes - 1))
    assert_in_memory(store)


def test_a_system_that_cannot_reserve_room_has_many_vectors_in_memory(tmp_path, monkeypatch):
    store = filled(tmp_path)
    monkeypatch.setattr("viberary_pipeline.vectors.arrow_files._MAPPED_FROM_BYTES", 0)
    monkeypatch.delattr("os.posix_fallocate", raising=False)
    assert_in_memory(store)


def assert_in_memory(store):
    found = store.vectors_for(EVERY)
    assert not is_mapped(found)
    np.testing.assert_array_equal(found, EXPECTED)


def is_mapped(array):
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_checking_vectors_copies_none_of_them():
    vectors = unit(20_000, 1)
    tracemalloc.start()
    try:
        assert problem_with(vectors, rows=len(vectors), dimensions=DIMENSIONS) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < vectors.nbytes / 2, f"{peak} bytes beside {vectors.nbytes}"
