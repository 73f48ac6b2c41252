"""Replies of both protocols, whole and not."""

import pickle

import pytest
import redis

from viberary_pipeline.errors import SearchError
from viberary_pipeline.search.knn import similarity
from viberary_pipeline.search.replies import BuildVanishedError, Row, read_rows


def test_rows_of_both_protocols_are_read_alike():
    maps = {b"results": [{b"id": b"k", b"score": 1.5, b"extra_attributes": {b"title": b"T"}}], b"warning": []}
    assert read_rows(maps, scores=True) == read_rows([1, b"k", b"1.5", [b"title", b"T"]], scores=True)
    assert read_rows({b"results": []}) == read_rows([0]) == read_rows(None) == []
    assert read_rows([1, b"k", b"2"], scores=True, contents=False) == [Row(b"k", 2.0, {})]


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ({b"results": [{b"id": b"k", b"extra_attributes": None}]}, False),
        ({b"results": [{b"id": b"k"}]}, False),
        ([1, b"k", None], False),
        ([1, b"k", b"0", None], True),
    ],
)
def test_a_document_that_was_removed_meanwhile_has_no_fields(reply, scores):
    (row,) = read_rows(reply, scores=scores)
    assert row == Row(b"k", 0.0, {})
    assert row.text("title") == ""
    with pytest.raises(BuildVanishedError):
        similarity(row, "20260101T000000-abcd")


@pytest.mark.parametrize(
    "reply", [{}, {b"results": None}, {b"results": [None]}, [1, b"k"], [1, b"k", [b"title"]], 7, b"OK", [1, b"k", 5]]
)
def test_a_reply_of_another_form_is_a_message(reply):
    with pytest.raises(SearchError, match="A reply of Redis cannot be read"):
        read_rows(reply)


def test_the_reply_of_a_failed_command_is_raised():
    with pytest.raises(redis.ResponseError, match="no such index"):
        read_rows(redis.ResponseError("no such index"))


def test_a_vanished_build_survives_pickling():
    error = pickle.loads(pickle.dumps(BuildVanishedError("20260101T000000-abcd")))
    assert error.expected == "the documents of build 20260101T000000-abcd"
