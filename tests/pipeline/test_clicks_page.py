"""Clicks and the chart of them, over the published sample: from a list of results to a line of the log."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from test_book_pages import BOOK, OneBook

from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web import popular
from viberary_pipeline.web.app import create_app


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the counts, however busy the machine is."""
    monkeypatch.setattr(popular, "PATIENCE_SECONDS", 120.0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "queries.jsonl"


@pytest.fixture
def client(searcher: Searcher, log: Path) -> FlaskClient:
    web = WebSettings(popular_days=1, popular_searches=1)
    return create_app(searcher, query_log=log, web=web).test_client()


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def links_to_books(page: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="(/book/[^"]+)"', page)]


def test_a_click_on_a_result_is_joined_to_its_search(client: FlaskClient, log: Path, searcher: Searcher) -> None:
    page = client.get("/search?query=the+sea&language=English")
    third = searcher.search("the sea", 10, Filters(("en",))).results[2]
    link = next(link for link in links_to_books(page.text) if link.startswith(f"/book/{third.book_id}?"))
    assert client.get(link).status_code == 200
    search, click = logged(log)
    asked = {"query": "the sea", "filters": {"languages": ["en"]}}
    assert search.items() >= {"event": "search", **asked}.items()
    assert search["work_ids"][2] == third.work_id
    assert click == {"time": click["time"], "event": "click", **asked, "work_id": third.work_id, "rank": 3}


BOOK_ELSEWHERE = "https://www.goodreads.com/book/show/1?a=b&c"


def one_book(log: Path | None, link: str = BOOK_ELSEWHERE) -> FlaskClient:
    return create_app(OneBook(replace(BOOK, link=link)), query_log=log).test_client()  # type: ignore[arg-type]


CLICK = "query=sea&years=1990-&rank=2"


def test_a_link_elsewhere_leads_where_the_index_says_and_is_logged(log: Path) -> None:
    client = one_book(log)
    (outside,) = re.findall(r'href="(/go/[^"]+)"', client.get(f"/book/1?{CLICK}").text)
    answer = client.get(html.unescape(outside))
    assert (answer.status_code, answer.headers["Location"]) == (302, BOOK_ELSEWHERE)
    assert answer.headers["Cache-Control"] == "no-store"
    asked = {"query": "sea", "filters": {"years": [1990, None]}}
    clicked = {"event": "click", **asked, "work_id": "10", "rank": 2}
    assert [{**entry, "time": ""} for entry in logged(log)] == [{"time": "", **clicked}] * 2


@pytest.mark.parametrize(
    "values",
    [
        "url=https://evil.example/",
        f"{CLICK}&link=//evil.example",
        "next=https://evil.example&to=https://evil.example",
        "title=https://evil.example",
    ],
)
def test_no_address_leads_anywhere_else(log: Path, values: str) -> None:
    assert one_book(log).get(f"/go/1?{values}").headers["Location"] == BOOK_ELSEWHERE


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", "//evil.example", "ftp://evil.example", "/\\evil.example"])
def test_a_link_of_the_index_that_is_no_web_address_leads_to_the_books_page(log: Path, link: str) -> None:
    assert one_book(log, link).get("/go/1").headers["Location"] == "/book/1"


@pytest.mark.parametrize(
    "book_id", ["none", "https:%2F%2Fevil.example", "%2F%2Fevil.example", "..%2F..", "%00", "%0d%0aX:1"]
)
def test_an_id_that_the_index_lacks_leads_to_a_page_of_ours(client: FlaskClient, log: Path, book_id: str) -> None:
    answer = client.get(f"/go/{book_id}?{CLICK}")
    assert answer.status_code in (302, 308, 404)
    assert re.fullmatch(r"(/(book|go)/[^/\s]*)?", answer.headers.get("Location", ""))
    assert not log.exists()


@pytest.mark.parametrize(
    "values",
    [
        "",
        "query=sea",
        "rank=2",
        "query=&rank=2",
        "query=%00&rank=2",
        *(f"query=sea&rank={rank}" for rank in ("", "0", "101", "-1", "+2", "2.0", "²", "٢", "x", "9" * 5000)),
    ],
)
def test_what_is_no_click_is_not_logged(log: Path, values: str) -> None:
    client = one_book(log)
    assert client.get(f"/book/1?{values}").status_code == 200
    assert client.get(f"/go/1?{values}").status_code == 302
    assert not log.exists()


@pytest.mark.parametrize("header", [{"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}])
def test_a_browser_that_prepares_a_click_has_not_clicked(log: Path, header: dict[str, str]) -> None:
    client = one_book(log)
    assert client.get(f"/book/1?{CLICK}", headers=header).status_code == 200
    assert client.head(f"/go/1?{CLICK}").status_code == 302
    assert not log.exists()


# The chart


def test_the_chart_shows_popular_vibes_and_books(client: FlaskClient, searcher: Searcher) -> None:
    client.get("/search?query=The+Sea")
    client.get("/search?query=gibberish&k=0")
    page = client.get("/popular")
    assert page.status_code == 200
    first = searcher.search("The Sea").results[0]
    counted = client.get("/popular?format=json").json
    assert counted["days"] == 30
    assert counted["vibes"] == [{"query": "the sea", "searches": 1}]
    lead = first.author.split(", ")[0]
    shown = {"book_id": first.book_id, "title": first.title, "author": lead, "queries": 1}
    assert len(counted["books"]) == 10
    assert shown in counted["books"]
    text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))
    assert "the sea 1 search" in text
    assert f"{first.title} by {lead}, for 1 vibe" in text
    assert page.text.count('<svg class="bar"') == 11
    assert 'href="/search?query=the+sea"' in page.text


def test_before_enough_is_searched_the_chart_says_so(searcher: Searcher, log: Path) -> None:
    client = create_app(searcher, query_log=log).test_client()
    client.get("/search?query=my+own+secret")
    page = client.get("/popular")
    assert page.status_code == 200
    assert "Not enough has been searched yet" in page.text
    assert "secret" not in page.text


def test_without_a_log_the_chart_says_so(searcher: Searcher) -> None:
    page = create_app(searcher, query_log=None).test_client().get("/popular")
    assert (page.status_code, "keeps no log" in page.text) == (200, True)


@pytest.mark.parametrize("damage", [b"\x00" * 5000, b"{" * 100_000, b"\n"])
def test_a_damaged_log_breaks_no_page(client: FlaskClient, log: Path, damage: bytes) -> None:
    log.parent.mkdir()
    log.write_bytes(damage)
    assert client.get("/popular").status_code == 200


def test_a_log_that_cannot_be_read_breaks_no_page(searcher: Searcher, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    client = create_app(searcher, query_log=tmp_path / "logs" / "queries.jsonl").test_client()
    assert client.get("/popular").status_code == 200
