"""Suggestions in a real browser: by keyboard and by mouse, as screen readers hear of them, and where they fail."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import make_server

from viberary_pipeline.errors import SearchUnavailable
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.search.suggestions import Suggestions
from viberary_pipeline.web.app import create_app

pytestmark = pytest.mark.browser


class MayFail(Searcher):
    """A searcher whose suggestions may fail, and which remembers what it was asked."""

    fails, typed = False, list[str]()

    def suggest(self, typed: str) -> Suggestions:
        self.typed.append(typed)
        if self.fails:
            raise SearchUnavailable("Redis does not answer", expected="", found="", todo="")
        return super().suggest(typed)


@pytest.fixture
def searcher(published: Any) -> MayFail:
    return MayFail(published.redis, published.home)


@pytest.fixture
def box(browser: webdriver.Chrome, searcher: MayFail) -> Iterator[WebElement]:
    """The search box of the start page."""
    server = make_server("127.0.0.1", 0, create_app(searcher, query_log=None), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    browser.get(f"http://127.0.0.1:{server.server_port}/")
    yield browser.find_element(By.ID, "query")
    server.shutdown()
    thread.join()
    server.server_close()


def options(browser: webdriver.Chrome) -> list[str]:
    """What the list shows, once it is open."""
    WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.CSS_SELECTOR, "[role=option]"))
    return [row.text for row in browser.find_elements(By.CSS_SELECTOR, "[role=option] .suggestion-text")]


def active(box: WebElement, browser: webdriver.Chrome) -> str:
    """The suggestion that a screen reader is told to read."""
    name = box.get_attribute("aria-activedescendant")
    if not name:
        return ""
    row = browser.find_element(By.ID, name)
    assert row.get_attribute("aria-selected") == "true"
    return row.find_element(By.CLASS_NAME, "suggestion-text").text


def searched(browser: webdriver.Chrome) -> str:
    """The words of the search that the page shows."""
    WebDriverWait(browser, 30).until(lambda _: "/search?" in browser.current_url)
    return browser.find_element(By.ID, "query").get_property("value")


def test_a_suggestion_is_chosen_by_keyboard(browser: webdriver.Chrome, box: WebElement, searcher: MayFail) -> None:
    found = searcher.suggest("the").suggestions
    expected = [suggestion.text for suggestion in found]
    assert (box.aria_role, box.get_attribute("aria-expanded")) == ("combobox", "false")
    box.send_keys("the")
    assert options(browser) == expected
    assert box.get_attribute("aria-expanded") == "true"
    assert active(box, browser) == ""
    box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert active(box, browser) == expected[0]
    box.send_keys(Keys.ARROW_UP)
    assert active(box, browser) == ""
    box.send_keys(Keys.ARROW_UP)
    assert active(box, browser) == expected[-1]
    box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert box.get_property("value") == "the"  # until one is chosen, what was typed stays
    box.send_keys(Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda _: browser.current_url.endswith(f"/book/{found[0].book_id}"))
    assert browser.find_element(By.TAG_NAME, "h1").text == expected[0]
    assert browser.get_log("browser") == []


def test_escape_closes_the_list_and_enter_searches_what_was_typed(
    browser: webdriver.Chrome, box: WebElement, searcher: MayFail
) -> None:
    box.send_keys("the")
    options(browser)
    box.send_keys(Keys.ARROW_DOWN, Keys.ESCAPE)
    assert (box.get_attribute("aria-expanded"), active(box, browser)) == ("false", "")
    assert not browser.find_element(By.CSS_SELECTOR, "[role=listbox]").is_displayed()
    assert box.get_property("value") == "the"
    box.send_keys(Keys.ARROW_DOWN)
    options(browser)
    box.send_keys(Keys.ENTER)
    assert searched(browser) == "the"


def test_an_author_is_chosen_by_mouse_and_leads_to_the_books(
    browser: webdriver.Chrome, box: WebElement, searcher: MayFail
) -> None:
    author = searcher.search("the overstory", 1).results[0].author
    box.send_keys(author[:-1])
    assert options(browser)[0] == author
    row = browser.find_element(By.CSS_SELECTOR, "[role=option]")
    assert row.size["height"] >= 44
    row.click()
    assert searched(browser) == f"books by {author}"


def test_where_suggestions_fail_the_box_is_a_search_box(
    browser: webdriver.Chrome, box: WebElement, searcher: MayFail
) -> None:
    searcher.fails = True
    box.send_keys("the over")
    WebDriverWait(browser, 30).until(lambda _: searcher.typed[-1:] == ["the over"])
    assert browser.find_elements(By.CSS_SELECTOR, "[role=option]") == []
    box.send_keys("story", Keys.ENTER)
    assert searched(browser) == "the overstory"


def test_the_list_closes_where_the_box_is_left(browser: webdriver.Chrome, box: WebElement) -> None:
    box.send_keys("the")
    options(browser)
    box.send_keys(Keys.TAB)
    assert box.get_attribute("aria-expanded") == "false"
    assert browser.find_elements(By.CSS_SELECTOR, "[role=option]") == []
