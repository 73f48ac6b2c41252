"""Addresses of books are those of `url_for`, made faster."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from flask import Flask, url_for

from viberary_pipeline.search.books import Volume
from viberary_pipeline.web.addresses import add_addresses, book_address


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/book/<book_id>", "book")
    app.add_url_rule("/similar", "similar")
    return app


@pytest.mark.parametrize("endpoint", ["book", "similar"])
@pytest.mark.parametrize("fields", [{}, {"query": "a & b = %00%01 ö?", "language": "en,fr"}])
@pytest.mark.parametrize(
    ("book_id", "title"),
    [("42", "Emma"), ("a/b?c#d%2F", "100 % “naïve” & +1\0\1"), ("OL1W", ""), ("1", "word " * 40)],
)
@pytest.mark.parametrize("root", ["", "/books"])
def test_an_address_says_what_url_for_says(app, endpoint, fields, book_id, title, root):
    book = Volume("1", book_id, title)
    with app.test_request_context(base_url=f"http://localhost{root}"):
        for rank in (None, 3):  # the second one from what the first left
            found = book_address(endpoint, book, fields, rank)
            shown = title if len(title) <= 80 else f"{title[:79]}…"
            more = {} if rank is None else {"rank": rank}
            expected = url_for(endpoint, book_id=book_id, title=shown, **fields, **more)
            assert parts_of(found) == parts_of(expected)


def parts_of(address: str) -> tuple[str, list[tuple[str, str]]]:
    parts = urlsplit(address)
    return unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))


def test_one_page_may_name_books_after_several_searches(app):
    with app.test_request_context():
        book = Volume("1", "7", "Emma")
        one, other = (book_address("book", book, {"query": query}) for query in ("sad", "glad"))
        assert (one, other) == ("/book/7?title=Emma&query=sad", "/book/7?title=Emma&query=glad")


def test_a_fixed_address_is_that_of_the_place_where_the_app_is_mounted(app):
    add_addresses(app)
    fixed_address = app.jinja_env.globals["fixed_address"]
    for root in ("", "/books", "", "/books"):
        with app.test_request_context(base_url=f"http://localhost{root}"):
            found = [fixed_address("similar"), fixed_address("book", book_id=""), fixed_address("book", book_id="7")]
            assert found == [f"{root}/similar", f"{root}/book/", f"{root}/book/7"]
