"""Names as people type them, volumes, copies, filters: pure functions."""

import pytest

from viberary_pipeline.errors import QueryError
from viberary_pipeline.name_keys import (
    Copies,
    asked_volumes,
    author_keys,
    author_words,
    key_of,
    surname_of,
    title_keys,
    volume_keys,
    volumes_of,
    words_of,
)
from viberary_pipeline.search.filters import Filters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Les Misérables!", ["les", "miserables"]),
        ("The Hitchhiker’s Guide", ["the", "hitchhikers", "guide"]),
        ("Catch-22", ["catch", "22"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("吾輩は猫である", ["吾輩は猫である"]),
        ("Søren Łódź Đorđe Ħal", ["soren", "lodz", "dorde", "hal"]),
        ("Œuvres, þing, Æsop, ıssız", ["oeuvres", "thing", "aesop", "issiz"]),
        ("L’Engle O`Brien ʿAbd", ["lengle", "obrien", "abd"]),
        ("Фёдор Достоевский", ["федор", "достоевскии"]),
        ("أحمد فؤاد", ["احمد", "فواد"]),
        ("한강", ["한강"]),
        ("प्रेमचंद", ["प्रेमचंद"]),
        ("ＦＵＬＬ", ["full"]),
        ("…!?", []),
    ],
)
def test_words_lose_case_accents_strokes_and_punctuation(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize("sign", [*map(chr, range(128)), *"“”–—…’"])
def test_the_quick_way_finds_the_words_that_the_thorough_way_finds(sign):
    text = f"A{sign}b {sign}C{sign} d"
    assert words_of(text) == words_of(f"{text} жук")[:-1]  # a letter that only the thorough way can read


def test_a_title_is_asked_for_whole_without_series_subtitle_or_article():
    assert title_keys("The Hobbit (Middle-earth, #0)") == [
        "thehobbitmiddleearth0",
        "hobbitmiddleearth0",
        "thehobbit",
        "hobbit",
    ]
    assert title_keys("SPQR: A History of Ancient Rome") == ["spqrahistoryofancientrome", "spqr"]
    assert title_keys("Frankenstein, or The Modern Prometheus") == ["frankensteinorthemodernprometheus", "frankenstein"]
    assert title_keys("It") == ["it"]
    assert title_keys("!!!") == []
    assert title_keys("(500)") == ["500"]


def test_an_author_is_asked_for_with_or_without_initials_and_parts():
    assert author_keys("J.R.R. Tolkien, Alan Lee (Illustrator)") == [
        *("jrrtolkien", "1jtolkien", "1jrtolkien", "1jrrtolkien"),
        *("alanlee", "1alee"),
    ]
    assert author_keys("Ursula K. Le Guin") == ["ursulakleguin", "ursulaleguin", "1uleguin", "1ukleguin"]
    assert author_keys("J. Winter") == ["jwinter", "1jwinter"], "a season is no author"
    assert author_keys("Voltaire") == ["voltaire"]
    assert author_keys("") == []


def test_the_words_of_an_author_are_also_those_that_readers_join():
    assert author_words("Antoine de Saint-Exupéry") == [
        *("antoine", "de", "saint", "exupery", "saintexupery", "desaintexupery")
    ]
    assert author_words("J.R.R. Tolkien") == ["j", "r", "tolkien", "jrr"]
    assert author_words("Walter de la Mare") == ["walter", "de", "la", "mare", "delamare"]
    assert [surname_of(name) for name in ("Ursula K. Le Guin", "Homer", "Joan Didion", "")] == [
        *("leguin", "homer", "didion", "")
    ]


def test_a_title_with_an_ampersand_is_asked_for_with_and():
    assert title_keys("Pride & Prejudice") == ["prideprejudice", "prideandprejudice"]


@pytest.mark.parametrize(
    ("title", "volumes"),
    [
        ("Dune Messiah (Dune Chronicles, #2)", [("Dune Chronicles", "2")]),
        ("Mort (Discworld, #4; Death, #1)", [("Discworld", "4"), ("Death", "1")]),
        ("Saga, Vol. 03", [("Saga", "3")]),
        ("Fables, Volume Two: Animal Farm", [("Fables", "2")]),
        ("Words of Radiance (Part 1 of 2)", [("", "1")]),
        ("Naruto #3", [("Naruto", "3")]),
        ("ナルト 第3巻", [("ナルト", "3")]),
        ("Dune Omnibus (Dune, #1-3)", [("Dune", "1to3")]),
        ("Catch-22", []),
        ("The Jungle Book", []),
        ("Part of Me", []),
        ("Frankenstein (1818 text)", []),
    ],
)
def test_a_title_names_its_volume(title, volumes):
    assert volumes_of(title) == volumes


def test_a_work_is_a_volume_by_any_of_its_titles_or_series():
    assert volume_keys(["Dune Messiah (Dune Chronicles, #2)"]) == ["2vdune"]
    assert volume_keys(["Saga, Vol. 1"]) == ["1vsaga"], "a series may be called Saga"
    assert volume_keys(["Words of Radiance (Part 1 of 2)"]) == ["1vwordsofradiance"]
    titles = ["The Shadow Rising", "The Shadow Rising (#4)"]
    assert volume_keys(titles, ["The Wheel of Time"]) == ["4vshadowrising", "4vwheeloftime"]
    assert volume_keys(["Mort (Discworld, #4; Death, #1)"], ["Death"]) == ["4vdiscworld", "1vdeath"]
    assert volume_keys(["Emma"], ["Novels of Austen"]) == []


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("dune 3", ["3vdune"]),
        ("Discworld #5", ["5vdiscworld"]),
        ("Wheel of Time book 4", ["4vwheeloftime"]),
        ("book 4 of the Wheel of Time", ["4vwheeloftime"]),
        ("the second Earthsea book", ["2vearthsea"]),
        ("twelfth book of the Dark Tides series", ["12vdarktides"]),
        ("2nd Dune book", ["2vdune"]),
        ("third harry potter", ["3vharrypotter"]),
        ("saga volume one", ["1vsaga"]),
        ("dune iii", ["3vdune"]),
        ("first love", []),
        ("1984", []),
        ("book 4", []),
        ("winter", []),
    ],
)
def test_a_query_asks_for_a_volume_by_series_and_number(query, keys):
    assert asked_volumes(words_of(query)) == keys


def test_copies_are_one_title_of_one_author_whatever_the_edition():
    copies = Copies()
    assert [
        copies.add(title, author)
        for title, author in (
            ("Cleopatra", "Stacy Schiff, Somebody (Narrator)"),
            ("CLEOPATRA (Illustrated)", "Stacy Schiff"),
            ("Cleopatra (25th Anniversary Edition)", "Stacy Schiff"),
            ("Cleopatra", "Another"),
            ("The Hobbit", "J.R.R. Tolkien"),
            ("The Hobbit (Middle-earth, #0)", "J. R. R. Tolkien"),
            ("Poems", ""),
            ("Poems", ""),
        )
    ] == [False, True, True, False, False, True, False, False]


@pytest.mark.parametrize(
    "titles",
    [
        ["Saga, Vol. 1", "Saga, Vol. 2", "Saga"],
        ["Saga (#1)", "Saga (#2)", "Saga"],
        ["Saga", "Saga (Saga, #1)", "Saga (Saga, #2)"],
        ["Words of Radiance (Part 1 of 2)", "Words of Radiance (Part 2 of 2)", "Words of Radiance"],
        ["Fables", "Fables: Legends in Exile", "Fables: Animal Farm"],
        ["Collected Stories (Works, #1)", "Collected Stories (Works, #2)"],
        ["Dune", "Dune Messiah", "Dune: The Graphic Novel"],
        ["ナルト 第1巻", "ナルト 第2巻"],
    ],
)
def test_volumes_and_works_that_share_a_beginning_are_no_copies(titles):
    copies = Copies()
    assert [copies.add(title, "One Author") for title in titles] == [False] * len(titles)


def test_key_of_is_letters_and_digits_alone():
    assert key_of("Sci-Fi") == key_of("sci fi") == "scifi"
    assert len(key_of("x" * 1000)) == 120


@pytest.mark.parametrize(
    ("typed", "filters", "query"),
    [
        (((), 0, None), Filters(), ""),
        ((("EN", " fr", ""), "5", ""), Filters(("en", "fr"), 5), "@language:{en|fr} @review_count:[5 +inf]"),
        (((), 0, "1990-1999"), Filters(years=(1990, 1999)), "@year:[1990 1999]"),
        (((), 0, "1990-"), Filters(years=(1990, None)), "@year:[1990 +inf]"),
        (((), 0, "-1999"), Filters(years=(None, 1999)), "@year:[-inf 1999]"),
        (((), 0, "1990"), Filters(years=(1990, 1990)), "@year:[1990 1990]"),
    ],
)
def test_filters_are_read_from_what_is_typed(typed, filters, query):
    assert Filters.of(*typed) == filters
    assert filters.to_query() == query
    assert bool(filters) == bool(query)


@pytest.mark.parametrize("typed", [(("e n",), 0, None), (("en}|*",), 0, None), ((), "-1", None), ((), 0, "long ago")])
def test_a_filter_that_is_none_is_refused(typed):
    with pytest.raises(QueryError):
        Filters.of(*typed)
