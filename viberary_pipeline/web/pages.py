"""The start page and the lists of books: results of a search, and books like one.

Readers search by GET, so that an address can be shared, bookmarked and reloaded. A POST with the same fields
gets the same answer directly: it is for programs, which a redirect would only cost a round trip.
"""

from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from viberary_pipeline.search.query import MOST_CHARACTERS, clean_query
from viberary_pipeline.search.searcher import MOST_RESULTS, SearchResponse
from viberary_pipeline.web.parameters import (
    DEFAULT_K,
    requested_exact,
    requested_filters,
    requested_k,
    typed_filters,
    wants_json,
)
from viberary_pipeline.web.service import Service


def add_pages(app: Flask, service: Service) -> None:
    """The routes `/`, `/search` and `/similar`."""

    @app.get("/")
    def start() -> ResponseReturnValue:
        return render_template("start.html", library=service.searcher.readiness())

    @app.route("/search", methods=["GET", "POST"])
    def search() -> ResponseReturnValue:
        query, k, filters, exact = (
            request.values.get("query", ""),
            requested_k(),
            requested_filters(),
            requested_exact(),
        )
        response = service.search(query, k, filters, exact=exact)
        if wants_json():
            return jsonify(response.to_json())
        return render_template(
            "results.html",
            # What was searched, where more was typed than that.
            query=query if len(query) <= MOST_CHARACTERS else clean_query(query),
            response=response,
            more=_more_of(response, k),
            narrowed=typed_filters() if filters else {},
            exact=exact,
            library=service.library_of(response.build),
        )

    @app.get("/similar")
    def similar() -> ResponseReturnValue:
        book_id, k = request.args.get("book_id", ""), requested_k()
        response = service.searcher.similar(book_id, k)
        if wants_json():
            return jsonify(response.to_json())
        return render_template(
            "similar.html",
            book_id=book_id,
            title=request.args.get("title", "")[:MOST_CHARACTERS],
            response=response,
            more=_more_of(response, k),
            library=service.library_of(response.build),
        )


def _more_of(response: SearchResponse, k: int) -> int | None:
    """How many books to offer next, if there may be more."""
    return min(k + DEFAULT_K, MOST_RESULTS) if len(response.results) == k < MOST_RESULTS else None
