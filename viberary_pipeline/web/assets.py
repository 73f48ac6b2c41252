"""The page's own files, under addresses that change with their content: a browser keeps each for ever."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Response, request, url_for

FOR_EVER = "public, max-age=31536000, immutable"


def add_assets(app: Flask) -> None:
    """The function `asset` for templates, and how long browsers keep what it names."""
    folder = Path(str(app.static_folder))

    @cache
    def digest(name: str) -> str:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]

    @app.template_global()
    def asset(name: str) -> str:
        """The address of a file of `static/`."""
        return url_for("static", filename=name, v=digest(name))

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in (200, 304):
            named = request.args.get("v") == digest((request.view_args or {})["filename"])
            response.headers["Cache-Control"] = FOR_EVER if named else "no-cache"
        return response
