"""Random picks: works worth one, as the build's record names them (`viberary_pipeline.index.lucky`)."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from viberary_pipeline.redis_contract import LUCKY, BuildRecord, as_text, document_prefix, record_key
from viberary_pipeline.search.books import Book
from viberary_pipeline.search.replies import read_rows, search_command

_MOST_POPULAR = 500


@dataclass(frozen=True)
class Pick:
    """A book picked at random; `telling` is the sentence of its description that is nearest to it, "" for none."""

    book: Book
    telling: str = ""

    def to_json(self) -> dict[str, Any]:
        """What is known of the book, and the sentence."""
        return {**self.book.to_json(), "telling": self.telling}


class Deck:
    """Work ids in random order. Each is dealt once before any comes again. Safe to share between threads."""

    def __init__(self, ids: Sequence[str], shuffle: Callable[[list[str]], None] = random.shuffle) -> None:
        self._ids, self._shuffle = list(ids), shuffle
        self._left: list[str] = []
        self._last = ""
        self._lock = threading.Lock()

    def deal(self) -> str | None:
        """The next one, never the same twice running where there are two; None of an empty deck."""
        with self._lock:
            if not self._left:
                self._left = list(self._ids)
                self._shuffle(self._left)
                if len(self._left) > 1 and self._left[-1] == self._last:
                    self._left.insert(0, self._left.pop())
            self._last = self._left.pop() if self._left else ""
            return self._last or None


def read_deck(client: redis.Redis, record: BuildRecord) -> Deck:
    """The picks of a build; of one of an older version, which names none, the most reviewed quarter.

    Empty where even these cannot be asked for.
    """
    ids = as_text(client.hget(record_key(record.build), LUCKY)).split()
    if not ids and record.search_fields:
        most = min(_MOST_POPULAR, -(-record.documents // 4))
        popular = ("SORTBY", "review_count", "DESC", "LIMIT", 0, most, "NOCONTENT")
        rows = read_rows(client.execute_command(*search_command(record.build, "*", *popular)), contents=False)
        ids = [as_text(row.key).removeprefix(document_prefix(record.build)) for row in rows]
    return Deck(ids)
