"""The page over the published sample: what readers, programs and operators get."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from viberary_pipeline.errors import EncoderError, SearchError, SettingsError
from viberary_pipeline.redis_server.probe import open_client
from viberary_pipeline.search.facets import Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Hit, Readiness, Searcher, SearchResponse
from viberary_pipeline.settings import WebSettings, load_settings
from viberary_pipeline.web.app import EXAMPLES, HEADERS, MAX_FORM_BYTES, create_app
from viberary_pipeline.web.presentation import counted, safe_link, shorten
from viberary_pipeline.web.server import address, listen, serve
from viberary_pipeline.web.service import SearchBackend

QUERY = "cold-blooded revenge"
WEB = Path(create_app.__code__.co_filename).parent
OWN_SCRIPT = r'<script type="module" src="/static/suggestions\.js\?v=[0-9a-f]{16}">'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "queries.jsonl"


@pytest.fixture
def client(searcher: Searcher, log: Path) -> FlaskClient:
    return create_app(searcher, query_log=log).test_client()


class Shelf:
    """A searcher with chosen books or a chosen failure: what the real index has no example of."""

    def __init__(self, *hits: Hit, failure: Exception | None = None, ready: Readiness | None = None) -> None:
        self.hits, self.failure = hits, failure
        self.ready = ready or Readiness(True, "b1", len(hits), "ready")

    def search(self, query: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        if self.failure:
            raise self.failure
        return SearchResponse(query, "b1", self.hits[:k])

    def similar(self, book_id: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        return self.search(book_id, k)

    def readiness(self) -> Readiness:
        return self.ready


def a_hit(**fields: Any) -> Hit:
    whole = {
        "rank": 1,
        "score": 0.5,
        "book_id": "1",
        "work_id": "10",
        "title": "T",
        "author": "A",
        "link": "",
    }
    return Hit(**{**whole, "review_count": 0, **fields})


def page_of(searcher: SearchBackend, path: str = "/search?query=x") -> str:
    return create_app(searcher, query_log=None).test_client().get(path).text


def shown_books(page: str) -> list[tuple[int, str, str]]:
    """(rank, link, title) of each result, in the order of the page."""
    rank = r'<span class="rank" aria-hidden="true">(\d+)</span>\s*<div>\s*'
    link = r'<h2><a href="([^"]*)">(.*?)</a></h2>'
    found = re.findall(rank + link, page, re.S)
    plain = [(int(number), html.unescape(href), html.unescape(title)) for number, href, title in found]
    return [(number, urllib.parse.unquote_plus(href), title) for number, href, title in plain]


# What readers get


def test_a_language_is_taken_as_people_spell_it_or_refused_by_name(client: FlaskClient) -> None:
    def answer(language: str) -> Any:
        return client.get("/search", query_string={"query": "love", "language": language, "format": "json"})

    assert answer("fr").json == answer("français").json == answer("French, fra").json
    assert answer("fr").json["results"]
    refused = answer("Elvish")
    assert (refused.status_code, refused.json) == (400, {"error": "No language is called 'Elvish'", "status": 400})
    nothing = client.get("/search", query_string={"query": "love", "language": "Swahili"})
    assert (nothing.status_code, "but none once it is narrowed to <strong>Swahili</strong>." in nothing.text) == (
        200,
        True,
    )


def test_the_page_says_what_it_left_out(client: FlaskClient) -> None:
    page = client.get("/search", query_string={"query": "castle without vampires"})
    assert '<p class="note">left out: vampires</p>' in page.text
    assert "left out" not in client.get("/search", query_string={"query": "castle"}).text
    repeated = client.get("/search", query_string={"query": "Books by Terry Pratchett"})
    assert ("by Terry Pratchett" in repeated.text, 'class="note"' in repeated.text) == (True, False)


def test_a_search_is_narrowed_by_the_form_and_stays_so(client: FlaskClient, searcher: Searcher) -> None:
    asked = {"query": "love and war", "years": "1990-1999", "language": "en", "min_reviews": "1"}
    page = client.get("/search", query_string=asked).text
    found = searcher.search("love and war", 10, Filters(("en",), 1, (1990, 1999)))
    assert [title for _, _, title in shown_books(page)] == [hit.title for hit in found.results]
    assert '<details class="narrow">' in page  # chips say it, and the books begin higher
    assert 'value="1990-1999"' in page
    more = html.unescape(re.findall(r'<p class="more"><a [^>]*href="([^"]+)"', page)[0])
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(more).query)) == {**asked, "k": "20"}
    for emptied in ({"language": "Swahili"}, {"years": "soon"}):  # there is something to change
        page = client.get("/search", query_string={"query": "love", **emptied}).text
        assert '<details class="narrow" open>' in page
    refused = client.get("/search", query_string={**asked, "years": "long ago"})
    assert refused.status_code == 400
    assert "Years, such as 1990-1999, 1990- or 1990." in html.unescape(refused.text)


def test_more_like_this_leads_to_similar_books(client: FlaskClient, searcher: Searcher) -> None:
    page = client.get("/search", query_string={"query": "The Overstory"}).text
    assert "by its title" in page
    link = html.unescape(re.findall(r'href="(/similar[^"]+)"', page)[0])
    answer = client.get(link)
    book = searcher.search("The Overstory", 1).results[0]
    expected = searcher.similar(book.book_id)
    assert [title for _, _, title in shown_books(answer.text)] == [hit.title for hit in expected.results]
    assert "<title>Like The Overstory · Viberary</title>" in answer.text
    assert client.get(f"/similar?book_id={book.book_id}&format=json").json == expected.to_json()
    assert client.get("/similar?book_id=none").status_code == 404


def test_the_start_page_offers_the_search_and_examples(client: FlaskClient, published: Any) -> None:
    answer = client.get("/")
    page = answer.text
    assert answer.status_code == 200
    assert '<html lang="en">' in page
    assert '<label class="visually-hidden" for="query">' in page
    for vibe in EXAMPLES:
        assert f">{vibe}</a>" in page
    assert re.search(rf"\d+ works in build <code>{published.build}</code>", page)
    # The sample was written for this project: it is under the licence of that, not the terms of UCSD's files.
    assert "under the MIT licence" in page
    assert "academic use" not in page


def test_examples_lead_to_results(client: FlaskClient) -> None:
    page = client.get("/").text
    links = [html.unescape(link) for link in re.findall(r'href="(/search\?[^"]+)"', page)]
    assert len(links) == len(EXAMPLES)
    for link in links:
        assert len(shown_books(client.get(link).text)) == 10


def test_results_are_the_searchers_in_its_order(client: FlaskClient, searcher: Searcher) -> None:
    answer = client.get("/search", query_string={"query": QUERY})
    page = answer.text
    found = searcher.search(QUERY, 10)
    assert answer.status_code == 200
    assert shown_books(page) == [
        (hit.rank, f"/book/{hit.book_id}?title={shorten(hit.title, 80)}&query={QUERY}&rank={hit.rank}", hit.title)
        for hit in found.results
    ]
    facts = re.findall(r"★ ([\d.]+)</span>\s*<span>([\d,]+ reviews?)</span>", page, re.S)
    assert facts == [(f"{hit.rating:.1f}", counted(hit.review_count, "review")) for hit in found.results]
    assert f'value="{QUERY}"' in page  # the box keeps the words
    assert f"<title>{QUERY} · Viberary</title>" in page
    assert found.build in page


def test_post_gives_the_same_page_as_get(client: FlaskClient) -> None:
    posted = client.post("/search", data={"query": QUERY, "k": "4"})
    got = client.get("/search", query_string={"query": QUERY, "k": "4"})
    assert posted.status_code == 200
    assert len(shown_books(posted.text)) == 4
    assert posted.data == got.data


def test_more_books_can_be_asked_for(client: FlaskClient) -> None:
    page = client.get("/search", query_string={"query": QUERY}).text
    link = html.unescape(re.findall(r'href="([^"]*k=20#book-11)"', page)[0])
    more = shown_books(client.get(link).text)
    assert [rank for rank, _, _ in more] == list(range(1, 21))
    assert more[:10] == shown_books(page)
    assert "k=110" not in client.get("/search", query_string={"query": QUERY, "k": 100}).get_data(as_text=True)


@pytest.mark.parametrize("query", ["", "   ", "\t\n", None])
def test_an_empty_query_is_a_friendly_400(client: FlaskClient, query: str | None) -> None:
    for answer in (
        client.get("/search", query_string={"query": query} if query is not None else {}),
        client.post("/search", data={"query": query} if query is not None else {}),
    ):
        assert answer.status_code == 400
        page = answer.text
        assert "<h1>What are you in the mood for?</h1>" in page
        assert EXAMPLES[0] in page


@pytest.mark.parametrize("k", ["0", "-1", "101", "ten", "1.5", "²", "9" * 40, "0" * 5000 + "1", "0000000010000"])
def test_an_impossible_number_of_books_is_refused(client: FlaskClient, k: str) -> None:
    answer = client.get("/search", query_string={"query": QUERY, "k": k})
    assert answer.status_code == 400
    assert "whole number from 1 to 100" in answer.text


def test_a_long_query_is_searched_and_shown_short(client: FlaskClient) -> None:
    words = "a melancholy story about the sea and those who wait " * 30
    answer = client.get("/search", query_string={"query": words})
    assert answer.status_code == 200
    assert len(shown_books(answer.text)) == 10
    assert f'<h1 class="asked long"><span class="count">10 books for</span> {shorten(words, 120)}</h1>' in answer.text


def test_a_form_that_is_too_large_is_refused(client: FlaskClient) -> None:
    answer = client.post("/search", data={"query": "x" * MAX_FORM_BYTES})
    assert answer.status_code == 413
    assert "That is too much text" in answer.text


def test_nothing_found_says_so() -> None:
    assert "<h1>No book was found</h1>" in page_of(Shelf())


def test_counts_have_the_right_form() -> None:
    page = page_of(Shelf(a_hit(review_count=1)))
    assert "1 book for" in page
    assert "<span>1 review</span>" in page
    assert "1 work in build" in page
    assert "<span>28,412 reviews</span>" in page_of(Shelf(a_hit(review_count=28412)))


def test_missing_facts_leave_no_gaps() -> None:
    bare = page_of(Shelf(a_hit(author="", description="", year=None)))
    assert 'class="author"' not in bare
    assert 'class="description"' not in bare
    assert '<p class="author">by A, 1979</p>' in page_of(Shelf(a_hit(year=1979)))
    assert '<p class="author">1979</p>' in page_of(Shelf(a_hit(author="", year=1979)))


# What nobody gets


def test_everything_from_outside_is_escaped(client: FlaskClient) -> None:
    attack = '"><script>alert(1)</script>'
    hostile = a_hit(title=attack, author=attack, description=attack, link=f"https://example.org/{attack}")
    for page in (
        page_of(Shelf(hostile)),
        client.get("/search", query_string={"query": attack}).text,
        client.get("/search", query_string={"query": attack, "k": attack}).text,
        client.get(f"/{attack}").text,
    ):
        (script,) = re.findall("<script[^>]*>", page)
        assert re.fullmatch(OWN_SCRIPT, script)
        assert attack not in page
    assert "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page_of(Shelf(hostile))


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "//example.org", "", "/etc", "http:"])
def test_a_link_that_is_no_web_address_is_not_made_one(link: str) -> None:
    page = page_of(Shelf(a_hit(title="Plain", link=link)))
    assert shown_books(page) == [(1, "/book/1?title=Plain&query=x", "Plain")]


def test_headers_keep_the_browser_at_home(client: FlaskClient) -> None:
    for path in (
        "/",
        "/search?query=sea",
        "/search",
        "/nowhere",
        "/healthz",
        "/api/suggest?q=a",
        "/static/style.css",
    ):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; script-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert "Strict-Transport-Security" not in headers
        assert "Set-Cookie" not in headers
    assert "geolocation=()" in HEADERS["Permissions-Policy"]
    secure = client.get("/", base_url="https://localhost").headers
    assert secure["Strict-Transport-Security"] == "max-age=31536000"


def test_what_the_page_loads_is_served_here(client: FlaskClient) -> None:
    page = client.get("/").text
    loaded = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page) + re.findall(r'src="([^"]+)"', page)
    assert len(loaded) == 2
    for path in loaded:
        assert path.startswith("/")
        assert client.get(path).status_code == 200


def test_what_the_page_loads_is_kept_under_an_address_of_its_content(client: FlaskClient) -> None:
    page = client.get("/").text
    loaded = re.findall(r'(?:stylesheet" href|src)="(/static/[^"]+)"', page)
    assert [path.partition("?")[0] for path in loaded] == ["/static/style.css", "/static/suggestions.js"]
    for path in loaded:
        assert client.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable"
        for other in (path.partition("?")[0], f"{path}0", "/static/nothing?v=0"):
            assert client.get(other).headers["Cache-Control"] == "no-cache"


def test_more_books_continue_below_those_that_are_there() -> None:
    shelf = Shelf(*(a_hit(rank=rank, title=f"T{rank}") for rank in range(1, 31)))
    page = page_of(shelf, "/search?query=x")
    link = html.unescape(re.findall(r'<p class="more"><a [^>]*href="([^"]+)"', page)[0])
    assert link == "/search?query=x&k=20#book-11"
    assert '<li class="book" id="book-11"' in page_of(shelf, link.partition("#")[0])


def test_a_list_that_fits_badly_says_so(client: FlaskClient) -> None:
    def told(query: str) -> str:
        return re.findall(
            '<span class="count">([^<]*)</span>', client.get("/search", query_string={"query": query}).text
        )[0]

    assert {told(query) for query in EXAMPLES} == {"10 books for"}
    for query in ("gibberish qwzx", "asdf jkl", "git rebase interactive squash commits"):
        assert told(query) == "Nothing fits well; the closest are"
    page = client.get("/search?query=asdf+jkl").text
    assert '<h1 class="asked">asdf jkl <span class="count">Nothing fits well; the closest are</span></h1>' in page


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Dune (Dune Chronicles, #1)", "Dune"),
        ("(#1)", "(#1)"),
        ("The Fellowship of the Ring: Being the First Part (#1)", "The Fellowship of the Ring: Being the…"),
    ],
)
def test_a_link_says_a_title_short_and_without_its_series(title: str, said: str) -> None:
    page = page_of(Shelf(a_hit(title=title)))
    assert re.findall(">(More like [^<]*)<", page) == [f"More like {said}"]
    assert f">{title}</a></h2>" in page


def test_books_of_one_title_have_links_of_different_names() -> None:
    authors = ("Sophocles", "Jean Anouilh", "Jean Anouilh")
    hits = [a_hit(rank=n, book_id=str(n), title="Antigone", author=author) for n, author in enumerate(authors, 1)]
    page = page_of(Shelf(*hits, a_hit(rank=4, title="Medea", book_id="4"))).partition("<main")[2].partition("</main")[0]
    names = [re.sub("<[^>]+>", "", name) for name in re.findall("<a [^>]*>(.*?)</a>", page)]
    apart = ("by Sophocles", "by Jean Anouilh, number 2", "by Jean Anouilh, number 3")
    expected = [name for end in apart for name in (f"Antigone {end}", f"More like Antigone {end}")]
    assert names == [*expected, "Medea", "More like Medea"]


def test_a_result_says_how_well_it_fits_and_why_it_was_found(client: FlaskClient, searcher: Searcher) -> None:
    response = searcher.search(QUERY)
    page = client.get("/search", query_string={"query": QUERY}).text
    assert re.findall('class="match match-([a-z]+)">', page) == [hit.match for hit in response.results]
    assert {hit.match for hit in response.results} <= {"strong", "good", "loose"}
    quoted = [html.unescape(re.sub("<[^>]+>", "", text)) for text in re.findall('"description">(.*?)</p>', page, re.S)]
    assert quoted == [hit.why for hit in response.results]
    for hit in response.results:
        assert any(hit.why in " ".join(text.split()) for text in (hit.description, *hit.reviews))
    assert "<mark>revenge</mark>" in page.lower()


def test_a_search_is_narrowed_by_what_the_build_has(client: FlaskClient, searcher: Searcher) -> None:
    facets = searcher.readiness().facets
    page = client.get("/search", query_string={"query": "love", "genre": "classics", "language": "English"}).text
    for subtag, works in facets.languages.items():
        assert re.search(rf'<option value="{subtag}"(?: selected)?>[^<]+ \({works}\)</option>', page)
    assert f'<option value="classics" selected>classics ({facets.genres["classics"]})</option>' in page
    found = searcher.search("love", 10, Filters(("en",), genre="classics")).results
    assert [title for _, _, title in shown_books(page)] == [hit.title for hit in found]
    assert all("classics" in hit.genres for hit in found)
    removes = re.findall('<li><a href="([^"]+)" aria-label="([^"]+): take away">', page)
    assert [(html.unescape(link), label) for link, label in removes] == [
        ("/search?query=love&genre=classics", "English"),
        ("/search?query=love&language=en", "classics"),
    ]


def test_a_reader_switches_the_language_of_the_books_and_keeps_the_rest() -> None:
    ready = Readiness(True, "b1", 20, "ready", facets=Facets(languages={"en": 12, "fr": 8}))
    client = create_app(Shelf(a_hit(), ready=ready), query_log=None).test_client()
    client.get("/")  # knows the library from then on
    page = client.get("/search?query=x&years=1990-&language=french").text
    (switch,) = re.findall(r'<nav class="languages" aria-label="Language of the books">(.*?)</nav>', page, re.S)
    links = re.findall(r'<a href="([^"]*)"( aria-current="true")?>([^<]*)</a>', html.unescape(switch))
    assert links == [
        ("/search?query=x&years=1990-", "", "Any language"),
        ("/search?query=x&language=en&years=1990-", "", "English"),
        ("/search?query=x&language=fr&years=1990-", ' aria-current="true"', "French"),
    ]
    assert re.findall('aria-label="([^"]*): take away"', page) == ["from 1990"]  # the switch takes the language away


def test_readers_are_counted_where_the_source_has_no_reviews() -> None:
    hit = a_hit(review_count=1234)
    for source, noun in (("openlibrary", "readers"), ("given", "reviews")):
        ready = Readiness(True, "b1", 20, "ready", source=source)
        page = page_of(Shelf(hit, ready=ready), "/search?query=x&min_reviews=10")
        assert f"<span>1,234 {noun}</span>" in page
        assert f">Minimum {noun}</label>" in page
        assert re.findall('aria-label="([^"]*): take away"', page) == [f"at least 10 {noun}"]


def test_the_page_names_the_source_of_its_books() -> None:
    for source, named in (("openlibrary", ["openlibrary.org"]), ("given", ["doi.org", "cseweb.ucsd.edu"])):
        shelf = Shelf(a_hit(), ready=Readiness(True, "b1", 20, "ready", source=source))
        links = {
            urllib.parse.urlsplit(link).netloc
            for link in re.findall('href="(https://[^"]+)"', page_of(shelf, "/about"))
        }
        assert links == {*named}


@pytest.mark.parametrize("path", ["/popular", "/nowhere", "/search?query="])
def test_pages_that_ask_no_index_name_the_source_of_its_books(path: str) -> None:
    ready = Readiness(True, "b1", 20, "ready", source="openlibrary")
    client = create_app(Shelf(ready=ready), query_log=None).test_client()
    client.get("/")  # knows the library from then on
    page = client.get(path).text
    assert re.findall('href="https://([^/"]+)', page) == ["openlibrary.org"]
    assert "20 works in build" in page


def test_a_library_without_genres_offers_none() -> None:
    for genres, offered in (({}, False), ({"poetry": 2}, True)):
        ready = Readiness(True, "b1", 20, "ready", facets=Facets(languages={"en": 20}, genres=genres))
        client = create_app(Shelf(a_hit(), ready=ready), query_log=None).test_client()
        client.get("/")
        assert ('name="genre"' in client.get("/search?query=x").text) == offered
        assert 'name="genre"' in client.get("/search?query=x&genre=poetry").text


def test_the_filter_that_leaves_no_book_is_named(client: FlaskClient) -> None:
    page = client.get("/search", query_string={"query": "love", "language": "sw", "years": "1900-"}).text
    assert '<a class="btn btn-primary" href="/search?query=love&amp;years=1900-">Search without Swahili</a>' in page
    nothing = client.get("/search", query_string={"query": "9780000000002", "years": "1900-"}).text
    assert "No book was found" in nothing
    assert "Search without" not in nothing


def test_a_wrong_value_is_marked_in_its_field_and_stays_to_be_mended() -> None:
    client = create_app(Shelf(), query_log=None).test_client()
    answer = client.get("/search?query=x&years=long+ago&language=Elvish&min_reviews=10")
    fields = re.findall(
        r'<input class="form-control" id="narrow-(\w+)" name="\w+" value="([^"]*)"[^>]*?(aria-invalid)?[^>]*>',
        answer.text,
    )
    assert answer.status_code == 400
    assert {name: (value, "wrong-" + name in answer.text) for name, value, _ in fields} == {
        "language": ("Elvish", True),
        "years": ("long ago", True),
        "genre": ("", False),
        "min_reviews": ("10", False),
    }
    assert answer.text.count('aria-invalid="true"') == 2
    assert client.get("/search?query=x&genre=%00").status_code == 400
    assert client.get("/search?query=").text.count("aria-invalid") == 0


def test_pictures_of_covers_are_shown_from_hosts_that_are_named_and_about_says_so() -> None:
    shelf = Shelf(a_hit(image_url="https://covers.example.org/1.jpg"), a_hit(rank=2, image_url="https://x.org/2.jpg"))
    client = create_app(shelf, query_log=None, web=WebSettings(cover_hosts=("covers.example.org",))).test_client()
    answer = client.get("/search?query=x")
    assert re.findall(r'<img[^>]* src="([^"]*)"', answer.text) == ["https://covers.example.org/1.jpg"]
    assert "img-src 'self' data: https://covers.example.org;" in answer.headers["Content-Security-Policy"]
    assert "loads pictures of covers from covers.example.org." in client.get("/about").text
    assert "<img" not in page_of(shelf)
    assert "loads nothing from anywhere else" in page_of(shelf, "/about")


def test_text_is_readable_in_both_themes() -> None:
    """WCAG 2.2 contrast (1.4.3) of each text on its ground: 4.5 or more."""
    themes = re.findall(r":root \{(.*?)\}", (WEB / "style" / "viberary.css").read_text(encoding="utf-8"), re.S)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", theme))
        pairs = [("ink", "paper"), ("quiet", "paper"), ("green", "paper"), ("green-deep", "paper")]
        for text, ground in [*pairs, ("on-green", "green"), ("on-green", "green-deep")]:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """The ratio of relative luminances as WCAG 2.2 defines it, from 1 to 21."""
    darker, lighter = sorted(luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# What programs get


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"format": "json"}, {}),
        ({}, {"Accept": "application/json"}),
        ({}, {"Accept": "application/json, */*"}),
    ],
)
def test_json_is_the_object_of_the_command_line(
    client: FlaskClient, searcher: Searcher, arguments: dict[str, str], headers: dict[str, str]
) -> None:
    query = "  Funny  sci-fi ☂ "
    got = client.get("/search", query_string={"query": query, "k": 3, **arguments}, headers=headers)
    posted = client.post("/search", query_string=arguments, data={"query": query, "k": "3"}, headers=headers)
    assert got.json == posted.json == searcher.search(query, 3).to_json()
    assert got.json is not None
    assert list(got.json) == ["query", "build", "results"]
    assert got.json["query"] == query
    assert "Accept" in got.headers["Vary"]


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/html,application/xhtml+xml,*/*;q=0.8", ""])
def test_others_get_the_page(client: FlaskClient, accept: str) -> None:
    assert client.get("/search?query=sea", headers={"Accept": accept}).mimetype == "text/html"


def test_programs_get_failures_as_json(client: FlaskClient) -> None:
    for path, status in (("/search?format=json", 400), ("/nowhere?format=json", 404)):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (status, "application/json")
        assert answer.json is not None
        assert answer.json["status"] == status
        assert answer.json["error"]
    too_large = client.post("/search?format=json", data={"query": "x" * MAX_FORM_BYTES})
    assert (too_large.status_code, too_large.mimetype) == (413, "application/json")


# When things fail


def test_without_redis_the_page_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    silent = open_client(f"redis://127.0.0.1:{port}/0", answer_seconds=5)
    away = create_app(Searcher(silent, tmp_path), query_log=None).test_client()
    answer = away.get("/search", query_string={"query": QUERY})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert "The library is closed for the moment" in answer.text
    assert "Redis" not in answer.text
    assert str(port) not in answer.text  # where our servers are is nobody's business
    assert away.get("/search?query=x&format=json").json == {"error": "Redis does not answer", "status": 503}
    start = away.get("/")
    assert start.status_code == 200
    assert "The library is closed for the moment" in start.text
    assert str(port) not in start.text
    ready = away.get("/readyz")
    assert ready.status_code == 503
    assert ready.json is not None
    assert ready.json["ready"] is False
    assert ready.json["reason"] == "Redis does not answer"
    assert away.get("/healthz").status_code == 200


def test_an_index_that_loads_is_not_ready_and_its_size_not_remembered() -> None:
    shelf = Shelf(a_hit(), ready=Readiness(False, "b1", 44, "the index is loading: 44 of 20,000 works"))
    client = create_app(shelf, query_log=None).test_client()
    assert client.get("/readyz").status_code == 503
    assert "the index is loading: 44 of 20,000 works" in client.get("/").text
    assert "44 works in build" in client.get("/search?query=x").text
    shelf.ready = Readiness(True, "b1", 20_000, "ready")
    assert "20,000 works in build" in client.get("/search?query=x").text


def test_missing_pages_and_wrong_methods(client: FlaskClient) -> None:
    missing = client.get("/nowhere")
    assert missing.status_code == 404
    assert "<h1>There is no such page</h1>" in missing.text
    wrong = client.delete("/search")
    assert wrong.status_code == 405
    assert {"GET", "POST"} <= set(wrong.headers["Allow"].split(", "))


def test_a_bug_is_a_calm_500_page(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    log = tmp_path / "queries.jsonl"
    client = create_app(Shelf(failure=RuntimeError("secret detail")), query_log=log).test_client()
    answer = client.get("/search?query=x")
    assert answer.status_code == 500
    assert "<h1>Something broke on our side</h1>" in answer.text
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text
    assert [entry["status"] for entry in read_log(log)] == [500]


# What operators get


def test_health_and_readiness(client: FlaskClient, published: Any, searcher: Searcher) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    documents = searcher.readiness().documents
    assert documents > 0
    expected = {"ready": True, "build": published.build, "documents": documents, "reason": "ready"}
    assert ready.json == expected


def test_metrics_count_requests_and_time_searches(client: FlaskClient, searcher: Searcher) -> None:
    for path in ("/", "/search?query=sea", "/search?query=sea", "/search", "/invented/1", "/invented/2"):
        client.get(path)
    lines = client.get("/metrics").text.splitlines()
    counted_requests = {line for line in lines if line.startswith("viberary_http_requests_total{")}
    assert counted_requests == {
        'viberary_http_requests_total{route="/",status="200"} 1.0',
        'viberary_http_requests_total{route="/search",status="200"} 2.0',
        'viberary_http_requests_total{route="/search",status="400"} 1.0',
        'viberary_http_requests_total{route="(none)",status="404"} 2.0',
    }
    assert "viberary_search_seconds_count 3.0" in lines
    other = create_app(searcher, query_log=None).test_client()
    assert "viberary_search_seconds_count 0.0" in other.get("/metrics").text.splitlines()


def read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_search_is_logged_once_without_addresses(client: FlaskClient, log: Path, searcher: Searcher) -> None:
    query = "the sea\u2028 at “night”\n"
    client.get("/search", query_string={"query": query, "k": 3}, environ_base={"REMOTE_ADDR": "203.0.113.7"})
    client.post("/search", data={"query": " "})
    client.get("/search?query=x&k=0")  # refused before it is a search
    client.get("/")
    first, second = read_log(log)
    searched = {"time", "event", "query", "filters", "build", "k", "milliseconds", "work_ids", "status"}
    assert first.keys() == searched
    found = searcher.search(query, 3)
    assert (first["query"], first["build"], first["k"], first["status"]) == (query, found.build, 3, 200)
    assert first["work_ids"] == [hit.work_id for hit in found.results]
    assert 0 < first["milliseconds"] < 60_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["time"])
    assert (second["query"], second["build"], second["work_ids"], second["status"]) == (" ", None, [], 400)
    assert "203.0.113.7" not in log.read_text()


def test_a_very_long_query_is_cut_in_the_log_and_on_the_page_and_whole_in_json(client: FlaskClient, log: Path) -> None:
    query = "sea " * 25_000
    answer = client.get("/search", query_string={"query": query})
    page = html.unescape(answer.text)
    assert answer.status_code == 200
    assert page.count("sea sea sea") > 0
    assert len(page) < 40_000
    assert client.get("/search", query_string={"query": query, "format": "json"}).json["query"] == query
    assert [entry["query"] for entry in read_log(log)] == [query[:2000]] * 2
    book = client.get("/search?query=sea&format=json").json["results"][0]["book_id"]
    assert len(client.get("/similar", query_string={"book_id": book, "title": query}).text) < 40_000


@pytest.mark.parametrize("path", ["/search", "/similar", "/nowhere"])
def test_no_error_page_echoes_a_very_long_text(client: FlaskClient, path: str) -> None:
    long = "x" * 100_000
    for values in ({"query": " " + long, "k": "0"}, {"query": "x", "language": long}, {"query": "x", "years": long}):
        answer = client.get(path, query_string={"book_id": long, **values})
        assert answer.status_code in (400, 404)
        assert len(answer.text) < 12_000
        as_json = client.get(path, query_string={"book_id": long, **values, "format": "json"})
        assert len(as_json.text) < 500


def test_a_log_that_cannot_be_written_breaks_no_search(
    searcher: Searcher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "logs"
    in_the_way.write_text("a file where the folder should be")
    client = create_app(searcher, query_log=in_the_way / "queries.jsonl").test_client()
    assert client.get("/search?query=sea").status_code == 200
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "The query log cannot be written" in caplog.text
    in_the_way.unlink()  # mended while the app runs
    assert client.get("/search?query=night").status_code == 200
    assert [entry["query"] for entry in read_log(in_the_way / "queries.jsonl")] == ["night"]


# The server


def test_a_port_in_use_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        # There is no Redis at this address: were it asked first, the error would be another.
        settings = load_settings(home=tmp_path, redis_url="redis://127.0.0.1:1/0", web_port=port)
        with pytest.raises(SettingsError) as caught:
            serve(settings)
    assert f"127.0.0.1:{port}" in caught.value.expected
    assert caught.value.found.startswith("Address already in use")
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_shown_in_brackets() -> None:
    with listen("::1", 0) as listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}/"


def test_the_server_answers_many_at_once_and_leaves_on_sigterm(published: Any, searcher: Searcher) -> None:
    program = "from viberary_pipeline import settings as s; from viberary_pipeline.web.server import serve; "
    process = subprocess.Popen(
        [sys.executable, "-c", program + "serve(s.load_settings(web_port=0))"],
        env={
            **os.environ,
            "VIBERARY_HOME": str(published.home),
            "VIBERARY_REDIS_URL": published.settings.redis.url,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = next((line for line in process.stderr if "answers at" in line), "")
        found = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert found, said
        queries = [f"{vibe} {number}" for vibe in EXAMPLES for number in range(8)]

        def ask(query: str) -> dict[str, Any]:
            values = urllib.parse.urlencode({"query": query, "format": "json"})
            with urllib.request.urlopen(f"{found[0]}search?{values}", timeout=60) as answer:
                return dict(json.load(answer))

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, queries))
        assert answers == [searcher.search(query, 10).to_json() for query in queries]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


# How values look


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("short", "short"),
        ("  a \n\t gap ", "a gap"),
        ("exactly ten", "exactly…"),
        ("ten chars!", "ten chars!"),
        ("a comma, then", "a comma…"),
        ("a supercalifragilistic", "a supercal…"),
        ("一二三四五六七八九十百千", "一二三四五六七八九十…"),
        ("one two th four", "one two th…"),
    ],
)
def test_shorten(text: str, expected: str) -> None:
    assert shorten(text, 10) == expected


def test_shorten_never_exceeds_its_limit_by_more_than_the_ellipsis() -> None:
    words = "the quick brown fox jumps over the lazy dog and does it again " * 10
    assert all(len(shorten(words, limit)) <= limit + 1 for limit in range(1, 300))
    assert len(shorten(words)) > 220


@pytest.mark.parametrize(
    ("link", "safe"),
    [
        ("https://www.goodreads.com/book/show/1", True),
        ("http://example.org/a?b=c#d", True),
        ("HTTPS://EXAMPLE.ORG", True),
        ("JavaScript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("ftp://example.org", False),
        ("https://[::1", False),
        ("https:///path", False),
        ("https://example.org/\r\nSet-Cookie: a=b", False),
        ("https://example.org/\x00", False),
        ("https://example.org/bücher 猫", True),
    ],
)
def test_safe_link(link: str, safe: bool) -> None:
    assert safe_link(link) == (link if safe else None)


@pytest.mark.parametrize("path", ["", "//", "//search", "/search//", "/search/", "/similar/", "//evil.test/..", "/no"])
@pytest.mark.parametrize("header", ["HTTP_HOST", "HTTP_X_FORWARDED_HOST"])
def test_no_answer_repeats_the_host_of_the_request(path: str, header: str) -> None:
    client = create_app(Shelf(), query_log=None).test_client()
    answer = client.get("/", environ_overrides={"PATH_INFO": path, "QUERY_STRING": "query=x", header: "evil.example"})
    assert "evil.example" not in answer.text + str(answer.headers)
    assert re.fullmatch(r"|/([^/].*)?", answer.headers.get("Location", ""))


@pytest.mark.parametrize("path", ["/readyz", "/search?query=x", "/search?query=x&format=json", "/"])
def test_no_answer_names_hosts_or_folders(path: str) -> None:
    away = Searcher(open_client("redis://redis.invalid:1/0", answer_seconds=1), Path("/srv/secret"))
    assert "redis.invalid" not in page_of(away, path)
    failure = EncoderError("The model in /srv/secret cannot be used", expected="x", found="/srv/secret", todo="y")
    assert "/srv/secret" not in page_of(Shelf(failure=failure), path)


def test_search_error_details_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failure = SearchError("Away", expected="a host", found="10.0.0.7 is silent", todo="call the operator")
    page = page_of(Shelf(failure=failure))
    assert "The library is closed for the moment" in page
    assert not [said for said in ("Away", "10.0.0.7", "operator") if said in page]
    assert "10.0.0.7 is silent" in caplog.text
