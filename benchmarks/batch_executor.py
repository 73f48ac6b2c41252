"""What an embedding in AWS Batch costs the process that waits for it.

    python benchmarks/batch_executor.py [--out benchmarks/results/batch_executor.json]

moto's server on loopback plays S3 and Batch (the stack of deploy/aws is deployed there). Every child of the array is a
real worker process with a small encoder. The orchestrator is a process of its own, which embeds five texts a shard by
the executor `batch`, one shard a child. Counted are its CPU seconds and its requests, by phase:

- `look`: one look at the job while it runs, the mean of all.
- `handed_out`, `taken_in`: the texts written and the job submitted; the vectors adopted. Both grow with the shards.

A look must cost the same for 4 children as for 64. Children wait (`--hold`) before they begin, so that there are some
looks. How long they take says nothing: two cores play all machines.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from reporting import report

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
sys.path.insert(0, str(SUPPORT))

SHARDS = (4, 16, 64)
ROWS = 5
POLL_SECONDS = 2.0
AT_ONCE = 2
"""Children that compute side by side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--hold", type=float, default=20.0, help="seconds before children begin")
    parser.add_argument("--orchestrate", nargs=4, metavar=("SHARDS", "FOLDER", "QUEUE", "DEFINITION"))
    arguments = parser.parse_args()
    if arguments.orchestrate:
        shards, folder, queue, definition = arguments.orchestrate
        print(json.dumps(orchestrate(int(shards), Path(folder), queue, definition)))
        return
    result = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    result |= {"poll_seconds": POLL_SECONDS, "rows_per_shard": ROWS, "runs": measured(arguments.hold)}
    text = json.dumps(result, indent=1)
    report(text, arguments.out)


def measured(hold: float) -> list[dict[str, Any]]:
    """One run for each number of shards."""
    from aws_cloud import BUCKET, deploy_batch, start_cloud
    from tiny_model import make_tiny_model

    from viberary_pipeline.encoders import resolve
    from viberary_pipeline.encoders.onnx_export import export_query_encoder

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("graph", "cloud"):
            (folder / name).mkdir()
        export_query_encoder(resolve(str(make_tiny_model(folder / "tiny"))), folder / "graph")
        cloud = start_cloud(folder / "cloud", monkeypatch)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        runs = []
        for shards in SHARDS:
            cloud.reset()
            outputs = deploy_batch(Gpus="0", InstanceTypes="c7i.xlarge")
            places, began = threading.Semaphore(AT_ONCE), time.monotonic()

            def waits(index: int, attempt: int, places: Any = places, began: float = began) -> None:
                time.sleep(max(0.0, began + hold - time.monotonic()))
                places.acquire()

            cloud.before_child = waits
            cloud.after_child = lambda index, places=places: places.release()
            command = [sys.executable, __file__, "--orchestrate", str(shards), str(folder)]
            done = subprocess.run(
                [*command, outputs["Queue"], outputs["Definition"]],
                env={**os.environ, "BENCHMARK_BUCKET": BUCKET},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        cloud.server.stop()
    return runs


def orchestrate(shards: int, folder: Path, queue: str, definition: str) -> dict[str, Any]:
    """Embed by Batch, and count."""
    import hashlib

    from viberary_pipeline.embedding.embed import embed_missing
    from viberary_pipeline.embedding.executors.aws import client_of
    from viberary_pipeline.embedding.executors.base import Limits
    from viberary_pipeline.embedding.executors.batch import BatchExecutor, BatchSettings
    from viberary_pipeline.embedding.jobs import JobOptions
    from viberary_pipeline.encoders import resolve
    from viberary_pipeline.storage import Bucket
    from viberary_pipeline.vectors.store import EmbeddingStore

    batch, place = client_of("batch"), Bucket(f"s3://{os.environ['BENCHMARK_BUCKET']}/home/jobs")
    requests: Counter[str] = Counter()
    for client in (batch, place.client):
        client.meta.events.register("before-call", lambda model, **_: requests.update([model.name]))

    looks: list[tuple[float, int]] = []

    class Watched(BatchExecutor):
        def submit(self, job: Any) -> Any:
            submitted = super().submit(job)
            self.before = (time.process_time(), requests.total())
            return submitted

        def poll(self, submission: Any, *, wait_seconds: float) -> Any:
            before = (time.process_time(), requests.total())
            status = super().poll(submission, wait_seconds=wait_seconds)
            looks.append((time.process_time() - before[0], requests.total() - before[1]))
            self.after = (time.process_time(), requests.total())
            return status

    texts = [f"revenge by the sea, volume {n}" for n in range(ROWS * shards)]
    pairs = [(hashlib.sha256(text.encode()).hexdigest(), text) for text in texts]
    encoder = resolve(str(folder / "tiny"))
    executor = Watched(
        BatchSettings(queue, definition, shards_per_child=1), 360, poll_seconds=POLL_SECONDS, client=batch
    )
    with tempfile.TemporaryDirectory() as home:
        store = EmbeddingStore(Path(home) / "embeddings", encoder.fingerprint, encoder.spec.dimensions)
        began, wall = time.process_time(), time.monotonic()
        counts = embed_missing(
            pairs,
            encoder=encoder,
            store=store,
            executor=executor,
            jobs_root=Path(home) / "jobs",
            jobs_at=place,
            shard_rows=ROWS,
            options=JobOptions(graph=str(folder / "graph"), threads=1),
            limits=Limits(),
        )
        ended = time.process_time()
    assert counts.embedded == len(pairs)
    looks.pop()  # the last one sees the end, and asks no more
    return {
        "shards": shards,
        "children": counts.facts["children"],
        "seconds": round(time.monotonic() - wall, 1),
        "looks": len(looks),
        "look": {
            "cpu_ms": round(1000 * sum(cpu for cpu, _ in looks) / len(looks), 2),
            "requests": round(sum(count for _, count in looks) / len(looks), 2),
        },
        "handed_out": {
            "cpu_seconds": round(executor.before[0] - began, 3),
            "requests": executor.before[1],
        },
        "taken_in": {
            "cpu_seconds": round(ended - executor.after[0], 3),
            "requests": requests.total() - executor.after[1],
        },
        "cpu_seconds": round(ended - began, 3),
        "requests": dict(sorted(requests.items())),
    }


if __name__ == "__main__":
    main()
