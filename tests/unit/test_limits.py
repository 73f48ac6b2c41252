"""What is refused unanswered: a client beyond its rate, and a request that the server has no place for."""

import socket
import urllib.robotparser
from typing import Any

import pytest
from flask.testing import FlaskClient

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Readiness, SearchResponse
from viberary_pipeline.settings import WebSettings, load_settings
from viberary_pipeline.web.app import create_app
from viberary_pipeline.web.limits import BUSY_MARK, client_of


class EmptyShelf:
    """A searcher that finds nothing."""

    def search(self, query: str, k: int = 10, filters: Filters | None = None) -> SearchResponse:
        return SearchResponse(query, "b1", ())

    similar = search

    def readiness(self) -> Readiness:
        return Readiness(True, "b1", 0, "ready")


def client(**web: Any) -> FlaskClient:
    return create_app(EmptyShelf(), query_log=None, web=WebSettings(**web)).test_client()


def statuses(page: FlaskClient, address: str = "192.0.2.1", path: str = "/search?query=x", **headers: str) -> list[int]:
    """What three requests of a client are answered."""
    environ = {"REMOTE_ADDR": address}
    return [page.get(path, environ_overrides=environ, headers=headers).status_code for _ in range(3)]


FORWARDED = "X-Forwarded-For"


def test_nobody_is_limited_unless_a_rate_is_set():
    page = client()
    assert [page.get("/search?query=x").status_code for _ in range(100)] == [200] * 100


def test_a_client_beyond_its_rate_is_refused_and_told_when_to_come_back():
    page = client(rate="2/minute")
    assert statuses(page) == [200, 200, 429]
    assert statuses(page, "192.0.2.2") == [200, 200, 429]
    refused = page.get("/search?query=x", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "That was a lot of searches" in refused.text
    as_json = page.get("/search?query=x&format=json", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert (as_json.status_code, as_json.json) == (429, {"error": "That was a lot of searches", "status": 429})
    assert 'viberary_refused_total{reason="rate"} 4.0' in page.get("/metrics").text


def test_crawlers_are_asked_to_follow_no_search_and_no_click():
    robots = urllib.robotparser.RobotFileParser()
    robots.parse(client().get("/robots.txt").text.splitlines())
    asked = ("/", "/about", "/popular", "/book/1", "/search?query=x", "/similar?book_id=1", "/go/1?rank=1", "/lucky")
    assert [path for path in asked if robots.can_fetch("bot", path)] == ["/", "/about", "/popular", "/book/1"]


def test_each_of_several_rates_counts():
    assert statuses(client(rate="100/minute; 1/hour")) == [200, 429, 429]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/static/style.css"])
def test_what_operators_and_pages_need_is_not_limited(path):
    assert statuses(client(rate="1/minute"), path=path) == [200, 200, 200]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counts_for"),
    [
        (0, ["198.51.100.1", "198.51.100.2"], "the connection"),
        (1, ["198.51.100.1", "198.51.100.2"], "each client"),
        (1, ["made up, 198.51.100.1", "another, 198.51.100.1"], "the connection"),  # only our proxy's word is believed
        (2, ["198.51.100.1, 203.0.113.9", "198.51.100.2, 203.0.113.9"], "each client"),
    ],
)
def test_a_client_is_known_through_as_many_proxies_as_are_set(proxies, forwarded, counts_for):
    page = client(rate="1/minute", proxies=proxies)
    first, second = ([page.get("/", headers={FORWARDED: value}).status_code] for value in forwarded)
    assert (first, second) == ([200], [200] if counts_for == "each client" else [429])


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("somewhere", "somewhere"),
    ],
)
def test_an_ipv6_client_is_its_network(address, client):
    assert client_of(address) == client


def test_where_requests_cannot_be_counted_they_are_answered(caplog):
    page = client(rate="1/minute", rate_storage="redis://127.0.0.1:1")
    assert statuses(page) == [200, 200, 200]
    assert "Requests cannot be counted" in caplog.text


def test_a_redis_that_hangs_where_requests_are_counted_holds_no_answer(caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        page = client(rate="1/minute", rate_storage=f"redis://127.0.0.1:{port}")
        assert page.get("/search?query=x").status_code == 200
    assert "Requests cannot be counted" in caplog.text


def test_a_request_without_a_place_in_the_queue_is_refused_before_it_is_searched():
    page = client()
    assert page.get("/search?query=x", headers={"Viberary-Busy": "1"}).status_code == 200  # a client's own words
    refused = page.get("/search?query=x", headers={"Viberary-Busy": BUSY_MARK})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "Too many readers ask at this moment" in refused.text
    assert 'viberary_refused_total{reason="queue"} 1.0' in page.get("/metrics").text


@pytest.mark.parametrize("place", ["nowhere://", "async+redis://x", "/tmp/counts"])
def test_a_place_to_count_requests_that_is_none_is_refused_by_name(place):
    with pytest.raises(SettingsError, match="VIBERARY_WEB_RATE_STORAGE"):
        load_settings(web_rate_storage=place)


@pytest.mark.parametrize("rate", ["often", "0/minute", "10/fortnight", "-1/minute", "60"])
def test_a_rate_that_is_none_is_refused_by_name(rate):
    with pytest.raises(SettingsError, match="VIBERARY_WEB_RATE"):
        load_settings(web_rate=rate)
