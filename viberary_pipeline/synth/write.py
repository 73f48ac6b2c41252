"""The synthetic catalogue written as gz files, UCSD's or Open Library's.

DuckDB makes the lines, ISA-L packs them, in as many threads as given.

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
from datetime import date
from pathlib import Path
from threading import local
from typing import IO, Any, NamedTuple

import duckdb
import pyarrow as pa
from tqdm import tqdm

from viberary_pipeline.duck import DuckLimits, connect, sql
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.machine import process_lives
from viberary_pipeline.synth.gz import HEAD, GzFile, Piece, deflate
from viberary_pipeline.synth.plan import MAX_RECORDS, OpenLibraryPlan, Plan
from viberary_pipeline.synth.vocabulary import Vocabulary, load_vocabulary


class _Table(NamedTuple):
    file: str
    id: str
    range: int
    """Records per piece: some 60 MB of JSON at most, and long enough that setting up the query does not count."""


class _Source(NamedTuple):
    tables: dict[str, _Table]
    macros: tuple[str, ...]
    prefix: str
    """What the names of the SQL files of its tables begin with."""


TABLES = {
    "books": _Table("goodreads_books.json.gz", "book_id", 16_384),
    "authors": _Table("goodreads_book_authors.json.gz", "author_id", 131_072),
    "works": _Table("goodreads_book_works.json.gz", "work_id", 65_536),
    "genres": _Table("goodreads_book_genres_initial.json.gz", "book_id", 131_072),
    "series": _Table("goodreads_book_series.json.gz", "series_id", 131_072),
    "reviews": _Table("goodreads_reviews_dedup.json.gz", "review_id", 32_768),
}
_DUMPS = {
    "works": 65_536,
    "editions": 32_768,
    "authors": 131_072,
    "ratings": 131_072,
    "reading-log": 131_072,
    "redirects": 65_536,
}
FIRST_MONTH = date(2026, 10, 31)
_UCSD = _Source(TABLES, ("macros",), "")
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
    _check_counts({"books": books, "reviews": reviews}, damage)
    return _write_files(folder, _UCSD, Plan(books, reviews, seed), limits or DuckLimits(), damage)


def write_dumps(
    folder: Path,
    *,
    works: int,
    readings: int | None = None,
    seed: int = 0,
    limits: DuckLimits | None = None,
    damage: float = 0.0,
    of: date = FIRST_MONTH,
    changed: float = 0.0,
) -> dict[str, Written]:
    """Write six of Open Library's dumps into `folder`, as `write_synthetic` does UCSD's files.

    Args:
        works: Lines of the works; editions, authors and redirects follow from it. (One line in 20,000 is there twice.)
        readings: Lines of the reading log, by default a fifth of the works; there are 6 ratings per 100 of them.
        seed: Another one gives another catalogue of the same size.
        limits: Threads, and the memory that DuckDB may use. By default DuckLimits().
        damage: Share of lines, from 0 to 1, that are damaged (`sql/openlibrary_damaged.sql` has the kinds).
        of: The date in the names of the files.
        changed: Share of works, from 0 to 1, that have other descriptions and subjects than without it: a later month.

    Returns:
        'works', 'editions', 'authors', 'ratings', 'reading-log' and 'redirects' to what was written.

    Raises:
        SettingsError: as `write_synthetic`.
    """
    plan = OpenLibraryPlan.of(works, readings, seed, changed)
    _check_counts({"works": works, "readings": plan.reviews}, damage)
    tables = {table: _Table(f"ol_dump_{table}_{of}.txt.gz", "key", range_) for table, range_ in _DUMPS.items()}
    source = _Source(tables, ("macros", "openlibrary_macros"), "openlibrary_")
    return _write_files(folder, source, plan, limits or DuckLimits(), damage)


def _write_files(folder: Path, source: _Source, plan: Plan, limits: DuckLimits, damage: float) -> dict[str, Written]:
    paths = {name: folder / table.file for name, table in source.tables.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign([*paths.values()])
        lines = _replace_files(folder, source, plan, limits, damage)
    except OSError as error:
        raise SettingsError(
            "The synthetic catalogue cannot be written",
            expected=f"a folder that this user may write, with free space for it, at {folder}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="choose another folder, free some space, or correct the permissions",
        ) from error
    return {name: Written(path, lines[name], path.stat().st_size) for name, path in paths.items()}


def _replace_files(folder: Path, source: _Source, plan: Plan, limits: DuckLimits, damage: float) -> dict[str, int]:
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
        made = _ranges(connection, source, plan, vocabulary, damage)
        for name, table in source.tables.items():
            with (Path(scratch) / table.file).open("wb") as file:
                lines[name] = _write_table(name, made, range(0, plan.rows[name], table.range), file, limits)
                file.flush()
                os.fsync(file.fileno())
        for table in source.tables.values():
            (Path(scratch) / table.file).replace(folder / table.file)
    return lines


def _write_table(
    name: str, made: Callable[[str, int], Piece], starts: range, file: IO[bytes], limits: DuckLimits
) -> int:
    out = GzFile(file)
    with (
        ThreadPoolExecutor(limits.threads) as pool,
        tqdm(total=starts.stop, desc=name, unit=" rows", unit_scale=True) as bar,
    ):
        futures = (pool.submit(made, name, first) for first in starts)
        for first, piece in zip(starts, _in_order(futures, ahead=limits.threads + 1), strict=True):
            out.write(piece)
            bar.update(min(starts.step, starts.stop - first))
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
    connection: duckdb.DuckDBPyConnection, source: _Source, plan: Plan, vocabulary: Vocabulary, damage: float
) -> Callable[[str, int], Piece]:
    """What makes the range of a table that begins at a record, with one cursor per thread."""
    state = local()

    def cursor() -> duckdb.DuckDBPyConnection:
        if not hasattr(state, "cursor"):
            # Variables and temporary macros belong to one connection.
            state.cursor = connection.cursor()
            for name, value in {**plan.variables(), **vocabulary.variables}.items():
                state.cursor.execute(f"SET VARIABLE {name} = $value", {"value": value})
            for name in source.macros:
                state.cursor.execute(sql("synth", name))
        return state.cursor

    def piece(name: str, first: int) -> Piece:
        table = source.tables[name]
        query = sql("synth", source.prefix + name.replace("-", "_"))
        given: dict[str, Any] = {"first": first, "last": min(first + table.range, plan.rows[name])}
        if damage:
            damaged = sql("synth", f"{source.prefix}damaged")
            query = f"WITH lines AS ({query}) SELECT * FROM ({damaged})"
            given |= {"damage": damage} | ({"id": table.id} if "$id" in damaged else {})
        batches = cursor().execute(query, given).to_arrow_reader(_BATCH)
        parts = [_characters(batch.column(0)) for batch in batches]
        return deflate(parts, sum(bytes(part).count(b"\n") for part in parts))

    return piece


def _characters(lines: pa.Array) -> memoryview:
    """The bytes of all strings of an array, one after the other, without a copy."""
    _, offsets, data = lines.buffers()
    wide = pa.types.is_large_string(lines.type) or pa.types.is_large_binary(lines.type)
    bounds = memoryview(offsets).cast("q" if wide else "i")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]


def _check_counts(counts: dict[str, int], damage: float) -> None:
    (of, first), (by, second) = counts.items()
    if not (0 <= first <= MAX_RECORDS and 0 <= second <= MAX_RECORDS and 0 <= damage <= 1) or (second and not first):
        raise SettingsError(
            "No catalogue has such counts",
            expected=f"from 0 to {MAX_RECORDS:,} {of} and {by}, no {by} without {of}, and damage from 0 to 1",
            found=f"{first} {of}, {second} {by}, damage {damage}",
            todo=f"give other counts, for example --{of} 20000 --{by} 60000",
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
            expected=f"a folder without files of other origin named {', '.join(path.name for path in paths)}",
            found=", ".join(f"{path} ({path.stat().st_size:,} bytes)" for path in foreign),
            todo="choose another folder, or move these files away",
        )


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD
