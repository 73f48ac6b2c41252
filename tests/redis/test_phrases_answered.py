"""Phrases of a query, guides and the works of one author, on a real index of a few made-up works."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_library import SmallLibrary

from viberary_pipeline.redis_contract import PAGE_FIELDS, document_prefix
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.retrieval import ORDER_FIELDS, find_like

KINDS = ("amber", "brisk", "copper", "dusty", "early", "faded", "gentle", "hollow", "idle", "jolly", "kind", "lone")
WORDS = ("paper", "arena", "guide", "moon", "funny", "vampire", "castle", "not", "without", "books", "by", "like", "a")
NAMES = ("ada", "verne", "vernne", "arenna", "1", "9780306406158")
OTHERS = [
    (f"Quiet Matter {n}", f"Writer Number{n}", f"A {word} tale of a village, its {word} people and one long summer.")
    for n, word in enumerate(KINDS)
]
LIBRARY = [
    ("The Paper Arena (The Paper Arena, #1)", "Nora Sample", "A girl fights in a cruel arena on every screen."),
    ("Paper Arena: A Complete Study Guide", "Quick Notes Press", "Chapter by chapter, the cruel arena explained."),
    ("Summary of The Paper Arena by Nora Sample", "Instaread", "A girl fights in a cruel arena on every screen."),
    ("The Paper Arena Trilogy Boxed Set", "Nora Sample", "A girl fights in a cruel arena, three books of it."),
    ("A Guide to the Paper Arena", "Hal Helper", "The cruel arena and every screen, a girl and her fights."),
    ("The Traveller's Guide to the Moon", "Doug Adam", "A funny trip to the moon with a towel."),
    ("Moon Harvest", "Ada Verne", "Farmers grow wheat on the moon and it is funny."),
    ("Night Garden", "Ada Verne", "A vampire tends roses. A romance in the dark."),
    ("Crimson Count", "Bela Stone", "Vampires haunt a castle in the mountains."),
    ("Castle of Rain", "Ira Wolfe", "A haunted castle, a storm and a family secret."),
    {
        "title": "Plain Hearts",
        "author": "Joan Duke",
        "description": "Two farmers meet in spring.",
        "genres": ["romance"],
    },
    ("No Roads for Old Wolves", "Corm Carthy", "A sheriff and a bag of money."),
    ("Not Without My Brother", "Bette M. Oody", "A woman flees across the mountains."),
    ("A Man Without a Harbour", "Kurt Gut", "Essays of an old sailor."),
    ("Tall Orders", "Ada Verne", "A waiter in space."),
    *OTHERS,
]


@pytest.fixture
def library(client, tmp_path):
    return SmallLibrary(client, tmp_path / "library", LIBRARY)


# Guides and collections.


def test_a_work_comes_before_the_guides_to_it_and_its_collections(library):
    novel = "The Paper Arena (The Paper Arena, #1)"
    accompanying = {title for title, *_ in LIBRARY[1:5]}
    for query in ("paper arena", "the paper arena", "paper arena nora sample"):
        titles = library.titles(query)
        assert titles[0] == novel
        assert library.titles(query, 100)[:10] == titles
    titles = library.titles("a girl fights in a cruel arena on every screen", 100)
    assert titles[0] == novel
    assert accompanying.isdisjoint(titles[:10])
    assert accompanying == set(titles[10:14])


def test_a_guide_is_shown_first_where_the_work_itself_is_not_there(client, tmp_path):
    library = SmallLibrary(client, tmp_path, [*LIBRARY[1:2], *OTHERS])
    assert library.titles("paper arena")[0] == "Paper Arena: A Complete Study Guide"


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("paper arena study guide", "Paper Arena: A Complete Study Guide"),
        ("summary of the paper arena", "Summary of The Paper Arena by Nora Sample"),
        ("paper arena box set", "The Paper Arena Trilogy Boxed Set"),
        ("the paper arena omnibus", "The Paper Arena Trilogy Boxed Set"),
    ],
)
def test_a_companion_comes_first_where_it_is_asked_for(library, query, title):
    titles = library.titles(query)
    assert title in titles[:2]
    assert titles.index(title) < titles.index("The Paper Arena (The Paper Arena, #1)")


def test_a_work_that_is_called_a_guide_is_no_companion(library):
    assert library.titles("a funny trip to the moon with a towel")[0] == "The Traveller's Guide to the Moon"


# One author's works.


@pytest.mark.parametrize("word", ["Revenge", "Sun", "Love"])
def test_an_author_of_one_common_word_takes_three_places_of_the_first_ten(client, tmp_path, word):
    theirs = [(f"{n} Poems", word, "Quiet poems for calm afternoons.") for n in range(60)]
    wanted = ("Long Debt", "Ann Tester", f"A sailor thinks of {word.lower()} and comes home for it.")
    library = SmallLibrary(client, tmp_path, [*theirs, wanted, *OTHERS])
    for query in (word.lower(), f"{word.lower()} and poems", f"cold {word.lower()}"):
        results = library.ask(query, 100).results
        assert [r.fields["author"] for r in results[:10]].count(word) <= 3
        if "poems" not in query:
            assert "Long Debt" in [r.fields["title"] for r in results[:10]]
        assert [r.fields["author"] for r in results].count(word) > 20
        assert library.ask(query).results == results[:10]
    by_name = library.ask(f"books by {word}")
    assert {r.fields["author"] for r in by_name.results} == {word}
    assert by_name.notes == (f"books by {word}",)


def test_an_author_who_is_named_takes_as_many_places_as_there_are_works(client, tmp_path):
    theirs = [(f"{n} Poems", "Terry Patch", "Quiet poems.") for n in range(12)]
    library = SmallLibrary(client, tmp_path, [*theirs, *OTHERS])
    for query in ("terry patch", "quiet poems by patch", "Patch, Terry: poems", "patch"):
        assert {r.fields["author"] for r in library.ask(query).results} == {"Terry Patch"}
    assert [r.fields["author"] for r in library.ask("quiet poems").results].count("Terry Patch") == 3
    unlimited = library.ask("quiet poems", per_author=0).results
    assert [r.fields["author"] for r in unlimited].count("Terry Patch") > 3


def test_a_catalogue_of_one_author_is_shown_whole(client, tmp_path):
    library = SmallLibrary(client, tmp_path, [(f"{n} Poems", "Terry Patch", "Quiet poems.") for n in range(12)])
    assert len(library.titles("quiet afternoons", 100)) == 12


# Books by, books like.


@pytest.mark.parametrize(
    "query",
    [
        "books by Ada Verne",
        "novels by verne",
        "Ada Verne books",
        "Verne's novels",
        "Bücher von Verne",
        "anything by Ada Vern",
    ],
)
def test_books_by_an_author_come_first_most_reviewed_first(library, query):
    answer = library.ask(query)
    assert [r.fields["title"] for r in answer.results[:3]] == ["Moon Harvest", "Night Garden", "Tall Orders"]
    assert [r.named for r in answer.results[:4]] == ["author", "author", "author", ""]
    assert answer.notes == ("books by Ada Verne",)


@pytest.mark.parametrize("query", ["books by Nobody Known", "harbour books", "books by the sea"])
def test_an_author_who_is_not_there_is_plain_words(library, query):
    answer = library.ask(query)
    assert answer.notes == ()
    assert library.embedded == [query]


@pytest.mark.parametrize(
    "query",
    [
        "books like Castle of Rain",
        "similar to castle of rain",
        "if I liked Castle of Rain",
        "Bücher wie Castle of Rain",
        "something like Castle of Rain by Ira Wolfe",
    ],
)
def test_books_like_a_title_are_those_near_its_vector_without_itself(library, query):
    answer = library.ask(query)
    key = f"{document_prefix(library.record.build)}9".encode()
    near = find_like(library.client, library.record, key, 10, filters=Filters())
    assert answer.notes == ("like Castle of Rain",)
    assert library.embedded == []
    assert {r.fields["title"] for r in answer.results[:3]} <= {r.fields["title"] for r in near.results[:5]}
    assert "Castle of Rain" not in library.titles(query, 100)


def test_typos_in_what_others_are_like_are_corrected(library):
    for query, like in (("books like Castel of Rain", "Castle of Rain"), ("books like Ada Vernne", "Ada Verne")):
        assert library.ask(query).notes == (f"like {like}",)


def test_the_rest_of_the_words_is_mixed_with_the_title(library):
    answer = library.ask("books like Castle of Rain but with vampires, please")
    assert answer.notes == ("like Castle of Rain, and: vampires",)
    assert answer.results[0].fields["title"] == "Crimson Count"


def test_books_like_an_author_are_by_others(library):
    answer = library.ask("authors like Ada Verne", 100)
    assert answer.notes == ("like Ada Verne",)
    assert "Ada Verne" not in {r.fields["author"] for r in answer.results}


def test_a_title_that_is_not_there_is_plain_words(library):
    answer = library.ask("books like Xyzzy but funny")
    assert answer.notes == ()
    assert library.embedded == ["books like Xyzzy but funny"]


# What is not wanted.


@pytest.mark.parametrize(
    ("query", "embedded", "note"),
    [
        ("castle without vampires", "castle", "left out: vampires"),
        ("castle, no vampires or romance", "castle", "left out: vampires, romance"),
        ("castle -vampires", "castle", "left out: vampires"),
        ("castle but not vampires", "castle", "left out: vampires"),
    ],
)
def test_what_is_not_wanted_is_left_out_and_not_embedded(library, query, embedded, note):
    answer = library.ask(query, 100)
    assert answer.notes == (note,)
    assert library.embedded == [embedded]
    titles = {r.fields["title"] for r in answer.results}
    assert {"Crimson Count", "Night Garden"}.isdisjoint(titles)
    assert "Castle of Rain" in titles


def test_genres_are_left_out_too_and_what_is_not_wanted_may_be_all_that_is_said(library):
    for query in ("two farmers, not romance", "no romance"):
        titles = library.titles(query, 100)
        assert {"Plain Hearts", "Night Garden"}.isdisjoint(titles)
        assert len(titles) > 10


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("No Roads for Old Wolves", "No Roads for Old Wolves"),
        ("no roads", "No Roads for Old Wolves"),
        ("Not Without My Brother", "Not Without My Brother"),
        ("a man without a harbour", "A Man Without a Harbour"),
        ("without a harbour by Kurt Gut", "A Man Without a Harbour"),
    ],
)
def test_a_title_with_a_negation_is_found_by_name(library, query, title):
    answer = library.ask(query)
    assert (answer.results[0].fields["title"], answer.notes) == (title, ())


def test_phrases_are_plain_words_where_they_are_switched_off(library):
    assert library.ask("castle without vampires", read_phrases=False).notes == ()
    assert library.embedded == ["castle without vampires"]


# The same order for every k, and filters that leave nothing.

words = st.sampled_from(WORDS + NAMES)
narrowed = st.sampled_from(
    [Filters(), Filters(min_reviews=990), Filters(languages=("English",)), Filters(years=(1990, 2010))]
)


@given(st.lists(words, min_size=1, max_size=6).map(" ".join), st.integers(1, 99), narrowed)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_first_results_are_the_same_however_many_are_asked_for(library, query, k, filters):
    assert library.ask(query, k, filters).results == library.ask(query, 100, filters).results[:k]


@pytest.mark.parametrize("query", ["verneling", "vernelink", "funny verneling", "dark by vernelling"])
def test_a_surname_of_many_works_has_the_same_first_results_however_many_are_asked_for(client, tmp_path, query):
    theirs = [(f"Stone {n}", "Ada Verneling", f"A dark tale, the {n}th.") for n in range(80)]
    library = SmallLibrary(client, tmp_path, [*OTHERS, *theirs])
    most = library.ask(query, 100).results
    assert most[0].fields["author"] == "Ada Verneling"
    for k in (1, 3, 10, 40):
        assert library.ask(query, k).results == most[:k]


def test_a_number_that_no_book_has_is_said_to_have_none(library):
    for filters, note in (
        (Filters(), "no book has this number"),
        (Filters(min_reviews=5), "no book that the filter lets through has this number"),
    ):
        answer = library.ask("978-0-306-40615-8", filters=filters)
        assert (answer.results, answer.notes) == ([], (note,))


def test_similar_books_are_the_same_however_many_are_asked_for(library):
    for number in range(len(LIBRARY)):
        key = f"{document_prefix(library.record.build)}{number}".encode()
        most = find_like(library.client, library.record, key, 100, filters=Filters()).results
        for k in (1, 10, 26):
            assert find_like(library.client, library.record, key, k, filters=Filters()).results == most[:k]


@pytest.mark.parametrize(
    "query", ["paper arena", "books like moon harvest", "by ada verne", "cruel arena", "9780306406158"]
)
def test_the_order_is_the_same_whatever_fields_are_asked_for(library, query):
    whole, slim = (library.ask(query, 100, fields=fields).results for fields in (PAGE_FIELDS, ORDER_FIELDS))
    assert [work.fields for work in slim] == [{name: work.fields[name] for name in ORDER_FIELDS} for work in whole]
    assert [(work.score, work.named) for work in slim] == [(work.score, work.named) for work in whole]


def test_similar_books_are_the_same_whatever_fields_are_asked_for(library):
    key = f"{document_prefix(library.record.build)}0".encode()
    whole, slim = (
        find_like(library.client, library.record, key, 100, filters=Filters(), fields=fields).results
        for fields in (PAGE_FIELDS, ORDER_FIELDS)
    )
    assert [work.fields for work in slim] == [{name: work.fields[name] for name in ORDER_FIELDS} for work in whole]


def test_more_reviews_do_not_reshuffle_what_an_author_wrote(client, tmp_path):
    """The work that a query names is found among more works by its author than are shown."""
    theirs = [(f"Stone {n}", "Stefan Kingsley", "A dark tale.") for n in range(60)]
    library = SmallLibrary(client, tmp_path, [*theirs, ("It", "Stefan Kingsley", "A clown."), *OTHERS])
    most = library.titles("it stefan kingsley", 100)
    assert most[0] == "It"
    for k in (1, 2, 10, 20, 50):
        assert library.titles("it stefan kingsley", k) == most[:k]


def test_a_filter_that_leaves_nothing_says_so(library):
    answer = library.ask("castle", 10, Filters(languages=("français",), min_reviews=5))
    assert (answer.results, answer.notes) == ([], ("no book is left by the filter: language fr, at least 5 reviews",))
