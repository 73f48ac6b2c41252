"""Reads the parameters of a request, and refuses values that are not allowed."""

from collections.abc import Mapping
from contextlib import suppress

from flask import request
from werkzeug.exceptions import BadRequest

from viberary_pipeline.errors import QueryError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.query import clean_query
from viberary_pipeline.search.searcher import MOST_RESULTS

DEFAULT_K = 10
MOST_CHARACTERS_OF_A_FILTER = 200

# The fields that narrow a search, and what is said of a value that is none.
FILTER_FIELDS = {
    "language": "A language, such as English or fr.",
    "min_reviews": "A whole number, such as 100.",
    "years": "Years, such as 1990-1999, 1990- or 1990.",
    "genre": "A genre, such as fantasy.",
}


def requested_k() -> int:
    """The number of books asked for. Raises `BadRequest` if it is not one that the page gives."""
    text = request.values.get("k", "").strip() or str(DEFAULT_K)
    # The length first: int() refuses thousands of digits with an error of its own.
    if len(text) <= 3 and text.isascii() and text.isdigit() and 1 <= (k := int(text)) <= MOST_RESULTS:
        return k
    raise BadRequest(f"The number of books (k) must be a whole number from 1 to {MOST_RESULTS}.")


def requested_filters() -> Filters:
    """What the search is narrowed by. Raises `QueryError` for a value that is none."""
    return filters_of(typed_filters())


def filters_of(typed: Mapping[str, str]) -> Filters:
    """The filters that `typed_filters` says. Raises `QueryError` for a value that is none."""
    return Filters.of(typed["language"].split(","), typed["min_reviews"], typed["years"], typed["genre"])


def typed_filters() -> dict[str, str]:
    """The fields of the form that narrow a search, as they were typed. Raises `BadRequest` for a longer text."""
    typed = {name: request.values.get(name, "").strip() for name in FILTER_FIELDS}
    if any(len(value) > MOST_CHARACTERS_OF_A_FILTER for value in typed.values()):
        raise BadRequest(f"A filter may have at most {MOST_CHARACTERS_OF_A_FILTER} characters.")
    return typed


def wrong_filters() -> dict[str, str]:
    """{field: what it takes instead} of the fields that narrow the search and hold a value that is none."""
    wrong = {}
    for name, message in FILTER_FIELDS.items():
        value = request.values.get(name, "").strip()
        try:
            if len(value) > MOST_CHARACTERS_OF_A_FILTER:
                wrong[name] = message
            filters_of({**dict.fromkeys(FILTER_FIELDS, ""), name: value[:MOST_CHARACTERS_OF_A_FILTER]})
        except QueryError:
            wrong[name] = message
    return wrong


def requested_exact() -> bool:
    """Whether each word is meant as it is typed. Raises `BadRequest` for a value that is neither yes nor no."""
    typed = request.values.get("exact", "0")
    if typed not in ("0", "1"):
        raise BadRequest("The parameter exact must be 0 or 1.")
    return typed == "1"


def way_back() -> dict[str, str]:
    """The search that led to this page, as values of the address of its results; empty if none did.

    Values that narrow nothing, and such as are none of their kind, are left out.
    """
    try:
        search = {"query": clean_query(request.values.get("query", ""))}
        typed = typed_filters()
    except (QueryError, BadRequest):
        return {}
    for name, value in typed.items():
        with suppress(QueryError):
            if filters_of({**dict.fromkeys(typed, ""), name: value}):
                search[name] = value
    return search


def wants_json() -> bool:
    """Whether the answer is for a program: the address says so (`/api/`, `format=json`), or it accepts JSON best."""
    if request.path.startswith("/api/"):
        return True
    # From the address, not the form: a form that is too large to be read needs an answer as well.
    if (wanted := request.args.get("format")) is not None:
        return wanted == "json"
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
