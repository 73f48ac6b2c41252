"""The data layer at scale: raw files to typed tables, documents and checked tables, beside what others take for it.

    viberary synth DIR --books N --reviews M
    python benchmarks/catalogue.py ingest DIR [--books 500000] [--out benchmarks/results/ingest.json]
    python benchmarks/catalogue.py documents DIR [--out benchmarks/results/documents.json]

`ingest`: the books file alone, gz to typed Parquet with all cleaning, and the read alone (decompressed, checksum
verified, parsed into the same columns); beside `zcat file > /dev/null`, pandas `read_json(lines=True, chunksize=...)`
and polars `scan_ndjson`, both to Parquet with the same columns, uncleaned. `documents`: all files to documents, then
profiles and Great Expectations of all tables; beside `zcat` of the three files.

Every measurement is a process of its own; peak memory is the largest sum of the resident sets of it and its children,
looked at five times a second. Times are wall times. The files are read once before, so that all find them in the page
cache or, if they do not fit, none does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from reporting import machine

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.sources.raw_files import RawInput, find
from viberary_pipeline.sources.table_specs import UCSD

TABLES = tuple(table.name for table in UCSD)

LIMITS = DuckLimits("4GB", 2)
COLUMNS = [
    "book_id", "work_id", "title", "title_without_series", "description", "language_code", "isbn13", "format",
    "publisher", "is_ebook", "publication_year", "publication_month", "publication_day", "num_pages", "average_rating",
    "ratings_count", "text_reviews_count", "link", "authors", "series", "similar_books", "popular_shelves",
]  # fmt: skip
CHECKED = ("books", "authors", "reviews", "documents")


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command; its wall seconds, peak memory in MB and, if it prints a line of JSON, that."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peak), daemon=True)
        watcher.start()
        said, _ = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command} exited {process.returncode}")
    facts = json.loads(said.splitlines()[-1]) if said.strip() else {}
    return {"seconds": round(seconds, 2), "peak_mb": peak[0] // 1_000_000, **facts}


def _watch(process: psutil.Process, peak: list[int]) -> None:
    while process.is_running():
        try:
            family = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(member.memory_info().rss for member in family))
        except psutil.Error:
            pass
        time.sleep(0.2)


def zcat(path: Path) -> dict[str, Any]:
    return measured(["bash", "-c", f"zcat '{path}' > /dev/null"])


def step(name: str, *arguments: str) -> dict[str, Any]:
    """One of the functions below, in a process of its own."""
    return measured([sys.executable, __file__, "--step", name, *arguments])


# ---- the steps


def step_ours(folder: str, table: str, out: str) -> dict[str, Any]:
    from viberary_pipeline.sources.ingest import ingest

    started = time.perf_counter()
    target = Path(out) / table
    target.mkdir(parents=True)
    facts = ingest(table, _found(table, folder), target, LIMITS, reject_ceiling=0.01)
    return {"inside_seconds": round(time.perf_counter() - started, 2), "lines": facts["lines"], "rows": facts["rows"]}


def step_read(folder: str) -> dict[str, Any]:
    """Decompressed and verified, cut into blocks, and every block parsed into the columns by DuckDB: no cleaning,
    nothing written."""
    import concurrent.futures as futures

    import duckdb

    from viberary_pipeline.sources.blocks import blocks
    from viberary_pipeline.sources.reader import open_part

    kinds = {"authors": 'STRUCT(author_id VARCHAR, "role" VARCHAR)[]', "series": "VARCHAR[]",
             "similar_books": "VARCHAR[]", "popular_shelves": 'STRUCT("name" VARCHAR)[]'}  # fmt: skip
    columns = ", ".join(f"{name}: '{kinds.get(name, 'VARCHAR')}'" for name in COLUMNS)
    connection = duckdb.connect(config={"threads": 1})

    def parse(pieces: list[bytes | memoryview]) -> int:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.writelines(pieces)
            file.flush()
            counts = (
                connection.cursor()
                .execute(
                    f"SELECT count(*), count(COLUMNS(*)) FROM read_json('{file.name}', format='newline_delimited', "
                    f"compression='uncompressed', ignore_errors=true, columns={{{columns}}})"
                )
                .fetchone()
            )
        return int((counts or (0,))[0])

    (part,) = _found("books", folder).parts
    rows = 0
    with open_part(part) as reader, futures.ThreadPoolExecutor(LIMITS.threads) as pool:
        running: set[futures.Future[int]] = set()
        for block in blocks(reader.chunks()):
            running.add(pool.submit(parse, block.pieces))
            if len(running) >= 2 * LIMITS.threads:
                done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                rows += sum(future.result() for future in done)
        rows += sum(future.result() for future in running)
    return {"rows": rows}


def step_pandas(folder: str, out: str) -> dict[str, Any]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    (part,) = _found("books", folder).parts
    rows, writer = 0, None
    for chunk in pd.read_json(part.uri, lines=True, chunksize=50_000, dtype=False, convert_dates=False):
        table = pa.Table.from_pandas(chunk[COLUMNS], preserve_index=False)
        writer = writer or pq.ParquetWriter(Path(out) / "pandas.parquet", table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))
        rows += len(chunk)
    if writer is not None:
        writer.close()
    return {"rows": rows}


def step_polars(folder: str, out: str) -> dict[str, Any]:
    import polars as pl

    (part,) = _found("books", folder).parts
    text = pl.String
    kinds = {"authors": pl.List(pl.Struct({"author_id": text, "role": text})), "series": pl.List(text),
             "similar_books": pl.List(text), "popular_shelves": pl.List(pl.Struct({"name": text}))}  # fmt: skip
    schema = {name: kinds.get(name, text) for name in COLUMNS}
    target = Path(out) / "polars.parquet"
    pl.scan_ndjson(part.uri, schema=schema, ignore_errors=True).sink_parquet(target, compression="zstd")
    return {"rows": pl.scan_parquet(target).select(pl.len()).collect().item()}


def step_documents(out: str) -> dict[str, Any]:
    from viberary_pipeline.documents.assemble import build_documents
    from viberary_pipeline.documents.recipes import RECIPES
    from viberary_pipeline.documents.rules import DocumentRules

    tables = {table: Path(out) / table / f"{table}.parquet" for table in TABLES}
    target = Path(out) / "documents"
    target.mkdir()
    facts = build_documents(tables, target, LIMITS, RECIPES["title-first"], DocumentRules())
    return {name: facts[name] for name in ("rows", "thin", "editions", "excluded", "same_title_author")}


def step_quality(out: str, table: str) -> dict[str, Any]:
    from viberary_pipeline.quality.profile import profile
    from viberary_pipeline.quality.validation import validate

    paths = {name: Path(out) / name / f"{name}.parquet" for name in CHECKED}
    profile(table, paths[table], scratch=Path(out), limits=LIMITS)
    report = validate(
        table,
        paths[table],
        docs=Path(out) / "quality" / "docs",
        run_name="benchmark",
        related={name: path for name, path in paths.items() if name != table},
        limits=LIMITS,
    )
    failed = sorted(result.name for result in report.results if result.outcome == "failed")
    return {"expectations": len(report.results), "failed": failed}


def _found(table: str, folder: str) -> RawInput:
    found = find(table, folder)
    if found is None:
        raise SystemExit(f"no {table} in {folder}")
    return found


# ---- the benchmarks


def ingest_benchmark(folder: Path, out: Path, **_: bool) -> dict[str, Any]:
    (part,) = _found("books", str(folder)).parts
    Path(part.uri).read_bytes()
    results = {
        "zcat": zcat(Path(part.uri)),
        "read alone": step("read", str(folder)),
        "gz to typed Parquet, cleaned": step("ours", str(folder), "books", str(out)),
        "zcat again": zcat(Path(part.uri)),
        "polars scan_ndjson": step("polars", str(folder), str(out)),
        "pandas read_json": step("pandas", str(folder), str(out)),
    }
    base = min(results["zcat"]["seconds"], results["zcat again"]["seconds"])
    return {
        "bytes_gz": part.bytes,
        "measured": results,
        "ratio_to_zcat": {name: round(result["seconds"] / base, 2) for name, result in results.items()},
        "times_faster_than_pandas": round(
            results["pandas read_json"]["seconds"] / results["gz to typed Parquet, cleaned"]["seconds"], 1
        ),
        "times_faster_than_polars": round(
            results["polars scan_ndjson"]["seconds"] / results["gz to typed Parquet, cleaned"]["seconds"], 1
        ),
    }


def documents_benchmark(folder: Path, out: Path, *, checks: bool) -> dict[str, Any]:
    files = {table: Path(_found(table, str(folder)).parts[0].uri) for table in TABLES}
    unpacked = {table: zcat(files[table]) for table in ("books", "authors", "reviews")}
    tables = {table: step("ours", str(folder), table, str(out)) for table in TABLES}
    documents = step("documents", str(out))
    quality = {table: step("quality", str(out), table) for table in CHECKED} if checks else {}
    base = sum(result["seconds"] for result in unpacked.values())
    ingested = sum(tables[table]["seconds"] for table in unpacked)
    optional = sum(tables[table]["seconds"] for table in tables if table not in unpacked)
    return {
        "bytes_gz": {table: path.stat().st_size for table, path in files.items()},
        "zcat": unpacked,
        "tables": tables,
        "documents": documents,
        "quality": quality,
        "seconds": {
            "zcat of books, authors, reviews": round(base, 1),
            "books, authors, reviews": round(ingested, 1),
            "works, genres, series": round(optional, 1),
            "documents": documents["seconds"],
            "three tables and documents": round(ingested + documents["seconds"], 1),
            "six tables and documents": round(ingested + optional + documents["seconds"], 1),
            "profiles and Great Expectations": round(sum(result["seconds"] for result in quality.values()), 1),
        },
        "ratio_to_zcat": {
            "three tables and documents": round((ingested + documents["seconds"]) / base, 2),
            "six tables and documents": round((ingested + optional + documents["seconds"]) / base, 2),
        },
        "peak_mb": {
            "tables and documents": max(result["peak_mb"] for result in [*tables.values(), documents]),
            "profiles and Great Expectations": max((result["peak_mb"] for result in quality.values()), default=0),
        },
        "parquet_bytes": sum(path.stat().st_size for path in out.rglob("*.parquet")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["ingest", "documents"])
    parser.add_argument("folder", type=Path, help="a catalogue; `viberary synth` makes one")
    parser.add_argument("--no-checks", action="store_true", help="leave out profiles and Great Expectations")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    benchmark: Callable[..., dict[str, Any]] = globals()[f"{options.what}_benchmark"]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        results = {
            "machine": machine(),
            "limits": {"memory_limit": LIMITS.memory_limit, "threads": LIMITS.threads},
            **benchmark(options.folder, Path(scratch), checks=not options.no_checks),
        }
    text = json.dumps(results, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(globals()[f"step_{sys.argv[2]}"](*sys.argv[3:])))
    else:
        main()
