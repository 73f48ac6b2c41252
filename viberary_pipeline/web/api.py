"""JSON for programs: `/api/search`, `/api/similar/<id>`, `/api/books/<id>`, `/api/suggest`, and `/openapi.json`.

`OPERATIONS` declares each route once: its handler, its parameters, its answer. Both the routes and their description
are made from it. The fields of an answer are those of the class that the answer is made from. The same functions
(`parameters`) read and refuse parameters here and on the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter

from viberary_pipeline import __version__
from viberary_pipeline.search.books import Book, Edition
from viberary_pipeline.search.searcher import MOST_RESULTS, Hit, SearchResponse
from viberary_pipeline.search.suggestions import MOST_SUGGESTIONS, MOST_TYPED, Suggestion, Suggestions
from viberary_pipeline.web.parameters import DEFAULT_K, requested_exact, requested_filters, requested_k
from viberary_pipeline.web.service import Service

SUGGESTIONS_KEPT_SECONDS = 60

_TEXT: dict[str, Any] = {"type": "string"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation: its name, its JSON schema, what it means, and where it stands in the address."""

    name: str
    schema: Mapping[str, Any]
    description: str
    required: bool = False
    place: str = "query"

    def to_openapi(self) -> dict[str, Any]:
        """The Parameter Object."""
        return {
            "name": self.name,
            "in": self.place,
            "required": self.required,
            "description": self.description,
            "schema": dict(self.schema),
        }


@dataclass(frozen=True)
class Operation:
    """A route that programs ask by GET.

    Attributes:
        path: As Flask has it.
        name: The operationId.
        summary: What it answers, in a line.
        parameters: In the order of the description.
        answer: The name of its schema.
        failures: Statuses that it may answer instead.
        handle: Answers the request; takes the service and the parameters of the path.
    """

    path: str
    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    answer: str
    failures: tuple[int, ...]
    handle: Callable[..., Response]

    def to_openapi(self) -> dict[str, Any]:
        """The Operation Object."""
        answers = {"200": _json_of("The answer.", self.answer)}
        return {
            "operationId": self.name,
            "summary": self.summary,
            "parameters": [parameter.to_openapi() for parameter in self.parameters],
            "responses": answers | {str(status): _json_of(_FAILURES[status], "Failure") for status in self.failures},
        }


def add_api(app: Flask, service: Service) -> None:
    """The routes of `OPERATIONS`, and `/openapi.json`."""
    for operation in OPERATIONS:
        app.add_url_rule(operation.path, f"api_{operation.name}", partial(operation.handle, service), methods=["GET"])
    description = openapi()

    @app.get("/openapi.json")
    def describe() -> ResponseReturnValue:
        return jsonify(description)


def _search(service: Service) -> Response:
    query, k, filters = request.args.get("query", ""), requested_k(), requested_filters()
    return jsonify(service.search(query, k, filters, exact=requested_exact()).to_json())


def _similar(service: Service, book_id: str) -> Response:
    return jsonify(service.searcher.similar(book_id, requested_k(), requested_filters()).to_json())


def _book(service: Service, book_id: str) -> Response:
    return jsonify(service.searcher.book(book_id).to_json())


def _suggest(service: Service) -> Response:
    response = jsonify(service.searcher.suggest(request.args.get("q", "")).to_json())
    response.headers["Cache-Control"] = f"private, max-age={SUGGESTIONS_KEPT_SECONDS}"
    return response


_FAILURES = {
    400: "A parameter was refused; `error` says which one and why.",
    404: "The live build has no such book.",
    429: "Too many requests from this client; Retry-After says when to try again.",
    503: "No query can be answered at present; Retry-After says when to try again.",
}
# A form sends its empty fields, too: they are as if they were not there.
_BLANK = {"type": "string", "pattern": r"^\s*$"}
_COUNT = Parameter(
    "k",
    {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_RESULTS}, _BLANK], "default": DEFAULT_K},
    "The number of books.",
)
_FILTERS = (
    Parameter("language", _TEXT, "Languages, as codes or names, separated by commas: `en,French`."),
    Parameter(
        "years",
        {"type": "string", "pattern": r"^\s*([0-9]{1,4}(-[0-9]{0,4})?|-[0-9]{0,4})?\s*$"},
        "First and last year of publication: `1990-1999`, `1990-`, `-1999` or `1990`.",
    ),
    Parameter("genre", _TEXT, "A genre, spelt as in `genres` of a book."),
    Parameter(
        "min_reviews",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 999_999_999}, _BLANK]},
        "The least number of reviews.",
    ),
)
_BOOK_ID = Parameter("book_id", _TEXT, "The id of an edition or of a work, an ISBN or an ASIN.", True, "path")
OPERATIONS = (
    Operation(
        "/api/search",
        "search",
        "The books that answer a query, best first.",
        (
            Parameter(
                "query", {"type": "string", "minLength": 1}, "What the book should feel like, or its name.", True
            ),
            _COUNT,
            *_FILTERS,
            Parameter("exact", {"enum": ["0", "1"]}, "`1` corrects no typos."),
        ),
        "SearchResponse",
        (400, 429, 503),
        _search,
    ),
    Operation(
        "/api/similar/<book_id>",
        "similar",
        "The books most like a book, without that book.",
        (
            _BOOK_ID,
            _COUNT,
            *_FILTERS,
        ),
        "SearchResponse",
        (400, 404, 429, 503),
        _similar,
    ),
    Operation(
        "/api/books/<book_id>",
        "book",
        "Everything that is known about a book.",
        (_BOOK_ID,),
        "Book",
        (404, 429, 503),
        _book,
    ),
    Operation(
        "/api/suggest",
        "suggest",
        f"At most {MOST_SUGGESTIONS} titles, authors, series and popular queries that complete what was typed.",
        (Parameter("q", _TEXT, f"What was typed so far. Only the first {MOST_TYPED} characters are read."),),
        "Suggestions",
        (503,),
        _suggest,
    ),
)


def openapi() -> dict[str, Any]:
    """The description of `OPERATIONS` in OpenAPI 3.1."""
    a_hit, an_edition = Hit(1, 0.5, "1", "1", "title", "author", "", 0), Edition("1", "title")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Viberary",
            "version": __version__,
            "description": "Books found by how they feel. Answers need no account and set no cookie.",
        },
        "paths": {template(operation.path): {"get": operation.to_openapi()} for operation in OPERATIONS},
        "components": {
            "schemas": {
                "SearchResponse": _object(
                    SearchResponse("", "", (a_hit,), ("note",), "corrected", fits=False),
                    optional=("notes", "corrected", "fits"),
                    results=_list_of("Hit"),
                ),
                "Hit": _object(a_hit, SearchResponse("", "", (a_hit,)).to_json()["results"][0]),
                "Book": _object(
                    Book("", "", "", "", "", (), None, "", None, "", (), None, 0, 0, (), (), 1, (), (), ""),
                    contributors=_list_of("Contributor"),
                    editions=_list_of("Edition"),
                ),
                "Contributor": {
                    "type": "object",
                    "description": "`role` is empty for an author.",
                    "properties": {"name": _TEXT, "role": _TEXT},
                    "required": ["name", "role"],
                    "additionalProperties": False,
                },
                "Edition": _object(an_edition, vars(an_edition)),
                "Suggestions": _object(Suggestions("", "", ()), suggestions=_list_of("Suggestion")),
                "Suggestion": _object(Suggestion("text", "title", "1", "author"), optional=("book_id", "author")),
                "Failure": {
                    "type": "object",
                    "properties": {"error": _TEXT, "status": {"type": "integer"}},
                    "required": ["error", "status"],
                    "additionalProperties": False,
                },
            }
        },
    }


def _object(
    example: Any, given: Mapping[str, Any] | None = None, *, optional: tuple[str, ...] = (), **others: Mapping[str, Any]
) -> dict[str, Any]:
    """The schema of what an object gives as JSON: the fields of `given`, in the types of its class.

    Args:
        example: With a value in each field.
        given: What it gives; None: `to_json`.
        optional: Fields that may be missing.
        others: Schemas of fields that are other objects.
    """
    given = example.to_json() if given is None else given
    types = TypeAdapter(type(example)).json_schema(mode="serialization")["properties"]
    properties = {name: others.get(name) or _plain(types[name]) for name in given}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field's schema without its title and default, which say nothing of what is answered."""
    return {name: value for name, value in schema.items() if name not in ("title", "default")}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _json_of(description: str, name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def template(path: str) -> str:
    """A path as OpenAPI writes it."""
    return path.replace("<", "{").replace(">", "}")
