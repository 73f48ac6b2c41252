"""Names as people type them, typos, filters: pure functions."""

import math

import pytest

from viberary_pipeline.errors import QueryError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.lexical import bm25_words, corrections, description_words, edits, lift, name_weight
from viberary_pipeline.index.name_keys import Copies, author_keys, key_of, title_keys, words_of
from viberary_pipeline.search.named import spelt_out
from viberary_pipeline.search.replies import Row, read_rows, read_spelling


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Les Misérables!", ["les", "miserables"]),
        ("The Hitchhiker’s Guide", ["the", "hitchhikers", "guide"]),
        ("Catch-22", ["catch", "22"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("吾輩は猫である", ["吾輩は猫である"]),
        ("…!?", []),
    ],
)
def test_words_lose_case_accents_and_punctuation(text, words):
    assert words_of(text) == words


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
    assert author_keys("J.R.R. Tolkien, Alan Lee (Illustrator)") == ["jrrtolkien", "alanlee"]
    assert author_keys("Ursula K. Le Guin") == ["ursulakleguin", "ursulaleguin"]
    assert author_keys("J. Winter") == ["jwinter"], "a season is no author"
    assert author_keys("Voltaire") == ["voltaire"]
    assert author_keys("") == []


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("neuormancer", "neuromancer", 1), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_edits_count_a_swap_as_one(one, other, distance):
    assert edits(one, other) == edits(other, one) == distance


def test_a_short_word_is_corrected_by_one_slip_a_long_one_by_two():
    assert corrections("pratchet", ["pratchett", "ratchet", "patched"]) == ("pratchett", "ratchet", "patched")
    assert corrections("kign", ["king", "ring", "kings"]) == ("king",)
    assert corrections("revenge", ["vengeful"]) == ()


def test_words_for_bm25_have_every_form_that_the_index_may_hold():
    assert description_words("Don't look—now, café_au 🐉 (a|b)") == ["don", "t", "look—now", "café_au", "b"]
    assert bm25_words("Les Misérables of the") == ["les", "misérables", "miserables"]


def test_names_count_where_they_hold_all_words_or_the_authors_name():
    assert name_weight(["cold", "revenge"], "In Cold Blood", "Truman Capote") == 0
    assert name_weight(["cold", "blood"], "In Cold Blood", "Truman Capote") == 2
    assert name_weight(["blood", "capote"], "In Cold Blood", "Truman Capote") == 2
    assert name_weight(["capote"], "In Cold Blood", "Truman Capote") == 2
    assert name_weight(["like", "capote"], "In Cold Blood", "Truman Capote, Jane Doe (Translator)") == 1
    assert name_weight(["translator"], "In Cold Blood", "Jane Doe (Translator)") == 0


@pytest.mark.parametrize("documents", [0, 1, 300, 2_000_000])
def test_a_common_word_lifts_nothing_and_a_rare_one_by_nearly_one_whatever_the_size(documents):
    assert lift(0, documents) == lift(1.5, documents) == 0
    rare = math.log(1 + max(documents, 2))
    assert 0 <= lift(rare, documents) < 1
    assert lift(rare + 1.5, documents) == pytest.approx(1)


def row(key, title, author, reviews=0):
    return Row(key, 0.0, {b"title": title.encode(), b"author": author.encode(), b"review_count": str(reviews).encode()})


def named(asked, rows, near=None, most=10):
    return [(hit.key, hit.how) for hit in spelt_out(asked.split(), near or {}, rows, most)]


def test_titles_come_before_authors_whole_ones_first_then_by_reviews():
    rows = [
        row(b"spin-off", "Dune: House Atreides", "Brian Herbert", 900),
        row(b"less", "Dune", "Somebody", 1),
        row(b"dune", "Dune", "Frank Herbert", 500),
        row(b"by", "A Book", "Dune", 5),
        row(b"other", "Dune Messiah", "Frank Herbert", 700),
    ]
    assert named("dune", rows) == [(b"dune", "title"), (b"less", "title"), (b"spin-off", "title"), (b"by", "author")]
    assert named("dune", rows, most=2) == [(b"dune", "title"), (b"less", "title")]


def test_a_title_with_its_author_and_typos_is_named_half_a_title_is_not():
    rows = [row(b"k", "Guards! Guards!", "Terry Pratchett, Josh Kirby (Illustrator)", 3)]
    assert named("guards guards terry pratchett", rows) == [(b"k", "title")]
    assert named("terry prachett guards guards", rows, {"prachett": ("pratchett",)}) == [(b"k", "title")]
    assert named("guards guards by terry pratchett", rows) == [(b"k", "title")]
    assert named("guards", rows) == []
    assert named("prachett", rows, {"prachett": ("pratchett",)}) == []


def test_at_most_three_works_of_one_title_come_first():
    rows = [row(f"{n}".encode(), "Love", f"Author {n}", n) for n in range(20)]
    assert named("love", rows) == [(b"19", "title"), (b"18", "title"), (b"17", "title")]


def test_copies_differ_in_brackets_or_subtitle_alone():
    copies = Copies()
    assert [
        copies.add(title, author)
        for title, author in (
            ("Cleopatra: A Life", "Stacy Schiff"),
            ("Cleopatra", "Stacy Schiff, Somebody (Narrator)"),
            ("CLEOPATRA (Illustrated)", "Stacy Schiff"),
            ("Cleopatra", "Another"),
            ("Star Wars: One", "Timothy Zahn"),
            ("Star Wars: Two", "Timothy Zahn"),
            ("Star Wars: Two", "Timothy Zahn"),
            ("Dune", "Frank Herbert"),
            ("Dune Messiah", "Frank Herbert"),
        )
    ] == [False, True, True, False, False, False, True, False, False]


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


def test_replies_of_both_protocols_are_read_alike():
    maps = {b"results": [{b"id": b"k", b"score": 1.5, b"extra_attributes": {b"title": b"T"}}], b"warning": []}
    assert read_rows(maps, scores=True) == read_rows([1, b"k", b"1.5", [b"title", b"T"]], scores=True)
    assert read_rows({b"results": []}) == read_rows([0]) == []
    assert read_rows([1, b"k", b"2"], scores=True, contents=False) == [Row(b"k", 2.0, {})]
    spelling = {b"results": {b"kign": [{b"+ring": 0.9}, {b"ring": 0.1}, {b"king": 0.5}]}}
    older = [[b"TERM", b"kign", [[b"0.9", b"+ring"], [b"0.1", b"ring"], [b"0.5", b"king"]]]]
    assert read_spelling(spelling) == read_spelling(older) == {"kign": ["king", "ring"]}
