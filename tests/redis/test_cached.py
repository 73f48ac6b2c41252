"""Answers that are given again: the same as searched anew, and only those of the live build."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_library import DIMENSIONS, SmallLibrary, vector_of

from viberary_pipeline.errors import QueryError, SearchUnavailable
from viberary_pipeline.index.publish import rollback
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.redis_server.probe import open_client
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Hit, SearchResponse
from viberary_pipeline.web.cached import CachedSearcher, bytes_of

WORKS = [(f"Book {number}", "An Author", f"a story of the sea and of storm {number}") for number in range(30)]


class Words:
    """An encoder of words, which counts what it encodes."""

    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, texts: list[str]) -> Any:
        self.encoded += len(texts)
        return np.stack([vector_of(text) for text in texts])

    def has_word(self, word: str) -> bool:
        return True


class Remembering(CachedSearcher):
    """A searcher with that encoder; `asked` says of each question whether its answer was remembered."""

    def __init__(self, client: Any, *, most_bytes: int = 2**20) -> None:
        self.asked: list[bool] = []
        self.words = Words()
        super().__init__(client, Path("/nowhere"), most_bytes=most_bytes, count=self.asked.append)

    def _encoder_of(self, record: BuildRecord) -> Any:
        return self.words


@pytest.fixture
def library(client: Any, tmp_path: Path) -> SmallLibrary:
    return SmallLibrary(client, tmp_path, WORKS)


def test_a_repeated_question_is_answered_from_memory_under_the_words_it_was_asked_in(library):
    searcher = Remembering(library.client)
    first, again = searcher.search("the sea", 5), searcher.search("  the   sea ", 5)
    assert again == replace(first, query="  the   sea ")
    assert (searcher.asked, searcher.words.encoded) == ([False, True], 1)


def test_another_question_is_searched(library):
    searcher = Remembering(library.client)
    searcher.search("the sea", 5)
    assert len(searcher.search("the sea", 6).results) == 6
    assert searcher.search("storm 7", 5).results[0].title == "Book 7"
    assert searcher.search("the sea", 5, Filters(min_reviews=999)).results != searcher.search("the sea", 5).results
    assert searcher.search("the sea", 5, filters=Filters(languages=("fr",))).results == ()
    assert searcher.asked == [False, False, False, False, True, False]
    book = searcher.search("storm 7", 5).results[0].book_id
    assert searcher.similar(book, 5) == searcher.similar(book, 5)
    assert searcher.asked[-2:] == [False, True]


def test_what_is_live_answers_at_once_after_a_publish_and_a_rollback(library, tmp_path):
    searcher = Remembering(library.client)
    before = searcher.search("the sea", 3)
    SmallLibrary(library.client, tmp_path / "new", [(f"New {title}", *rest) for title, *rest in WORKS])
    after = searcher.search("the sea", 3)
    assert [hit.title.split()[0] for hit in after.results] == ["New"] * 3
    rollback(library.client)
    assert searcher.search("the sea", 3) == before
    assert searcher.asked == [False, False, True]


def test_what_was_answered_while_the_index_was_loading_is_not_given_again(library):
    searcher = Remembering(library.client)
    [key] = list(library.client.scan_iter(f"viberary:{library.record.build}:doc:7"))
    document = library.client.hgetall(key)
    library.client.delete(key)
    assert "Book 7" not in {hit.title for hit in searcher.search("storm 7", 5).results}
    library.client.hset(key, mapping=document)
    assert searcher.search("storm 7", 5).results[0].title == "Book 7"
    assert searcher.search("storm 7", 5).results[0].title == "Book 7"
    assert searcher.asked == [False, False, True]


def test_no_answer_is_given_where_redis_is_away(library):
    searcher = Remembering(library.client)
    searcher.search("the sea")
    searcher._client = open_client("redis://127.0.0.1:1/0", answer_seconds=1)
    with pytest.raises(SearchUnavailable):
        searcher.search("the sea")


def test_a_refusal_is_not_remembered(library):
    searcher = Remembering(library.client)
    for _ in range(2):
        with pytest.raises(QueryError):
            searcher.similar("none such")
    assert searcher.asked == [False, False]


def test_the_memory_holds_so_many_bytes_and_forgets_what_was_asked_longest_ago(library):
    room = bytes_of(Remembering(library.client).search("storm 1", 10))
    searcher = Remembering(library.client, most_bytes=room * 5 // 2)
    for query in ("storm 1", "storm 2", "storm 1", "storm 3", "storm 1", "storm 2"):
        searcher.search(query, 10)
    assert searcher.asked == [False, False, True, False, True, False]
    searcher.search("the sea", 30)  # more than it may hold: not remembered, and nothing else is forgotten
    searcher.search("storm 2", 10)
    assert searcher.asked[-2:] == [False, True]


def test_a_memory_without_room_remembers_nothing(library):
    searcher = Remembering(library.client, most_bytes=0)
    assert searcher.search("the sea") == searcher.search("the sea")
    assert (searcher.asked, searcher.words.encoded) == ([], 2)


def test_bytes_count_what_an_answer_holds():
    hit = Hit(1, 0.5, "1", "10", "T", "A", "", 0)
    empty, one = SearchResponse("q", "b", ()), SearchResponse("q", "b", (hit,))
    long = SearchResponse("q", "b", (replace(hit, description="x" * 10_000),))
    assert bytes_of(one) - bytes_of(empty) > 500
    assert 9_900 < bytes_of(long) - bytes_of(one) < 10_100
