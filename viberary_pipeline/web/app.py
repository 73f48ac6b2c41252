"""The Flask app: what all routes share. Each concern adds its routes: `pages`, `api`, `operations`, `failures`."""

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider

from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web.about import add_about
from viberary_pipeline.web.addresses import add_addresses
from viberary_pipeline.web.api import add_api
from viberary_pipeline.web.assets import add_assets
from viberary_pipeline.web.books import add_books
from viberary_pipeline.web.cached import RenderedPages
from viberary_pipeline.web.clicks import add_clicks
from viberary_pipeline.web.covers import covers_from
from viberary_pipeline.web.failures import add_error_pages
from viberary_pipeline.web.limits import add_limits
from viberary_pipeline.web.operations import add_operations
from viberary_pipeline.web.pages import add_pages
from viberary_pipeline.web.popular import add_popular
from viberary_pipeline.web.presentation import FILTERS
from viberary_pipeline.web.prometheus import Metrics
from viberary_pipeline.web.query_log import QueryLog
from viberary_pipeline.web.service import SearchBackend, Service

MAX_FORM_BYTES = 32 * 2**10

EXAMPLES = (
    "funny sci-fi",
    "cold-blooded revenge",
    "sprawling multi-generational epic about trees and people",
)

# The icon of the page is a data: image.
_IMAGES = "img-src 'self' data:"
CONTENT_SECURITY_POLICY = (
    f"default-src 'self'; script-src 'self'; {_IMAGES}; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_UNUSED_FEATURES = (
    "accelerometer autoplay camera display-capture encrypted-media fullscreen geolocation gyroscope magnetometer "
    "microphone midi payment picture-in-picture publickey-credentials-get screen-wake-lock usb xr-spatial-tracking"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED_FEATURES.split()),
    # The reader's words are in the address: no other site may see them.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
}
"""Of every answer: what OWASP's Secure Headers Project asks of a page that needs nothing from elsewhere."""

HTTPS_FOR = "max-age=31536000"
"""Strict-Transport-Security, where the request came by HTTPS. Other hosts of the domain are not ours to bind."""


def headers_with(hosts: Sequence[str]) -> dict[str, str]:
    """`HEADERS` of a page that shows pictures of these hosts: they are asked for without cookies."""
    if not hosts:
        return HEADERS
    policy = CONTENT_SECURITY_POLICY.replace(_IMAGES, " ".join([_IMAGES, *(f"https://{host}" for host in hosts)]))
    return {**HEADERS, "Content-Security-Policy": policy, "Cross-Origin-Embedder-Policy": "credentialless"}


def create_app(
    searcher: SearchBackend, *, query_log: Path | None, web: WebSettings | None = None, metrics: Metrics | None = None
) -> Flask:
    """The app over one searcher.

    Args:
        searcher: Answers the queries; called from several threads at once.
        query_log: The file that each search and click is appended to; None keeps no log.
        web: Limits, and how long the log is kept.
        metrics: Counters that something else counts with, too.
    """
    app = Flask(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
    )
    app.json = DefaultJSONProvider(app)
    app.json.sort_keys = False  # the order of `viberary search --json`
    app.jinja_env.filters.update(FILTERS)
    web = web or WebSettings()
    headers = headers_with(web.cover_hosts)
    app.jinja_env.globals.update(
        examples=EXAMPLES,
        cover=covers_from(web.cover_hosts),
        cover_hosts=web.cover_hosts,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    log = None
    if query_log and web.log_days:
        log = QueryLog(query_log, days=web.log_days, total_bytes=web.log_megabytes * 2**20)
    service = Service(searcher, query_log=log, metrics=metrics or Metrics())

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()

    add_limits(app, service, web)
    add_addresses(app)
    add_assets(app)
    add_pages(app, service, RenderedPages(web.cache * 2**20))
    add_books(app, service)
    add_clicks(app, service)
    add_popular(app, service, web)
    add_about(app, service, log_days=web.log_days if log else 0)
    add_api(app, service)
    add_operations(app, service)
    add_error_pages(app)

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "(none)"
        service.metrics.request_seconds.labels(route).observe(time.perf_counter() - g.started)
        service.metrics.requests.labels(route, str(response.status_code)).inc()
        location = response.headers.get("Location")
        if location and location != g.get("leads_to"):  # werkzeug's repeats the host that the request names
            parts = urlsplit(location)
            response.headers["Location"] = urlunsplit(("", "", f"/{parts.path.lstrip('/')}", parts.query, ""))
            response.set_data(b"")
        response.headers.update(headers)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = HTTPS_FOR
        response.headers.setdefault("Cache-Control", "no-cache")
        response.vary.add("Accept")
        return response

    return app
