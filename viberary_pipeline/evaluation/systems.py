"""What is compared: a build as readers search it, and its baselines. Each answers a query by work_ids, best first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import SearchError
from viberary_pipeline.evaluation.queries import JudgedQuery
from viberary_pipeline.ranking_metrics import RECALL_DEPTH
from viberary_pipeline.redis_contract import BuildRecord, document_prefix
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.replies import is_too_slow, read_rows, search_command
from viberary_pipeline.search.retrieval import ORDER_FIELDS, find, find_like
from viberary_pipeline.search.spelling import read_name_words
from viberary_pipeline.search.weights import SearchSettings

THIS, VECTORS, BM25, PREVIOUS = "this build", "vectors alone", "BM25 alone", "previous build"
SEED, SEED_ORDER = "seed's recipe", "seed's recipe and order"
WORD2VEC = "word2vec"
_SEED_DEPTH = 50

Answers = dict[tuple[str, str], list[str]]
"""{(`text`, `like`) of a query: the work_ids that a system found, best first}."""


@dataclass(frozen=True)
class System:
    """One way to search. `answer` gives up to 100 work_ids, best first; None where it has no answer to such a query."""

    name: str
    answer: Callable[[JudgedQuery], list[str] | None]


def remembering(system: System, known: Answers) -> System:
    """The system, which is asked only what is not known. What it answers is added to `known`."""

    def answer(query: JudgedQuery) -> list[str] | None:
        key = (query.text, query.like)
        if key not in known:
            found = system.answer(query)
            if found is None:
                return None
            known[key] = found
        return known[key]

    return System(system.name, answer)


def giving_up(system: System, why: dict[str, str]) -> System:
    """The system until one of its queries takes longer than the server lets it. It is asked no more then, and `why`
    holds its name and the reason.

    A server answers nobody else during such a query. It also says nothing of a build: a baseline that looks at every
    work which holds a word of the query takes seconds for a million works.
    """

    def answer(query: JudgedQuery) -> list[str] | None:
        if system.name in why:
            return None
        try:
            return system.answer(query)
        except (redis.ResponseError, SearchError) as error:
            if not is_too_slow(error):
                raise
            why[system.name] = "a query takes longer than the search TIMEOUT of Redis"
            return None

    return System(system.name, answer)


@dataclass
class QueryVectors:
    """The vectors of queries, each encoded once, whichever thread asks."""

    encoder: QueryEncoder
    known: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, text: str) -> npt.NDArray[np.float32]:
        """float32 (dim,), norm 1."""
        with self.lock:
            if text not in self.known:
                self.known[text] = self.encoder.encode([text])[0]
        return self.known[text]


def build_system(
    name: str, client: redis.Redis, record: BuildRecord, vectors: QueryVectors, tuning: SearchSettings | None = None
) -> System:
    """A build, published or not, as readers search it."""
    words = read_name_words(client, record.build)

    def answer(query: JudgedQuery) -> list[str]:
        if query.like:
            key = f"{document_prefix(record.build)}{query.like}".encode()
            found = find_like(client, record, key, RECALL_DEPTH, filters=Filters(), fields=ORDER_FIELDS)
        else:
            found = find(
                *(client, record, query.text, vectors, RECALL_DEPTH),
                filters=Filters(),
                tuning=tuning or SearchSettings(),
                if_live=False,
                spell=lambda terms: words.spelling(terms, vectors.encoder.has_word),
                held=words.held,
                # Of a hundred results, what readers see of them would take half the time of an evaluation.
                fields=ORDER_FIELDS,
            )
        return [hit.fields["work_id"] for hit in found.results] if found else []

    return System(name, answer)


def bm25_system(client: redis.Redis, record: BuildRecord) -> System:
    """BM25 over titles, authors and descriptions in the same index: every work that holds any of the words."""
    prefix = document_prefix(record.build).encode()

    def answer(query: JudgedQuery) -> list[str] | None:
        words = ParsedQuery.parse(query.text).terms
        if query.like or not record.search_fields:
            return None
        if not words:
            return []
        options = ("NOCONTENT", "WITHSCORES", "SCORER", "BM25STD", "LIMIT", 0, RECALL_DEPTH)
        reply = client.execute_command(*search_command(record.build, "|".join(words), *options))
        return [row.key.removeprefix(prefix).decode() for row in read_rows(reply, scores=True, contents=False)]

    return System(BM25, answer)


def nearest_system(
    name: str,
    works: Sequence[str],
    documents: npt.NDArray[np.float32],
    vector_of: Callable[[str], npt.NDArray[np.float32]],
) -> System:
    """The works whose vectors are nearest to the query's by exact cosine.

    Args:
        name: Of the system.
        works: work_ids.
        documents: float32 (works, dim), norm 1: a vector of each work.
        vector_of: Gives the vector of a query, float32 (dim,), by the same model.
    """
    row_of = {work: row for row, work in enumerate(works)}

    def answer(query: JudgedQuery) -> list[str]:
        if query.like and query.like not in row_of:
            return []
        asked = documents[row_of[query.like]] if query.like else vector_of(query.text)
        order = np.argsort(-(documents @ asked), kind="stable")[: RECALL_DEPTH + 1]
        return [works[row] for row in order if works[row] != query.like][:RECALL_DEPTH]

    return System(name, answer)


def seed_systems(
    works: Sequence[str], documents: npt.NDArray[np.float32], vectors: QueryVectors
) -> tuple[System, System]:
    """The original system's text, found by exact cosine: in the right order, and in the order that it showed.

    It took the 50 nearest and sorted them by descending distance, so that the worst of them came first.

    Args:
        works, documents: As for `nearest_system`: its sentence of each work.
        vectors: Of the queries, by the same model.
    """
    nearest = nearest_system(SEED, works, documents, vectors)

    def as_shown(query: JudgedQuery) -> list[str]:
        return (nearest.answer(query) or [])[:_SEED_DEPTH][::-1]

    return nearest, System(SEED_ORDER, as_shown)
