"""The Flask app: what all routes share. Each concern adds its routes: `pages`, `api`, `operations`, `failures`."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider
from flask_bootstrap import Bootstrap5

from viberary_pipeline import __version__
from viberary_pipeline.web.about import add_about
from viberary_pipeline.web.api import add_api
from viberary_pipeline.web.books import add_books
from viberary_pipeline.web.failures import add_error_pages
from viberary_pipeline.web.operations import add_operations
from viberary_pipeline.web.pages import add_pages
from viberary_pipeline.web.presentation import FILTERS
from viberary_pipeline.web.service import SearchBackend, Service

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
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals.update(version=__version__, examples=EXAMPLES)

    service = Service(searcher, query_log=query_log)
    add_pages(app, service)
    add_books(app, service)
    add_about(app, service, logs=query_log is not None)
    add_api(app, service)
    add_operations(app, service)
    add_error_pages(app)

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "(none)"
        service.metrics.requests.labels(route, str(response.status_code)).inc()
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
