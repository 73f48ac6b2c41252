"""Ranking without Redis: which works the query names, what BM25 adds, ties."""

import math

import pytest

from viberary_pipeline.search.query import ParsedQuery
from viberary_pipeline.search.ranking import (
    Candidate,
    Ranked,
    break_ties,
    named_works,
    names_weight,
    next_batch,
    normalised_bm25,
    rank,
)
from viberary_pipeline.search.readings import Readings
from viberary_pipeline.search.spelling import Spelling
from viberary_pipeline.search.weights import SearchSettings

RARE = 1.5 + math.log(101)  # BM25 that is worth exactly 1 among a hundred documents


def readings(text, near=None, **spelling):
    return Readings.of(ParsedQuery.parse(text), Spelling(near or {}, **spelling))


def ranked(text, candidates, tuning=None, *, most_named=10, **spelling):
    return rank(
        ParsedQuery.parse(text),
        candidates,
        tuning or SearchSettings(lexical_weight=0.1),
        documents=100,
        most_named=most_named,
        readings=readings(text, **spelling),
    )


def work(key, title, author, reviews=0, **features):
    return Candidate(key, looked_up=True, title=title, author=author, review_count=reviews, **features)


def named(text, candidates, near=None, **spelling):
    return [(hit.key, hit.named) for hit in named_works(readings(text, near, **spelling), candidates)]


def test_the_score_is_the_cosine_plus_weighted_bm25():
    near, worded = Candidate(b"near", 0.5), Candidate(b"worded", 0.45, description_bm25=RARE)
    first, second = ranked("lonely lighthouse", [near, worded])
    assert second == Ranked(b"near", 0.5, "", 0.5, 0.0)
    assert (first.key, first.named, first.cosine) == (b"worded", "", 0.45)
    assert (first.score, first.lexical) == pytest.approx((0.55, 0.1))


def test_bm25_of_names_counts_by_what_the_names_hold():
    blood = {"names_bm25": RARE, "title": "In Cold Blood", "author": "Truman Capote"}
    lexical = {
        text: ranked(text, [Candidate(b"k", 0.0, **blood)])[0].lexical for text in ("cold revenge", "like capote")
    }
    assert lexical == pytest.approx({"cold revenge": 0, "like capote": 0.1})
    both = ranked("cold blood", [Candidate(b"k", 0.0, **blood)])[0].lexical
    assert both == pytest.approx(0.1 * (2 * RARE - 1.5) / math.log(101))


def test_a_work_with_all_terms_is_scored_by_the_better_bm25():
    (hit,) = ranked("x y z", [Candidate(b"k", 0.0, description_bm25=1.0, all_terms_bm25=RARE)])
    assert hit.lexical == pytest.approx(0.1)


def test_weight_zero_leaves_the_cosine():
    candidates = [Candidate(b"a", 0.1, description_bm25=9.0), Candidate(b"b", 0.2)]
    assert [hit.key for hit in ranked("x", candidates, SearchSettings(lexical_weight=0))] == [b"b", b"a"]


def test_named_works_come_first_and_once():
    candidates = [Candidate(b"near", 0.9), work(b"dune", "Dune", "Frank Herbert", cosine=0.1)]
    assert ranked("dune", candidates) == [Ranked(b"dune", math.inf, "title", 0.1), Ranked(b"near", 0.9, "", 0.9)]
    unnamed = ranked("dune", candidates, SearchSettings(find_names=False))
    assert [(hit.key, hit.named) for hit in unnamed] == [(b"near", ""), (b"dune", "")]


def test_a_work_found_by_name_alone_is_a_result_only_where_the_query_names_it():
    found = work(b"emma", "Emma", "Jane Austen")
    assert ranked("emma", [found]) == [Ranked(b"emma", math.inf, "title", None)]
    assert ranked("emma and others", [found]) == []


def test_named_works_beyond_the_most_are_ranked_by_their_score():
    books = [work(str(n).encode(), f"Book {n}", "Jane Austen", n, cosine=0.1) for n in range(3)]
    assert [(hit.key, hit.named) for hit in ranked("jane austen", books, most_named=1)] == [
        (b"2", "author"),
        (b"0", ""),
        (b"1", ""),
    ]


def test_only_a_work_that_was_looked_up_is_named():
    assert [hit.named for hit in ranked("emma", [Candidate(b"k", 0.5, title="Emma", author="Jane Austen")])] == [""]


def test_equal_scores_keep_the_order_of_the_candidates_until_reviews_break_the_tie():
    candidates = [Candidate(key, 0.5) for key in (b"a", b"b", b"c")] + [Candidate(b"d", 0.4)]
    hits = ranked("x", candidates)
    assert [hit.key for hit in hits] == [b"a", b"b", b"c", b"d"]
    assert [hit.key for hit in next_batch(hits, 0, 1)] == [b"a", b"b", b"c"]
    assert [hit.key for hit in next_batch(hits, 3, 5)] == [b"d"]
    assert [hit.key for hit in break_ties(hits, {b"a": 1, b"b": 7, b"c": 1, b"d": 9})] == [b"b", b"a", b"c", b"d"]


def test_scores_that_differ_in_the_seventh_digit_are_equal_and_named_works_keep_their_order():
    hits = [
        Ranked(b"t", math.inf, "title"),
        Ranked(b"u", math.inf, "author"),
        Ranked(b"a", 0.50000004),
        Ranked(b"b", 0.5),
    ]
    assert [hit.key for hit in break_ties(hits, {b"t": 1, b"u": 9, b"a": 1, b"b": 2})] == [b"t", b"u", b"b", b"a"]


def test_names_count_where_they_hold_all_words_or_the_authors_name():
    assert names_weight(["cold", "revenge"], "In Cold Blood", "Truman Capote") == 0
    assert names_weight(["cold", "blood"], "In Cold Blood", "Truman Capote") == 2
    assert names_weight(["blood", "capote"], "In Cold Blood", "Truman Capote") == 2
    assert names_weight(["capote"], "In Cold Blood", "Truman Capote") == 2
    assert names_weight(["like", "capote"], "In Cold Blood", "Truman Capote, Jane Doe (Translator)") == 1
    assert names_weight(["translator"], "In Cold Blood", "Jane Doe (Translator)") == 0
    assert names_weight(["funny", "capote"], "In Cold Blood", "Truman Capote", by={"capote"}) == 2


@pytest.mark.parametrize("documents", [0, 1, 300, 2_000_000])
def test_a_common_word_is_worth_nothing_and_a_rare_one_nearly_one_whatever_the_size(documents):
    assert normalised_bm25(0, documents) == normalised_bm25(1.5, documents) == 0
    rare = math.log(1 + max(documents, 2))
    assert 0 <= normalised_bm25(rare, documents) < 1
    assert normalised_bm25(rare + 1.5, documents) == pytest.approx(1)


def test_titles_come_before_authors_whole_ones_first_then_by_reviews():
    works = [
        work(b"spin-off", "Dune: House Atreides", "Brian Herbert", 900),
        work(b"less", "Dune", "Somebody", 1),
        work(b"dune", "Dune", "Frank Herbert", 500),
        work(b"by", "A Book", "Dune", 5),
        work(b"other", "Dune Messiah", "Frank Herbert", 700),
    ]
    assert named("dune", works) == [(b"dune", "title"), (b"less", "title"), (b"spin-off", "title"), (b"by", "author")]


def test_a_title_with_its_author_and_typos_is_named_half_a_title_is_not():
    works = [work(b"k", "Guards! Guards!", "Terry Pratchett, Josh Kirby (Illustrator)", 3)]
    assert named("guards guards terry pratchett", works) == [(b"k", "title")]
    assert named("terry prachett guards guards", works, {"prachett": ("pratchett",)}) == [(b"k", "title")]
    assert named("guards guards by terry pratchett", works) == [(b"k", "title")]
    assert named("guards", works) == []
    assert named("prachett", works, {"prachett": ("pratchett",)}) == []


def test_names_are_compared_by_letters_alone():
    works = [work(b"k", "The Lonely Sea", "Georgia X.Q. Marlin")]
    for text in ("georgia xq marlin", "Georgia X. Q. Marlin", "marlin, georgia x.q.", "g. marlin", "GXQ Marlin"):
        assert named(text, works) == [(b"k", "author")], text
    for text in ("lonelysea", "the lonely-sea georgia xqmarlin", "Georgia Marlin: Lonely Sea", "marlin's lonely sea"):
        assert named(text, works) == [(b"k", "title")], text


def test_a_surname_names_its_author_where_it_is_no_word_of_the_language():
    works = [work(b"k", "Mort", "Terry Pratchett"), work(b"other", "Prachett", "Somebody Else")]
    assert named("pratchett", works[:1]) == []
    assert named("pratchett", works[:1], name_words=frozenset({"pratchett"})) == [(b"k", "author")]
    typo = {"near": {"prachett": ("pratchett",)}, "likely": {"prachett": "pratchett"}}
    assert named("prachett", works, **typo) == [(b"other", "title"), (b"k", "author")], "as typed comes first"


def test_a_volume_comes_after_a_title_of_that_name():
    volume = {"title_keys": ["childrenofdune"], "volume_keys": ["3vdune"]}
    works = [work(b"third", "Children of Dune", "Frank Herbert", 900, **volume), work(b"titled", "Dune 3", "Nobody", 1)]
    assert named("dune 3", works) == [(b"titled", "title"), (b"third", "title")]


def test_a_number_comes_after_a_title_of_that_name():
    works = [work(b"number", "2666", "Roberto Bolaño", 900, numbered=True), work(b"1984", "1984", "George Orwell", 1)]
    assert named("1984", works) == [(b"1984", "title"), (b"number", "number")]


def test_a_typo_counts_for_bm25_as_what_it_stands_for():
    blood = {"names_bm25": RARE, "title": "In Cold Blood", "author": "Truman Capote"}
    for text, weight in (("like capotte", 1), ("cold capotte", 2)):
        hit = ranked(text, [Candidate(b"k", 0.0, **blood)], likely={"capotte": "capote"})[0]
        assert hit.lexical == pytest.approx(0.1 * (weight * RARE - 1.5) / math.log(101))


def test_at_most_three_works_of_one_title_come_first():
    works = [work(f"{n}".encode(), "Love", f"Author {n}", n) for n in range(20)]
    assert named("love", works) == [(b"19", "title"), (b"18", "title"), (b"17", "title")]


def test_a_work_comes_before_a_guide_to_it_however_exactly_its_title_was_typed():
    works = [
        work(b"guide", "Paper Arena", "SparkNotes", 2),
        work(b"summary", "Paper Arena: Summary and Analysis", "Somebody", 3),
        work(b"novel", "The Paper Arena (The Paper Arena, #1)", "Nora Sample", 1),
    ]
    assert named("paper arena", works) == [(b"novel", "title"), (b"guide", "title"), (b"summary", "title")]


def test_a_series_in_brackets_makes_no_title_less_whole():
    works = [
        work(b"less", "Dune", "Somebody", 1),
        work(b"dune", "The Dune (Dune Chronicles, #1)", "Frank Herbert", 500),
    ]
    assert named("dune", works) == [(b"dune", "title"), (b"less", "title")]


def test_words_weigh_less_where_a_query_tells_a_story():
    story, candidate = "a lonely keeper of a lighthouse " * 5, Candidate(b"k", 0.0, description_bm25=RARE)
    (hit,) = ranked(story, [candidate], SearchSettings(lexical_weight=0.1, long_lexical_weight=0.02))
    assert hit.lexical == pytest.approx(0.02)
    (hit,) = ranked(story, [candidate], SearchSettings(lexical_weight=0))
    assert hit.lexical == 0
