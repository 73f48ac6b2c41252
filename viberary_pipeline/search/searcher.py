"""Search of the live build: the words to a vector, the vector and the words to the works that answer best.

Which build is live is asked with each query's first commands, and with it which encoder: the switch of an alias alone
would not be atomic with a change of encoder. The query goes to that build's own index, that of the last query until the
pointer says otherwise; then it is asked again. So it is where the build vanishes in between.
"""

import re
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError, QueryError, SearchError
from viberary_pipeline.index.contract import (
    BuildRecord,
    index_info,
    index_is_missing,
    read_pointer,
    read_record,
)
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.retrieval import BuildVanishedError, Found, find, find_like, key_of_book
from viberary_pipeline.search.weights import SearchSettings

MOST_CHARACTERS = 2000
"""Characters of a query that are read; encoders cut far earlier."""

MOST_RESULTS = 100

_ATTEMPTS = 3
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
_SCORE_DIGITS = 6


@dataclass(frozen=True)
class Hit:
    """One result.

    `score` is the cosine similarity, in [-1, 1]; `review_count` is summed over editions; `named` says whether the
    query spelt out its "title" or "author" ("" if it did neither).
    """

    rank: int
    score: float
    book_id: str
    work_id: str
    title: str
    author: str
    link: str
    review_count: int
    description: str = ""
    year: int | None = None
    named: str = ""


@dataclass(frozen=True)
class SearchResponse:
    """The results of one query, best first, and the build that gave them. `query` is exactly as given."""

    query: str
    build: str
    results: tuple[Hit, ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `viberary search --json`."""
        shown = ("rank", "score", "book_id", "work_id", "title", "author", "link", "review_count")
        return {
            "query": self.query,
            "build": self.build,
            "results": [{name: asdict(hit)[name] for name in shown} for hit in self.results],
        }


@dataclass(frozen=True)
class Readiness:
    """Whether queries can be answered from a whole index, and if not, why."""

    ready: bool
    build: str | None
    documents: int
    reason: str


class Searcher:
    """Answers queries from the live build. Safe to share between threads.

    Args:
        client: A Redis connection pool of our own server or VIBERARY_REDIS_URL.
        home: VIBERARY_HOME, where the query encoders lie.
        tuning: How results are weighed.
    """

    def __init__(self, client: redis.Redis, home: Path, tuning: SearchSettings | None = None) -> None:
        self._client = client
        self._home = home
        self._tuning = tuning or SearchSettings()
        self._loaded: tuple[BuildRecord, QueryEncoder] | None = None
        self._encoders: dict[str, QueryEncoder] = {}
        self._loading = threading.Lock()

    def search(self, query: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        """The k works that answer the words best, in the order of `viberary_pipeline.search.retrieval`.

        Raises:
            QueryError: the query says nothing.
            SearchError: nothing is published, or Redis is away.
        """
        text = clean_query(query)

        def ask(record: BuildRecord, encoder: QueryEncoder, sure: bool) -> list[Found]:
            def encode() -> NDArray[np.float32]:
                vector: NDArray[np.float32] = encoder.encode([text])[0]
                return vector

            return find(
                *(self._client, record, text, encode, _sane(k)),
                filters=filters or Filters(),
                tuning=self._tuning,
                if_live=not sure,
            )

        return self._answer(query, ask, known=self._loaded)

    def similar(self, book_id: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        """The k works whose stored vectors are nearest to that of a book, without the book itself.

        Args:
            book_id: The id of a result: of the edition that stands for its work, or the work's.
            k: How many.
            filters: Which works may be found.

        Raises:
            QueryError: no work of the live build has that id.
            SearchError: nothing is published, or Redis is away.
        """

        def ask(record: BuildRecord, *_: object) -> list[Found]:
            key = key_of_book(self._client, record, book_id)
            found = key and find_like(self._client, record, key, _sane(k), filters=filters or Filters())
            if not found and not key:
                raise QueryError(
                    "No such book is in the live build",
                    expected="a book_id or work_id as `viberary search --json` gives it",
                    found=repr(book_id[:40]),
                    todo="search for the book by its title; another edition may stand for it",
                )
            return found or []

        return self._answer(book_id, ask)

    def _answer(
        self,
        query: str,
        ask: Callable[[BuildRecord, QueryEncoder, bool], list[Found]],
        *,
        known: tuple[BuildRecord, QueryEncoder] | None = None,
    ) -> SearchResponse:
        """What the live build answers; asked again where it is replaced in the middle.

        With `known`, that build is asked first: `ask`, told that this is not sure to be the live one, must find out.
        """
        failure: Exception | None = None
        for _ in range(_ATTEMPTS + (known is not None)):
            try:
                sure = known is None
                record, encoder = known or self._live()
                known = None
                return SearchResponse(query, record.build, _hits(ask(record, encoder, sure)))
            except BuildVanishedError as error:
                failure = error
            except redis.ResponseError as error:
                failure = error
                if not index_is_missing(error):
                    break
            except redis.RedisError as error:
                raise _redis_is_away(error) from error
        raise SearchError(
            "The live index does not answer",
            expected="results from the published index",
            found=str(failure),
            todo="see `viberary status`; if the index is gone, run `viberary build`, or `viberary rollback` to the "
            "previous one",
        ) from failure

    def readiness(self) -> Readiness:
        """Whether the live index is whole (after a restart Redis rebuilds it) and its encoder is here."""
        try:
            record, _ = self._live()
            info = index_info(self._client, record.build)
        except redis.RedisError as error:
            return Readiness(False, None, 0, f"Redis does not answer: {error}")
        except (SearchError, EncoderError) as error:
            return Readiness(False, None, 0, error.what)
        if info is None:
            return Readiness(False, record.build, 0, "the live index is gone")
        if info["indexing"] or info["num_docs"] != record.documents:
            reason = f"the index is loading: {info['num_docs']:,} of {record.documents:,} works"
            return Readiness(False, record.build, info["num_docs"], reason)
        return Readiness(True, record.build, record.documents, "ready")

    def _live(self) -> tuple[BuildRecord, QueryEncoder]:
        """The published build and its encoder, loaded once per build."""
        build = read_pointer(self._client).live
        loaded = self._loaded
        if loaded is not None and loaded[0].build == build:
            return loaded
        with self._loading:
            if self._loaded is not None and self._loaded[0].build == build:
                return self._loaded
            record = read_record(self._client, build) if build else None
            if record is None and build:
                raise SearchError(
                    f"The live build {build} is lost",
                    expected="its record in Redis",
                    found="none, though viberary:pointer names it",
                    todo="run `viberary build`, or `viberary rollback` if a previous build is there",
                )
            if record is None:
                raise SearchError(
                    "Nothing is published yet",
                    expected="a live build in Redis (viberary:pointer)",
                    found="none",
                    todo="run `viberary build`",
                )
            self._loaded = (record, self._encoder_of(record))
            return self._loaded

    def _encoder_of(self, record: BuildRecord) -> QueryEncoder:
        """The build's encoder. The one before stays loaded, so that a rollback costs no reader the time to load it."""
        encoder = self._encoders.pop(record.query_encoder, None) or QueryEncoder(encoder_folder(self._home, record))
        if encoder.fingerprint != record.fingerprint or encoder.dimensions != record.dim:
            raise EncoderError(
                "The query encoder is not the one that embedded the documents",
                expected=f"fingerprint {record.fingerprint} with {record.dim} dimensions",
                found=f"fingerprint {encoder.fingerprint} with {encoder.dimensions} dimensions",
                todo="run `viberary build --force`",
            )
        before = list(self._encoders.items())[-1:]
        self._encoders = dict([*before, (record.query_encoder, encoder)])
        return encoder


def encoder_folder(home: Path, record: BuildRecord) -> Path:
    """Where the query encoder of a build lies. Raises `EncoderError` if it is not in this home."""
    folders = sorted((home / "artifacts" / "query_encoder").glob(f"{record.query_encoder}.*"))
    if not folders:
        raise EncoderError(
            f"The query encoder of build {record.build} is not in this VIBERARY_HOME",
            expected=f"artifacts/query_encoder/{record.query_encoder}.* under {home}",
            found="no such folder",
            todo="set VIBERARY_HOME to the home that built the index, or run `viberary build`",
        )
    return folders[-1]


def clean_query(query: str) -> str:
    """The query without control and invisible characters, NFC, white space folded, cut to a sane length.

    Raises:
        QueryError: nothing is left.
    """
    visible = "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in query)
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", visible)).strip()[:MOST_CHARACTERS]
    if not text:
        raise QueryError(
            "The query is empty",
            expected="a few words, such as 'funny sci-fi'",
            found=repr(query[:40]),
            todo="type what the book should feel like",
        )
    return text


def _sane(k: int) -> int:
    return max(1, min(k, MOST_RESULTS))


def _hits(found: list[Found]) -> tuple[Hit, ...]:
    return tuple(
        Hit(
            rank=rank,
            score=round(hit.score, _SCORE_DIGITS),
            book_id=hit.fields["book_id"],
            work_id=hit.fields["work_id"],
            title=hit.fields["title"],
            author=hit.fields["author"],
            link=hit.fields["link"],
            review_count=int(hit.fields["review_count"] or 0),
            description=hit.fields["description"],
            year=int(hit.fields["year"]) if hit.fields["year"] else None,
            named=hit.how or "",
        )
        for rank, hit in enumerate(found, start=1)
    )


def _redis_is_away(error: redis.RedisError) -> SearchError:
    return SearchError(
        "Redis does not answer",
        expected="the server that holds the index",
        found=f"{type(error).__name__}: {error}",
        todo="see `viberary redis status`, or check VIBERARY_REDIS_URL",
    )
