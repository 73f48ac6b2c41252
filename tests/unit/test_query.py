"""A query parsed: its words in each form that the index holds."""

import pytest

from viberary_pipeline.search.query import MOST_TERMS, ParsedQuery


def test_a_query_is_parsed_into_every_form_that_the_index_holds():
    assert ParsedQuery.parse("The Café, the café_au (Misérables|b) 22 🐉") == ParsedQuery(
        words=("the", "cafe", "the", "cafe", "au", "miserables", "b", "22"),
        key="thecafethecafeaumiserablesb22",
        name_terms=("cafe", "au", "miserables", "b", "22"),
        description_terms=("café", "café_au", "misérables", "b", "22"),
        terms=("café", "café_au", "misérables", "b", "22", "cafe", "au", "miserables"),
        spelling_terms=("cafe", "miserables"),
    )


def test_punctuation_that_the_server_keeps_stays_in_a_word():
    assert ParsedQuery.parse("Don't look—now").description_terms == ("don", "t", "look—now")


@pytest.mark.parametrize("text", ["", "   ", "🐉🔥", "…!?", '@{}|-~*%$"\\', "\ud800", "\x00\x1f"])
def test_a_text_without_words_has_no_terms(text):
    assert ParsedQuery.parse(text) == ParsedQuery((), "", (), (), (), ())


@pytest.mark.parametrize(
    "text",
    [
        "gollum frodo gollum",
        "Gollum, gollum! Frodo",
        "Gôllum gollum (frodo) FRODO",
        "gollum frodo gollum frodo gollum frodo",
    ],
)
def test_a_word_is_spell_checked_once_however_it_is_repeated(text):
    assert ParsedQuery.parse(text).spelling_terms == ("gollum", "frodo")


def test_short_words_numbers_stop_words_and_sentences_are_not_spell_checked():
    assert ParsedQuery.parse("the big book with 1984 b4d").spelling_terms == ("book",)
    assert ParsedQuery.parse("word " * 13).spelling_terms == ()


def test_a_word_of_the_query_language_is_no_term():
    query = ParsedQuery.parse("IsMissing from home")
    assert (query.terms, query.key) == (("from", "home"), "ismissingfromhome")


def test_long_queries_have_no_key_and_bounded_terms():
    query = ParsedQuery.parse(" ".join(f"word{n}" for n in range(500)))
    assert query.key == ""
    assert len(query.terms) == len(query.name_terms) == len(query.description_terms) == MOST_TERMS


def test_of_a_long_query_the_rarest_words_are_scored_in_their_order():
    words = [f"word{n}" for n in range(2 * MOST_TERMS)]
    query = ParsedQuery.parse(" ".join(words), held=lambda word: -int(word.removeprefix("word")))
    assert query.terms == query.name_terms == query.description_terms == tuple(words[MOST_TERMS:])
