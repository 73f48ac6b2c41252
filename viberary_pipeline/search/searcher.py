"""Search of the live build: the words to a vector, the vector and the words to the works that answer best.

Each query first tries the build that answered the last one, and reads the pointer in the same round trip. If the
pointer has moved or the build is gone, the query is tried again on the new build. The alias alone would not do: it
cannot be switched together with the encoder.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import (
    BookNotFound,
    EncoderError,
    SearchError,
    SearchUnavailable,
    ViberaryError,
)
from viberary_pipeline.origin import origin_of
from viberary_pipeline.redis_contract import (
    BuildRecord,
    index_info,
    index_is_missing,
    read_pointer,
    read_record,
)
from viberary_pipeline.search.books import Book, Volume, find_book, find_vectors, find_volumes, find_work, find_works
from viberary_pipeline.search.facets import Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.fit import Fit, fit_of, known_share
from viberary_pipeline.search.hits import Hit, hit_of
from viberary_pipeline.search.lucky import Deck, Pick, read_deck
from viberary_pipeline.search.passages import SentenceWords, read_sentence_words
from viberary_pipeline.search.query import clean_query
from viberary_pipeline.search.replies import BuildVanishedError
from viberary_pipeline.search.retrieval import MOST_RESULTS, Answer, Result, find, find_like, key_of_book
from viberary_pipeline.search.spelling import NameWords, Spelling, read_name_words
from viberary_pipeline.search.suggestions import Suggestion, Suggestions, suggest
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.sources.licences import Licence, licences_of

logger = logging.getLogger(__name__)

__all__ = ["MOST_RESULTS", "Hit", "Readiness", "SearchResponse", "Searcher", "encoder_folder"]

_Answered = TypeVar("_Answered")

_ATTEMPTS = 3
_SCORE_DIGITS = 6


@dataclass(frozen=True)
class SearchResponse:
    """The results of one query, best first, and the build that gave them.

    `query` is exactly as given; `notes` say in plain words what of it was understood beside plain words; `corrected` is
    the query with its typos corrected, "" where none was; `fits` is False where nothing fits it well; `telling` are the
    stems (`passages.stem`) of its words that say something.
    """

    query: str
    build: str
    results: tuple[Hit, ...]
    notes: tuple[str, ...] = ()
    corrected: str = ""
    fits: bool = True
    telling: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """The object of `viberary search --json`."""
        return {
            "query": self.query,
            "build": self.build,
            "results": [hit.to_json() for hit in self.results],
            **({"notes": list(self.notes)} if self.notes else {}),
            **({"corrected": self.corrected} if self.corrected else {}),
            **({} if self.fits else {"fits": False}),
        }


@dataclass(frozen=True)
class Readiness:
    """Whether queries can be answered from a whole index, and if not, why (for anyone: it names no host).

    `published`, `encoder`, `source` and `licence` are those of the build's record (`BuildRecord`), `facets` what its
    searches can be narrowed to.
    """

    ready: bool
    build: str | None
    documents: int
    reason: str
    published: str = ""
    encoder: str = ""
    source: str = ""
    facets: Facets = field(default_factory=Facets)
    licence: str = ""

    @property
    def licences(self) -> tuple[Licence, ...]:
        """Under what its data may be used."""
        return licences_of(self.source, self.licence)

    @property
    def counted(self) -> str:
        """What `review_count` counts, in the singular: Open Library has readers, and no reviews."""
        return "reader" if self.source in ("openlibrary", "both") else "review"

    def to_json(self) -> dict[str, Any]:
        """What `viberary status --json` and `/readyz` say of it."""
        return {"ready": self.ready, "build": self.build, "documents": self.documents, "reason": self.reason}


class Searcher:
    """Answers queries from the live build. Safe to share between threads.

    Args:
        client: A Redis connection pool of our own server or VIBERARY_REDIS_URL.
        home: VIBERARY_HOME, where the query encoders lie.
        tuning: How results are weighed.
        find_encoder: Gives the folder of a build's encoder (`encoder_folder`).
    """

    def __init__(
        self,
        client: redis.Redis,
        home: Path,
        tuning: SearchSettings | None = None,
        *,
        find_encoder: Callable[[Path, BuildRecord], Path] | None = None,
    ) -> None:
        self._client = client
        self._home = home
        self._find_encoder = find_encoder or encoder_folder
        self._tuning = tuning or SearchSettings()
        self._loaded: tuple[BuildRecord, QueryEncoder] | None = None
        self._encoders: dict[str, QueryEncoder] = {}
        self._words: dict[str, NameWords] = {}
        self._decks: dict[str, Deck] = {}
        self._sentence_words: dict[str, SentenceWords] = {}
        self._loading = threading.Lock()

    def search(self, query: str, k: int = 10, filters: Filters | None = None, *, exact: bool = False) -> SearchResponse:
        """The k works that answer the words best, in the order of `viberary_pipeline.search.ranking`.

        Args:
            query: What the book should feel like, or its name.
            k: How many.
            filters: Which works may be found.
            exact: Take each word as it is typed: none is a typo.

        Raises:
            QueryError: the query says nothing.
            SearchError: this query cannot be answered.
            SearchUnavailable: nothing is published, or Redis is away.
        """
        text = clean_query(query)

        def ask(record: BuildRecord, encoder: QueryEncoder, if_live: bool) -> Answer:
            names = self._words.get(record.build) or NameWords()

            def spell(terms: Sequence[str]) -> Spelling:
                spelling = names.spelling(terms, encoder.has_word)
                return Spelling(name_words=spelling.name_words) if exact else spelling

            return find(
                *(self._client, record, text, lambda words: encoder.encode([words])[0], _bounded(k)),
                filters=filters or Filters(),
                tuning=self._tuning,
                if_live=if_live,
                spell=spell,
                held=names.held,
            )

        record, answer = self._of_live(ask, last=self._loaded)
        return self._told(SearchResponse(query, record.build, (), answer.notes, answer.corrected), record, answer, text)

    def _told(self, response: SearchResponse, record: BuildRecord, answer: Answer, text: str) -> SearchResponse:
        """The response with its hits, how well they fit, and why each was found."""
        hits, encoder = _hits(answer.results), self._encoders.get(record.query_encoder)
        words = self._sentence_words.get(record.build) or SentenceWords()
        names = self._words.get(record.build) or NameWords()
        if answer.vector is None:
            return replace(response, results=hits)
        sentences = words.best(text, answer.vector, [(hit.description, *hit.reviews) for hit in hits])
        fit, fits = Fit.read(record.fit), True
        if fit is not None:
            share = known_share(
                answer.corrected or text,
                lambda word: word in words.rows or names.held(word) > 0,
                lambda word: encoder is not None and encoder.has_word(word),
            )
            fits = any(hit.named for hit in hits) or fit_of(answer.nearest, share) >= fit.poor
        told = tuple(
            replace(hit, why=sentence, match=fit.match(hit.score, fits) if fit is not None else "")
            for hit, sentence in zip(hits, sentences, strict=True)
        )
        return replace(response, results=told, telling=frozenset(words.telling(text)), fits=fits)

    def search_each(
        self,
        queries: Iterable[str],
        k: int = 10,
        filters: Filters | None = None,
        *,
        exact: bool = False,
        report: Callable[[Exception], None],
    ) -> Iterator[SearchResponse]:
        """One response for each query, in their order.

        A query that fails, for whatever reason, has no results, and its exception goes to `report`.

        Raises:
            SearchUnavailable: nothing is published, or Redis is away: the others would fail as well.
        """
        for query in queries:
            try:
                yield self.search(query, k, filters, exact=exact)
            except SearchUnavailable:
                raise
            except Exception as error:  # one bad line must not cost the others their answers
                report(error)
                yield SearchResponse(query, self.readiness().build or "", ())

    def similar(self, book_id: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        """The k works whose stored vectors are nearest to that of a book, without the book itself.

        Args:
            book_id: The id of an edition or of a work, an ISBN or an ASIN.
            k: How many.
            filters: Which works may be found.

        Raises:
            BookNotFound: no work of the live build has that id.
            SearchError: this book cannot be looked up.
            SearchUnavailable: nothing is published, or Redis is away.
        """

        def ask(record: BuildRecord, *_: object) -> Answer:
            key = key_of_book(self._client, record, book_id)
            answer = find_like(self._client, record, key, _bounded(k), filters=filters or Filters()) if key else None
            if answer is None:
                raise _no_such_book(book_id)
            return answer

        return self._answer(book_id, ask)

    def suggest(self, typed: str) -> Suggestions:
        """What the beginning of a query may become: titles, authors, series, popular queries; none for no word.

        A build of an older version suggests nothing.

        Raises:
            SearchUnavailable: nothing is published, or Redis is away.
        """

        def ask(record: BuildRecord, *_: object) -> tuple[Suggestion, ...]:
            return suggest(self._client, record.build, typed, self._words.get(record.build) or NameWords())

        record, found = self._of_live(ask)
        return Suggestions(typed, record.build, found)

    def live(self) -> BuildRecord:
        """What is known of the live build. Raises `SearchError`, `SearchUnavailable` and `EncoderError` as a search."""
        return self._of_live(lambda *_: None)[0]

    def book(self, book_id: str) -> Book:
        """All that is known of a book, in one round trip.

        Args:
            book_id: The id of an edition or of a work, an ISBN or an ASIN.

        Raises:
            BookNotFound: no work of the live build has that id.
            SearchError, SearchUnavailable: as for `similar`.
        """

        def ask(record: BuildRecord, _: QueryEncoder, if_live: bool) -> Book:
            book = find_book(self._client, record, book_id, if_live=if_live)
            if book is None:
                raise _no_such_book(book_id)
            return book

        return self._of_live(ask, last=self._loaded)[1]

    def works(self, work_ids: Sequence[str]) -> tuple[Book, ...]:
        """Those of these works that the live build has, in their order. Raises as `similar` does."""
        return self._of_live(lambda record, *_: find_works(self._client, record, work_ids))[1]

    def vectors(self, work_ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of works, float32 (works, dim), in the order of their ids.

        Raises:
            BookNotFound: no work of the live build has one of these ids.
            SearchUnavailable: nothing is published, or Redis is away.
        """

        def ask(record: BuildRecord, *_: object) -> npt.NDArray[np.float32]:
            found, missing = find_vectors(self._client, record, work_ids)
            if missing:
                raise _no_such_book(missing)
            return found

        return self._of_live(ask)[1]

    def volumes(self, book: Book) -> tuple[Volume, ...]:
        """The other volumes of a book's series, by their numbers. Raises as `similar` does."""
        return self._of_live(lambda record, *_: find_volumes(self._client, record, book))[1]

    def lucky(self) -> Pick:
        """A book picked at random among those worth it, another one each time.

        Raises:
            SearchError: the live build has none.
            SearchUnavailable: nothing is published, or Redis is away.
        """

        def pick(record: BuildRecord, *_: object) -> Pick:
            if record.build not in self._decks:  # the one before stays, for a rollback
                self._decks = {**dict(list(self._decks.items())[-1:]), record.build: read_deck(self._client, record)}
            work_id = self._decks[record.build].deal()
            if work_id is None:
                raise SearchError(
                    "The live build has no book to pick from",
                    expected="works with a description, in a build of this version",
                    found="none",
                    todo="run `viberary build`",
                )
            book, vector = find_work(self._client, record, work_id)
            words = self._sentence_words.get(record.build) or SentenceWords()
            return Pick(book, words.best(" ".join(book.genres), vector, [[book.description]])[0])

        return self._of_live(pick)[1]

    def _answer(
        self,
        query: str,
        ask: Callable[[BuildRecord, QueryEncoder, bool], Answer],
        *,
        last: tuple[BuildRecord, QueryEncoder] | None = None,
    ) -> SearchResponse:
        record, answer = self._of_live(ask, last=last)
        return SearchResponse(query, record.build, _hits(answer.results), answer.notes, answer.corrected)

    def _of_live(
        self,
        ask: Callable[[BuildRecord, QueryEncoder, bool], _Answered],
        *,
        last: tuple[BuildRecord, QueryEncoder] | None = None,
    ) -> tuple[BuildRecord, _Answered]:
        """The live build and its answer; asked again where another build becomes live meanwhile.

        With `last`, that build is asked first. The last argument of `ask` says that the build may not be the live one
        any more: then `ask` must raise `BuildVanishedError`.
        """
        failure: Exception | None = None
        for _ in range(_ATTEMPTS + (last is not None)):
            try:
                if_live = last is not None
                record, encoder = last or self._live()
                last = None
                return record, ask(record, encoder, if_live)
            except BuildVanishedError as error:
                failure = error
            except redis.ResponseError as error:
                if not index_is_missing(error):
                    raise SearchError(
                        "Redis refused this search",
                        expected="results from the published index",
                        found=str(error),
                        todo="try other words; if every search is refused, look at `viberary status` and at Redis' log",
                    ) from error
                failure = error
            except redis.RedisError as error:
                raise SearchUnavailable(
                    "Redis does not answer",
                    expected="the server that holds the index",
                    found=f"{type(error).__name__}: {error}",
                    todo="check with `viberary redis status` that it runs, or correct VIBERARY_REDIS_URL",
                ) from error
        raise SearchError(
            "The live index does not answer",
            expected="results from the published index",
            found=str(failure.found if isinstance(failure, ViberaryError) else failure),
            todo="look at `viberary status`; if the index is gone, run `viberary build`, or `viberary rollback` to go "
            "back to the "
            "previous build",
        ) from failure

    def readiness(self) -> Readiness:
        """Whether the live index is whole (after a restart Redis rebuilds it) and its encoder is here."""
        try:
            record, _ = self._live()
            info = index_info(self._client, record.build)
        except redis.RedisError as error:
            logger.warning("Not ready: %s: %s", type(error).__name__, error)
            return Readiness(False, None, 0, "Redis does not answer")
        except SearchError as error:
            return Readiness(False, None, 0, error.what)
        except EncoderError as error:
            logger.warning("Not ready: %s", error)
            fetched = error.what.endswith("being fetched")
            state = "is being fetched" if fetched else "cannot be used"
            return Readiness(False, None, 0, f"the query encoder of the live build {state}")
        if info is None:
            return Readiness(False, record.build, 0, "the live index is gone")
        if info["indexing"] or info["num_docs"] != record.documents:
            reason = f"the index is loading: {info['num_docs']:,} of {record.documents:,} works"
            return Readiness(False, record.build, info["num_docs"], reason)
        of_build = (record.published, record.encoder, record.source, Facets.read(record.facets), record.licence)
        return Readiness(True, record.build, record.documents, "ready", *of_build)

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
                raise SearchUnavailable(
                    f"The live build {build} is lost",
                    expected="its record in Redis, as `viberary build` writes it",
                    found="no record that can be read, although viberary:pointer names this build",
                    todo="run `viberary build`, or `viberary rollback` if a previous build is there",
                )
            if record is None:
                raise SearchUnavailable(
                    "Nothing is published yet",
                    expected="a live build in Redis (viberary:pointer)",
                    found="none",
                    todo="run `viberary build`",
                )
            encoder = self._encoder_of(record)
            self._words = {**dict(list(self._words.items())[-1:]), build: read_name_words(self._client, build)}
            kept = dict(list(self._sentence_words.items())[-1:])
            self._sentence_words = {**kept, build: read_sentence_words(self._client, build)}
            if record.search_fields < 3:
                logger.warning(
                    "Build %s was made by an older version. Until the next `viberary build`, %sits genres, ratings and "
                    "languages are not shown",
                    build,
                    "typos, other titles, volumes and ISBNs are not recognized, and " * (record.search_fields < 2),
                )
            self._loaded = (record, encoder)
            return self._loaded

    def _encoder_of(self, record: BuildRecord) -> QueryEncoder:
        """The build's encoder. The one before stays loaded, so that a rollback costs no reader the time to load it."""
        encoder = self._encoders.pop(record.query_encoder, None) or QueryEncoder(self._find_encoder(self._home, record))
        if not encoder.shares(record.fingerprint, record.dim):
            raise EncoderError(
                "The query encoder does not share the space of the encoder that embedded the documents",
                expected=f"fingerprint {record.fingerprint} with {record.dim} dimensions, or a query encoder of that "
                "space",
                found=str(encoder),
                todo="run `viberary build --force`",
            )
        before = list(self._encoders.items())[-1:]
        self._encoders = dict([*before, (record.query_encoder, encoder)])
        return encoder


def encoder_folder(home: Path, record: BuildRecord) -> Path:
    """Where the query encoder of a build lies, fetched first where the home is in S3.

    Raises:
        EncoderError: it is not in this home, or cannot be fetched.
    """
    if origin_of(home) is not None:
        return _fetched(home, record)
    folders = sorted((home / "artifacts" / "query_encoder").glob(f"{record.query_encoder}.*"))
    if not folders:
        raise EncoderError(
            f"The query encoder of build {record.build} is not in this VIBERARY_HOME",
            expected=f"artifacts/query_encoder/{record.query_encoder}.* under {home}",
            found="no such folder",
            todo="set VIBERARY_HOME to the home that built the index, or run `viberary build`",
        )
    return folders[-1]


def _fetched(home: Path, record: BuildRecord) -> Path:
    expected = f"artifacts/query_encoder/{record.query_encoder}.*, whole, in the home in S3"
    try:
        found = ArtifactStore(home).find("query_encoder", record.query_encoder)
    except ViberaryError as error:  # of S3, or of this machine's disk
        raise EncoderError(
            f"The query encoder of build {record.build} cannot be fetched from S3",
            expected=expected,
            found=error.found,
            todo=error.todo,
        ) from error
    if found is None:
        raise EncoderError(
            f"The query encoder of build {record.build} is not in this home in S3",
            expected=expected,
            found="none, or a damaged one (the log says more)",
            todo="run `viberary build` with this VIBERARY_HOME, which makes it again",
        )
    return found.path


def _no_such_book(book_id: str) -> BookNotFound:
    return BookNotFound(
        "No such book is in the live build",
        expected="a book_id or work_id as `viberary search --json` gives it, or an ISBN",
        found=repr(book_id[:40]),
        todo="search for the book by its title",
    )


def _bounded(k: int) -> int:
    return max(1, min(k, MOST_RESULTS))


def _hits(results: list[Result]) -> tuple[Hit, ...]:
    return tuple(
        hit_of(result.fields, rank=rank, score=round(result.score, _SCORE_DIGITS), named=result.named)
        for rank, result in enumerate(results, start=1)
    )
