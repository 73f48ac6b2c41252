"""The ratios that README and docs quote, at small sizes, as a Markdown table: `make bench`, at most 15 minutes.

    python benchmarks/bench.py [--out FILE.md] [--minutes 15] [--only NAME]...

Each step runs one of the scripts beside this one, in a process of its own, and reads the ratios from its JSON. Beside
each stands the ratio of the committed result, which was measured at full size. A step whose packages are missing, or
for which no time is left, is a line that says so. Compare ratios, not seconds, and only on a machine that does nothing
else.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting import report

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BOOKS, REVIEWS = 60_000, 400_000
WORKS = (6_000, 20_000)  # books and reviews of the searched catalogue: some 4,000 works

Ratios = list[tuple[str, float]]


@dataclass(frozen=True)
class Step:
    """A benchmark of the table.

    Attributes:
        script: Its file here.
        arguments: At small size; `{books}` is a made-up catalogue, `{searched}` a folder with documents.
        committed: The committed result at full size.
        ratios: (what, ratio) of a result.
        needs: Modules beyond those of the extra `pipeline`.
    """

    script: str
    arguments: Sequence[str]
    committed: str
    ratios: Callable[[Mapping[str, Any]], Ratios]
    needs: Sequence[str] = ()


def _ingest(result: Mapping[str, Any]) -> Ratios:
    times = result["ratio_to_zcat"]
    return [
        ("a books file to typed, cleaned Parquet: time, of zcat's", times["gz to typed Parquet, cleaned"]),
        ("the same: times as fast as pandas, which cleans nothing", result["times_faster_than_pandas"]),
        ("the same: times as fast as polars, which cleans nothing", result["times_faster_than_polars"]),
    ]


def _documents(result: Mapping[str, Any]) -> Ratios:
    what = "three tables and documents: time, of zcat's over the three files"
    return [(what, result["ratio_to_zcat"]["three tables and documents"])]


def _embedding(result: Mapping[str, Any]) -> Ratios:
    figures = next(of["figures"] for name, of in result.items() if name.startswith("minilm on cpu"))
    return [
        (f"embedding, {kind}: documents/s, of sentence-transformers'", figures[f"ours: {kind}"]["times_the_defaults"])
        for kind in ("onnxruntime float32", "onnxruntime int8")
    ]


def _index(result: Mapping[str, Any]) -> Ratios:
    first = next(iter(result.values()))
    return [
        ("index of vectors alone: works/s, of hnswlib's on one thread", first["vectors_alone_to_hnswlib"]),
        ("index with words, fed by Python: works/s, of hnswlib's", first["rate_to_hnswlib"]),
        ("what feeding adds to the server's own time", first["redis"]["feeding_costs"]),
    ]


def _latency(result: Mapping[str, Any]) -> Ratios:
    times = result["times_faster"]
    return [(f"a query, median: {than}, of ours", figures["p50_ms"]) for than, figures in times.items()]


def _load(result: Mapping[str, Any]) -> Ratios:
    times = result["at_32_clients"]
    return [
        (
            "the page at 32 clients, new queries: answers/s, of the original's",
            times["times_the_original"]["per_second"],
        ),
        ("the same, queries asked before", times["times_the_original_cached"]["per_second"]),
    ]


STEPS = {
    "ingest": Step("catalogue.py", ("ingest", "{books}"), "ingest.json", _ingest, ("polars",)),
    "documents": Step("catalogue.py", ("documents", "{books}", "--no-checks"), "documents_tenth.json", _documents),
    "embedding": Step("embedding.py", ("--documents", "200", "--rounds", "1"), "embedding.json", _embedding),
    "index": Step(
        "index_build.py", ("--rows", "5000", "--dim", "384", "--rounds", "1"), "index_build.json", _index, ("hnswlib",)
    ),
    "latency": Step("search_latency.py", ("--cache", "{searched}"), "search_latency.json", _latency),
    "load": Step("load.py", ("--cache", "{searched}", "--seconds", "2"), "load.json", _load),
}


def run(step: Step, folders: Mapping[str, Path], seconds: float) -> tuple[Ratios, str]:
    """The ratios of a step, and ""; or none, and why not."""
    if missing := [name for name in step.needs if importlib.util.find_spec(name) is None]:
        return [], f"not measured: needs {', '.join(missing)} (the extra `bench`)"
    if seconds <= 0:
        return [], "not measured: no time was left"
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.json"
        arguments = [word.format(**folders) for word in step.arguments]
        try:
            done = subprocess.run(
                [sys.executable, str(HERE / step.script), *arguments, "--out", str(out)],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [], "not measured: it took longer than the time that was left"
        if done.returncode:
            return [], f"failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}"
        return step.ratios(json.loads(out.read_text(encoding="utf-8"))), ""


def catalogues(scratch: Path) -> dict[str, Path]:
    """What the steps read: a made-up catalogue, and documents of a smaller one."""
    import search_latency

    from viberary_pipeline.synth.write import write_synthetic

    books, searched = scratch / "books", scratch / "searched"
    write_synthetic(books, books=BOOKS, reviews=REVIEWS, seed=0, limits=search_latency.LIMITS)
    searched.mkdir()
    search_latency.BOOKS, search_latency.REVIEWS = WORKS
    search_latency.documents_of(searched)
    return {"books": books, "searched": searched}


def machine() -> str:
    """What the table names: processor, cores, memory, versions."""
    import psutil

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1] for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].strip() if names else cpu
    memory = psutil.virtual_memory().total / 1e9
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a Markdown file to write as well")
    parser.add_argument("--minutes", type=float, default=15, help="the most that it may take in all")
    parser.add_argument("--only", action="append", choices=list(STEPS), help="this step alone; may be repeated")
    options = parser.parse_args()
    started, load = time.monotonic(), os.getloadavg()[0]
    lines = ["| figure | here, small | committed, full size |", "|---|---|---|"]
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        folders = catalogues(Path(scratch))
        for name in options.only or STEPS:
            step = STEPS[name]
            left = 60 * options.minutes - (time.monotonic() - started)
            print(f"{name} ...", file=sys.stderr, flush=True)
            ratios, why_not = run(step, folders, left)
            failed |= why_not.startswith("failed")
            full = step.ratios(json.loads((RESULTS / step.committed).read_text(encoding="utf-8")))
            here = {what: f"{ratio:.2f}" for what, ratio in ratios}
            lines += [f"| {what} | {here.get(what, why_not)} | {ratio:.2f} |" for what, ratio in full]
    took = (time.monotonic() - started) / 60
    lines += ["", f"{time.strftime('%d %B %Y')}, {machine()}; load before {load:.1f}; {took:.0f} minutes."]
    text = "\n".join(lines)
    report(text, options.out)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
