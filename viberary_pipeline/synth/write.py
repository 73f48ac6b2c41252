"""The synthetic catalogue written as gz files: DuckDB makes the lines, ISA-L packs them, in as many threads as given.

Each thread has a DuckDB cursor of its own and makes whole ranges of records: the query of a range runs in that
thread alone, so the order of its lines is certain. Ranges are written in their order.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import local
from typing import IO, NamedTuple

import duckdb
import pyarrow as pa
from tqdm import tqdm

from viberary_pipeline.duck import DuckLimits, connect, sql
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.machine import process_lives
from viberary_pipeline.synth.gz import HEAD, GzFile, Piece, deflate
from viberary_pipeline.synth.plan import MAX_RECORDS, Plan
from viberary_pipeline.synth.vocabulary import Vocabulary, load_vocabulary


class _Table(NamedTuple):
    file: str
    id: str
    range: int
    """Records per piece: some 60 MB of JSON at most, and long enough that setting up the query does not count."""


TABLES = {
    "books": _Table("goodreads_books.json.gz", "book_id", 16_384),
    "authors": _Table("goodreads_book_authors.json.gz", "author_id", 131_072),
    "works": _Table("goodreads_book_works.json.gz", "work_id", 65_536),
    "genres": _Table("goodreads_book_genres_initial.json.gz", "book_id", 131_072),
    "series": _Table("goodreads_book_series.json.gz", "series_id", 131_072),
    "reviews": _Table("goodreads_reviews_dedup.json.gz", "review_id", 32_768),
}
_BATCH = 8_192


class Written(NamedTuple):
    """One file: `bytes` on disk, compressed."""

    path: Path
    lines: int
    bytes: int


def write_synthetic(
    folder: Path, *, books: int, reviews: int, seed: int = 0, limits: DuckLimits | None = None, damage: float = 0.0
) -> dict[str, Written]:
    """Write the six files of a catalogue into `folder`, which is made if need be; other files there stay.

    All are complete under temporary names before the first takes its place. Progress goes to standard error.

    Args:
        books: Rows of the books file; authors, works, genres and series follow from it as in UCSD's files.
        reviews: Rows of the reviews file.
        seed: Another one gives another catalogue of the same size.
        limits: Threads, and the memory that DuckDB may use. By default DuckLimits().
        damage: Share of lines, from 0 to 1, that are damaged (`sql/damaged.sql` has the kinds). UCSD's own files
            have next to none.

    Returns:
        'books', 'authors', 'works', 'genres', 'series' and 'reviews' to what was written.

    Raises:
        SettingsError: a count out of range, reviews without books, a folder that cannot be made or written, or one
            that holds a file of that name that was not written here.
    """
    _check_counts(books, reviews, damage)
    plan = Plan(books, reviews, seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign([folder / table.file for table in TABLES.values()])
        lines = _write_files(folder, plan, limits or DuckLimits(), damage)
    except OSError as error:
        raise SettingsError(
            "The synthetic catalogue cannot be written",
            expected=f"a folder that this user may write, with room for it, at {folder}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="name another folder, free some space, or mend the permissions",
        ) from error
    paths = {name: folder / table.file for name, table in TABLES.items()}
    return {name: Written(path, lines[name], path.stat().st_size) for name, path in paths.items()}


def _write_files(folder: Path, plan: Plan, limits: DuckLimits, damage: float) -> dict[str, int]:
    _sweep(folder)
    owner = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    lines: dict[str, int] = {}
    # DuckDB runs each query in the thread that asks; there are as many of those as limits.threads.
    with (
        tempfile.TemporaryDirectory(prefix=f".synth-{owner}-", dir=folder) as scratch,
        connect(replace(limits, threads=1), Path(scratch)) as connection,
    ):
        vocabulary = load_vocabulary(plan.seed)
        for name, loaded in vocabulary.tables.items():
            connection.register("loaded", loaded)
            connection.execute(f"CREATE TABLE {name} AS FROM loaded")
            connection.unregister("loaded")
        made = _ranges(connection, plan, vocabulary, damage)
        for name, table in TABLES.items():
            with (Path(scratch) / table.file).open("wb") as file:
                lines[name] = _write_table(name, made, plan, file, limits)
                file.flush()
                os.fsync(file.fileno())
        for table in TABLES.values():
            (Path(scratch) / table.file).replace(folder / table.file)
    return lines


def _write_table(name: str, made: Callable[[str, int], Piece], plan: Plan, file: IO[bytes], limits: DuckLimits) -> int:
    rows = plan.rows[name]
    out = GzFile(file)
    with (
        ThreadPoolExecutor(limits.threads) as pool,
        tqdm(total=rows, desc=name, unit=" rows", unit_scale=True) as bar,
    ):
        starts = range(0, rows, TABLES[name].range)
        futures = (pool.submit(made, name, first) for first in starts)
        for first, piece in zip(starts, _in_order(futures, ahead=limits.threads + 1), strict=True):
            out.write(piece)
            bar.update(min(TABLES[name].range, rows - first))
    out.close()
    return out.lines


def _in_order(futures: Iterable[Future[Piece]], ahead: int) -> Iterator[Piece]:
    """Results in the order of submission, with at most `ahead` under way or waiting."""
    waiting: list[Future[Piece]] = []
    try:
        for future in futures:
            waiting.append(future)
            if len(waiting) >= ahead:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()


def _ranges(
    connection: duckdb.DuckDBPyConnection, plan: Plan, vocabulary: Vocabulary, damage: float
) -> Callable[[str, int], Piece]:
    """What makes the range of a table that begins at a record, with one cursor per thread."""
    state = local()

    def cursor() -> duckdb.DuckDBPyConnection:
        if not hasattr(state, "cursor"):
            # Variables and temporary macros belong to one connection.
            state.cursor = connection.cursor()
            for name, value in {**plan.variables(), **vocabulary.variables}.items():
                state.cursor.execute(f"SET VARIABLE {name} = $value", {"value": value})
            state.cursor.execute(sql("synth", "macros"))
        return state.cursor

    def piece(name: str, first: int) -> Piece:
        last = min(first + TABLES[name].range, plan.rows[name])
        query, bounds = sql("synth", name), {"first": first, "last": last}
        if not damage:
            batches = cursor().execute(query, bounds).to_arrow_reader(_BATCH)
            return deflate([_characters(batch.column(0)) for batch in batches], last - first)
        query = f"WITH lines AS ({query}) SELECT * FROM ({sql('synth', 'damaged')})"
        batches = cursor().execute(query, {**bounds, "id": TABLES[name].id, "damage": damage}).to_arrow_reader(_BATCH)
        parts = [_characters(batch.column(0)) for batch in batches]
        return deflate(parts, sum(bytes(part).count(b"\n") for part in parts))

    return piece


def _characters(lines: pa.Array) -> memoryview:
    """The bytes of all strings of an array, one after the other, without a copy."""
    _, offsets, data = lines.buffers()
    wide = pa.types.is_large_string(lines.type) or pa.types.is_large_binary(lines.type)
    bounds = memoryview(offsets).cast("q" if wide else "i")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]


def _check_counts(books: int, reviews: int, damage: float) -> None:
    in_range = 0 <= books <= MAX_RECORDS and 0 <= reviews <= MAX_RECORDS and 0 <= damage <= 1
    if not in_range or (reviews and not books):
        raise SettingsError(
            "No catalogue has such counts",
            expected=f"from 0 to {MAX_RECORDS:,} books and reviews, no reviews without books, and damage from 0 to 1",
            found=f"{books} books, {reviews} reviews, damage {damage}",
            todo="name other counts, for example --books 20000 --reviews 60000",
        )


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written; files of living ones stay."""
    for leftover in folder.glob(".synth-*-*"):
        owner = leftover.name.split("-")[1]
        if owner.isdigit() and not process_lives(int(owner)):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _refuse_foreign(paths: list[Path]) -> None:
    foreign = [path for path in paths if path.is_file() and not _is_ours(path)]
    if foreign:
        raise SettingsError(
            "The synthetic catalogue would overwrite files of other origin",
            expected=f"a folder without files of other origin named {', '.join(t.file for t in TABLES.values())}",
            found=", ".join(f"{path} ({path.stat().st_size:,} bytes)" for path in foreign),
            todo="name another folder, or move these files away",
        )


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD
