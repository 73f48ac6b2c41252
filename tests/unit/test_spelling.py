"""Typos, judged by the words of names: what is corrected, and what is left alone."""

import random

import pytest

from viberary_pipeline.search.spelling import Count, NameWords, Spelling, WordCounts, corrected_text, edits


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("neuormancer", "neuromancer", 1), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_edits_count_a_swap_as_one(one, other, distance):
    assert edits(one, other) == edits(other, one) == distance


def spelling(counts, *words, texts=1000, language=()):
    """`counts`: {word: (weight in names, texts)}; names are authors'."""
    counts = {word: Count(names, names, held) for word, (names, held) in counts.items()}
    return NameWords(counts, texts).spelling(words, lambda word: word in language)


def test_a_short_word_is_corrected_by_one_edit_a_long_one_by_two():
    names = {"king": (90, 3), "ring": (9, 3), "kings": (5, 3), "dostoevsky": (90, 3)}
    assert spelling(names, "kign").near == {"kign": ("king",)}
    assert spelling(names, "dostoyevski").near == {"dostoyevski": ("dostoevsky",)}
    assert spelling(names, "kyngs").near == {"kyngs": ("kings",)}
    assert spelling(names, "knigs").near == {"knigs": ("kings",)}
    assert spelling(names, "vengeful").near == {}


def test_the_heavier_of_two_words_that_are_as_near_comes_first():
    names = {"marten": (5, 1), "martin": (900, 1)}
    assert spelling(names, "martn").near == {"martn": ("martin", "marten")}


def test_a_word_that_a_few_texts_hold_is_a_typo_a_frequent_one_is_none():
    assert spelling({"tolvien": (42, 3), "tolvein": (0, 2)}, "tolvein") == Spelling(
        near={"tolvein": ("tolvien",)}, likely={"tolvein": "tolvien"}, slips=frozenset({"tolvein"})
    )
    assert spelling({"lovely": (4000, 90), "lonely": (0, 30)}, "lonely") == Spelling()
    assert spelling({"tolvien": (42, 3), "tolvein": (20, 1)}, "tolvein").near == {}, "another author"


def test_a_word_of_the_language_is_corrected_in_whole_titles_and_where_nothing_holds_it_in_whole_authors():
    names, near = {"austen": (900, 3)}, {"austin": ("austen",)}
    assert spelling(names, "austin", language=["austin"]) == Spelling(near_authors=near, near_titles=near)
    assert spelling({**names, "austin": (0, 2)}, "austin", language=["austin"]) == Spelling(near_titles=near)
    assert spelling({**names, "austin": (0, 30)}, "austin", language=["austin"]) == Spelling()


def test_a_typo_of_a_word_of_the_language_needs_the_words_beside_it_unless_that_is_mostly_a_name():
    found = spelling({"potter": (90, 30)}, "poter", language=["potter"])
    assert (found.near, found.likely, found.likely_beside) == ({"poter": ("potter",)}, {}, {"poter": "potter"})
    found = spelling({"tolkien": (900, 30)}, "tolkein", language=["tolkien"])
    assert (found.likely, found.likely_beside) == ({"tolkein": "tolkien"}, {})


def test_two_unknown_words_are_typos_three_are_another_vocabulary():
    names = {"king": (90, 3), "queen": (90, 3)}
    assert spelling(names, "kign", "qeuen").likely == {"kign": "king", "qeuen": "queen"}
    assert spelling(names, "kign", "qeuen", "gollum") == Spelling()


def test_words_of_ideographs_and_short_words_are_left_alone():
    names = {"村上春樹": (90, 3), "poe": (90, 3)}
    assert spelling(names, "村上春木", "pœ", "pow") == Spelling()
    assert spelling({"достоевскии": (90, 3)}, "достоевски").likely == {"достоевски": "достоевскии"}


def test_a_name_is_told_from_a_word_of_the_language():
    names = {"steinbeck": (90, 3), "king": (90, 3)}
    assert spelling(names, "steinbeck", "king", language=["king"]).name_words == {"steinbeck"}


def test_every_typo_of_one_edit_is_found_among_many_words():
    draw = random.Random(0)
    names = {"".join(draw.choices("etaoinshrdluж", k=draw.randint(4, 12))): Count(9, 9, 1) for _ in range(5000)}
    words = NameWords(names)
    for name in draw.sample(sorted(names), 200):
        at = draw.randrange(len(name) - 1)
        for typo in (
            f"{name[:at]}q{name[at:]}",
            f"{name[:at]}q{name[at + 1 :]}",
            f"{name[:at]}{name[at + 1]}{name[at]}{name[at + 2 :]}",
            f"{name[:at]}{name[at + 1 :]}",
        ):
            if typo not in names and len(typo) >= 4:
                nearest, *_ = words.spelling([typo]).near[typo]
                assert edits(typo, nearest) == 1, (name, typo)


def test_a_build_keeps_the_words_of_names_and_those_that_two_texts_hold():
    counts = WordCounts(documents=3)
    counts.add(["dune", "it"], ["frank", "herbert"], "Sand and spice, again sand.", 100)
    counts.add(["emma"], ["jane", "austen"], "Sand castles.", 0)
    counts.add(["dune", "messiah"], [], "", 3)
    first, *lines = counts.to_text().split("\n")
    assert first == "3"
    # Weight: one and the bits of the reviews of each work.
    assert sorted(lines) == [
        *("austen 1 1 1", "dune 11 0 2", "emma 1 0 1", "frank 8 8 1", "herbert 8 8 1", "jane 1 1 1", "messiah 3 0 1"),
        "sand 0 0 2",
    ]
    assert NameWords.read(counts.to_text()).spelling(["herbet"]).near == {"herbet": ("herbert",)}
    assert NameWords.read("").spelling(["herbet"]) == Spelling()


def test_of_many_texts_a_share_is_read():
    counts = WordCounts(documents=200_000)
    for _ in range(8):
        counts.add(["name"], [], "word", 0)
    assert counts.to_text().split("\n")[0] == "2"


@pytest.mark.parametrize(
    ("text", "spelling", "works", "corrected"),
    [
        (
            "Cormack macarthy",
            Spelling(near={"cormack": ("cormac",), "macarthy": ("mccarthy",)}),
            [("The Road", "Cormac McCarthy", True)],
            "Cormac mccarthy",
        ),
        # The first that the names hold, in the typed case; what is not a typo stays as it is.
        (
            "books like Hary Potter!",
            Spelling(near={"hary": ("mary", "harry")}),
            [("Harry Potter", "J.K. Rowling", True)],
            "books like Harry Potter!",
        ),
        # Names hold the typed word itself, or none of what it may stand for.
        ("smyth", Spelling(near={"smyth": ("smith",)}), [("Smyth and Smith", "A", True)], ""),
        ("smyth", Spelling(near={"smyth": ("smith",)}), [("Emma", "Jane Austen", True)], ""),
        ("smyth", Spelling(near={"smyth": ("smith",)}), [], ""),
        # A word of the language is a typo in a name alone.
        (
            "a hose of sand",
            Spelling(near_titles={"hose": ("house",)}),
            [("A House of Sand", "B", True)],
            "a house of sand",
        ),
        ("a hose of sand", Spelling(near_titles={"hose": ("house",)}), [("A House of Sand", "B", False)], ""),
        ("jane austin", Spelling(near_authors={"austin": ("austen",)}), [("Emma", "Jane Austen", True)], "jane austen"),
    ],
)
def test_a_query_is_shown_as_the_names_that_it_found_spell_it(text, spelling, works, corrected):
    assert corrected_text(text, spelling, works) == corrected


def test_the_beginning_of_a_word_may_hold_a_typo_in_either_half():
    words = {"tolkien": 50, "tolstoy": 80, "pratchett": 40, "hitchhiker": 30, "rowling": 10, "достоевский": 5}
    names = NameWords({word: Count(weight, weight, 1) for word, weight in words.items()}, 1000)
    typed = {
        "tolkei": ["tolkie"],  # two letters in each other's place
        "tlok": ["tolk"],
        "prach": ["pratch"],  # one left out
        "hitchik": ["hitchhik"],
        "rowlling": ["rowling"],  # one too many
        "tolzt": ["tolst"],
        "tolh": ["tols", "tolk"],  # the heavier word first
        "достае": ["достое"],
        "xolkien": [],  # the first letter is right
        "tolkien": [],
        "zz": [],
    }
    assert {word: names.near_beginnings(word) for word in typed} == typed
