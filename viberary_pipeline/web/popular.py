"""The chart of what readers search for and what is recommended to them, so that no one reader's query shows."""

import json
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from flask import Flask, jsonify, render_template
from flask.typing import ResponseReturnValue

from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web.log_counts import WINDOW_DAYS, Popular
from viberary_pipeline.web.parameters import wants_json
from viberary_pipeline.web.presentation import lead
from viberary_pipeline.web.query_log import QueryLog
from viberary_pipeline.web.service import Service

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""How long counts are shown before the log is counted anew."""

PATIENCE_SECONDS = 8.0
"""How long the reader whose request began the first count waits for it; others are asked to come back."""

LONGEST_SECONDS = 300


class Counts:
    """What is popular in a log: counted in the background, and shown until it is counted anew."""

    def __init__(self, log: QueryLog, web: WebSettings) -> None:
        self._log = log
        self._bounds = (str(web.popular_days), str(web.popular_searches))
        self._latest: Popular | None = None
        self._until = 0.0
        self._counting: Future[Popular | None] | None = None
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="popular")

    def get(self) -> Popular | None:
        """The latest counts; None while there are none yet."""
        with self._lock:
            begun = None
            if self._counting is None and time.monotonic() >= self._until:
                begun = self._counting = self._background.submit(self._count)
        if self._latest is None and begun is not None:  # one at most: threads that wait here answer no search
            with suppress(TimeoutError):
                begun.result(PATIENCE_SECONDS)
        return self._latest

    def _count(self) -> None:
        try:
            self._log.prune()
            command = [sys.executable, "-m", "viberary_pipeline.web.log_counts", str(self._log.path), *self._bounds]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=True)
            counted = json.loads(done.stdout)
            self._latest = Popular(*(tuple(map(tuple, counted[name])) for name in ("queries", "works")))
        except subprocess.CalledProcessError as error:
            logger.warning("The query log cannot be counted: %s", (error.stderr.splitlines() or [error])[-1])
        except Exception as error:  # whatever became of the log, the page goes on
            logger.warning("The query log cannot be counted: %s: %s", type(error).__name__, error)
        finally:
            with self._lock:
                self._until, self._counting = time.monotonic() + FRESH_SECONDS, None


def add_popular(app: Flask, service: Service, web: WebSettings) -> None:
    """The route `/popular`."""
    counts = Counts(service.log, web) if service.log else None

    @app.get("/popular")
    def popular() -> ResponseReturnValue:
        found = counts.get() if counts else None
        counted = dict(found.works) if found else {}
        books = [  # without those of an earlier build
            {"book_id": book.book_id, "title": book.title, "author": lead(book), "queries": counted[book.work_id]}
            for book in (service.searcher.works(tuple(counted)) if counted else ())
        ]
        vibes = [{"query": query, "searches": searches} for query, searches in (found.queries if found else ())]
        if wants_json():
            return jsonify(days=WINDOW_DAYS, vibes=vibes, books=books)
        return render_template(
            "popular.html", vibes=vibes, books=books, days=WINDOW_DAYS, web=web, logs=bool(counts), counted=bool(found)
        )
