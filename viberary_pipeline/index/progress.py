"""The progress of a feed: rows, rate and time left, every ten seconds."""

import time
from collections.abc import Callable

_EVERY_SECONDS = 10.0


class Progress:
    """Counts rows and says at intervals how far they are. A short feed says nothing.

    Args:
        total: Rows in all.
        say: Takes one line.
        clock: Seconds that only grow.
    """

    def __init__(self, total: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._say, self._clock = total, say, clock
        self._done = 0
        self._started = self._said = clock()

    def advance(self, rows: int) -> None:
        """So many more rows are done."""
        self._done += rows
        now = self._clock()
        if now - self._said >= _EVERY_SECONDS and self._done:
            self._said = now
            rate = self._done / (now - self._started)
            left = (self._total - self._done) / rate
            self._say(f"{self._done:,} of {self._total:,} works indexed, {rate:,.0f}/s, {_span(left)} left")


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
