"""How fast dumps of Open Library are made up, in what memory, and how like the real ones they are.

    python benchmarks/synth_openlibrary.py [--works N] [--threads T] [--out benchmarks/results/synth_openlibrary.json]

Two sizes, N and a tenth, each in a process of its own, whose peak memory is read. Real sizes and shares are those of
public descriptions: 10 million works counted, and 40 million works, 55 million editions, 14 million authors in 3.6, 11
and 0.7 GB.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.synth.write import write_dumps

REAL_GZ_BYTES = {"works": 3.6e9 / 40e6, "editions": 11e9 / 55e6, "authors": 0.7e9 / 14e6}
REAL_SHARES = {"title": 0.9999, "authors": 0.95, "subjects": 0.59, "covers": 0.32, "first_publish_date": 0.19,
               "description": 0.044}  # fmt: skip
COUNTED = 200_000


def measure(works: int, threads: int, folder: Path) -> dict[str, Any]:
    """One size: seconds, memory, bytes."""
    wall, cpu = time.perf_counter(), time.process_time()
    written = write_dumps(folder, works=works, limits=DuckLimits("2GB", threads))
    return {
        "works": works,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "files": {
            table: {
                "lines": file.lines,
                "gz_bytes": file.bytes,
                "gz_bytes_per_line": round(file.bytes / file.lines, 1),
                "gz_bytes_per_line_real": round(REAL_GZ_BYTES[table]) if table in REAL_GZ_BYTES else None,
            }
            for table, file in written.items()
        },
    }


def shares(path: Path) -> dict[str, Any]:
    """How many of the first works have each field that was counted in a real dump."""
    has: Counter[str] = Counter()
    with gzip.open(path, "rt") as lines:
        for _, line in zip(range(COUNTED), lines, strict=False):
            work = json.loads(line.split("\t")[4])
            has.update(name for name in REAL_SHARES if work.get(name) not in (None, [-1]))
    return {name: {"made": round(has[name] / COUNTED, 4), "real": real} for name, real in REAL_SHARES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/synth_openlibrary.json"))
    given = parser.parse_args()
    report: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "python": platform.python_version(),
                    "duckdb": duckdb.__version__},
        "threads": given.threads,
        "runs": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for works in (given.works // 10, given.works):
            folder = Path(scratch) / str(works)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                report["runs"].append(pool.apply(measure, (works, given.threads, folder)))
        report["shares"] = shares(next(folder.glob("ol_dump_works_*")))
    report["machine"]["load_after"] = os.getloadavg()[0]
    given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
