"""Pages are given again for the very same answers, and for no others."""

from collections.abc import Callable

import pytest

from viberary_pipeline.web.cached import RenderedPages


def counted(text: str) -> tuple[Callable[[], str], list[str]]:
    """A way to render, and what it rendered."""
    made: list[str] = []

    def render() -> str:
        made.append(text)
        return text

    return render, made


def test_a_page_is_rendered_once_for_the_same_answer():
    pages, answer = RenderedPages(1000), ("a book",)
    render, made = counted("<p>é</p>")
    assert [pages.page("x", (answer, None), render) for _ in range(3)] == ["<p>é</p>".encode()] * 3
    assert len(made) == 1


@pytest.mark.parametrize(("address", "answer"), [("x", ["a book"]), ("y", None)])
def test_another_answer_or_another_address_is_rendered_anew(address, answer):
    pages, first = RenderedPages(1000), ["a book"]  # equal answers may be of different builds
    pages.page("x", (first,), counted("first")[0])
    assert pages.page(address, (answer or first,), counted("second")[0]) == b"second"


def test_pages_take_no_more_room_than_they_may():
    pages, answer = RenderedPages(100), ("a book",)
    for number in range(50):
        pages.page(number, (answer,), counted("x" * 30)[0])
    assert pages.page(49, (answer,), counted("anew")[0]) == b"x" * 30
    assert pages.page(0, (answer,), counted("anew")[0]) == b"anew"
    assert pages.page("large", (answer,), counted("y" * 101)[0]) == b"y" * 101
    assert pages.page("large", (answer,), counted("anew")[0]) == b"anew"


def test_without_room_nothing_is_remembered():
    pages, answer = RenderedPages(0), ("a book",)
    assert [pages.page("x", (answer,), counted(text)[0]) for text in ("one", "two")] == [b"one", b"two"]
