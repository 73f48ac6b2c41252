"""Covers drawn from a book's own words, and how its facts are said."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viberary_pipeline.search.hits import Hit
from viberary_pipeline.search.language_names import language_name
from viberary_pipeline.web.covers import cover
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
    assert lines == ["The Curious", "and", "Altogether", "Extraordinary", "Adventures of…", lines[-1]]
    assert lines[-1] == "Somebody with a Very"
    assert written_on(cover("吾輩は猫であるという題の本", "")) == ["吾輩は猫であ", "るという題の", "本"]


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_a_cover_of_any_words_is_one_drawing_without_scripts_and_styles(title, author, genres):
    control = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    drawn = ElementTree.fromstring(control.sub("", cover(title, author, tuple(genres))))
    assert {element.tag for element in drawn.iter()} <= {"svg", "path", "circle", "text", "tspan"}
    assert not any("style" in element.attrib for element in drawn.iter())


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
