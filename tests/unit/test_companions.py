"""Guides and collections by their titles."""

import pytest

from viberary_pipeline.search.companions import AskedFor, accompanies, asked_for


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("guide", "SparkNotes: Dune"),
        ("guide", "CliffsNotes on Shakespeare's Hamlet"),
        ("guide", "Dune: A Complete Study Guide"),
        ("guide", "Summary of Dune by Frank Herbert"),
        ("guide", "Gone Girl: by Gillian Flynn | Summary & Analysis"),
        ("guide", "Dune: Conversation Starters"),
        ("guide", "Trivia-On-Books: Dune"),
        ("guide", "The Giver: A Sidekick"),
        ("guide", "Workbook for Atomic Habits"),
        ("guide", "Lektürehilfe Der Prozess"),
        ("guide", "Die Verwandlung: Königs Erläuterungen"),
        ("guide", "Candide: fiche de lecture"),
        ("guide", "Resumen de Duna"),
        ("collection", "The Hunger Games Trilogy Boxed Set"),
        ("collection", "Harry Potter Box Set: The Complete Collection"),
        ("collection", "Divergent: Books 1-3"),
        ("collection", "The Maze Runner Complete Series"),
        ("collection", "Wool Omnibus (Silo, #1)"),
        ("collection", "3 Novels in 1"),
        ("collection", "Harry Potter: coffret"),
        ("collection", "Trilogía completa"),
        ("", "The Hitchhiker's Guide to the Galaxy"),
        ("", "A Field Guide to Quiet"),
        ("", "Notes from Underground"),
        ("", "The Interpretation of Dreams"),
        ("", "Understanding Comics"),
        ("", "The Complete Stories"),
        ("", "A Companion to Wolves"),
        ("", "The Notebook"),
        ("", "The Lord of the Rings (The Lord of the Rings, #1-3)"),
        ("", "Dune (Dune Chronicles, #1)"),
    ],
)
def test_what_a_title_alone_says(kind, title):
    assert accompanies(title, "Somebody", ["Nothing of This"]) == kind


@pytest.mark.parametrize(
    ("kind", "title", "other"),
    [
        ("guide", "A Guide to the Paper Arena", "The Paper Arena (Arena, #1)"),
        ("guide", "Understanding Dune", "Dune"),
        ("guide", "The Artist's Way Workbook", "The Artist's Way: A Path"),
        ("guide", "Dune: A Reader's Companion", "Dune"),
        (
            "collection",
            "The Lord of the Rings (The Lord of the Rings, #1-3)",
            "The Two Towers (The Lord of the Rings, #2)",
        ),
        ("", "The Ultimate Guide to Vampires and Other Beasts", "Vampires"),
        ("", "A Guide to It All", "It"),
    ],
)
def test_some_titles_say_it_beside_the_work_itself(kind, title, other):
    assert accompanies(title, "Somebody", [other, title]) == kind
    assert accompanies(title, "Somebody", [title]) == ""


def test_a_publisher_of_guides_publishes_guides():
    assert accompanies("Dune", "SparkNotes, Frank Herbert", []) == "guide"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("dune study guide", AskedFor("guide", ("dune",))),
        ("summary of the great gatsby", AskedFor("guide", ("great", "gatsby"))),
        ("harry potter box set", AskedFor("collection", ("harry", "potter"))),
        ("Der Prozess Lektürehilfe", AskedFor("guide", ("der", "prozess"))),
        ("cold-blooded revenge", None),
        ("a boxer and his settlement", None),
    ],
)
def test_a_query_that_asks_for_one(query, asked):
    assert asked_for(query) == asked
