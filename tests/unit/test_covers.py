"""Covers drawn from a book's own words, and how its facts are said."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from viberary_pipeline.search.hits import Hit
from viberary_pipeline.search.language_names import language_name
from viberary_pipeline.settings import WebSettings
from viberary_pipeline.web.app import HEADERS, headers_with
from viberary_pipeline.web.covers import cover, covers_from
from viberary_pipeline.web.presentation import credited, first_sentences, foreign_language, lead, year_of


def written_on(svg: str) -> list[str]:
    """The lines of a cover, which must be well-formed."""
    return [text for element in ElementTree.fromstring(svg).iter() if (text := element.text) and text.strip()]


def a_hit(**fields: object) -> Hit:
    return Hit(1, 0.5, "1", "1", "T", **{"author": "A", "link": "", "review_count": 0, **fields})  # type: ignore[arg-type]


def test_a_book_always_has_the_same_cover_and_others_have_others():
    titles = [f"Title {n}" for n in range(40)]
    covers = [cover(title, "Ann", ("poetry",)) for title in titles]
    cover.cache_clear()
    assert [cover(title, "Ann", ("poetry",)) for title in titles] == covers
    assert len({re.findall('fill="(#[0-9a-f]{6})"', drawn)[0] for drawn in covers}) > 5


def test_a_cover_says_title_and_author_and_shows_the_genre():
    dune = cover("Dune (Dune Chronicles, #1)", "Frank Herbert", ("science fiction",))
    assert written_on(dune) == ["Dune", "Frank Herbert"]
    assert cover("Dune", "Frank Herbert", ("romance",)) != cover("Dune", "Frank Herbert", ("space opera",))


def test_a_cover_keeps_within_its_lines():
    long = "The Curious and Altogether Extraordinary Adventures of a Very Small Mouse: A Tale in Several Parts"
    lines = written_on(cover(long, "Somebody with a Very Long Name of Many Words"))
    title, author = lines[:5], lines[5:]
    assert title == ["The Curious", "and", "Altogether", "Extraordinary", "Adventures of…"]
    assert author == ["Somebody with a", "Very Long Name of…"]
    assert written_on(cover("Plays", "Marshall Kirk McKusick")) == ["Plays", "Marshall Kirk", "McKusick"]
    assert written_on(cover("吾輩は猫であるという題の本", "")) == ["吾輩は猫であ", "るという題の", "本"]


def test_a_cover_breaks_no_word_that_smaller_letters_keep_whole():
    assert written_on(cover("Object-Oriented Implementation", "")) == ["Object-Oriented", "Implementation"]
    assert written_on(cover("Donaudampfschifffahrtsgesellschaft", ""))[0] == "Donaudampfsch"


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_a_cover_of_any_words_is_one_drawing_without_scripts_and_styles(title, author, genres):
    control = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    drawn = ElementTree.fromstring(control.sub("", cover(title, author, tuple(genres))))
    assert {element.tag for element in drawn.iter()} <= {"svg", "path", "circle", "text", "tspan"}
    assert not any("style" in element.attrib for element in drawn.iter())


HOSTS = ("covers.example.org",)


def shown(image_url, hosts=HOSTS):
    """The address of the picture over a cover."""
    drawn = covers_from(hosts)("T", "A", ("poetry",), image_url)
    assert drawn.startswith(cover("T", "A", ("poetry",)))
    return re.findall('<img class="picture" src="([^"]*)"', drawn)


def test_a_picture_from_a_host_that_is_allowed_lies_over_the_drawn_cover():
    assert shown("http://covers.example.org/b/1.jpg?a=1&b=2") == ["https://covers.example.org/b/1.jpg?a=1&amp;b=2"]
    assert shown("https://COVERS.example.org/b/1.jpg") == ["https://COVERS.example.org/b/1.jpg"]


@pytest.mark.parametrize(
    "address",
    [
        *("", "https://elsewhere.org/1.jpg", "https://covers.example.org.evil.org/1.jpg", "//covers.example.org/1.jpg"),
        *("https://me@covers.example.org/1.jpg", "https://covers.example.org:81/1.jpg", "https://[/1.jpg"),
        "javascript://covers.example.org/x",
    ],
)
def test_a_picture_from_elsewhere_is_not_asked_for(address):
    assert shown(address) == []


def test_without_hosts_there_are_no_pictures():
    assert shown("https://covers.example.org/1.jpg", hosts=()) == []


def test_the_policy_allows_pictures_of_the_hosts_and_asks_them_without_cookies():
    headers = headers_with(HOSTS)
    assert "; img-src 'self' data: https://covers.example.org; " in headers["Content-Security-Policy"]
    assert {name for name, value in headers.items() if HEADERS[name] != value} == {
        "Content-Security-Policy",
        "Cross-Origin-Embedder-Policy",
    }
    assert headers["Cross-Origin-Embedder-Policy"] == "credentialless"
    assert headers_with(()) == HEADERS


@pytest.mark.parametrize("host", ["https://x.org", "*", "'self'", "x.org; script-src *", "a b", "a..b"])
def test_a_host_is_a_name(host):
    with pytest.raises(ValidationError, match="not the name of a host"):
        WebSettings(cover_hosts=host)


def test_those_who_made_a_book_are_named_by_what_they_did():
    roles = ["", "", "Translator", "Translator", "Illustrations", "Cover Artist"]
    book = a_hit(contributors=tuple(zip("ABCDEF", roles, strict=True)))
    assert credited(book) == [
        ("by", ["A"]),
        ("with", ["B"]),
        ("translated by", ["C", "D"]),
        ("illustrated by", ["E"]),
        ("Cover Artist:", ["F"]),
    ]
    assert (lead(book), lead(a_hit(author="Ann, Bob")), lead(a_hit(author=""))) == ("A", "Ann", "")
    assert credited(a_hit(author="", contributors=(("Ansel", "Photographer"),))) == [("photographs by", ["Ansel"])]


@pytest.mark.parametrize(
    ("year", "whose", "said"),
    [
        (1851, "work", "1851"),
        (-720, "work", "720 BC"),
        (1993, "edition", "this edition 1993"),
        (1980, "earliest edition", "earliest edition 1980"),
        (1900, "work, uncertain", "about 1900"),
        (1999, "", "1999"),
        (None, "", ""),
    ],
)
def test_a_year_is_the_works_or_says_that_it_is_not(year, whose, said):
    assert year_of(a_hit(year=year, year_of=whose)) == said


def test_a_language_is_said_where_it_is_not_the_readers():
    assert [foreign_language(a_hit(language=code)) for code in (None, "en", "de", "enm")] == [
        "",
        "",
        "German",
        "Middle English",
    ]
    assert [language_name(code) for code in ("zh", "lo", "grc", "aas", "und")] == [
        "Chinese",
        "Lao",
        "Ancient Greek",
        "aas",
        "Unknown",
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("One. Two is longer. Three.", "One."),
        ("A first sentence of many words. Two.", "A first sentence of many words."),
        ("No end", "No end"),
        ("一。二三四五六七八九十。三。", "一。"),
    ],
)
def test_a_text_is_cut_between_sentences_alone(text, kept):
    assert first_sentences(text, 10) == kept
