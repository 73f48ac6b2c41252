"""Refuses requests beyond the server's queue, and those of a client beyond its rate."""

import ipaddress
import logging
import math
import secrets
import time

from flask import Flask, request
from limits import parse_many
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests
from werkzeug.middleware.proxy_fix import ProxyFix

from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web.seldom import Seldom
from viberary_pipeline.web.service import Service

logger = logging.getLogger(__name__)

BUSY = "VIBERARY_BUSY"
"""The header by which the server marks a request that it has no place for, with `BUSY_MARK` as its value."""

BUSY_MARK = secrets.token_hex()
"""No client knows it, so none can pass for refused."""

# What operators ask for, what a page is made of, and what a reader's keys ask for while one types.
_UNLIMITED = {"api_suggest", "healthz", "readyz", "metrics_text", "static"}

_IN_TIME = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
"""Of a Redis that counts requests: one that hangs must not hold the threads that answer."""


def add_limits(app: Flask, service: Service, web: WebSettings) -> None:
    """Refuse a marked request with 503, and one beyond `web.rate` with 429; both say when to try again."""
    if web.proxies:
        # The client's address, and whether it came by HTTPS: no host, port or path is ever taken from a request.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=web.proxies, x_proto=web.proxies, x_host=0, x_port=0, x_prefix=0
        )
    seldom = Seldom(logger)
    rates = parse_many(web.rate) if web.rate else []
    limiter = MovingWindowRateLimiter(storage_from_string(web.rate_storage, **_IN_TIME)) if rates else None

    @app.before_request
    def refuse() -> None:
        if request.environ.get(f"HTTP_{BUSY}") == BUSY_MARK:
            service.metrics.refused.labels("queue").inc()
            raise ServiceUnavailable("Too many readers ask at this moment", retry_after=1)
        if limiter is None or request.endpoint in _UNLIMITED:
            return
        client = client_of(request.remote_addr or "")
        try:
            full = [rate for rate in rates if not limiter.hit(rate, client)]
            wait = max((limiter.get_window_stats(rate, client).reset_time - time.time() for rate in full), default=0)
        except Exception as error:  # each kind of storage has its own
            seldom.warn("Requests cannot be counted (they are answered): %s: %s", type(error).__name__, error)
            return
        if full:
            service.metrics.refused.labels("rate").inc()
            raise TooManyRequests(retry_after=max(1, math.ceil(wait)))


def client_of(address: str) -> str:
    """Whom a request counts for: an IPv4 address, or the /64 network that one customer has of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found) if found.version == 4 else str(ipaddress.ip_network((int(found), 64), strict=False))
