"""The whole job as a user runs it: first build, the same again, a forced one, and searches.

    python benchmarks/end_to_end.py [--raw DIR] [--out benchmarks/results/NAME.json]

Each build is a process of its own in an empty VIBERARY_HOME; peak memory is that of the largest process. Searches
run in this process over warm connections, one client, one query at a time.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from viberary_pipeline import redis_server
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings

QUERIES = [
    "funny sci-fi",
    "cold-blooded revenge",
    "sprawling multi-generational epic about trees and people",
    "hitchhiking through space with a depressed robot",
    "cooking simple Italian food",
]
ROUNDS = 60


def build(home: Path, *arguments: str) -> dict:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "viberary_pipeline.cli", "build", "--json", *arguments],
        env={**os.environ, "VIBERARY_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    outcome = json.loads(done.stdout.splitlines()[-1])
    return {"wall_seconds": round(time.perf_counter() - started, 2), **outcome}


def latencies(home: Path) -> dict:
    searcher = Searcher(redis_server.connect(load_settings(home=home)), home)
    searcher.search("warm up")
    milliseconds = []
    for _ in range(ROUNDS):
        for query in QUERIES:
            started = time.perf_counter()
            searcher.search(query)
            milliseconds.append((time.perf_counter() - started) * 1000)
    return {
        "queries": len(milliseconds),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p95_ms": round(float(np.percentile(milliseconds, 95)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", help="folder with the three gz files (default: the bundled sample)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    raw = ["--raw", options.raw] if options.raw else []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            results = {
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "first build": build(home, *raw),
                "the same again": build(home, *raw),
                "forced": build(home, *raw, "--force"),
                "peak_mb_of_the_largest_process": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                "search, one client": latencies(home),
            }
        finally:
            redis_server.stop(home)
    text = json.dumps(results, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
