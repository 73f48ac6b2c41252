"""How fast a synthetic catalogue is written, how large it is, and how fast zcat unpacks it.

    python benchmarks/synth.py [--books N] [--reviews M] [--threads T] [--out benchmarks/results/synth.json]

The catalogue is written into a temporary folder. Rates are per second of wall time and include packing and fsync;
`rows_per_s_by_cpu_time` is what `cpu_seconds` allow on as many cores with nobody else on them (an estimate: all work
is shared out, but for a second of set-up). `gzip -6` and zcat run on the head of each file, packed by both,
so that the two can be compared on the same lines. Peak memory is that of this process.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.synth.write import TABLES, write_synthetic

HEAD_BYTES = 400_000_000
UCSD_GZ_BYTES = {"books": 2_043_729_443 / 2_360_655, "authors": 17_877_585 / 829_529, "works": 81_412_944 / 1_521_962,
                 "genres": 24_253_992 / 2_360_655, "reviews": 5_343_299_228 / 15_739_967}  # fmt: skip


def cpu_seconds(command: str) -> float:
    """User time of a command: what it would take on an idle core, whoever else uses this one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def unpacking(path: Path, folder: Path) -> dict[str, Any]:
    """The head of a file, as packed here and by gzip -6: bytes, and MB of JSON per CPU second of zcat."""
    head, again = folder / "head.json", folder / "head.json.gz"
    subprocess.run(["bash", "-c", f"zcat '{path}' | head -c {HEAD_BYTES} > '{head}'"], check=True)
    subprocess.run(["bash", "-c", f"gzip -6 --stdout '{head}' > '{again}'"], check=True)
    size = head.stat().st_size
    whole = int(subprocess.run(["bash", "-c", f"zcat '{path}' | wc -c"], capture_output=True, check=True).stdout)
    measured = {
        "json_bytes": whole,
        "ratio": round(path.stat().st_size / whole, 4),
        "ratio_gzip_6": round(again.stat().st_size / size, 4),
        "zcat_mb_per_cpu_s": round(whole / min(cpu_seconds(f"zcat '{path}' > /dev/null") for _ in range(3)) / 1e6, 1),
        "zcat_mb_per_cpu_s_gzip_6": round(
            size / min(cpu_seconds(f"zcat '{again}' > /dev/null") for _ in range(3)) / 1e6, 1
        ),
    }
    head.unlink()
    again.unlink()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=200_000)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/synth.json"))
    given = parser.parse_args()
    limits = DuckLimits("2GB", given.threads)
    report: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "python": platform.python_version(),
                    "duckdb": duckdb.__version__},
        "threads": given.threads,
        "runs": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        # Rates of books and of reviews come from a run with few of the other.
        sizes = {"all": (given.books, given.reviews), "books": (given.books, 0), "reviews": (1000, given.reviews)}
        for name, (books, reviews) in sizes.items():
            folder = Path(scratch) / name
            wall, cpu = time.perf_counter(), time.process_time()
            written = write_synthetic(folder, books=books, reviews=reviews, limits=limits)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            run = {"books": books, "reviews": reviews, "wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
            if name == "all":
                run["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                run["files"] = {
                    table: {
                        "lines": file.lines,
                        "gz_bytes": file.bytes,
                        "gz_bytes_per_record": round(file.bytes / file.lines, 1),
                        "gz_bytes_per_record_ucsd": round(UCSD_GZ_BYTES[table], 1) if table in UCSD_GZ_BYTES else None,
                    }
                    for table, file in written.items()
                }
                for table in ("books", "reviews"):
                    run["files"][table] |= unpacking(folder / TABLES[table].file, Path(scratch))
            else:
                run["rows_per_s"] = round(max(books, reviews) / wall)
                run["rows_per_s_by_cpu_time"] = round(max(books, reviews) * given.threads / cpu)
            report["runs"][name] = run
    report["machine"]["load_after"] = os.getloadavg()[0]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
