"""Search of the live build: the words to a vector, the vector to the nearest works.

Which build is live is asked before each query, and with it which encoder: the switch of an alias alone would
not be atomic with a change of encoder. The query goes to that build's own index; if it vanishes in between, the
pointer is read again.
"""

import re
import threading
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from viberary_pipeline.errors import EncoderError, QueryError, SearchError
from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.query_encoder import QueryEncoder
from viberary_pipeline.search.schema import (
    PAGE_FIELDS,
    BuildRecord,
    index_info,
    index_is_missing,
    read_pointer,
    read_record,
)

MOST_CHARACTERS = 2000
"""Characters of a query that are read; encoders cut far earlier."""

MOST_RESULTS = 100

_ATTEMPTS = 3
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
_TIE_DIGITS = 6


@dataclass(frozen=True)
class Hit:
    """One result. `score` is the cosine similarity, in [-1, 1]; `review_count` is summed over editions."""

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
    """

    def __init__(self, client: redis.Redis, home: Path) -> None:
        self._client = client
        self._home = home
        self._loaded: tuple[BuildRecord, QueryEncoder] | None = None
        self._loading = threading.Lock()

    def search(self, query: str, k: int = 10) -> SearchResponse:
        """The k works nearest to the words, best first; equal ones by review count.

        Raises:
            QueryError: the query says nothing.
            SearchError: nothing is published, or Redis is away.
        """
        text = clean_query(query)
        k = max(1, min(k, MOST_RESULTS))
        failure: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                record, encoder = self._live()
                blob = record.hnsw.to_bytes(encoder.encode([text]))[0]
                found = nearest(self._client, record.build, blob, k, fields=PAGE_FIELDS)
            except redis.ResponseError as error:
                failure = error
                if index_is_missing(error):
                    continue  # the build was replaced and removed between the two commands
                break
            except redis.RedisError as error:
                raise _redis_is_away(error) from error
            return SearchResponse(query, record.build, _ranked(found))
        raise SearchError(
            "The live index does not answer",
            expected="results from the published index",
            found=str(failure),
            todo="see `viberary status`; if the index is gone, run `viberary build`",
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
            if record is None:
                raise SearchError(
                    "Nothing is published yet",
                    expected="a live build in Redis (viberary:pointer)",
                    found="none",
                    todo="run `viberary build`",
                )
            if self._loaded is not None and self._loaded[0].query_encoder == record.query_encoder:
                self._loaded = (record, self._loaded[1])  # another build, the same encoder
            else:
                self._loaded = (record, self._load_encoder(record))
            return self._loaded

    def _load_encoder(self, record: BuildRecord) -> QueryEncoder:
        encoder = QueryEncoder(encoder_folder(self._home, record))
        if encoder.fingerprint != record.fingerprint or encoder.dimensions != record.dim:
            raise EncoderError(
                "The query encoder is not the one that embedded the documents",
                expected=f"fingerprint {record.fingerprint} with {record.dim} dimensions",
                found=f"fingerprint {encoder.fingerprint} with {encoder.dimensions} dimensions",
                todo="run `viberary build --force`",
            )
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


def _ranked(found: list[dict[str, Any]]) -> tuple[Hit, ...]:
    """Best similarity first; where two are equal, the more reviewed one."""
    hits = sorted(found, key=lambda hit: (-round(hit["score"], _TIE_DIGITS), -int(hit["review_count"] or 0)))
    return tuple(
        Hit(
            rank=rank,
            score=round(hit["score"], _TIE_DIGITS),
            book_id=hit["book_id"],
            work_id=hit["work_id"],
            title=hit["title"],
            author=hit["author"],
            link=hit["link"],
            review_count=int(hit["review_count"] or 0),
            description=hit["description"],
            year=int(hit["year"]) if hit["year"] else None,
        )
        for rank, hit in enumerate(hits, start=1)
    )


def _redis_is_away(error: redis.RedisError) -> SearchError:
    return SearchError(
        "Redis does not answer",
        expected="the server that holds the index",
        found=f"{type(error).__name__}: {error}",
        todo="see `viberary redis status`, or check VIBERARY_REDIS_URL",
    )
