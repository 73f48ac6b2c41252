"""Why a book matched: which sentence is quoted, which of its words are marked; and how well books fit, in words."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viberary_pipeline.index import passages
from viberary_pipeline.search.fit import Fit, fit_of, known_share
from viberary_pipeline.search.passages import SentenceWords, stem
from viberary_pipeline.search.sentences import whole_sentences, whole_texts
from viberary_pipeline.web.presentation import marked

# Two directions: the sea, and revenge.
WORDS = {"whale": (1, 0), "ship": (1, 0), "vengeance": (0, 1), "hate": (0, 1), "the": (0, 0)}
SEA, REVENGE = np.float32([1, 0, 0]), np.float32([0, 1, 0])


@pytest.fixture
def words() -> SentenceWords:
    rarity = np.float32([3, 3, 4, 4, 0.1])
    vectors = np.float32(list(WORDS.values()))
    made = SentenceWords({word: row for row, word in enumerate(WORDS)}, rarity, vectors, np.eye(3, 2, dtype=np.float32))
    return SentenceWords.read(made.to_bytes())


def test_the_sentence_nearest_in_sense_is_quoted(words):
    texts = [
        ["The ship sails. His hate is vengeance.", "A whale!"],
        ["Nothing known here."],
        [""],
        [],
        [" \u00a0", "\n"],
    ]
    assert words.best("payback", REVENGE, texts) == ["His hate is vengeance.", "Nothing known here.", "", "", ""]
    assert words.best("boats", SEA, texts)[0] == "The ship sails."


def test_a_shared_word_decides_where_nothing_was_learned():
    texts = [["One thing. Two assassins and a cat. Three.", "An assassin's cats, twice."]]
    few = SentenceWords({"cat": 0, "an": 1}, np.float32([5, 0.1]))
    for lexical in (SentenceWords.read(None), SentenceWords.read(few.to_bytes())):
        assert lexical.best("assassins with cats", REVENGE, texts) == ["Two assassins and a cat."]
        assert lexical.best("nothing of it", REVENGE, texts) == ["One thing."]


@pytest.mark.parametrize("others", [0, 30])
def test_a_shared_word_decides_among_few_and_many_words(others):
    nothing = SentenceWords.read(None)
    query = " ".join(["assassins", "uncatty", *(f"word{number}" for number in range(others))])
    # Not a word that only begins as one of the query's does.
    assert nothing.best(query, REVENGE, [["One uncattyish thing. Two assassins."]]) == ["Two assassins."]
    assert nothing.best(query, REVENGE, [["Nothing. Nobody's uncatty."]]) == ["Nobody's uncatty."]


def test_a_sentence_that_is_long_or_was_cut_is_quoted_where_there_is_no_other(words):
    long = f"Vengeance, {'very ' * 80}dear."
    assert words.best("revenge", REVENGE, [[long, "Vengeance and no end", "A ship."], [long]]) == ["A ship.", long]


def test_common_words_of_a_query_say_nothing(words):
    assert words.telling("But the whale, the unheard-of") == {"whal": 3.0, "unheard": 8.0}
    assert words.telling("I want books like that whale, please") == {"whal": 3.0}


def test_the_forms_of_a_word_have_one_stem():
    for forms in (
        "assassin assassins",
        "love loved loves loving",
        "cat cats",
        "haunt haunting haunted",
        "story stories",
    ):
        assert len({stem(form) for form in forms.split()}) == 1, forms
    assert stem("sea") != stem("see")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Two assassins’ love-story.", "Two <mark>assassins</mark>’ <mark>love</mark>-story."),
        ("A <b>cat</b> & love", "A &lt;b&gt;cat&lt;/b&gt; &amp; <mark>love</mark>"),
        ("Nothing", "Nothing"),
        ("", ""),
    ],
)
def test_the_querys_words_are_marked_whatever_stands_around_them(text, html):
    assert str(marked(text, {stem("assassin"), stem("love")})) == html


def test_nothing_is_quoted_that_was_cut():
    assert whole_sentences("One. Two. And cut in the mid") == ["One.", "Two."]
    assert whole_sentences("Never ended") == ["Never ended"]
    assert list(whole_texts(["A bc. De fg. Hij", "Klm no.", "P."], 16)) == ["A bc. De fg."]


def test_what_is_known_of_a_querys_words():
    def share(query: str) -> float:
        return known_share(query, {"sad", "hope"}.__contains__, {"fi", "sad"}.__contains__)

    assert [share(query) for query in ("sad hope", "sad fi", "xq zz", "xq sad", "", "吾輩は猫", "!!!")] == [
        *(1, 0.75, 0, 0.5, 0, 1, 0)
    ]
    assert fit_of([], 1.0) == 0.0
    assert fit_of([0.5] * 10 + [0.1] * 90, 0.5) == 0.25


def test_a_fit_is_said_in_words():
    fit = Fit.read(Fit(0.2, 0.3, 0.4).to_json())
    assert fit == Fit(0.2, 0.3, 0.4)
    assert [fit.match(cosine, fits) for cosine, fits in ((0.4, True), (0.39, True), (0.29, True), (0.4, False))] == [
        *("strong", "good", "loose", "loose"),
    ]
    assert Fit.read("") is None


@pytest.mark.parametrize("portion", [1, 3, 8, 100])
def test_the_descriptions_of_some_rows_are_read_in_portions(tmp_path, monkeypatch, portion):
    monkeypatch.setattr(passages, "_PORTION_ROWS", portion)
    texts = [None if row == 5 else f"text {row}" for row in range(20)]
    pq.write_table(pa.table({"description": texts}), tmp_path / "documents.parquet", row_group_size=7)
    rows = np.array([0, 2, 3, 5, 8, 13, 14, 19])
    found = list(passages._descriptions(tmp_path / "documents.parquet", rows))
    assert found == [texts[row] or "" for row in rows]
