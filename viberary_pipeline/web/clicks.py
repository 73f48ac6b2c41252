"""Clicks: which work a reader opened from the results of which search, and nothing of the reader.

A link from a list of results to a book carries the search, which the way back needs anyway, and the book's rank. The
page of the book logs them; `/go/<id>` does so too and leads to where the book is told of elsewhere. Where that is comes
from the index, by the id: nothing in an address can lead anywhere else.
"""

from typing import Any

from flask import Flask, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from viberary_pipeline.errors import BookNotFound
from viberary_pipeline.search.searcher import MOST_RESULTS
from viberary_pipeline.web.parameters import filters_of, typed_filters, way_back
from viberary_pipeline.web.presentation import safe_link
from viberary_pipeline.web.service import Service

_PREFETCH = ("Sec-Purpose", "Purpose", "X-Moz", "X-Purpose")


def add_clicks(app: Flask, service: Service) -> None:
    """The route `/go/<id>`, and for templates `this_click()` and `logs_clicks`."""
    app.jinja_env.globals.update(this_click=this_click, logs_clicks=service.log is not None)

    @app.get("/go/<book_id>")
    def go(book_id: str) -> ResponseReturnValue:
        try:
            book = service.searcher.book(book_id)
        except BookNotFound:  # its page says so, and offers the nearest
            search: dict[str, Any] = {**way_back()}
            return redirect(url_for("book", book_id=book_id, **search))
        record_click(service, book.work_id)
        g.leads_to = safe_link(book.link)
        answer = redirect(g.leads_to or url_for("book", book_id=book.book_id))
        answer.headers["Cache-Control"] = "no-store"  # or a second click would not come here
        return answer


def this_click() -> dict[str, Any]:
    """The search that led here and the rank at which the book stood, as values of an address; nothing without both."""
    rank, search = request.args.get("rank", ""), way_back()
    known = search and len(rank) <= 3 and rank.isascii() and rank.isdigit() and 1 <= int(rank) <= MOST_RESULTS
    return {**search, "rank": int(rank)} if known else {}


def record_click(service: Service, work_id: str) -> None:
    """Log that a reader opened this work, if this request is a click and no browser's preparation for one."""
    click = this_click()
    if service.log and click and request.method == "GET" and not any(name in request.headers for name in _PREFETCH):
        filters = filters_of({name: click.get(name, "") for name in typed_filters()}).set_fields()
        service.log.click(query=click["query"], filters=filters, work_id=work_id, rank=click["rank"])
