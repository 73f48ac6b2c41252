"""The page in a real browser: searching by keyboard, on a phone, and without a request to anywhere else."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PHONE, requested_addresses
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as has
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import make_server

from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.web.app import create_app

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def home_page(searcher: Searcher) -> Iterator[str]:
    """The address of the real app, served by a thread."""
    server = make_server("127.0.0.1", 0, create_app(searcher, query_log=None), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def search_by_keyboard(browser: webdriver.Chrome, home_page: str, query: str) -> None:
    """Type into the box, which has the focus, and press Enter; returns when the results are there."""
    browser.get(home_page)
    browser.switch_to.active_element.send_keys(query, Keys.ENTER)
    WebDriverWait(browser, 30).until(has.presence_of_element_located((By.CSS_SELECTOR, "ol.books")))


def focused(browser: webdriver.Chrome) -> str:
    """The text, or the name for screen readers, of what has the focus."""
    element = browser.switch_to.active_element
    return element.accessible_name or element.tag_name


def press_tab(browser: webdriver.Chrome) -> str:
    browser.switch_to.active_element.send_keys(Keys.TAB)
    return focused(browser)


def test_a_reader_types_a_vibe_and_gets_ten_books(
    browser: webdriver.Chrome, home_page: str, searcher: Searcher, tmp_path: Path
) -> None:
    search_by_keyboard(browser, home_page, "funny sci-fi")
    titles = [title.text for title in browser.find_elements(By.CSS_SELECTOR, "ol.books > li h2")]
    assert titles == [" ".join(hit.title.split()) for hit in searcher.search("funny sci-fi", 10).results]
    assert len(titles) == 10
    assert "query=funny" in browser.current_url  # an address to share
    assert browser.find_element(By.ID, "query").get_property("value") == "funny sci-fi"

    assert browser.get_log("browser") == []
    asked = requested_addresses(browser)
    assert any("/static/style.css?v=" in address for address in asked)
    assert {address for address in asked if not address.startswith((home_page, "data:"))} == set()
    styled = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert styled == "rgb(251, 248, 242)"  # our style sheet got past the content security policy

    assert browser.save_screenshot(str(tmp_path / "results.png"))
    assert (tmp_path / "results.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_keyboard_goes_through_the_page_in_reading_order(
    browser: webdriver.Chrome, home_page: str, searcher: Searcher
) -> None:
    browser.get(home_page)
    assert focused(browser) == "Describe the vibe of a book"
    search_by_keyboard(browser, home_page, "funny sci-fi")
    titles = [" ".join(hit.title.split()) for hit in searcher.search("funny sci-fi", 10).results]
    stops = [press_tab(browser) for _ in range(11)]
    ways = ["Viberary", "Lucky", "Popular", "About"]
    expected = ["Skip to the content", *ways, "Describe the vibe of a book", "Search", "Narrow it down"]
    assert stops == [*expected, titles[0], f"More like {titles[0]}", titles[1]]


@pytest.mark.slow
def test_the_skip_link_shows_itself_and_leads_to_the_books(
    browser: webdriver.Chrome, home_page: str, searcher: Searcher
) -> None:
    search_by_keyboard(browser, home_page, "funny sci-fi")
    assert press_tab(browser) == "Skip to the content"
    link = browser.switch_to.active_element
    assert link.size["height"] > 20  # hidden ones measure one pixel
    link.send_keys(Keys.ENTER)
    assert press_tab(browser) == " ".join(searcher.search("funny sci-fi", 1).results[0].title.split())


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "search?query=funny+sci-fi", "search?query=", "nowhere"])
def test_nothing_is_wider_than_a_phone(browser: webdriver.Chrome, home_page: str, path: str, tmp_path: Path) -> None:
    metrics = {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(home_page + path)
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    button = browser.find_element(By.CSS_SELECTOR, "button[type=submit]")
    assert button.size["height"] >= 44  # a target that a thumb can hit
    levels = browser.execute_script("return [...document.querySelectorAll('h1, h2')].map(h => h.tagName)")
    assert levels[0] == "H1"
    assert levels.count("H1") == 1
    assert browser.save_screenshot(str(tmp_path / "phone.png"))


SMALLEST = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}


def test_the_pages_about_books_fit_the_smallest_phone_in_both_themes(
    browser: webdriver.Chrome, home_page: str, searcher: Searcher
) -> None:
    book = searcher.search("The Overstory", 1).results[0].book_id
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SMALLEST)
    grounds = set()
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for path in (f"book/{book}?query=trees", f"similar?book_id={book}", "lucky", "about", "book/0?title=Dune"):
            browser.get(home_page + path)
            assert browser.execute_script("return document.documentElement.scrollWidth") == SMALLEST["width"], path
            low = [
                link.text
                for link in browser.find_elements(
                    By.CSS_SELECTOR, "main .btn, main .way-back a, .sign nav a, footer nav a"
                )
                if link.size["height"] < 44
            ]
            assert low == [], path  # targets that a thumb can hit
        grounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert [entry for entry in browser.get_log("browser") if "404" not in entry["message"]] == []


def test_a_search_is_narrowed_by_lists_and_chips_take_it_away(browser: webdriver.Chrome, home_page: str) -> None:
    search_by_keyboard(browser, home_page, "love and war")
    browser.find_element(By.CSS_SELECTOR, "details.narrow summary").click()
    Select(browser.find_element(By.NAME, "language")).select_by_value("fr")
    browser.find_element(By.CSS_SELECTOR, "form.search").submit()
    WebDriverWait(browser, 30).until(has.presence_of_element_located((By.CSS_SELECTOR, ".chips")))
    # An address carries only what is set.
    assert browser.current_url == f"{home_page}search?query=love+and+war&language=fr"
    assert {
        fact.text for fact in browser.find_elements(By.CSS_SELECTOR, ".facts span") if fact.text.startswith("in ")
    } == {"in French"}
    chip = browser.find_element(By.CSS_SELECTOR, ".chips a")
    assert chip.accessible_name == "French: take away"
    chip.click()
    WebDriverWait(browser, 30).until(has.url_to_be(f"{home_page}search?query=love+and+war"))


@pytest.mark.slow
def test_more_books_continue_below(browser: webdriver.Chrome, home_page: str) -> None:
    browser.get(f"{home_page}search?query=love")
    first = [title.text for title in browser.find_elements(By.CSS_SELECTOR, ".book h2")]
    browser.find_element(By.LINK_TEXT, "Show more books").send_keys(Keys.ENTER)
    WebDriverWait(browser, 30).until(has.url_contains("#book-11"))
    assert [title.text for title in browser.find_elements(By.CSS_SELECTOR, ".book h2")][:10] == first
    top = "return document.getElementById('book-11').getBoundingClientRect().top"
    WebDriverWait(browser, 30).until(lambda b: 0 <= b.execute_script(top) < 100)  # what comes next, not the beginning
