"""The query log: one JSON line per search, for finding out what readers look for. No addresses, no names."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from viberary_pipeline.search.query import MOST_CHARACTERS

logger = logging.getLogger(__name__)


class _LineFile(RotatingFileHandler):
    """The rotating file itself. Its own lock makes it safe to share between threads."""

    def _open(self) -> TextIOWrapper:
        """The file, which its owner alone may read: it says what people look for."""
        Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)  # one that an older version has left
        return os.fdopen(descriptor, "a", encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:
        # The handler calls this inside its `except`; by default it would print a traceback per search.
        logger.warning("The query log cannot be written (the search goes on): %s", sys.exc_info()[1])


class QueryLog:
    """Appends searches to a file that rotates by size: `queries.jsonl`, then `queries.jsonl.1`, `.2` (older).

    One process writes it, from any number of threads. A failed write is a warning, never a failed search.
    """

    def __init__(self, path: Path, *, max_bytes: int = 16 * 2**20, keep: int = 5) -> None:
        """Name the file; it and its folder are made by the first search.

        Args:
            path: The file.
            max_bytes: Size beyond which a line goes to a new file.
            keep: Rotated files kept beside it; older ones are removed.
        """
        self._file = _LineFile(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8", delay=True)

    def append(
        self,
        *,
        query: str,
        build: str | None,
        k: int,
        milliseconds: float,
        work_ids: Sequence[str],
        status: int,
    ) -> None:
        """Append one search, stamped with the time in UTC.

        Args:
            query: As the reader typed it, cut to `MOST_CHARACTERS`.
            build: The build that answered; None if none did.
            k: The number of books asked for.
            milliseconds: Time inside the searcher.
            work_ids: The works shown, best first.
            status: The HTTP status of the answer.
        """
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "query": query[:MOST_CHARACTERS],
            "build": build,
            "k": k,
            "milliseconds": round(milliseconds, 2),
            "work_ids": list(work_ids),
            "status": status,
        }
        # ASCII: a query may hold U+2028 or other characters at which readers of lines would split.
        line = json.dumps(entry, ensure_ascii=True)
        self._file.handle(logging.makeLogRecord({"msg": line}))
