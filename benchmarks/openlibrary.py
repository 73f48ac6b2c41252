"""How long a dump of Open Library takes from its files to books, works and authors, beside zcat, and in what memory.

    python benchmarks/openlibrary.py [--works N] [--threads T] [--runs R] [--out benchmarks/results/openlibrary.json]

Two sizes, a tenth of N and N made-up works with their editions (1.55 a work) and authors (0.54). Each is read by a
process of its own: R times only the records of works that somebody reads, as a build does, and once every record.
Before each reading `zcat` unpacks the three large files, since the speed of a shared machine changes from minute to
minute. `ratio_to_zcat` is that of the three files; choosing lines is part of it. `median_ratio` is that of the R runs.
Memory is that of the process and its workers together, looked at from outside four times a second: resident, with what
they share counted once (PSS). `floor` is what DuckDB alone takes for the three large files: the fields that are read,
as the text that they are, uncleaned and unchecked, to Parquet.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import psutil

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.sources.blocks import Numbers
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.openlibrary.catalogue import join_dump
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.selection import READ_FIRST, SELECTED, select_lines, wanted_lines
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import find
from viberary_pipeline.sources.table_specs import TABLES
from viberary_pipeline.synth.write import write_dumps

LARGE = ("ol_works", "ol_editions", "ol_authors")


def read(raw: Path, out: Path, limits: DuckLimits, *, every_line: bool = False) -> dict[str, Any]:
    """Seconds of each table, of choosing lines (`selection`) and of the join; lines; and when the tables were read."""
    begun, rules = cpu_seconds(), OpenLibraryRules()
    seconds: dict[str, float] = {}
    lines: dict[str, int] = {}
    not_read: dict[str, int] = {}
    files = {table.name: find(table.name, str(raw)) for table in OPENLIBRARY}
    tables = {name: out / name / f"{name}.parquet" for name in files}

    def read_table(name: str, wanted: Numbers | None = None) -> None:
        started = time.perf_counter()
        (out / name).mkdir(parents=True)
        facts = ingest(name, files[name], out / name, limits, reject_ceiling=0.01, wanted=wanted)
        seconds[name] = round(time.perf_counter() - started, 2)
        lines[name] = facts["lines"]
        not_read[name] = facts["not_read"]

    for name in READ_FIRST:
        read_table(name)
    (out / "selected").mkdir()
    started = time.perf_counter()
    selected: dict[str, Any] = {"all_lines": True}
    if not every_line:
        selected = select_lines({name: files[name] for name in SELECTED}, tables, out / "selected", limits, rules)
    seconds["selection"] = round(time.perf_counter() - started, 2)
    for name in SELECTED:
        read_table(name, wanted_lines(name, out / "selected"))
    read_by, cpu_of_tables = time.time(), round(cpu_seconds() - begun, 2)
    joined = out / "joined"
    joined.mkdir()
    started = time.perf_counter()
    facts = join_dump(tables, joined, limits, rules, selected)
    seconds["join"] = round(time.perf_counter() - started, 2)
    return {
        "seconds": seconds,
        "cpu_seconds_of_tables": cpu_of_tables,
        "cpu_seconds": round(cpu_seconds() - begun, 2),
        "lines": lines,
        "not_read": {name: number for name, number in not_read.items() if number},
        "rows": facts["rows"],
        "read_by": read_by,
    }


def watch(process: psutil.Process, seen: list[tuple[float, int]], over: threading.Event) -> None:
    """Note what a process and its children hold, until it is over."""
    while not over.wait(0.25):
        held = 0
        try:
            for one in (process, *process.children(recursive=True)):
                held += one.memory_full_info().pss
        except psutil.Error:  # one has ended
            continue
        seen.append((time.time(), held))


def cpu_seconds() -> float:
    """Processor time of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(one.ru_utime + one.ru_stime for one in used), 2)


def zcat(raw: Path) -> dict[str, float]:
    """Seconds that zcat takes for each of the three large files."""
    taken = {}
    for table in LARGE:
        (file,) = raw.glob(f"ol_dump_{table.removeprefix('ol_')}_*.txt.gz")
        started = time.perf_counter()
        with Path(os.devnull).open("wb") as nowhere:
            subprocess.run(["zcat", file], stdout=nowhere, check=True)
        taken[table] = round(time.perf_counter() - started, 2)
    return taken


def floor(raw: Path, out: Path, limits: DuckLimits) -> dict[str, float]:
    """Seconds and processor time of the three large files to Parquet, with each field as its text."""
    before, started = cpu_seconds(), time.perf_counter()
    with duckdb.connect(config={"threads": limits.threads, "memory_limit": limits.memory_limit}) as connection:
        for table in LARGE:
            (file,) = raw.glob(f"ol_dump_{table.removeprefix('ol_')}_*.txt.gz")
            fields = json.dumps({name: "VARCHAR" for name in TABLES[table].fields if not name.startswith("dump_")})
            connection.execute(f"""
                COPY (
                    SELECT kind, key, unnest(json_transform(record, '{fields}'))
                    FROM read_csv(
                        '{file}', delim = '\t', quote = '', escape = '', header = false, auto_detect = false,
                        columns = {{kind: 'VARCHAR', key: 'VARCHAR', revision: 'VARCHAR', changed: 'VARCHAR',
                                    record: 'VARCHAR'}}
                    )
                ) TO '{out / table}.floor' (FORMAT parquet, COMPRESSION zstd)
            """)
    return {"seconds": round(time.perf_counter() - started, 2), "cpu_seconds": round(cpu_seconds() - before, 2)}


def measure(works: int, runs: int, limits: DuckLimits) -> dict[str, Any]:
    """One size."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw"
        write_dumps(raw, works=works, limits=limits)
        least = floor(raw, Path(scratch), limits)

        def run(name: str, *, every_line: bool = False) -> dict[str, Any]:
            taken = zcat(raw)
            found = measure_reading(raw, Path(scratch) / name, limits, every_line=every_line)
            read_in = sum(found["seconds"][step] for step in (*LARGE, "selection"))
            return {"zcat": taken, **found, "ratio_to_zcat": round(read_in / sum(taken.values()), 2)}

        chosen = [run(f"run {number}") for number in range(runs)]
        every = run("every record", every_line=True)
    median = statistics.median(found["ratio_to_zcat"] for found in chosen)
    return {
        "works": works,
        "floor": least,
        "what somebody reads": {"median_ratio": median, "runs": chosen},
        "every record": every,
    }


def measure_reading(raw: Path, out: Path, limits: DuckLimits, *, every_line: bool) -> dict[str, Any]:
    """What `read` says in a process of its own, and the most memory that it and its workers held."""
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    # No pool: its processes may have no workers of their own.
    child = spawn.Process(target=_read_into, args=(queue, raw, out, limits, every_line))
    child.start()
    seen: list[tuple[float, int]] = []
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(psutil.Process(child.pid), seen, over), daemon=True)
    watcher.start()
    found: dict[str, Any] = queue.get()
    over.set()
    watcher.join()
    child.join()
    read_by = found.pop("read_by")
    found["peak_megabytes"] = {
        "tables": max(held for at, held in seen if at <= read_by) >> 20,
        "with the join": max(held for _, held in seen) >> 20,
    }
    return found


def _read_into(queue: Any, raw: Path, out: Path, limits: DuckLimits, every_line: bool) -> None:
    queue.put(read(raw, out, limits, every_line=every_line))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/openlibrary.json"))
    given = parser.parse_args()
    if given.runs < 1:
        parser.error("--runs must be at least 1")
    limits = DuckLimits(given.memory, given.threads)
    report: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "python": platform.python_version(),
                    "duckdb": duckdb.__version__},
        "memory_limit": given.memory,
        "threads": given.threads,
        "runs": [measure(works, given.runs, limits) for works in (given.works // 10, given.works)],
    }  # fmt: skip
    report["machine"]["load_after"] = os.getloadavg()[0]
    given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
