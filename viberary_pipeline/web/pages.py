"""The start page and the results of a search.

Readers search by GET, so that an address can be shared, bookmarked and reloaded. A POST with the same fields
gets the same answer directly: it is for programs, which a redirect would only cost a round trip.
"""

from collections.abc import Mapping

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from viberary_pipeline.search.facets import Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.query import MOST_CHARACTERS, clean_query
from viberary_pipeline.search.searcher import MOST_RESULTS, Readiness, SearchResponse
from viberary_pipeline.web.cached import RenderedPages
from viberary_pipeline.web.narrowing import chips, language_choices, language_label, reason_for_nothing, set_fields
from viberary_pipeline.web.parameters import (
    DEFAULT_K,
    FILTER_FIELDS,
    filters_of,
    requested_exact,
    requested_filters,
    requested_k,
    typed_filters,
    wants_json,
    way_back,
)
from viberary_pipeline.web.service import Service

LONGEST_CARRIED = 1000
"""Characters of a query that the links of its results lead back to."""


def add_pages(app: Flask, service: Service, rendered: RenderedPages) -> None:
    """The routes `/` and `/search`; every page has the form and the footer, which tell of the build."""

    @app.context_processor
    def of_every_page() -> dict[str, Facets | Readiness | None]:
        return {"facets": service.facets, "library": service.last_library}

    @app.get("/")
    def start() -> ResponseReturnValue:
        return render_template("start.html", library=service.readiness())

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
        library = service.library_of(response.build)
        if not response.results:
            return page_of(query, k, filters, exact, response, library)
        address = (query, k, exact, *typed_filters().items())
        shown = (response.results, library)
        page = rendered.page(address, shown, lambda: page_of(query, k, filters, exact, response, library))
        return Response(page, mimetype="text/html")

    def page_of(query: str, k: int, filters: Filters, exact: bool, response: SearchResponse, library: Readiness) -> str:
        narrowed = set_fields(typed_filters(), filters)
        narrowing, languages = chips(narrowed, library.counted), language_choices(service.facets.languages)
        # The switch says it already.
        said = language_label(narrowed["language"]) if narrowed.get("language") in languages else None

        def finds(fields: Mapping[str, str]) -> bool:
            without = filters_of({**dict.fromkeys(FILTER_FIELDS, ""), **fields})
            return bool(service.searcher.search(query, 1, without).results)

        reason = None if response.results else reason_for_nothing(narrowing, finds)
        return render_template(
            "results.html",
            # What was searched, where more was typed than that.
            query=query if len(query) <= MOST_CHARACTERS else clean_query(query),
            response=response,
            more=more_of(response, k),
            narrowed=narrowed,
            languages=languages,
            chips=[chip for chip in narrowing if not response.results or chip.label != said],
            reason=reason,
            exact=exact,
            # Each book's link carries the search: not a text of pages.
            back=way_back() if len(query) <= LONGEST_CARRIED else {},
            library=library,
        )


def more_of(response: SearchResponse, k: int) -> int | None:
    """How many books to offer next, if there may be more."""
    return min(k + DEFAULT_K, MOST_RESULTS) if len(response.results) == k < MOST_RESULTS else None
