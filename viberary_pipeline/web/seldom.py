"""Warnings about faults that may affect every request, logged seldom: a Redis that is away must not fill the disk."""

import logging
import threading
import time

SECONDS = 10.0
"""In which a warning is written once."""


class Seldom:
    """Writes warnings into a log, each message, whatever its values, once in `SECONDS`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._lock = log, threading.Lock()
        self._written: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def warn(self, message: str, *values: object) -> None:
        """As `logging.Logger.warning`; says how many like it were kept back before."""
        now = time.monotonic()
        with self._lock:
            if now - self._written.get(message, -SECONDS) < SECONDS:
                self._kept_back[message] = self._kept_back.get(message, 0) + 1
                return
            self._written[message], more = now, self._kept_back.pop(message, 0)
        self._log.warning(f"{message}{f' (and {more} times more before)' if more else ''}", *values)
