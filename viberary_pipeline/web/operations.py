"""What load balancers, monitoring and crawlers ask for."""

from flask import Flask, Response
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from viberary_pipeline.web.service import Service

# A crawler that follows the results of a search would be logged as a reader who opened each of them.
ROBOTS = "User-agent: *\n" + "".join(f"Disallow: /{part}\n" for part in ("search", "similar", "lucky", "go/", "api/"))


def add_operations(app: Flask, service: Service) -> None:
    """The routes `/healthz`, `/readyz`, `/metrics` and `/robots.txt`."""

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}  # the process answers; whether it can search is the next route's question

    @app.get("/readyz")
    def readyz() -> ResponseReturnValue:
        now = service.searcher.readiness()
        service.metrics.ready.set(now.ready)
        return now.to_json(), 200 if now.ready else 503

    @app.get("/metrics")
    def metrics_text() -> ResponseReturnValue:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE_LATEST)

    @app.get("/robots.txt")
    def robots() -> ResponseReturnValue:
        return Response(ROBOTS, mimetype="text/plain")
