"""The Flask app: a start page, the results, and what operators need (health, readiness, metrics).

Readers search by GET, so that an address can be shared, bookmarked and reloaded. A POST with the same fields gets
the same answer directly: it is for programs, and a redirect would only cost them a round trip (and their query a
cut at whatever length of address the way allows).
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import BadRequest, HTTPException

from viberary_pipeline import __version__
from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.search.searcher import Hit, QueryError, Readiness, SearchResponse
from viberary_pipeline.web.metrics import Metrics
from viberary_pipeline.web.presentation import counted, safe_link, shorten
from viberary_pipeline.web.query_log import QueryLog

logger = logging.getLogger(__name__)

DEFAULT_K, MAX_K = 10, 50
MAX_FORM_BYTES = 32 * 2**10

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

# What the reader is told: heading, then what to do.
MESSAGES = {
    400: ("That search did not work", "Check the address, or start again with a few words."),
    404: ("There is no such page", "The address may be mistyped. The search box above always works."),
    405: ("This page cannot be asked that way", "Start again with the search box above."),
    413: ("That is too much text", "Describe the book in a few words or sentences."),
    500: ("Something broke on our side", "It has been noted. Try again, or try other words."),
    503: ("The library is not open yet", "No index can be searched at this moment. Try again in a little while."),
}


class SearchBackend(Protocol):
    """What the app needs of `viberary_pipeline.search.searcher.Searcher`."""

    def search(self, query: str, k: int = DEFAULT_K) -> SearchResponse:
        """The `k` nearest books. Raises `QueryError` for an unusable query, `ViberaryError` if it cannot search."""

    def readiness(self) -> Readiness:
        """Whether a whole index is there to be searched, and which."""


@dataclass
class _Library:
    """The published build and its size as the footer states them: both fixed as long as the build stays."""

    build: str | None = None
    documents: int = 0


def create_app(searcher: SearchBackend, *, query_log: Path | None) -> Flask:
    """The app over one searcher.

    Args:
        searcher: Answers the queries; used from several threads at once.
        query_log: The file that each search is appended to; None keeps no log.
    """
    app = Flask(__name__)
    app.config.update(
        BOOTSTRAP_SERVE_LOCAL=True,
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    Bootstrap5(app)
    app.jinja_env.filters.update(shorten=shorten, safe_link=safe_link, counted=counted)
    app.jinja_env.globals.update(version=__version__)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    metrics = Metrics()
    log = QueryLog(query_log) if query_log else None

    _add_search(app, searcher, metrics, log)
    _add_operations(app, searcher, metrics)
    _add_error_pages(app)

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "(none)"
        metrics.requests.labels(route, str(response.status_code)).inc()
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        # The reader's words are in the address: no other site is told them.
        response.headers["Referrer-Policy"] = "no-referrer"
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-cache"
        return response

    return app


def _add_search(app: Flask, searcher: SearchBackend, metrics: Metrics, log: QueryLog | None) -> None:
    """The start page and the results."""
    library = _Library()

    def describe(build: str | None = None) -> _Library:
        """The size of `build`, asked of Redis only when the published build has changed."""
        nonlocal library
        if build is None or build != library.build:
            readiness = searcher.readiness()
            library = _Library(readiness.build, readiness.documents)
        return library

    @app.get("/")
    def start() -> ResponseReturnValue:
        readiness = searcher.readiness()
        library = _Library(readiness.build, readiness.documents)
        return render_template("start.html", examples=EXAMPLES, readiness=readiness, library=library)

    @app.route("/search", methods=["GET", "POST"])
    def search() -> ResponseReturnValue:
        query, k = request.values.get("query", ""), _requested_k()
        found = timed_search(query, k)
        if _wants_json():
            return jsonify(as_json(found))
        more = min(k + DEFAULT_K, MAX_K) if len(found.results) == k < MAX_K else None
        return render_template("results.html", found=found, more=more, library=describe(found.build))

    def timed_search(query: str, k: int) -> SearchResponse:
        """Search, and leave the search in the metrics and in the query log whatever comes of it."""
        found, status, started = None, 500, time.perf_counter()
        try:
            found = searcher.search(query, k)
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
                    build=found.build if found else None,
                    k=k,
                    milliseconds=seconds * 1000,
                    work_ids=[hit.work_id for hit in found.results] if found else [],
                    status=status,
                )
        return found


def _add_operations(app: Flask, searcher: SearchBackend, metrics: Metrics) -> None:
    """What load balancers and monitoring ask for."""

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}  # the process answers; whether it can search is readyz's question

    @app.get("/readyz")
    def readyz() -> ResponseReturnValue:
        readiness = searcher.readiness()
        body = {
            "ready": readiness.ready,
            "build": readiness.build,
            "documents": readiness.documents,
            "reason": readiness.reason,
        }
        return body, 200 if readiness.ready else 503

    @app.get("/metrics")
    def metrics_text() -> ResponseReturnValue:
        return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _add_error_pages(app: Flask) -> None:
    """Every failure as a page in the same clothes, or as JSON for a program."""

    @app.errorhandler(ViberaryError)
    def refused(error: ViberaryError) -> ResponseReturnValue:
        status = _status_of(error)
        if status == 503:
            logger.warning("Cannot search: %s", error)
        # An unusable query is the reader's to mend, so they are told the details; what is amiss inside is not.
        detail = error.todo if isinstance(error, QueryError) else None
        return answer(status, error.what, detail)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> ResponseReturnValue:
        if error.code is None or error.code < 400:
            return error.get_response()  # a redirect
        return answer(error.code, error.description if isinstance(error, BadRequest) else error.name)

    def answer(status: int, what: str | None, detail: str | None = None) -> ResponseReturnValue:
        headers = {"Retry-After": "10"} if status == 503 else {}
        if _wants_json():
            return {"error": what, "status": status}, status, headers
        heading, advice = MESSAGES.get(status, (what, "Start again with the search box above."))
        if status == 400 and not request.values.get("query", "").strip():
            heading, what, advice = "What are you in the mood for?", None, "Type a few words, as you would to a friend."
        page = render_template(
            "message.html", status=status, heading=heading, what=what, advice=detail or advice, examples=EXAMPLES
        )
        return page, status, headers


def as_json(found: SearchResponse) -> dict[str, Any]:
    """The object that `viberary search --json` prints for the same query."""
    return {"query": found.query, "build": found.build, "results": [_hit_as_json(hit) for hit in found.results]}
