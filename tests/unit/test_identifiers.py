"""Numbers of books as readers type them and as catalogues have them."""

import pytest

from viberary_pipeline.identifiers import Identifier, identifier_key, is_isbn, isbn_key


@pytest.mark.parametrize(
    "typed",
    [
        "9780306406157",
        "978-0-306-40615-7",
        "978 0 306 40615 7",
        "978‑0‑306‑40615‑7",
        "0306406152",
        "0-306-40615-2",
        "ISBN 0-306-40615-2",
        "isbn-13: 978-0-306-40615-7",
        "ISBN10:0306406152",
        "  9780306406157  ",
    ],
)
def test_an_isbn_has_one_key_however_it_is_typed(typed):
    number = Identifier.read(typed)
    assert (number.key, number.certain) == ("9780306406157", True)


def test_an_isbn_10_may_end_in_x():
    assert Identifier.read("0-8044-2957-x").key == identifier_key("080442957X") == "9780804429573"


@pytest.mark.parametrize("typed", ["9780306406158", "0306406153", "1234567890123", "B00ABC1234", "asin b00abc1234"])
def test_what_has_the_shape_of_a_number_is_one_whether_it_exists_or_not(typed):
    assert Identifier.read(typed).certain


def test_a_wrong_check_digit_stays_as_it_is():
    assert Identifier.read("0306406153").key == "0306406153"


@pytest.mark.parametrize("typed", ["1984", "22", "2001", "372536", "w12", "007"])
def test_an_ordinary_number_may_be_a_title(typed):
    assert Identifier.read(typed) == Identifier(typed, typed, certain=False)


@pytest.mark.parametrize(
    "typed",
    [
        "OL45804W",
        " ol45804w ",
        "work id OL45804W",
        "/works/OL45804W",
        "works/OL45804W/Fantastic_Mr_Fox",
        "https://openlibrary.org/works/OL45804W",
        "openlibrary.org/works/OL45804W.json",
        "http://www.openlibrary.org/works/OL45804W/Fantastic_Mr._Fox?edition=key%3A/books/OL1M#top",
    ],
)
def test_a_key_of_open_library_is_one_however_it_is_typed(typed):
    assert Identifier.read(typed) == Identifier("OL45804W", "ol45804w", certain=True)


@pytest.mark.parametrize("typed", ["OL1A", "OLW", "OL 45804 W", "xOL45804W", "https://example.org/works/OL45804W"])
def test_what_only_looks_like_a_key_of_open_library_is_none(typed):
    number = Identifier.read(typed)
    assert number is None or not number.certain


def test_a_number_that_is_called_an_id_is_one():
    assert (
        Identifier.read("book_id 372536") == Identifier.read("Book ID: 372536") == Identifier("372536", "372536", True)
    )


@pytest.mark.parametrize(
    "typed",
    ["", "emma", "1984 2001 22", "11/22/63", "dune 3", "isbn", "blackbirds", "٣٤٥", "a story about 9780306406157"],
)
def test_other_texts_are_no_numbers(typed):
    assert Identifier.read(typed) is None


def test_the_zeros_that_a_table_of_numbers_cut_off_are_put_back():
    assert isbn_key("439785960") == identifier_key("0439785960") == "9780439785969"
    assert isbn_key("22") == "22"
    assert isbn_key("978-0-306-40615-7") == "9780306406157"
    assert isbn_key("") == ""


def test_check_digits():
    assert is_isbn("9780306406157")
    assert is_isbn("080442957X")
    assert not any(map(is_isbn, ("9780306406158", "0306406153", "1234567890128", "030640615", "X306406152", "")))
