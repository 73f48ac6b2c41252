"""Addresses for pages that name many: `url_for` takes 20 microseconds, and a page of results has 40 of these links.

Those of books are filled into the address of the book before. Those that no request changes are made once.
"""

from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from flask import Flask, g, request, url_for

from viberary_pipeline.search.books import Book, Volume
from viberary_pipeline.search.hits import Hit
from viberary_pipeline.web.presentation import shorten

_ID, _TITLE = "\0", "\1"
_LONGEST_TITLE = 80
_PLAIN = "!$'()*,/:;?@"  # signs that an address may hold as they are, behind its "?"


def add_addresses(app: Flask) -> None:
    """The functions `book_address` and `fixed_address` for templates."""
    known: dict[tuple[Any, ...], str] = {}

    @app.template_global()
    def fixed_address(endpoint: str, **values: Any) -> str:
        """The address of a page whose values templates alone choose: there are only so many."""
        key = (request.root_path, endpoint, *values.items())
        if (address := known.get(key)) is None:
            address = known[key] = url_for(endpoint, **values)
        return address

    app.template_global()(book_address)


def book_address(endpoint: str, book: Book | Hit | Volume, fields: dict[str, Any], rank: int | None = None) -> str:
    """The address of a page about a book.

    Args:
        endpoint: A route with `book_id`.
        book: The book. The address also has its title, for a day when the library lacks it.
        fields: What else the address carries.
        rank: Its place in the list from which the link leads.
    """
    known = g.setdefault("book_addresses", {})
    key = (endpoint, *fields.items())
    if (parts := known.get(key)) is None:
        pattern = url_for(endpoint, book_id=_ID, title=_TITLE, **fields)
        start, rest = pattern.split(quote(_ID), 1)
        parts = known[key] = (start, *rest.split(quote(_TITLE), 1))
    start, between, end = parts
    place = "" if rank is None else f"&rank={rank}"
    return f"{start}{quote(book.book_id, safe='')}{between}{_quoted_title(book.title)}{end}{place}"


@lru_cache(maxsize=4096)
def _quoted_title(title: str) -> str:
    return quote_plus(shorten(title, _LONGEST_TITLE), safe=_PLAIN)
