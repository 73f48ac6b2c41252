"""The pages about one book: the book itself, books like it, and one picked at random."""

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue

from viberary_pipeline.errors import BookNotFound, QueryError
from viberary_pipeline.search.books import Book
from viberary_pipeline.search.query import MOST_CHARACTERS
from viberary_pipeline.search.searcher import Hit
from viberary_pipeline.web.clicks import record_click
from viberary_pipeline.web.failures import status_of
from viberary_pipeline.web.narrowing import set_fields
from viberary_pipeline.web.pages import more_of
from viberary_pipeline.web.parameters import requested_filters, requested_k, typed_filters, wants_json, way_back
from viberary_pipeline.web.service import Service

SIMILAR_BOOKS = 6
NEAREST_BOOKS = 5
"""Offered in place of a book that is not in today's library."""


def add_books(app: Flask, service: Service) -> None:
    """The routes `/book/<id>`, `/similar` and `/lucky`."""

    @app.get("/book/<book_id>")
    def book(book_id: str) -> ResponseReturnValue:
        try:
            found = service.searcher.book(book_id)
            record_click(service, found.work_id)
            return jsonify(found.to_json()) if wants_json() else page_about(found, "book.html")
        except BookNotFound as error:
            return not_in_library(error)

    @app.get("/lucky")
    def lucky() -> ResponseReturnValue:
        try:
            answer = make_response(page_of_a_pick())
        except BookNotFound:  # another build was published meanwhile, without this book
            answer = make_response(page_of_a_pick())
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get("/similar")
    def similar() -> ResponseReturnValue:
        k = requested_k()
        try:
            filters = requested_filters()
            response = service.searcher.similar(request.args.get("book_id", ""), k, filters)
            if wants_json():
                return jsonify(response.to_json())
            found = service.searcher.book(response.query)
        except BookNotFound as error:
            return not_in_library(error)
        return render_template(
            "similar.html",
            book=found,
            response=response,
            more=more_of(response, k),
            kept=set_fields(typed_filters(), filters),
            library=service.library_of(response.build),
        )

    def page_of_a_pick() -> Response | str:
        pick = service.searcher.lucky()
        return jsonify(pick.to_json()) if wants_json() else page_about(pick.book, "lucky.html", telling=pick.telling)

    def page_about(book: Book, template: str, **more: str) -> str:
        return render_template(
            template,
            book=book,
            volumes=service.searcher.volumes(book),
            similar=service.searcher.similar(book.book_id, SIMILAR_BOOKS).results,
            back=way_back(),
            library=service.library_of(book.build),
            **more,
        )

    def not_in_library(error: BookNotFound) -> Response:
        """What a link to a book says that another build had: the nearest by the title that the link carries."""
        if wants_json():
            raise error
        title = request.args.get("title", "").strip()[:MOST_CHARACTERS]
        page = render_template("not_in_library.html", title=title, nearest=nearest(title), back=way_back())
        return make_response(page, status_of(error))

    def nearest(title: str) -> tuple[Hit, ...]:
        try:
            return service.searcher.search(title, NEAREST_BOOKS).results
        except QueryError:  # no title, or one without a word
            return ()
