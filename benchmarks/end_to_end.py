"""The whole job as a user runs it: the first build, what each kind of rebuild costs beside it, and searches.

    python benchmarks/end_to_end.py [--raw DIR | --books N] [--out benchmarks/results/NAME.json]

Each build is a process of its own, the first in an empty VIBERARY_HOME; peak memory is that of the largest process.
The rebuilds, one after the other: nothing changed; the same lines packed into new files; one book in a hundred with
another title (its text and what is made of it change); another encoder; all stages forced. `of_the_first` is the wall
time as a share of the first build's. FILE is written after each build, for large catalogues take an hour. Searches
run in this process over warm connections, one client, one query at a time.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from reporting import machine

from viberary_pipeline import redis_server
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings
from viberary_pipeline.synth.write import write_synthetic

QUERIES = [
    "funny sci-fi",
    "cold-blooded revenge",
    "sprawling multi-generational epic about trees and people",
    "hitchhiking through space with a depressed robot",
    "cooking simple Italian food",
]
ROUNDS = 60


def build(home: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    """Run `viberary build`; its wall and processor seconds, what it embedded, and the seconds of each stage."""
    wall, cpu = time.perf_counter(), cpu_of_children()
    done = subprocess.run(
        [sys.executable, "-m", "viberary_pipeline.cli", "build", "--json", *arguments],
        env={**os.environ, "VIBERARY_HOME": str(home), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    outcome = json.loads(done.stdout.splitlines()[-1])
    return {
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(cpu_of_children() - cpu, 2),
        **{name: outcome[name] for name in ("documents", "embedded", "reused", "published", "seconds")},
    }


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rewrite(raw: Path, names: str, change: Callable[[int, str], str]) -> None:
    """Write files anew, each line as `change(number, line)` gives it."""
    for path in raw.glob(names):
        new = path.with_suffix(".new")
        with gzip.open(path, "rt", encoding="utf-8") as lines, gzip.open(new, "wt", 1, encoding="utf-8") as out:
            out.writelines(change(number, line) for number, line in enumerate(lines))
        new.replace(path)


def revised(number: int, line: str) -> str:
    """Every hundredth book with another title; broken lines stay as they are."""
    if number % 100:
        return line
    try:
        book = json.loads(line)
    except ValueError:
        return line
    return json.dumps({**book, "title": f"{book.get('title')}, revised"}) + "\n"


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
    parser.add_argument("--raw", type=Path, help="folder with UCSD's files (default: the bundled sample)")
    parser.add_argument("--books", type=int, help="a synthetic catalogue of so many editions instead")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw, home = Path(folder) / "raw", Path(folder) / "home"
        if options.books:
            write_synthetic(raw, books=options.books, reviews=5 * options.books)
        elif options.raw:
            shutil.copytree(options.raw, raw)
        else:
            subprocess.run([sys.executable, "-m", "viberary_pipeline.cli", "sample", str(raw)], check=True)
        results: dict[str, Any] = {"machine": machine()}

        def run(name: str, *arguments: str, **settings: str) -> None:
            results[name] = one = build(home, "--raw", str(raw), *arguments, **settings)
            one["of_the_first"] = round(one["wall_seconds"] / results["first build"]["wall_seconds"], 3)
            write(results, options.out)

        try:
            run("first build")
            run("nothing changed")
            rewrite(raw, "*.json.gz", lambda _, line: line)
            run("identical files, packed anew")
            rewrite(raw, "goodreads_books.json.gz", revised)
            run("1 % of the books changed")
            run("another encoder", VIBERARY_ENCODER="all-MiniLM-L6-v2")
            run("forced", "--force", VIBERARY_ENCODER="all-MiniLM-L6-v2")
            results |= {
                "load_average_after": os.getloadavg()[0],
                "peak_mb_of_the_largest_process": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                "search, one client": latencies(home),
            }
        finally:
            redis_server.stop(home)
    write(results, options.out)
    print(json.dumps(results, indent=1))


def write(results: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
