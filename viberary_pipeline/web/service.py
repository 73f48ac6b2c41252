"""What the routes share: the searcher, with a trace of each search in the metrics and the query log."""

import time
from collections.abc import Sequence
from typing import Protocol

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.search.books import Book, Volume
from viberary_pipeline.search.facets import Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.lucky import Pick
from viberary_pipeline.search.searcher import Readiness, SearchResponse
from viberary_pipeline.search.suggestions import Suggestions
from viberary_pipeline.web.failures import status_of
from viberary_pipeline.web.parameters import DEFAULT_K
from viberary_pipeline.web.prometheus import Metrics
from viberary_pipeline.web.query_log import QueryLog


class SearchBackend(Protocol):
    """What the app needs of `viberary_pipeline.search.searcher.Searcher`."""

    def search(
        self, query: str, k: int = DEFAULT_K, filters: Filters | None = None, *, exact: bool = False
    ) -> SearchResponse:
        """The `k` best books. Raises `QueryError` for an unusable query, `ViberaryError` if it cannot."""

    def similar(self, book_id: str, k: int = DEFAULT_K, filters: Filters | None = None) -> SearchResponse:
        """The `k` books nearest to one. Raises `BookNotFound` if there is no such book."""

    def book(self, book_id: str) -> Book:
        """All that is known of a book. Raises `BookNotFound` if there is no such book."""

    def works(self, work_ids: Sequence[str]) -> tuple[Book, ...]:
        """Those of these works that there are, in their order."""

    def volumes(self, book: Book) -> tuple[Volume, ...]:
        """The other volumes of a book's series."""

    def lucky(self) -> Pick:
        """A book picked at random."""

    def suggest(self, typed: str) -> Suggestions:
        """What the beginning of a query may become. Raises `ViberaryError` if it cannot tell."""

    def readiness(self) -> Readiness:
        """Whether a whole index is there to be searched, and which."""


class Service:
    """One searcher, as the routes use it.

    Attributes:
        searcher: Answers the queries; called from several threads at once.
        metrics: The app's counters.
        log: The query log, if one is kept.
    """

    def __init__(self, searcher: SearchBackend, *, query_log: QueryLog | None, metrics: Metrics) -> None:
        self.searcher = searcher
        self.metrics = metrics
        self.log = query_log
        self._library: Readiness | None = None

    def search(self, query: str, k: int, filters: Filters, *, exact: bool = False) -> SearchResponse:
        """Search, and leave a trace in the metrics and the query log whatever comes of it."""
        response, status, started = None, 500, time.perf_counter()
        try:
            response = self.searcher.search(query, k, filters, **({"exact": True} if exact else {}))
            status = 200
        except ViberaryError as error:
            status = status_of(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            self.metrics.search_seconds.observe(seconds)
            if self.log:
                self.log.append(
                    query=query,
                    filters=filters.set_fields(),
                    build=response.build if response else None,
                    k=k,
                    milliseconds=seconds * 1000,
                    work_ids=[hit.work_id for hit in response.results] if response else [],
                    status=status,
                )
        return response

    def library_of(self, build: str) -> Readiness:
        """The footer's facts. A build never changes, so Redis is asked only when another one answers."""
        if self._library is not None and self._library.build == build:
            return self._library
        return self.readiness()

    def readiness(self) -> Readiness:
        """Whether a whole index is there now. What is known of it is kept while it is whole."""
        now = self.searcher.readiness()
        self._library = now if now.ready else None  # the count of an index that is still loading changes
        return now

    @property
    def last_library(self) -> Readiness | None:
        """The footer's facts of the last build that answered; Redis is not asked for them."""
        return self._library

    @property
    def facets(self) -> Facets:
        """What a search can be narrowed to, as of the last build that answered; Redis is not asked for it."""
        return self._library.facets if self._library else Facets()
