"""The store and the worker over time: rebuilds, kills, memory, and reading all vectors.

    python benchmarks/embedding_store.py rebuild|kills|memory|read [--out benchmarks/results/embedding_store.json]

- rebuild: 2,000 texts; then the same with 1 % changed; then the same texts under another encoder.
- kills: a worker is killed (SIGKILL) 20 times at random moments and then left to finish; its shards beside those of an
  undisturbed run, byte by byte, and how many shards were begun in vain.
- memory: peak resident memory of the worker, on torch and on onnxruntime, and of whoever embeds and then reads all
  vectors part by part, at 50,000 and 500,000 texts.
- read: all vectors of a compacted store, mapped and gone through once, beside a plain read of the same files.

The encoder is tiny (two layers of 32) but for `rebuild`: what is measured is what surrounds it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "support"))

from tiny_model import make_tiny_model  # noqa: E402

from viberary_pipeline.embedding.embed import embed_missing  # noqa: E402
from viberary_pipeline.embedding.executors import LocalExecutor  # noqa: E402
from viberary_pipeline.embedding.jobs import Job, JobOptions, write_job  # noqa: E402
from viberary_pipeline.encoders import ResolvedEncoder, resolve  # noqa: E402
from viberary_pipeline.encoders.onnx_export import export_query_encoder  # noqa: E402
from viberary_pipeline.vectors.arrow_files import TEXTS_SCHEMA, as_matrix  # noqa: E402
from viberary_pipeline.vectors.store import EmbeddingStore  # noqa: E402

WORKER = [sys.executable, "-m", "viberary_pipeline.embedding.worker"]
WORDS = ("revenge", "sea", "garden", "robot", "quiet", "winter", "the", "and", "of", "book")


def text(number: int, revision: int = 0) -> str:
    return f"{' '.join(WORDS[: 1 + number % 10])} {number}{' revised' * revision}"


def hash_of(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


class MadeTexts:
    """`count` short texts, made as they are asked for; the first `revised` of them in another wording."""

    def __init__(self, count: int, revised: int = 0) -> None:
        self.count, self.revised = count, revised

    def hashes(self) -> Iterator[pa.Array]:
        return (batch["text_hash"] for batch in self.batches())

    def batches(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, self.count, 4096):
            texts = [text(n, n < self.revised) for n in range(start, min(start + 4096, self.count))]
            yield pa.RecordBatch.from_arrays(
                [pa.array([hash_of(value) for value in texts]), pa.array(texts)], schema=TEXTS_SCHEMA
            )


def embed(
    folder: Path, encoder: ResolvedEncoder, graph: Path | None, texts: MadeTexts, shard_rows: int
) -> dict[str, Any]:
    store = EmbeddingStore(folder / "store", encoder.fingerprint, encoder.spec.dimensions)
    counts = embed_missing(
        texts,
        encoder=encoder,
        store=store,
        executor=LocalExecutor(),
        jobs_root=folder / "jobs",
        shard_rows=shard_rows,
        options=JobOptions(graph=str(graph or "")),
    )
    return {
        "texts": counts.texts,
        "embedded": counts.embedded,
        "reused": counts.reused,
        "seconds": counts.seconds,
        "parts": len(store.parts()),
    }


def rebuild(folder: Path) -> dict[str, Any]:
    minilm = resolve("all-MiniLM-L6-v2")
    tiny = resolve(str(make_tiny_model(folder / "tiny")))
    for name, encoder in (("minilm", minilm), ("other", tiny)):
        export_query_encoder(encoder, folder / name)
    return {
        "full build": embed(folder, minilm, folder / "minilm", MadeTexts(2000), 256),
        "1 % of texts changed": embed(folder, minilm, folder / "minilm", MadeTexts(2000, revised=20), 256),
        "nothing changed": embed(folder, minilm, folder / "minilm", MadeTexts(2000, revised=20), 256),
        "another encoder": embed(folder, tiny, folder / "other", MadeTexts(2000), 256),
        "the first one again": embed(folder, minilm, folder / "minilm", MadeTexts(2000), 256),
    }


def kills(folder: Path) -> dict[str, Any]:
    tiny = resolve(str(make_tiny_model(folder / "tiny")))
    export_query_encoder(tiny, folder / "graph")
    options = JobOptions(graph=str(folder / "graph"), threads=1)

    def job(name: str) -> Job:
        return write_job(folder / name, MadeTexts(8000).batches(), encoder=tiny, shard_rows=16, options=options)

    whole, killed = job("whole"), job("killed")
    started = time.perf_counter()
    assert subprocess.run([*WORKER, "--job", whole.place.uri], stderr=subprocess.DEVNULL, check=False).returncode == 0
    undisturbed = time.perf_counter() - started
    chance, done_at, begun_at = random.Random(4), [], []
    for kill in range(20):
        before = killed.declared_done()
        process = subprocess.Popen([*WORKER, "--job", killed.place.uri], stderr=subprocess.DEVNULL)
        # Every fourth one while the worker starts, the others amid its work: in all, half of it at most.
        while kill % 4 and killed.declared_done() == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, undisturbed / 20))
        assert process.poll() is None, "it finished before all kills"
        process.kill()
        process.wait()
        done_at.append(killed.declared_done())
        begun_at.append(sum(int(killed.place.read(name)) for name in killed.place.names("attempts/")))
    last = subprocess.run([*WORKER, "--job", killed.place.uri], stderr=subprocess.DEVNULL, check=False).returncode
    names = [Job.vectors(shard.index) for shard in whole.shards]
    attempts = [killed.finished(shard).attempts for shard in killed.shards]
    lost = np.diff(np.array(begun_at) - np.array(done_at), prepend=0)
    return {
        "shards": len(names),
        "kills": 20,
        "shards_done_after_each_kill": done_at,
        "exit_code_of_the_last_run": last,
        "identical_to_one_undisturbed_run": all(whole.place.read(name) == killed.place.read(name) for name in names),
        "shards_begun_in_vain": sum(attempts) - len(attempts),
        "most_shards_lost_by_one_kill": int(lost.max()),
    }


# The embedding side, in a process of its own; the worker is its child.
_EMBED_AND_READ = """
import sys
sys.path.insert(0, {here!r})
from embedding_store import *
folder, home, count, graph = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
tiny = resolve(str(folder / "tiny"))
figures = embed(home, tiny, Path(graph) if graph else None, MadeTexts(count), 8192)
figures["rows_read"] = 0
for part in EmbeddingStore(home / "store", tiny.fingerprint, tiny.spec.dimensions).each_part():
    assert np.isfinite(as_matrix(part["vector"], tiny.spec.dimensions)).all()
    figures["rows_read"] += len(part)
print(json.dumps(figures))
"""


def memory(folder: Path) -> dict[str, Any]:
    tiny = resolve(str(make_tiny_model(folder / "tiny")))
    export_query_encoder(tiny, folder / "graph")
    found = {}
    for backend, graph in (("torch", ""), ("onnxruntime", str(folder / "graph"))):
        for count in (50_000, 500_000):
            home = folder / f"{backend}-{count}"
            code = _EMBED_AND_READ.format(here=str(Path(__file__).parent))
            command = [sys.executable, "-c", code, str(folder), str(home), str(count), graph]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                own, worker = _peaks(process)
                assert process.stdout is not None
                figures = json.loads(process.stdout.read())
            found[f"{count:,} texts, {backend}"] = figures | {"peak_mb_embedding_side": own, "peak_mb_worker": worker}
    return found


def _peaks(process: subprocess.Popen[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The peaks of a process and of the worker that it starts, in MB, until it ends: of all resident memory, as the
    kernel keeps it, and of what is no file's (`anonymous`), as seen every 50 ms.

    Not by getrusage: across an exec its ru_maxrss keeps the size of the process that was forked from, so that a small
    child of a large parent shows the parent's.
    """
    own: dict[str, int] = {}
    worker: dict[str, int] = {}

    def look(peaks: dict[str, int], folder: Path) -> None:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        for name, field in (("all", "VmHWM"), ("anonymous", "RssAnon")):
            peaks[name] = max(peaks.get(name, 0), int(status.get(field, "0").split()[0]) // 1024)

    while process.poll() is None:
        with contextlib.suppress(OSError):  # it ended meanwhile
            look(own, Path(f"/proc/{process.pid}"))
            for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                if WORKER[-1].encode() in Path(f"/proc/{pid}/cmdline").read_bytes():  # before its exec it is its parent
                    look(worker, Path(f"/proc/{pid}"))
        time.sleep(0.05)
    return own, worker


def read(folder: Path, rows: int = 1_500_000, dimensions: int = 384) -> dict[str, Any]:
    """As many vectors as the full catalogue has works, in parts as compaction leaves them."""
    from viberary_pipeline.vectors.arrow_files import table_bytes, vectors_table
    from viberary_pipeline.vectors.store import PART_ROWS

    root = folder / "store" / "f"
    root.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for start in range(0, rows, PART_ROWS):
        count = min(PART_ROWS, rows - start)
        vectors = chance.normal(size=(count, dimensions)).astype(np.float32)
        hashes = pa.array([hash_of(str(n)) for n in range(start, start + count)])
        data = table_bytes(vectors_table(hashes, vectors))
        (root / f"{hashlib.sha256(data).hexdigest()}.arrow").write_bytes(data)
    files = sorted(root.glob("*.arrow"))

    def drop_cache() -> None:
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def timed(work: Any) -> float:
        drop_cache()
        started = time.perf_counter()
        work()
        return round(time.perf_counter() - started, 2)

    def plainly() -> None:
        buffer = bytearray(1 << 22)
        for path in files:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def mapped() -> None:
        store = EmbeddingStore(folder / "store", "f", dimensions)
        assert sum(float(as_matrix(part["vector"], dimensions).sum()) != 0 and len(part) for part in store.parts())

    first = timed(mapped)  # hashes every part once, and remembers it
    wanted = pa.array([hash_of(str(n)) for n in range(0, rows, 10)])
    return {
        "rows": rows,
        "gigabytes": round(sum(path.stat().st_size for path in files) / 1e9, 2),
        "seconds_plain_read": timed(plainly),
        "seconds_first_read_with_hashing": first,
        "seconds_read_through_the_store": timed(mapped),
        "seconds_vectors_for_150_000_hashes": timed(
            lambda: EmbeddingStore(folder / "store", "f", dimensions).vectors_for(wanted)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rebuild", "kills", "memory", "read"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {"rebuild": rebuild, "kills": kills, "memory": memory, "read": read}[options.what](Path(folder))
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps(result, indent=1))
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        known[options.what] = result
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
