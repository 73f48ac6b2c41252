"""Answers that are given again while their build is live, and their pages."""

import operator
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import redis
from cachetools import LRUCache

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.redis_contract import BuildRecord, is_healthy
from viberary_pipeline.search.query import clean_query
from viberary_pipeline.search.searcher import Readiness, Searcher, SearchResponse
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.web.encoders import EncoderFetcher


class CachedSearcher(Searcher):
    """A searcher that remembers the answers used last, by the build that gave them.

    Each question still asks Redis which build is live: a switch shows at once, and where Redis is away nothing is
    answered.

    Args:
        client, home, tuning: As `Searcher` takes them.
        most_bytes: What its answers may take together; 0 remembers nothing.
        count: Told of each question whether its answer was remembered.
        encoders: Fetches the encoders of a home in S3.
    """

    def __init__(
        self,
        client: redis.Redis,
        home: Path,
        tuning: SearchSettings | None = None,
        *,
        most_bytes: int,
        count: Callable[[bool], object] = bool,
        encoders: EncoderFetcher | None = None,
    ) -> None:
        super().__init__(client, home, tuning, find_encoder=encoders.folder if encoders is not None else None)
        self._fetcher = encoders
        self._answers: LRUCache[Any, SearchResponse] = LRUCache(most_bytes, getsizeof=bytes_of)
        self._lock = threading.Lock()
        self._count = count

    def readiness(self) -> Readiness:
        """As `Searcher.readiness`."""
        if self._fetcher is not None:
            self._fetcher.look_ahead()
        return super().readiness()

    def search(self, query: str, *args: Any, **options: Any) -> SearchResponse:
        """As `Searcher.search`."""
        asked = ("search", clean_query(query), *args, *sorted(options.items()))
        return self._remembered(asked, query, lambda: super(CachedSearcher, self).search(query, *args, **options))

    def similar(self, book_id: str, *args: Any, **options: Any) -> SearchResponse:
        """As `Searcher.similar`."""
        asked = ("similar", book_id, *args, *sorted(options.items()))
        return self._remembered(asked, book_id, lambda: super(CachedSearcher, self).similar(book_id, *args, **options))

    def _remembered(self, asked: tuple[Any, ...], query: str, answer: Callable[[], SearchResponse]) -> SearchResponse:
        """The answer to what is asked. `query` is how it was asked this time."""
        if not self._answers.maxsize:
            return answer()
        try:
            record, _ = self._live()
        except (redis.RedisError, ViberaryError):
            return answer()  # which says what is wrong
        with self._lock:
            known = self._answers.get((record.build, *asked))
        self._count(known is not None)
        if known is not None:
            return replace(known, query=query)
        whole = self._is_whole(record)
        response = answer()
        with self._lock:
            if whole and response.build == record.build and bytes_of(response) <= self._answers.maxsize:
                self._answers[(record.build, *asked)] = response
        return response

    def _is_whole(self, record: BuildRecord) -> bool:
        """Whether all works of a build can be found: while Redis loads its index, answers hold only some of them."""
        try:
            return is_healthy(self._client, record)
        except redis.RedisError:
            return False


class RenderedPages:
    """Pages that are given again as long as the answers that they show are the very same objects.

    Args:
        most_bytes: What they may take together; 0 remembers none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._pages: LRUCache[Any, tuple[tuple[object, ...], bytes]] = LRUCache(
            most_bytes, getsizeof=lambda page: len(page[1])
        )
        self._lock = threading.Lock()

    def page(self, address: Any, shown: tuple[object, ...], render: Callable[[], str]) -> bytes:
        """A page in UTF-8.

        Args:
            address: Everything of the request that the page depends on.
            shown: What it shows. Empty tuples are one object in Python, so a page of nothing is better not kept here.
            render: Makes the page.
        """
        with self._lock:
            known = self._pages.get(address)
        if known is not None and all(map(operator.is_, known[0], shown)):
            return known[1]
        page = render().encode()
        with self._lock:
            if len(page) <= self._pages.maxsize:
                self._pages[address] = (shown, page)
        return page


def bytes_of(value: Any) -> int:
    """What an answer takes in memory: itself and what it holds, as if nothing of it were shared."""
    held: Iterable[Any] = ()
    if is_dataclass(value):
        held = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, tuple):
        held = value
    return sys.getsizeof(value) + sum(map(bytes_of, held))
