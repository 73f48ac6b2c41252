"""JSON for programs over the published sample: what it answers, and that its description is true."""

import json
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from markupsafe import escape
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.web.api import OPERATIONS, template
from viberary_pipeline.web.app import create_app


@pytest.fixture(scope="module")
def app(searcher: Searcher) -> Flask:
    return create_app(searcher, query_log=None)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


# Not `positive_data_acceptance`: a language that nobody speaks, or a query of invisible characters, is refused.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


MODES = [
    (operation.path, mode)
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # Any text is a path: there is none that does not fit the description.
    if mode is GenerationMode.POSITIVE or any(parameter.place == "query" for parameter in operation.parameters)
]


@pytest.mark.parametrize(("path", "mode"), MODES)
def test_every_answer_is_as_described(app: Flask, path: str, mode: GenerationMode) -> None:
    described = schemathesis.openapi.from_wsgi("/openapi.json", app)[template(path)]["GET"]

    @given(described.as_strategy(mode))
    @settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def conforms(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    conforms()


def test_the_description_is_valid_openapi(client: FlaskClient) -> None:
    description = client.get("/openapi.json").json
    assert description is not None
    validate(description)
    assert list(description["paths"]) == [template(operation.path) for operation in OPERATIONS]


def test_a_search_is_the_object_of_the_command_line_and_of_the_page(client: FlaskClient, searcher: Searcher) -> None:
    asked = {"query": "love and war", "k": "4", "language": "en", "years": "1990-"}
    answer = client.get("/api/search", query_string=asked)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == client.get("/search", query_string={**asked, "format": "json"}).json
    page = client.get("/search", query_string=asked).text
    assert answer.json is not None
    places = [page.index(str(escape(hit["title"]))) for hit in answer.json["results"]]
    assert (len(places), places) == (4, sorted(places))


def test_similar_books_of_an_unknown_one_are_not_found(client: FlaskClient, searcher: Searcher) -> None:
    book_id = searcher.search("love", 1).results[0].book_id
    similar = searcher.similar(book_id, 3).to_json()
    assert client.get(f"/api/similar/{book_id}?k=3").json == json.loads(json.dumps(similar))
    unknown = client.get("/api/similar/no-such")
    assert (unknown.status_code, unknown.json) == (404, {"error": "No such book is in the live build", "status": 404})


def test_a_book_is_told_as_on_its_page(client: FlaskClient, searcher: Searcher) -> None:
    book = searcher.book(searcher.search("love", 1).results[0].book_id)
    answer = client.get(f"/api/books/{book.book_id}")
    assert answer.json == json.loads(json.dumps(book.to_json()))
    assert answer.json == client.get(f"/book/{book.book_id}?format=json").json
    unknown = client.get("/api/books/no-such")
    assert (unknown.status_code, unknown.json) == (404, {"error": "No such book is in the live build", "status": 404})


def test_suggestions_are_kept_by_the_readers_browser_alone(client: FlaskClient, searcher: Searcher) -> None:
    answer = client.get("/api/suggest", query_string={"q": "the"})
    assert answer.json == searcher.suggest("the").to_json()
    assert len(answer.json["suggestions"]) == 10
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert client.get("/api/suggest").json == {"query": "", "build": answer.json["build"], "suggestions": []}
    long = client.get("/api/suggest", query_string={"q": "x" * 5000})
    assert (long.status_code, long.json["suggestions"]) == (200, [])


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/search", 400, "The query is empty"),
        ("/api/search?query=%20", 400, "The query is empty"),
        ("/api/search?query=x&k=0", 400, "The number of books (k) must be a whole number from 1 to 100."),
        ("/api/search?query=x&exact=2", 400, "The parameter exact must be 0 or 1."),
        ("/api/search?query=x&language=Elvish", 400, "No language is called 'Elvish'"),
        ("/api/nowhere", 404, "There is no such page"),
    ],
)
def test_failures_are_json_whatever_is_accepted(client: FlaskClient, path: str, status: int, error: str) -> None:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json) == (status, {"error": error, "status": status})


def test_other_methods_are_answered_as_http_asks(client: FlaskClient) -> None:
    got, head = (client.open("/api/suggest?q=the", method=method) for method in ("GET", "HEAD"))
    assert (head.status_code, head.data, head.content_length) == (200, b"", got.content_length)
    options = client.options("/api/search")
    assert (options.status_code, set(options.allow)) == (200, {"GET", "HEAD", "OPTIONS"})
    posted = client.post("/api/search", data={"query": "x"})
    assert (posted.status_code, posted.json["status"], set(posted.allow)) == (405, 405, {"GET", "HEAD", "OPTIONS"})
    assert [name for answer in (got, options, posted) for name in answer.headers if name == "Set-Cookie"] == []


def test_what_was_corrected_is_said_and_can_be_refused(client: FlaskClient, searcher: Searcher) -> None:
    author = next(hit.author for hit in searcher.search("the overstory", 1).results)
    typo = author.replace("Powers", "Powrs")
    assert typo != author
    answer = client.get("/api/search", query_string={"query": typo}).json
    assert answer["corrected"] == author
    page = client.get("/search", query_string={"query": typo}).text
    assert f"Showing results for <em>{author}</em>" in page
    exact = client.get("/api/search", query_string={"query": typo, "exact": 1}).json
    assert "corrected" not in exact
    assert exact["results"] != answer["results"]
    assert f'exact=1">{typo}</a>' in page
    assert "corrected" not in client.get("/api/search", query_string={"query": author}).json
