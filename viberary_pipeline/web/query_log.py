"""The query log: one JSON line per search and per click, for finding out what readers look for.

::

    {"time", "event": "search", "query", "filters", "build", "k", "milliseconds", "work_ids", "status"}
    {"time", "event": "click", "query", "filters", "work_id", "rank"}

A click is joined to searches by its query and filters. Nothing says who asked: no address, no agent, no cookie, no
account, and nothing that two lines of one reader have in common. Who reads the log believes only clicks on works that
a search for that query showed, so that a made-up link counts for nothing.

Any number of threads and processes of one machine may write one log: each line is written under a lock of the file
(flock), which also guards its rotation.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from viberary_pipeline.query_lines import found_files
from viberary_pipeline.search.query import MOST_CHARACTERS
from viberary_pipeline.web.seldom import Seldom

logger = logging.getLogger(__name__)

FILE_BYTES = 16 * 2**20
TOTAL_BYTES = 512 * 2**20
DAYS = 90
_STAMP = "%Y%m%dT%H%M%S%fZ"


class QueryLog:
    """Appends lines to `queries.jsonl`, which is rotated by size and each day (UTC): `queries.20261126T093000….jsonl`.

    Rotated files go when they are older than `days`, or when all files together exceed `total_bytes`. A failed write is
    a warning, never a failed search.

    Args:
        path: The live file; it and its folder are made by the first line, for their owner alone.
        max_bytes: Size beyond which a line goes to a new file; at most half of `total_bytes`.
        total_bytes: Size of all files beyond which the oldest are removed.
        days: Age of a file's last line beyond which it is removed.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = FILE_BYTES, total_bytes: int = TOTAL_BYTES, days: int = DAYS
    ) -> None:
        self.path = path
        self.days = days
        self._max_bytes = min(max_bytes, total_bytes // 2)
        self._total_bytes = total_bytes
        self._seldom = Seldom(logger)

    def append(
        self,
        *,
        query: str,
        build: str | None,
        k: int,
        milliseconds: float,
        work_ids: Sequence[str],
        status: int,
        filters: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one search.

        Args:
            query: As the reader typed it, cut to `MOST_CHARACTERS`.
            build: The build that answered; None if none did.
            k: The number of books asked for.
            milliseconds: Time inside the searcher.
            work_ids: The works shown, best first.
            status: The HTTP status of the answer.
            filters: What narrowed it, by the names of `Filters`.
        """
        self._write(
            event="search",
            query=query[:MOST_CHARACTERS],
            filters=dict(filters or {}),
            build=build,
            k=k,
            milliseconds=round(milliseconds, 2),
            work_ids=list(work_ids),
            status=status,
        )

    def click(self, *, query: str, filters: Mapping[str, Any], work_id: str, rank: int) -> None:
        """Append that a reader opened the work that stood at `rank` of a search."""
        self._write(event="click", query=query[:MOST_CHARACTERS], filters=dict(filters), work_id=work_id, rank=rank)

    def prune(self) -> None:
        """Remove what is older than `days` or too much."""
        if self.path.exists():
            with self._locked():  # else a line could be written into the file that is removed
                self._prune()

    def _prune(self) -> None:
        last = datetime.now(UTC) - timedelta(days=self.days)
        room = self._total_bytes - self._max_bytes  # which the live file may fill
        for file, found in reversed(found_files(self.path)):
            room -= found.st_size if file != self.path else 0
            if found.st_mtime < last.timestamp() or room < 0:
                file.unlink(missing_ok=True)

    def _write(self, **entry: Any) -> None:
        # ASCII: a query may hold U+2028 or other characters at which readers of lines would split.
        stamped = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
        line = json.dumps(stamped, ensure_ascii=True).encode() + b"\n"
        try:
            self._append(line)
        except OSError as error:
            self._seldom.warn("The query log cannot be written (the search goes on): %s", error)

    def _append(self, line: bytes) -> None:
        with self._locked() as descriptor:
            if not self._is_due(found := os.fstat(descriptor), len(line)):
                if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                    line = b"\n" + line  # the machine failed within the last line
                if os.write(descriptor, line) < len(line):  # the disk is full
                    os.ftruncate(descriptor, found.st_size)
                    raise OSError("no room for a whole line")
                return
            self._rotate()
        self._append(line)

    def _is_due(self, found: os.stat_result, more: int) -> bool:
        """Whether the live file must be rotated before so many bytes more."""
        written = datetime.fromtimestamp(found.st_mtime, UTC)
        full = found.st_size + more > self._max_bytes
        return bool(found.st_size) and (full or written.date() < datetime.now(UTC).date())

    def _rotate(self) -> None:
        """Give the live file, which is locked, its name for good; remove what is too old or too much."""
        now = datetime.now(UTC)
        while (kept := self.path.with_suffix(f".{now.strftime(_STAMP)}{self.path.suffix}")).exists():
            now += timedelta(microseconds=1)
        self.path.rename(kept)
        self._prune()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The live file, open and locked: meanwhile nobody else writes or rotates it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                found = os.fstat(descriptor)
                if self._is_live(found):
                    if found.st_mode & 0o077:
                        os.fchmod(descriptor, 0o600)  # as an older version left it
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _is_live(self, found: os.stat_result) -> bool:
        """Whether an open file is the live one still: it may be rotated between its opening and its lock."""
        try:
            return os.path.samestat(found, self.path.stat())
        except FileNotFoundError:
            return False
