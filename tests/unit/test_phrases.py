"""What phrases of a query say, before any catalogue is asked."""

import time

import pytest

from viberary_pipeline.search.phrases import Phrases, about_the_book, remainder


@pytest.mark.parametrize(
    ("query", "wish", "excluded"),
    [
        ("space opera, not romance", "space opera", ["romance"]),
        ("horror without vampires or werewolves", "horror", ["vampires", "werewolves"]),
        ("a thriller but not gory", "a thriller", ["gory"]),
        ('fantasy -vampires -"young adult"', "fantasy", ["vampires", "young adult"]),
        ("a love story that isn't sad", "a love story", ["sad"]),
        ("sci-fi that’s not depressing", "sci-fi", ["depressing"]),
        ("not too long, funny", "funny", ["long"]),
        ("no romance but funny", "funny", ["romance"]),
        ("fantasy not by Tolkien", "fantasy", ["Tolkien"]),
        ("cosy mystery with no romance and lots of cats", "cosy mystery and lots of cats", ["romance"]),
        ("bees, no sex, violence or swearing", "bees", ["sex", "violence", "swearing"]),
        ("i don't want romance, just dragons", "just dragons", ["romance"]),
        ("feel-good but not cheesy, set in Italy", "feel-good, set in Italy", ["cheesy"]),
        ("nothing scary", "", ["scary"]),
        ("Krimi ohne Mord", "Krimi", ["Mord"]),
        ("roman sans amour", "roman", ["amour"]),
    ],
)
def test_a_negation_is_cut_out_of_the_wish(query, wish, excluded):
    phrases = Phrases.read(query)
    assert (phrases.wish, [one.typed for one in phrases.excluded]) == (wish, excluded)


@pytest.mark.parametrize(
    "query",
    [
        "non-fiction about bees",
        "nonfiction",
        "multi-generational epic",
        "funny sci-fi",
        "whether or not to love",
        "a girl with no name",
        "a girl who is not human",
        "he could not speak",
        "a challenge to not talk to anyone",
        "a totalitarian future without any hope",
        "not only funny",
        "No Country for Old Men",
        "Never Let Me Go",
        "Not Without My Daughter",
        "Without Fail",
        "Nothing to Envy",
        "Gone with the Wind",
        "No Longer Human",
        "the sea - and a dog",
        "a story of " + "very " * 40 + "long nights, not romance",
        "a murder mystery like no other",
        "it is not simply a love story",
        "the scene is London, where there has been no new housing since 1950 and the slums are called mansions",
    ],
)
def test_what_is_no_negation_stays(query):
    assert Phrases.read(query) == Phrases(query)
    assert not Phrases.read(query)


def test_kin_of_what_is_not_wanted_is_left_out_with_it():
    (scary,) = Phrases.read("a ghost story, not scary").excluded
    assert scary.phrases == ("scary", "horror", "terrifying")


@pytest.mark.parametrize(
    ("query", "author", "surname"),
    [
        ("books by Terry Pratchett", "Terry Pratchett", True),
        ("the best novels by Austen?", "Austen", True),
        ("anything written by J.R.R. Tolkien", "J.R.R. Tolkien", True),
        ("Pratchett's novels", "Pratchett", True),
        ("Agatha Christie books", "Agatha Christie", False),
        ("vampire books", "vampire", False),
        ("Romane von Franz Kafka", "Franz Kafka", True),
        ("livres de Camus", "Camus", True),
        ("libros de Borges", "Borges", True),
        ("книги Толстого", "Толстого", True),
        ("something funny by Pratchett", "", False),
        ("love", "", False),
    ],
)
def test_the_author_whose_books_are_asked_for(query, author, surname):
    phrases = Phrases.read(query)
    assert (phrases.author, phrases.surname) == (author, surname)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("books like Dune", ["Dune"]),
        ("funny books like Dune set in France", ["Dune set in France", "Dune set", "Dune"]),
        ("something like Emma, but funny", ["Emma, but funny", "Emma,", "Emma"]),
        ("if I liked Dune", ["Dune"]),
        ("what should i read if i loved “Emma”", ["Emma"]),
        ("Bücher wie Der Prozess", ["Der Prozess"]),
        ("like water for chocolate", ["water for chocolate", "water"]),
        ("a house that feels like home", []),
    ],
)
def test_what_books_like_may_be_followed_by_longest_first(query, names):
    found = [name.text for name in Phrases.read(query).like]
    assert list(dict.fromkeys(found))[: len(names)] == names
    assert bool(found) == bool(names)


def test_two_names_are_read_apart():
    names = {name.text for name in Phrases.read("similar to Dune and Foundation but short").like}
    assert {"Dune", "Dune and Foundation", "Foundation"} <= names


@pytest.mark.parametrize(
    ("rest", "left"),
    [(" but funny", "funny"), (", what should I read next?", ""), (" but with vampires, please", "vampires"), ("", "")],
)
def test_what_is_left_of_a_wish_without_its_names(rest, left):
    assert remainder(rest) == left


def test_a_long_request_is_read_without_what_it_says_of_the_reader():
    request = (
        "A boy finds a dragon under the frozen lake and hides it. I read this in middle school around 2005. "
        "I think the cover was blue. The dragon can only speak in rhymes, and the boy's sister is deaf. "
        "Does anyone remember it? Thanks in advance!"
    )
    assert about_the_book(request) == (
        "A boy finds a dragon under the frozen lake and hides it. "
        "The dragon can only speak in rhymes, and the boy's sister is deaf."
    )


@pytest.mark.parametrize("text", ["Please help me!", "thanks in advance " * 20, "a boy and a dragon", ""])
def test_a_short_text_and_one_of_the_reader_alone_stay(text):
    assert about_the_book(text) == text


@pytest.mark.parametrize(
    "text", ["books like " + "a, " * 660, "books like " + "one and " * 240, "not a, " * 280, "-a " * 660]
)
def test_the_longest_query_is_read_at_once(text):
    started = time.perf_counter()
    assert len(Phrases.read(text).like) <= 24
    assert time.perf_counter() - started < 0.2
