"""The Flask app: a start page, the results, and what operators need (health, readiness, metrics).

Readers search by GET, so that an address can be shared, bookmarked and reloaded. A POST with the same fields
gets the same answer directly: it is for programs, which a redirect would only cost a round trip.
"""

import logging
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import BadRequest, HTTPException

from viberary_pipeline import __version__
from viberary_pipeline.errors import QueryError, SearchError, ViberaryError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.query import MOST_CHARACTERS, clean_query
from viberary_pipeline.search.searcher import MOST_RESULTS, Readiness, SearchResponse
from viberary_pipeline.web.presentation import counted, safe_link, shorten
from viberary_pipeline.web.prometheus import Metrics
from viberary_pipeline.web.query_log import QueryLog

logger = logging.getLogger(__name__)

DEFAULT_K = 10
MAX_FORM_BYTES = 32 * 2**10
MOST_CHARACTERS_OF_A_FILTER = 200

EXAMPLES = (
    "funny sci-fi",
    "cold-blooded revenge",
    "sprawling multi-generational epic about trees and people",
)

# Bootstrap's own style sheet holds its small drawings as data: images.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

# What a reader sees, by status: a heading, and what to do.
MESSAGES = {
    400: ("That search did not work", "Try again with a few words."),
    404: ("There is no such page", "The address may be mistyped. The search box above always works."),
    413: ("That is too much text", "A few words or sentences are enough."),
    500: ("Something broke on our side", "It has been noted. Try again, or try other words."),
    503: ("The library is closed for the moment", "Try again in a little while."),
}
BLANK_QUERY = ("What are you in the mood for?", "Type a few words, as you would say them to a friend.")


class SearchBackend(Protocol):
    """What the app needs of `viberary_pipeline.search.searcher.Searcher`."""

    def search(self, query: str, k: int = DEFAULT_K, filters: Filters | None = None) -> SearchResponse:
        """The `k` best books. Raises `QueryError` for an unusable query, `ViberaryError` if it cannot."""

    def similar(self, book_id: str, k: int = DEFAULT_K, filters: Filters | None = None) -> SearchResponse:
        """The `k` books nearest to one. Raises `QueryError` if there is no such book."""

    def readiness(self) -> Readiness:
        """Whether a whole index is there to be searched, and which."""


def create_app(searcher: SearchBackend, *, query_log: Path | None) -> Flask:
    """The app over one searcher.

    Args:
        searcher: Answers the queries; called from several threads at once.
        query_log: The file that each search is appended to; None keeps no log.
    """
    app = Flask(__name__)
    app.config.update(
        BOOTSTRAP_SERVE_LOCAL=True,
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    app.json = DefaultJSONProvider(app)
    app.json.sort_keys = False  # the order of `viberary search --json`
    Bootstrap5(app)
    app.jinja_env.filters.update(shorten=shorten, safe_link=safe_link, counted=counted)
    app.jinja_env.globals.update(version=__version__, examples=EXAMPLES)

    metrics = Metrics()
    _add_search(app, searcher, metrics, QueryLog(query_log) if query_log else None)
    _add_operations(app, searcher, metrics)
    _add_error_pages(app)

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "(none)"
        metrics.requests.labels(route, str(response.status_code)).inc()
        if location := response.headers.get("Location"):  # werkzeug's repeats the host that the request names
            parts = urlsplit(location)
            response.headers["Location"] = urlunsplit(("", "", f"/{parts.path.lstrip('/')}", parts.query, ""))
            response.set_data(b"")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        # The reader's words are in the address: no other site may see them.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-cache")
        response.vary.add("Accept")
        return response

    return app


def _add_search(app: Flask, searcher: SearchBackend, metrics: Metrics, log: QueryLog | None) -> None:
    """The start page and the results."""
    library: Readiness | None = None

    @app.get("/")
    def start() -> ResponseReturnValue:
        return render_template("start.html", library=searcher.readiness())

    @app.route("/search", methods=["GET", "POST"])
    def search() -> ResponseReturnValue:
        query, k, filters = request.values.get("query", ""), _requested_k(), _requested_filters()
        response = answer(query, k, filters)
        if _wants_json():
            return jsonify(response.to_json())
        return render_template(
            "results.html",
            # What was searched, where more was typed than that.
            query=query if len(query) <= MOST_CHARACTERS else clean_query(query),
            response=response,
            more=more_of(response, k),
            narrowed=_narrowing() if filters else {},
            library=library_of(response.build),
        )

    @app.get("/similar")
    def similar() -> ResponseReturnValue:
        book_id, k = request.args.get("book_id", ""), _requested_k()
        response = searcher.similar(book_id, k)
        if _wants_json():
            return jsonify(response.to_json())
        return render_template(
            "similar.html",
            book_id=book_id,
            title=request.args.get("title", "")[:MOST_CHARACTERS],
            response=response,
            more=more_of(response, k),
            library=library_of(response.build),
        )

    def more_of(response: SearchResponse, k: int) -> int | None:
        """How many books to offer next, if there may be more."""
        return min(k + DEFAULT_K, MOST_RESULTS) if len(response.results) == k < MOST_RESULTS else None

    def answer(query: str, k: int, filters: Filters) -> SearchResponse:
        """Search, and leave a trace in the metrics and the query log whatever comes of it."""
        response, status, started = None, 500, time.perf_counter()
        try:
            response = searcher.search(query, k, filters)
            status = 200
        except ViberaryError as error:
            status = _status_of(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.search_seconds.observe(seconds)
            if log:
                log.append(
                    query=query,
                    build=response.build if response else None,
                    k=k,
                    milliseconds=seconds * 1000,
                    work_ids=[hit.work_id for hit in response.results] if response else [],
                    status=status,
                )
        return response

    def library_of(build: str) -> Readiness:
        """The footer's facts. A build never changes, so Redis is asked only when another one answers."""
        nonlocal library
        if library is not None and library.build == build:
            return library
        now = searcher.readiness()
        library = now if now.ready else None  # the count of an index that is still loading changes
        return now


def _add_operations(app: Flask, searcher: SearchBackend, metrics: Metrics) -> None:
    """What load balancers and monitoring ask for."""

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}  # the process answers; whether it can search is the next route's question

    @app.get("/readyz")
    def readyz() -> ResponseReturnValue:
        now = searcher.readiness()
        body = {"ready": now.ready, "build": now.build, "documents": now.documents, "reason": now.reason}
        return body, 200 if now.ready else 503

    @app.get("/metrics")
    def metrics_text() -> ResponseReturnValue:
        return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _add_error_pages(app: Flask) -> None:
    """Every failure as a page in the same clothes, or as `{"error", "status"}` for a program."""

    @app.errorhandler(ViberaryError)
    def refused(error: ViberaryError) -> Response:
        status = _status_of(error)
        blank = status == 400 and not request.values.get("query", "").strip()
        heading, advice = BLANK_QUERY if blank else MESSAGES[status]
        # The rest of the message is for the operator and may name hosts and folders; so may all of other errors'.
        what = error.what if isinstance(error, QueryError | SearchError) else None
        response = _failure(status, heading, what, advice)
        if status == 503:
            logger.warning("Cannot search: %s", error)
            response.headers["Retry-After"] = "10"
        return response

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        status = error.code or 500
        heading, advice = MESSAGES.get(status, (error.name, "Start again with the search box above."))
        response = _failure(status, heading, _reason(error), advice)
        if status == 405:
            response.headers["Allow"] = error.get_response().headers["Allow"]
        return response


def _failure(status: int, heading: str, what: str | None, advice: str) -> Response:
    if _wants_json():
        response = jsonify(error=what or heading, status=status)
    else:
        shown = {"query": request.args.get("query", "")[:MOST_CHARACTERS], "status": status, "heading": heading}
        response = make_response(render_template("message.html", **shown, what=what, advice=advice))
    response.status_code = status
    return response


def _reason(error: HTTPException) -> str | None:
    """Our own words for a refused value; werkzeug's general ones add nothing to the heading."""
    return error.description if isinstance(error, BadRequest) else None


def _status_of(error: ViberaryError) -> int:
    return 400 if isinstance(error, QueryError) else 503


def _requested_k() -> int:
    """The number of books asked for. Raises `BadRequest` if it is not one that the page gives."""
    text = request.values.get("k", "").strip() or str(DEFAULT_K)
    # The length first: int() refuses thousands of digits with an error of its own.
    if len(text) <= 3 and text.isascii() and text.isdigit() and 1 <= (k := int(text)) <= MOST_RESULTS:
        return k
    raise BadRequest(f"The number of books (k) is a whole number from 1 to {MOST_RESULTS}.")


def _requested_filters() -> Filters:
    """What the search is narrowed by. Raises `QueryError` for a value that is none."""
    typed = _narrowing()
    return Filters.of(typed["language"].split(","), typed["min_reviews"], typed["years"])


def _narrowing() -> dict[str, str]:
    """The fields of the form that narrow a search, as they were typed. Raises `BadRequest` for a longer text."""
    typed = {name: request.values.get(name, "").strip() for name in ("language", "min_reviews", "years")}
    if any(len(value) > MOST_CHARACTERS_OF_A_FILTER for value in typed.values()):
        raise BadRequest("What a search is narrowed by is a few characters long.")
    return typed


def _wants_json() -> bool:
    # From the address, not the form: a form that is too large to be read needs an answer as well.
    if (wanted := request.args.get("format")) is not None:
        return wanted == "json"
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
