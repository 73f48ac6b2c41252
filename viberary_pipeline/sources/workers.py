"""Who loads the blocks: threads of this process, or one process per core.

Guessing a language holds Python's lock, so tables that do it are loaded by processes, unless there is little to do. A
process takes half a second to start; threads take none. Each has a DuckDB of its own with one thread: blocks side by
side keep the cores busier than several threads in one block do. They share the memory limit.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits, open_in_memory
from viberary_pipeline.sources.load import Job, Loaded, load_block, prepared

WORTH_PROCESSES = 16 << 20
"""Stored bytes from which starting processes (a second each) pays."""

LEAST_MEMORY = 256 << 20
"""Bytes of the memory limit that a process needs for a block; with less it fails, however small the rest is."""


class _Own(threading.local):
    """What each worker has to itself."""

    connection: duckdb.DuckDBPyConnection | None = None


_own = _Own()


@contextmanager
def workers(stored_bytes: int, limits: DuckLimits, scratch: Path, *, threads: bool = False) -> Iterator[Executor]:
    """Where `do` is to be submitted. The memory limit is for all of them together.

    Args:
        stored_bytes: Size of the input.
        limits: Memory and threads for DuckDB.
        scratch: An existing folder, in which DuckDB may spill.
        threads: Whether the work may be done in threads, because DuckDB does nearly all of it.
    """
    processes = processes_within(limits)
    if threads:
        with ThreadPoolExecutor(processes, initializer=_start, initargs=(limits.share(processes), scratch)) as here:
            yield here
        return
    if stored_bytes < WORTH_PROCESSES or processes == 1:
        _start(limits.share(1), scratch)
        try:
            yield _Here()
        finally:
            _stop()
        return
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_process,
        initargs=(limits.share(processes), scratch),
    )
    try:
        for _ in range(processes):
            pool.submit(os.getpid)  # or a process would only be started when there is a block for it
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def processes_within(limits: DuckLimits) -> int:
    """How many processes or threads work side by side: one per thread of DuckDB, as far as the memory limit reaches."""
    return max(1, min(limits.threads, limits.bytes // LEAST_MEMORY))


def do(job: Job) -> Loaded:
    """Load one block, in the process and thread that this is called in. Raises `duckdb.Error`."""
    if _own.connection is None:
        raise AssertionError("no connection: call this through `workers`")
    return load_block(_own.connection, job)


class _Here(Executor):
    """Does at once, in this thread, what is submitted."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def _start(limits: DuckLimits, scratch: Path) -> None:
    _own.connection = prepared(open_in_memory(limits, scratch))


def _stop() -> None:
    if _own.connection is not None:
        _own.connection.close()
    _own.connection = None


def _start_process(limits: DuckLimits, scratch: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _start(limits, scratch)


def _end_with_parent() -> None:
    # A parent that was killed cannot end its workers, and they would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
