"""What one system gains over another: paired, by kind, in words; and word2vec, the baseline that is trained here."""

import builtins

import numpy as np
import pytest

from viberary_pipeline.evaluation.examples import examples
from viberary_pipeline.evaluation.page import in_words, left_out
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.evaluation.scoring import Scored, differences, summary
from viberary_pipeline.evaluation.systems import BM25, THIS
from viberary_pipeline.evaluation.word2vec_baseline import word2vec_system
from viberary_pipeline.ranking_metrics import bootstrap, paired_bootstrap, success


def test_success_is_a_right_work_among_the_first_ten():
    found = [f"w{n}" for n in range(20)]
    assert success(found, {"w9": 1}) == 1.0
    assert success(found, {"w10": 1}) == 0.0
    assert success(found, {"w0": 1}, least=2) == 0.0
    assert success([], {"w0": 1}) == 0.0


def test_a_small_gain_on_every_query_is_seen_through_their_spread():
    theirs = np.linspace(0, 0.9, 50)
    ours = theirs + 0.02
    mean, low, high = paired_bootstrap(ours, theirs)
    assert (round(mean, 6), round(low, 6), round(high, 6)) == (0.02, 0.02, 0.02)
    assert bootstrap(ours)[1] < bootstrap(theirs)[0], "unpaired intervals cannot tell them apart"
    mean, low, high = paired_bootstrap([0.0, 1.0] * 20, [1.0, 0.0] * 20)
    assert mean == 0.0
    assert low < 0 < high


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 0.0])])
def test_figures_without_their_partners_are_refused(ours, theirs):
    with pytest.raises(ValueError, match="two figures of each query"):
        paired_bootstrap(ours, theirs)


def one(asked: str, system: str, figure: float, kind: str = "feel", number: int = 0) -> Scored:
    return Scored("s", kind, asked, system, (figure, figure, figure, figure, float(figure > 0)), number)


def test_differences_are_of_queries_that_both_answered():
    scored = [one("a", THIS, 1.0), one("b", THIS, 0.5), one("c", THIS, 0.0, "plot"), one("d", THIS, 1.0)]
    scored += [one("a", BM25, 0.5), one("b", BM25, 0.5), one("c", BM25, 1.0, "plot")]
    found = differences(scored, THIS)[BM25]
    assert (found["queries"], found["better"], found["worse"]) == (3, 1, 1)
    assert found["ndcg@10"][0] == pytest.approx(-0.1667)
    assert found["success@10"][0] == pytest.approx(-0.3333)
    assert found["kinds"]["feel"]["ndcg@10"] == [0.25, 0.0, 0.5]
    assert found["kinds"]["plot"]["ndcg@10"] == [-1.0, -1.0, -1.0]
    assert differences([one("a", THIS, 1.0), one("b", BM25, 1.0)], THIS) == {}


def test_two_queries_of_the_same_words_are_two():
    scored = [one("help", THIS, 1.0), one("help", THIS, 0.0, number=1), one("help", BM25, 0.0, number=1)]
    assert summary(scored)["s"]["queries"] == 2
    assert differences(scored, THIS)[BM25]["queries"] == 1


def result_of(mean: float, low: float, high: float) -> dict:
    difference = {"ndcg@10": [mean, low, high], "queries": 100, "better": 30, "worse": 10}
    systems = {THIS: {"success@10": [0.57, 0.5, 0.6], "top3": [0.4, 0.3, 0.5]}}
    return {
        "sets": {"mine": {"queries": 100, "systems": systems, "compared": {BM25: difference}}},
        "files": {"mine": {"queries": 120, "left_out": 20, "works": 50, "missing": 7}},
        "not_measured": {"word2vec": "gensim is not installed"},
    }


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.1, 0.05, 0.15), "Better than BM25 alone, by more than chance explains: nDCG@10 +0.100"),
        ((-0.1, -0.15, -0.05), "Worse than BM25 alone, by more than chance explains: nDCG@10 -0.100"),
        ((0.1, -0.05, 0.25), "No difference to BM25 alone that these requests can show: nDCG@10 +0.100"),
    ],
)
def test_figures_are_said_in_words(interval, words):
    first, second = in_words("mine", result_of(*interval))
    assert first == "Of 100 requests, 57 had a right book among the first ten, 40 among the first three."
    assert second.startswith(words)
    assert second.endswith("better for 30 of 100, worse for 10.")


@pytest.mark.parametrize(("queries", "words"), [(5, "Too few requests to compare with BM25"), (6, "Better than BM25")])
def test_a_handful_of_requests_makes_no_system_better(queries: int, words: str):
    result = result_of(1.0, 1.0, 1.0)
    result["sets"]["mine"]["compared"][BM25]["queries"] = queries
    assert in_words("mine", result)[1].startswith(words)


def test_one_request_is_told_in_the_singular():
    result = result_of(1.0, 1.0, 1.0)
    result["sets"]["mine"]["queries"] = 1
    assert in_words("mine", result)[0].startswith("Of 1 request, ")


def test_what_was_left_out_is_said():
    assert left_out(result_of(0, 0, 0)) == [
        "mine: 20 of 120 requests left out, without a right answer in this catalogue; "
        "it lacks 7 of the 50 works judged.",
        "word2vec: not measured (gensim is not installed).",
    ]


TEXTS = {
    "sea": "the ship sailed over the sea and the sailor watched the waves of the sea",
    "ship": "a sailor on a ship in a storm watched the waves and the sea",
    "bread": "flour and butter and sugar make the bread and the cake of the baker",
    "cake": "the baker makes cake with sugar and flour and bread with butter",
}


def test_word2vec_finds_texts_of_like_words_and_the_same_ones_each_time():
    pytest.importorskip("gensim")
    works, texts = list(TEXTS), list(TEXTS.values())
    answers = [word2vec_system(works, texts).answer(JudgedQuery("sailor on the waves", "k", {})) for _ in range(2)]
    assert answers[0] == answers[1]
    assert set(answers[0][:2]) == {"sea", "ship"}
    like = word2vec_system(works, texts).answer(JudgedQuery("", "k", {}, like="bread"))
    assert like[0] == "cake"
    assert "bread" not in like


@pytest.mark.parametrize("texts", [[], ["", ""], ["once only", "other words"]])
def test_word2vec_of_texts_that_share_no_word_answers_nothing(texts):
    pytest.importorskip("gensim")
    assert word2vec_system(["w"] * len(texts), texts).answer(JudgedQuery("words", "k", {})) is None


def test_without_gensim_word2vec_is_reported_as_not_installed(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from viberary_pipeline.artifacts import ArtifactStore
    from viberary_pipeline.evaluation.live import _word2vec

    table = pa.table({"work_id": list(TEXTS), "text": list(TEXTS.values())})
    documents = ArtifactStore(tmp_path).produce(
        "documents", inputs={}, settings={}, build=lambda out: pq.write_table(table, out / "documents.parquet") or {}
    )
    known = builtins.__import__

    def without_gensim(name, *rest):
        if name.startswith("gensim"):
            raise ModuleNotFoundError("No module named 'gensim'", name="gensim")
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_gensim)
    assert _word2vec(documents.artifact) == ("gensim is not installed: pip install 'viberary-pipeline[evaluation]'")


def test_what_was_answered_perfectly_is_no_example_of_the_worst():
    judged = QuerySet("mine", tuple(JudgedQuery(text, "vibe", {"w1": 1}) for text in ("sad", "funny", "odd")))
    figures = {0: 1.0, 1: 1.0, 2: 0.0}
    scored = [
        Scored("mine", "vibe", query.text, THIS, (figures[number], 0.0, 0.0, 0.0, 0.0), number, ("w2", "w1"))
        for number, query in enumerate(judged.queries)
    ]
    found = examples(judged, scored, lambda works: [f"title of {work}" for work in works])
    assert [row["asked"] for row in found["best"]] == ["sad", "funny"]
    assert found["worst"] == [
        {"asked": "odd", "kind": "vibe", "wanted": ["title of w1"], "found": ["title of w2", "title of w1"], "rank": 2}
    ]
