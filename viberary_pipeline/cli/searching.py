"""`viberary search` and `viberary similar`."""

import functools
import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.cli.homes import open_searcher
from viberary_pipeline.errors import QueryError, ViberaryError
from viberary_pipeline.settings import load_settings


def _narrowing(command: Any) -> Any:
    """The options that narrow a search; they reach the command as `filters`."""

    @functools.wraps(command)
    def narrowed(*, languages: tuple[str, ...], min_reviews: int, years: str | None, genre: str, **others: Any) -> None:
        from viberary_pipeline.search.filters import Filters

        try:
            filters = Filters.of(languages, min_reviews, years, genre)
        except QueryError as error:
            raise click.UsageError(f"{error.what}: expected {error.expected}, found {error.found}") from error
        command(filters=filters, **others)

    for option in (
        click.option("--genre", default="", help="Only this genre, named as on the page, such as fantasy."),
        click.option("--years", metavar="FROM-TO", help="Years of publication: 1990-1999, 1990- or -1999."),
        click.option("--min-reviews", default=0, type=click.IntRange(0), help="The least number of reviews."),
        click.option(
            "--language",
            "languages",
            multiple=True,
            help="Only this language: en, English, und (unknown). May be repeated.",
        ),
    ):
        narrowed = option(narrowed)
    return narrowed


@main.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, 100), help="Number of results for each query."
)
@_narrowing
@click.option("--exact", is_flag=True, help="Correct no typos.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per query.")
def search(query: tuple[str, ...], k: int, filters: Any, exact: bool, as_json: bool) -> None:
    """Search the live index. The words of QUERY are one query; '-' reads queries from standard input, one a line."""
    searcher = open_searcher(load_settings())
    if query != ("-",):
        _print_response(searcher.search(" ".join(query), k, filters, exact=exact), as_json)
        return
    failures: list[Exception] = []

    def report(error: Exception) -> None:
        click.echo(f"viberary: {error if isinstance(error, ViberaryError) else repr(error)}", err=True)
        if not isinstance(error, QueryError):  # that one says something of the line, not of the search
            failures.append(error)

    for response in searcher.search_each(_lines(sys.stdin), k, filters, exact=exact, report=report):
        _print_response(response, as_json)
    if failures:
        raise SystemExit(1)


@main.command()
@click.argument("book_id")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 100), help="Number of results.")
@_narrowing
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, as `search --json` does.")
def similar(book_id: str, k: int, filters: Any, as_json: bool) -> None:
    """Show the books most like a book. BOOK_ID is the book_id or work_id of a result, an ISBN or an ASIN."""
    _print_response(open_searcher(load_settings()).similar(book_id, k, filters), as_json)


def _print_response(response: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(response.to_json()))
        return
    click.echo(f"{response.query}")
    if response.corrected:
        click.echo(f"  (searched for: {response.corrected}; --exact takes each word as it is typed)")
    for note in response.notes:
        click.echo(f"  ({note})")
    for hit in response.results:
        click.echo(f"  {hit.rank:>3}. {hit.score:.3f}  {hit}")


def _lines(stream: Any) -> Iterator[str]:
    stream.reconfigure(errors="replace")  # a byte that is no UTF-8 becomes U+FFFD, not an exception
    for line in stream:
        yield line.rstrip("\r\n")
