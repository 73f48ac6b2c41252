"""Every failure as a page in the same layout, or as `{"error", "status"}` for a program."""

import logging
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

from viberary_pipeline.errors import BookNotFound, QueryError, SearchError, ViberaryError
from viberary_pipeline.search.query import MOST_CHARACTERS
from viberary_pipeline.web.parameters import FILTER_FIELDS, wants_json, wrong_filters
from viberary_pipeline.web.seldom import Seldom

logger = logging.getLogger(__name__)

# What a reader sees, by status: a heading, and what to do.
MESSAGES = {
    400: ("That search did not work", "Try again with a few words."),
    404: ("There is no such page", "The address may be mistyped. The search box above always works."),
    413: ("That is too much text", "A few words or sentences are enough."),
    429: ("That was a lot of searches", "Take a breath, and try again in a minute."),
    500: ("Something broke on our side", "It has been noted. Try again, or try other words."),
    503: ("The library is closed for the moment", "Try again in a little while."),
}
_STATUSES = ((BookNotFound, 404), (QueryError, 400))
BLANK_QUERY = ("What are you in the mood for?", "Type a few words, as you would say them to a friend.")


def status_of(error: ViberaryError) -> int:
    """The HTTP status that stands for an error of the searcher."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)


def add_error_pages(app: Flask) -> None:
    """Answer every failure by a page, or by JSON."""
    seldom = Seldom(logger)

    @app.errorhandler(ViberaryError)
    def refused(error: ViberaryError) -> Response:
        status = status_of(error)
        blank = status == 400 and not request.values.get("query", "").strip()
        heading, advice = BLANK_QUERY if blank else MESSAGES[status]
        # The rest of the message is for the operator and may name hosts and folders; so may all of other errors'.
        said = QueryError | SearchError if wants_json() else QueryError  # "Redis" is no word for readers
        what = error.what if isinstance(error, said) else None
        response = _failure(status, heading, what, advice)
        if status == 503:
            seldom.warn("Cannot search: %s", error)
            response.headers["Retry-After"] = "10"
        return response

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        status = error.code or 500
        heading, advice = MESSAGES.get(status, (error.name, "Start again with the search box above."))
        response = _failure(status, heading, _reason(error), advice)
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                response.headers[name] = value
        return response


def _failure(status: int, heading: str, what: str | None, advice: str) -> Response:
    if wants_json():
        response = jsonify(error=what or heading, status=status)
    else:
        shown: dict[str, Any] = {
            "query": request.args.get("query", "")[:MOST_CHARACTERS],
            "status": status,
            "heading": heading,
        }
        if status == 400 and (wrong := wrong_filters()):  # each is marked in its field
            advice = "Correct what is marked above, or leave it out."
            shown |= {"wrong": wrong, "narrowed": {name: request.values.get(name, "")[:200] for name in FILTER_FIELDS}}
        response = make_response(render_template("message.html", **shown, what=what, advice=advice))
    response.status_code = status
    return response


def _reason(error: HTTPException) -> str | None:
    """Our own words for a refused value; werkzeug's general ones add nothing to the heading."""
    return error.description if isinstance(error, BadRequest | ServiceUnavailable) else None
