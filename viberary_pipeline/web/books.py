"""The pages about one book: the book itself, books like it, and one picked at random."""

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue

from viberary_pipeline.errors import BookNotFound, QueryError
from viberary_pipeline.search.books import Book, Volume
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.query import MOST_CHARACTERS
from viberary_pipeline.search.searcher import Hit, SearchResponse
from viberary_pipeline.web.clicks import record_click
from viberary_pipeline.web.failures import status_of
from viberary_pipeline.web.narrowing import set_fields
from viberary_pipeline.web.pages import more_of
from viberary_pipeline.web.parameters import requested_filters, requested_k, typed_filters, wants_json, way_back
from viberary_pipeline.web.service import Service

SIMILAR_BOOKS = 6
NEAREST_BOOKS = 5
"""Offered in place of a book that is not in today's library."""
_ATTEMPTS = 3


def add_books(app: Flask, service: Service) -> None:
    """The routes `/book/<id>`, `/similar` and `/lucky`."""

    @app.get("/book/<book_id>")
    def book(book_id: str) -> ResponseReturnValue:
        try:
            if wants_json():
                found = service.searcher.book(book_id)
                answer: ResponseReturnValue = jsonify(found.to_json())
            else:
                found, answer = page_about(book_id, "book.html")
        except BookNotFound as error:
            return not_in_library(error)
        record_click(service, found.work_id)
        return answer

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
            book_id = request.args.get("book_id", "")
            if wants_json():
                return jsonify(service.searcher.similar(book_id, k, filters).to_json())
            found, _, response = with_similar(book_id, k, filters)
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
        if wants_json():
            return jsonify(pick.to_json())
        return page_about(pick.book.book_id, "lucky.html", telling=pick.telling)[1]

    def page_about(book_id: str, template: str, **more: str) -> tuple[Book, str]:
        book, volumes, similar = with_similar(book_id, SIMILAR_BOOKS)
        return book, render_template(
            template,
            book=book,
            volumes=volumes,
            similar=similar.results,
            back=way_back(),
            library=service.library_of(book.build),
            **more,
        )

    def with_similar(
        book_id: str, k: int, filters: Filters | None = None
    ) -> tuple[Book, tuple[Volume, ...], SearchResponse]:
        """A book and its neighbours, of one build: asked again where another is published meanwhile."""
        for _ in range(_ATTEMPTS):
            book = service.searcher.book(book_id)
            volumes, similar = service.searcher.volumes(book), service.searcher.similar(book_id, k, filters)
            if similar.build == book.build:
                break
        return book, volumes, similar

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
