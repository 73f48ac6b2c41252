"""The pages about one book, the random pick and About, over the published sample."""

import html
import re
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from viberary_pipeline.redis_contract import field_text
from viberary_pipeline.search.books import Book, Edition, Volume
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.lucky import Pick
from viberary_pipeline.search.searcher import Hit, Readiness, Searcher, SearchResponse
from viberary_pipeline.search.sentences import sentences_of
from viberary_pipeline.web.app import create_app

BOOK = Book(
    build="b1",
    work_id="10",
    book_id="1",
    title="T",
    author="A",
    contributors=(("A", ""),),
    year=None,
    year_of="",
    language="",
    description="",
    genres=(),
    rating=None,
    ratings_count=0,
    review_count=0,
    reviews=(),
    series=(),
    edition_count=1,
    editions=(),
    isbns=(),
    link="",
)


@pytest.fixture(scope="module")
def client(searcher: Searcher) -> FlaskClient:
    return create_app(searcher, query_log=None).test_client()


@pytest.fixture(scope="module")
def overstory(searcher: Searcher) -> Hit:
    return searcher.search("The Overstory", 1).results[0]


class OneBook:
    """A library of one chosen book."""

    def __init__(
        self, book: Book, *, volumes: tuple[Volume, ...] = (), telling: str = "", source: str = "given"
    ) -> None:
        self._book, self._volumes, self._telling, self._source = book, volumes, telling, source

    def book(self, book_id: str) -> Book:
        return self._book

    def volumes(self, book: Book) -> tuple[Volume, ...]:
        return self._volumes

    def lucky(self) -> Pick:
        return Pick(self._book, self._telling)

    def search(self, query: str, *_: object) -> SearchResponse:
        return SearchResponse(query, self._book.build, ())

    similar = search

    def readiness(self) -> Readiness:
        return Readiness(True, "b1", 1, "ready", source=self._source)


def page_of(book: Book, path: str = "/book/1", **beside: Any) -> str:
    return html.unescape(create_app(OneBook(book, **beside), query_log=None).test_client().get(path).text)  # type: ignore[arg-type]


def links_of(page: str) -> dict[str, str]:
    """{name of a link: its address} in the main part of a page."""
    main = re.search(r"<main.*</main>", page, re.S)
    assert main
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', main[0], re.S)
    named = [(re.sub(r"<[^>]+>|\s+", " ", name).strip(), html.unescape(address)) for address, name in found]
    assert len({html.unescape(name) for name, _ in named}) == len(named), "two links have one name"
    return {html.unescape(name): address for name, address in named}


# One book


def test_a_page_tells_of_its_book(client: FlaskClient, searcher: Searcher, overstory: Hit) -> None:
    answer = client.get(f"/book/{overstory.book_id}")
    page, book = html.unescape(answer.text), searcher.book(overstory.book_id)
    assert (answer.status_code, book.title, book.work_id) == (200, "The Overstory", overstory.work_id)
    assert "<title>The Overstory · Viberary</title>" in page
    assert page.count("<h1>") == 1
    for told in ("<h1>The Overstory</h1>", "by Richard Powers", "<dd>English</dd>", book.description, *book.reviews):
        assert told in page
    assert f"<dd>{book.year}</dd>" in page
    assert f"{book.rating:.2f} of 5, from {book.ratings_count:,} ratings" in page
    assert f"<dd>{book.review_count:,}</dd>" in page
    similar = [hit.title for hit in searcher.similar(overstory.book_id, 6).results]
    assert list(links_of(answer.text)) == ["More like The Overstory", *similar]


def test_every_id_of_a_work_leads_to_its_page(client: FlaskClient, searcher: Searcher) -> None:
    book = next(b for hit in searcher.search("love", 20).results if len((b := searcher.book(hit.book_id)).editions) > 1)
    pages = {client.get(f"/book/{i}").text for i in (book.work_id, *(edition.book_id for edition in book.editions))}
    assert len(pages) == 1


def test_programs_get_the_book_as_json(client: FlaskClient, searcher: Searcher, overstory: Hit) -> None:
    path = f"/book/{overstory.book_id}"
    told = client.get(f"{path}?format=json").json
    assert told == client.get(path, headers={"Accept": "application/json"}).json
    assert told == searcher.book(overstory.book_id).to_json()


def test_a_review_that_is_the_blurb_is_not_what_readers_say() -> None:
    told = replace(BOOK, description="A whale. A ship.", reviews=("A ship.",))
    assert "What readers say" not in page_of(told)
    page = page_of(replace(told, reviews=("A ship.", "Wet.")))
    assert re.findall("<blockquote>(.*?)</blockquote>", page) == ["Wet."]


def test_people_stand_by_their_parts() -> None:
    people = (("Ann", ""), ("Bob", ""), ("Cy", ""), ("Di", "Translator"), ("Ed", "Illustrator"), ("Flo", "Cover Art"))
    lines = re.findall(r'<p class="author">(.*?)</p>', page_of(replace(BOOK, contributors=people)))
    assert lines == ["by Ann", "with Bob and Cy", "translated by Di", "illustrated by Ed", "Cover Art: Flo"]


def test_what_is_not_known_leaves_no_gap() -> None:
    page = page_of(replace(BOOK, author="", contributors=()))
    assert re.findall("<dt>(.*?)</dt>", page) == ["Reviews"]
    assert re.findall("<h2.*?>(.*?)</h2>", page) == []
    assert "shelve it" not in page
    assert 'class="author"' not in page
    assert "The library has no description of it." in page


@pytest.mark.parametrize(
    ("year", "of", "told"),
    [
        (1965, "work", "<dt>First published</dt><dd>1965</dd>"),
        (1993, "edition", "<dt>This edition</dt><dd>1993</dd>"),
        (1993, "earliest edition", "<dt>Earliest edition known</dt><dd>1993</dd>"),
        (1900, "work, uncertain", "<dt>First published about</dt><dd>1900</dd>"),
        (1993, "", "<dt>Published</dt><dd>1993</dd>"),
        (-720, "work", "<dt>First published</dt><dd>720 BC</dd>"),
    ],
)
def test_a_year_says_of_what_it_is(year: int, of: str, told: str) -> None:
    assert told in page_of(replace(BOOK, year=year, year_of=of))


class Switched(OneBook):
    """Another build is published after the book was looked up."""

    def book(self, book_id: str) -> Book:
        found, self._book = self._book, replace(self._book, build="b2", title="T, newly told")
        return found


@pytest.mark.parametrize("path", ["/book/1", "/similar?book_id=1", "/lucky"])
def test_a_book_and_what_is_beside_it_are_of_one_build(path: str) -> None:
    page = create_app(Switched(BOOK), query_log=None).test_client().get(path).text  # type: ignore[arg-type]
    assert "T, newly told" in page


def test_editions_volumes_and_isbns_are_told() -> None:
    editions = (Edition("1", "Dune", 1990, "en", "Paperback", "Ace", "9780441013593"), Edition("2", "Le Dune"))
    book = replace(BOOK, editions=editions, edition_count=40, isbns=("9780441013593",), link="https://example.org/1")
    page = page_of(book, volumes=(Volume("2", "9", "Dune Messiah"),))
    assert 'Dune <span class="quiet">1990, English, Paperback, Ace, ISBN 9780441013593</span>' in page
    assert "<li>Le Dune</li>" in page
    for told in (
        "40 editions",
        "and 38 others",
        "<dt>ISBN</dt><dd>9780441013593</dd>",
        '<span class="volume">2</span>',
    ):
        assert told in page
    assert links_of(page) == {
        "More like T": "/similar?book_id=1&title=T",
        "Read more at example.org": "https://example.org/1",
        "Dune Messiah": "/book/9?title=Dune+Messiah",
    }


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//example.org", "data:text/html,x", "http:"])
def test_a_link_that_is_no_web_address_is_not_offered(link: str) -> None:
    assert list(links_of(page_of(replace(BOOK, link=link)))) == ["More like T"]


def test_everything_of_a_book_is_escaped() -> None:
    attack = '"><script>alert(1)</script>'
    book = replace(
        BOOK,
        title=attack,
        author=attack,
        contributors=((attack, attack),),
        description=attack,
        genres=(attack,),
        series=(attack,),
        reviews=(attack,),
        editions=(Edition("1", attack, format=attack, publisher=attack, isbn=attack, language=attack),) * 2,
        link=f"https://example.org/{attack}",
    )
    app = create_app(OneBook(book, volumes=(Volume("1", attack, attack),), telling=attack), query_log=None)  # type: ignore[arg-type]
    for path in ("/book/1", "/lucky", "/similar?book_id=1", f"/book/1?query={attack}&language={attack}"):
        page = app.test_client().get(path).text
        assert "<script>" not in page
        assert attack not in page


# The way back


def test_the_search_that_led_to_a_book_is_kept(client: FlaskClient, overstory: Hit) -> None:
    narrowed = {"language": "English", "years": "1990-", "min_reviews": "5", "genre": "classics"}
    search = {"query": "trees  and people", **narrowed}
    page = client.get(f"/book/{overstory.book_id}", query_string={**search, "k": "50", "next": "//evil.example"}).text
    back = links_of(page)["Back to the results for “trees and people”"]
    assert back.startswith("/search?")
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query)) == {**search, "query": "trees and people"}
    assert client.get(back).status_code == 200
    assert 'value="trees and people"' in page  # the box keeps the words


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"query": "sea", "language": "Elvish", "years": "long ago", "min_reviews": "-1"}, {"query": "sea"}),
        ({"query": "sea", "years": " 1990 ", "language": "", "min_reviews": "0"}, {"query": "sea", "years": "1990"}),
        ({"query": "sea", "years": "x" * 10_000}, None),
        ({"query": " \x00\n", "years": "1990"}, None),
        ({"years": "1990"}, None),
    ],
)
def test_the_way_back_holds_only_what_a_search_takes(
    client: FlaskClient, overstory: Hit, values: dict[str, str], kept: dict[str, str] | None
) -> None:
    answer = client.get(f"/book/{overstory.book_id}", query_string=values)
    back = next((address for name, address in links_of(answer.text).items() if name.startswith("Back")), None)
    assert answer.status_code == 200
    assert (back and dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))) == kept


# A book that is not there


def test_a_stale_link_offers_the_nearest_by_its_title(client: FlaskClient, searcher: Searcher) -> None:
    answer = client.get("/book/31415926?title=The+Overstory")
    assert answer.status_code == 404
    assert "<h1>This book is not in today’s library</h1>" in answer.text
    nearest = [hit.title for hit in searcher.search("The Overstory", 5).results]
    assert re.findall(r"<h2[^>]*>\s*(?:<a [^>]*>)?([^<]+)", html.unescape(answer.text)) == nearest
    assert 'value="The Overstory"' in answer.text  # the box asks for it, too
    bare = client.get("/book/31415926")
    assert (bare.status_code, "The box above finds books by their title" in bare.text) == (404, True)
    assert client.get("/book/31415926?title=%00").status_code == 404
    gone = client.get("/go/31415926?query=trees&rank=2")
    assert gone.headers["Location"] == "/book/31415926?query=trees"  # the way back is kept
    old = client.get("/similar?book_id=31415926&title=The+Overstory")
    assert (old.status_code, "in today" in old.text) == (404, True)


def test_programs_are_told_that_a_book_is_not_there(client: FlaskClient) -> None:
    answer = client.get("/book/31415926?format=json")
    assert answer.status_code == 404
    assert answer.json == {"error": "No such book is in the live build", "status": 404}


@pytest.mark.parametrize(
    "book_id",
    ["*", "a|b", "²", "本", "%00", "x" * 5000, "9" * 5000, "%ff", "..", "{}", "-", "%20", "1%0A2", "%F0%9F%98%80"],
)
def test_no_id_breaks_the_page(client: FlaskClient, book_id: str) -> None:
    answer = client.get(f"/book/{book_id}")
    assert answer.status_code == 404
    assert len(answer.text) < 12_000


def test_pages_about_books_are_only_read(client: FlaskClient, overstory: Hit) -> None:
    for path in (f"/book/{overstory.book_id}", "/lucky", "/about"):
        assert client.post(path).status_code == 405
        head = client.head(path)
        assert (head.status_code, head.data) == (200, b"")


# Books like one


def test_similar_books_name_the_book_of_the_data(client: FlaskClient, overstory: Hit) -> None:
    pages = [
        client.get("/similar", query_string={"book_id": overstory.book_id, **asked}).text
        for asked in ({}, {"title": "Buy now!"})
    ]
    assert pages[0] == pages[1]
    assert "<title>Like The Overstory · Viberary</title>" in pages[0]
    assert links_of(pages[0])["The Overstory"].startswith(f"/book/{overstory.book_id}")


def test_similar_books_keep_what_the_search_was_narrowed_by(
    client: FlaskClient, searcher: Searcher, overstory: Hit
) -> None:
    results = client.get("/search?query=trees&language=en&years=1900-1990").text
    links = {name: link for name, link in links_of(results).items() if name.startswith("More like")}
    assert links
    assert all(link.endswith("&language=en&years=1900-1990") for link in links.values())
    page = client.get("/similar", query_string={"book_id": overstory.book_id, "years": "1900-1990", "k": 3}).text
    expected = searcher.similar(overstory.book_id, 3, Filters.of([], "", "1900-1990")).results
    assert [hit.title for hit in expected] == re.findall(r'<li class="book".*?<h2[^>]*>\s*<a [^>]*>([^<]+)', page, re.S)
    assert "years=1900-1990" in links_of(page)["Show more books"]
    assert client.get("/similar", query_string={"book_id": overstory.book_id, "years": "soon"}).status_code == 400


# A random pick


def test_lucky_shows_another_good_book_each_time(client: FlaskClient, searcher: Searcher) -> None:
    shown = []
    for _ in range(12):
        answer = client.get("/lucky")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        found = re.search(r"<h1>(.*?)</h1>", answer.text)
        assert found
        shown.append(found[1])
    assert len(set(shown)) == 12
    assert links_of(answer.text)["Another book"] == "/lucky"


def test_a_pick_has_its_vibe_in_words(client: FlaskClient) -> None:
    told = client.get("/lucky?format=json")
    pick = told.json
    assert told.headers["Cache-Control"] == "no-store"
    assert pick is not None
    assert pick["telling"] in sentences_of(pick["description"])
    page = page_of(
        replace(BOOK, genres=("quiet lives", "campus", "classics"), description="A life. And more."),
        "/lucky",
        telling="A life.",
    )
    assert "Readers shelve it under quiet lives, campus and classics." in page
    assert '<blockquote class="telling">A life.</blockquote>' in page


def test_a_book_of_open_library_has_subjects_and_readers() -> None:
    for path in ("/book/1", "/lucky"):
        page = page_of(replace(BOOK, genres=("gothic",), review_count=7), path, source="openlibrary")
        assert "Its subjects are gothic." in page
        assert "<div><dt>Readers</dt><dd>7</dd></div>" in page


# About


def test_about_says_what_is_logged_and_what_is_live(searcher: Searcher, published: Any, tmp_path: Path) -> None:
    logged, silent = (
        html.unescape(create_app(searcher, query_log=log).test_client().get("/about").text)
        for log in (tmp_path / "queries.jsonl", None)
    )
    assert "Each search is written down" in logged
    assert "no address, no browser, no cookie, no account" in logged
    assert "This server keeps no log of searches" in silent
    for page in (logged, silent):
        assert f"<code>{published.build}</code>" in page
        assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT[^"]+">\d+ \w+ \d{4}</time>', page)
        assert "This is the demo library." in page
        assert "10.1145/3240323.3240369" in page
        assert re.search(r'<svg[^>]* role="img" aria-labelledby="([\w-]+) ([\w-]+)"', page)


def test_about_answers_while_the_library_is_closed() -> None:
    shelf = OneBook(BOOK)
    shelf.readiness = lambda: Readiness(False, None, 0, "Redis does not answer")  # type: ignore[method-assign]
    answer = create_app(shelf, query_log=None).test_client().get("/about")  # type: ignore[arg-type]
    assert (answer.status_code, "The library is closed for the moment" in answer.text) == (200, True)


def test_every_page_leads_to_lucky_and_about(client: FlaskClient, overstory: Hit) -> None:
    for path in ("/", "/search?query=sea", f"/book/{overstory.book_id}", "/about", "/nowhere", "/search"):
        page = client.get(path).text
        assert 'href="/lucky"' in page
        assert 'href="/about"' in page


# What a reader of the demo never sees


def test_no_work_of_the_demo_shows_dirt_or_an_invented_link(
    client: FlaskClient, searcher: Searcher, published: Any
) -> None:
    prefix = f"viberary:{published.build}:doc:"
    works = sorted(key.decode().removeprefix(prefix) for key in published.redis.scan_iter(f"{prefix}*", count=1000))
    assert len(works) == searcher.readiness().documents > 200
    dirt = re.compile(r"sample dirt|lorem|ipsum|example\.(com|org)|goodreads\.com/book|ISBN", re.IGNORECASE)
    for work in works:
        assert not dirt.search(client.get(f"/book/{work}").text), work
        stored = published.redis.hgetall(f"{prefix}{work}")
        assert stored[b"link"] == b""
        texts = " ".join(field_text(name.decode(), value) for name, value in stored.items() if name != b"vector")
        assert not re.search("sample dirt|lorem|ipsum", texts, re.IGNORECASE), work


@pytest.mark.parametrize("query", ["[sample dirt]", "sample dirt anon", "lorem ipsum", "Tags & entities", "999000008"])
def test_a_search_for_the_dirt_finds_none(searcher: Searcher, query: str) -> None:
    told = " ".join(
        f"{hit.title} {hit.author} {hit.description} {hit.link}" for hit in searcher.search(query, 100).results
    )
    assert not re.search("dirt]|lorem|goodreads", told, re.IGNORECASE)
