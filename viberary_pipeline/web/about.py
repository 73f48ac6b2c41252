"""The page that says what this is: how it works, whose the data are, what is logged, which build is live."""

from flask import Flask, render_template
from flask.typing import ResponseReturnValue

from viberary_pipeline import __version__
from viberary_pipeline.web.service import Service


def add_about(app: Flask, service: Service, *, log_days: int) -> None:
    """The route `/about`, also while nothing is live. `log_days`: how long searches are kept; 0: not at all."""

    @app.get("/about")
    def about() -> ResponseReturnValue:
        library = service.searcher.readiness()
        return render_template("about.html", library=library, log_days=log_days, version=__version__)
