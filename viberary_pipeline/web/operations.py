"""What load balancers and monitoring ask for."""

from flask import Flask, Response
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from viberary_pipeline.web.service import Service


def add_operations(app: Flask, service: Service) -> None:
    """The routes `/healthz`, `/readyz` and `/metrics`."""

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}  # the process answers; whether it can search is the next route's question

    @app.get("/readyz")
    def readyz() -> ResponseReturnValue:
        now = service.searcher.readiness()
        service.metrics.ready.set(now.ready)
        body = {"ready": now.ready, "build": now.build, "documents": now.documents, "reason": now.reason}
        return body, 200 if now.ready else 503

    @app.get("/metrics")
    def metrics_text() -> ResponseReturnValue:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE_LATEST)
