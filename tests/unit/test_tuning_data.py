"""What is trained on and what judges: pairs of a catalogue, the split of works, the gate."""

import numpy as np
import pytest

from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet
from viberary_pipeline.tuning.card import model_card
from viberary_pipeline.tuning.catalogue import Catalogue
from viberary_pipeline.tuning.gate import SetFigures, compare, found_by, judge_student, judge_tuned
from viberary_pipeline.tuning.pairs import Pair, Work, held_out, other_titles, pairs_of, sampled
from viberary_pipeline.tuning.split import read_sets, split
from viberary_pipeline.tuning.student_queries import student_queries

SENTENCES = [
    "A retired thief is asked for one more robbery.",
    "She gathers her old crew in a harbour town.",
    "Each of them has a reason to lie.",
    "The plan fails on the very first night.",
    "What follows is a chase over four islands.",
    "Nobody in it is quite what they claim.",
]
DESCRIPTION = " ".join(SENTENCES)
HEAD = "The Last Vault. The Last Vault by Ana Marsh. "


def work(number: int = 1, **fields) -> Work:
    return Work(**{"work_id": str(number), "title": "The Last Vault", "description": DESCRIPTION, **_text(), **fields})


def _text(description: str = DESCRIPTION) -> dict[str, str]:
    return {"text": HEAD + description}


def test_the_words_of_a_pair_are_not_in_the_text_that_it_asks_for():
    pairs, text = pairs_of(work())
    assert [pair.kind for pair in pairs] == ["opening", "sentence", "sentence"]
    assert pairs[0] == Pair(SENTENCES[0], "1", "opening")
    rest = [sentence for sentence in SENTENCES if sentence not in {pair.query for pair in pairs}]
    assert text == HEAD + " ".join(rest)
    assert pairs_of(work()) == (pairs, text)
    assert pairs_of(work(), seed=1) != (pairs, text)


def test_no_pair_names_its_work():
    told = work(description="In The Last Vault a thief returns to the sea. " + DESCRIPTION)
    assert "Last Vault" not in " ".join(pair.query for pair in pairs_of(told)[0])


@pytest.mark.parametrize("description", ["", "A thief.", SENTENCES[0], " ".join(SENTENCES[:1] * 3)])
def test_a_text_with_nothing_to_spare_keeps_it(description):
    poor = work(description=description, **_text(description))
    assert pairs_of(poor) == ([], (HEAD + description).strip())


def test_scripts_without_blanks_have_sentences_too():
    sentences = [
        "老いた泥棒が最後の仕事を頼まれる。",
        "彼女は港町に昔の仲間を集める。",
        "誰もが嘘をつく理由を持っていた。",
        "計画は最初の夜に失敗する。",
    ]
    japanese = work(
        title="最後の金庫", description="".join(sentences), text="最後の金庫. 最後の金庫. " + "".join(sentences)
    )
    pairs, text = pairs_of(japanese)
    assert [pair.kind for pair in pairs] == ["opening", "sentence"]
    assert pairs[0].query == sentences[0]
    assert all(pair.query not in text for pair in pairs)


def test_shelves_ask_for_a_work_in_words_and_leave_its_text():
    shelves = ("heist", "found-family", "slow-burn")
    shelved = work(shelves=shelves, text=HEAD + "Readers shelve it as: heist, found-family, slow-burn. " + DESCRIPTION)
    pairs, text = pairs_of(shelved)
    (asked,) = [pair.query for pair in pairs if pair.kind == "shelves"]
    assert set(asked.split(", ")) <= {"heist", "found family", "slow burn"}
    assert 2 <= len(asked.split(", ")) <= 3
    assert "shelve" not in text
    assert SENTENCES[-1] in text + " ".join(pair.query for pair in pairs)


def test_other_titles_are_those_that_are_not_this_one():
    titles = [
        "The Last Vault",
        "The last vault!",
        "The Last Vault (Heists, #1)",
        "Der letzte Tresor",
        "DER LETZTE TRESOR",
    ]
    assert other_titles("The Last Vault", titles) == ("DER LETZTE TRESOR",)
    pairs, _ = pairs_of(work(other_titles=("Der letzte Tresor",)))
    assert pairs[-1] == Pair("Der letzte Tresor", "1", "title")


def test_a_sample_of_pairs_keeps_their_order():
    pairs = [Pair(str(number), str(number), "title") for number in range(100)]
    chosen = sampled(pairs, 10, seed=4)
    assert len(chosen) == 10
    assert [pairs.index(pair) for pair in chosen] == sorted(pairs.index(pair) for pair in chosen)
    assert sampled(pairs, 100) == pairs


def test_a_student_learns_requests_first_and_every_kind_of_query():
    queries = student_queries([work(), work(2, title="Tides")], ["find me a heist", "find me a heist"], 40)
    assert queries[0] == "find me a heist"
    assert len(queries) == len(set(queries)) == 40
    assert {"The Last Vault", "Tides", "find me a heist find me a heist"} <= set(queries)
    assert len(set(queries) & set(SENTENCES)) >= 2
    assert student_queries([work()], ["a", "b", "c"], 2) == ["a", "b"]


def test_a_student_learns_runs_of_sentences_and_a_few_shelves_of_a_work():
    request = "I read it as a child. There was a lighthouse. Nobody kept it."
    queries = student_queries([work(shelves=("slow-burn", "sea", "grief"))], [request], 150)
    assert {"I read it as a child.", "There was a lighthouse. Nobody kept it.", request} <= set(queries)
    words = {"slow burn", "sea", "grief"}
    of_shelves = [query for query in queries if any(query.startswith(word) for word in words)]
    assert of_shelves
    for query in of_shelves:
        assert 2 <= sum(word in query for word in words) <= 3


def test_a_student_learns_further_texts_and_words_of_two_of_them():
    texts = ["a lighthouse keeper", "a violin maker", "the baker"]
    queries = student_queries([], [], 200, texts=texts)
    assert set(texts) <= set(queries)
    words = {word for query in queries if query not in texts for word in query.split()}
    assert words == {"lighthouse", "keeper", "violin", "maker", "baker"}
    assert any({"violin", "baker"} <= set(query.split()) for query in queries)
    assert queries == student_queries([], [], 200, texts=texts)
    assert queries != student_queries([], [], 200, texts=texts, seed=1)


@pytest.mark.parametrize(
    ("works", "requests"), [([], []), ([], [""]), ([work(title="T", text="", description="")], [])]
)
def test_where_no_more_texts_can_be_made_a_student_has_fewer(works, requests):
    queries = student_queries(works, requests, 1000)
    assert queries == [one.title for one in works]


def test_the_split_is_the_same_on_every_machine():
    assert [number for number in range(60) if held_out(str(number))] == [18]


def catalogue(count: int = 200) -> Catalogue:
    works = tuple(work(number, title=f"Vault {number}") for number in range(count))
    ids = frozenset(one.work_id for one in works)
    return Catalogue(works, ids, tuple("" for _ in works), "key")


def requests(name: str, numbers: range, *, per_query: int = 1) -> QuerySet:
    queries = tuple(
        JudgedQuery(f"{name} {number}", name, {str(number + step): 1 for step in range(per_query)})
        for number in numbers
    )
    return QuerySet(name, queries)


@pytest.mark.parametrize("per_query", [1, 3])
def test_nothing_is_judged_on_what_is_trained_on(per_query):
    given = requests("asked", range(200), per_query=per_query)
    found = split(catalogue(), [given], [requests("judge", range(0, 200, 5))])
    judged = {str(number) for number in range(0, 200, 5)}
    out = {str(number) for number in range(200) if held_out(str(number))}
    assert found.kept_out == judged | out

    trained = (*found.requests, *found.pairs)
    assert len(found.requests) > 20
    assert len(found.pairs) > 100
    assert not {pair.work_id for pair in trained} & found.kept_out
    by_name = {one.name: one for one in found.sets}
    assert set(by_name) == {"held-out works", "held-out requests", "judge"}
    asked = {query.text for query in by_name["held-out requests"].queries}
    assert not asked & {pair.query for pair in found.requests}
    assert {work for query in by_name["held-out works"].queries for work in query.grades} == out
    assert all(set(query.grades) & out for query in by_name["held-out requests"].queries)


def test_a_set_that_names_most_of_a_catalogue_leaves_its_own_words_and_no_request():
    found = split(catalogue(), [requests("asked", range(200))], [requests("vibes", range(100), per_query=5)])
    out = {str(number) for number in range(200) if held_out(str(number))}
    assert found.kept_out == out
    assert {int(pair.work_id) for pair in found.requests} <= set(range(104, 200))
    assert {pair.work_id for pair in found.pairs} == {str(number) for number in range(200)} - out


def test_works_that_a_catalogue_lacks_are_counted_and_ask_for_nothing():
    found = split(catalogue(20), [requests("asked", range(30))], [requests("judge", range(18, 25))])
    assert found.unknown == {"asked": 10, "judge": 5}
    (judge,) = [one for one in found.sets if one.name == "judge"]
    assert [query.text for query in judge.queries] == ["judge 18", "judge 19"]
    assert {int(pair.work_id) for pair in found.requests} <= set(range(18))


def test_two_files_of_one_set_have_names_of_their_own(tmp_path):
    (tmp_path / "a.qrels.txt").write_text("q 0 1 1\n")
    for name in ("a.queries.tsv", "a.queries_long.tsv"):
        (tmp_path / name).write_text("q\ta robbery\n")
    files = [(tmp_path / name, tmp_path / "a.qrels.txt") for name in ("a.queries.tsv", "a.queries_long.tsv")]
    assert len({one.name for one in read_sets(files)}) == 2


WORKS = [str(number) for number in range(40)]
TRUE = np.eye(40, dtype=np.float32)


def figures(name: str, before: float, after: float, *, queries: int = 40) -> SetFigures:
    """A set of which such shares of the queries find their work first; the others find it nowhere near."""

    def found(share: float) -> list[list[str]]:
        right = round(share * queries)
        vectors = np.concatenate([TRUE[:right], np.roll(TRUE, 20, axis=0)[right:queries]])
        return found_by(vectors, TRUE, WORKS, depth=1)

    judged = QuerySet(name, tuple(JudgedQuery(name, name, {WORKS[row]: 1}) for row in range(queries)))
    return compare(judged, found(before), found(after))


def test_neighbours_are_exact_and_ties_go_by_place():
    assert found_by(TRUE[[3]], TRUE, WORKS, depth=3) == [["3", "0", "1"]]
    assert found_by(np.tile(TRUE, (30, 1)), TRUE, WORKS, depth=1) == [[work] for _ in range(30) for work in WORKS]


def test_figures_are_paired():
    found = figures("held-out works", 0.5, 0.75).figures["ndcg@10"]
    assert (found.before[0], found.after[0], found.difference[0]) == (0.5, 0.75, 0.25)
    assert 0.1 < found.difference[1] < 0.25 < found.difference[2] <= 0.4
    assert found.difference[2] - found.difference[1] < found.after[2] - found.after[1] + 0.05


@pytest.mark.parametrize(
    ("sets", "verdict", "says"),
    [
        ([figures("a", 0.4, 0.8)], "accepted", "nDCG@10 on a 0.800 instead of 0.400 (+0.400"),
        ([figures("a", 0.4, 0.8), figures("b", 0.5, 0.5)], "accepted", "on a"),
        ([figures("a", 0.4, 0.8), figures("b", 0.5, 0.475)], "accepted", "on a"),  # within its interval
        (
            [figures("a", 0.4, 0.8), figures("b", 0.9, 0.5)],
            "refused",
            "worse than its base: nDCG@10 on b 0.500 instead of",
        ),
        ([figures("a", 0.4, 0.4)], "refused", "no better than its base"),
        ([figures("a", 0.4, 0.425)], "refused", "no better than its base"),
        ([], "refused", "no set to judge by"),
    ],
)
def test_the_gate_lets_a_better_encoder_through_and_no_other(sets, verdict, says):
    found = judge_tuned(sets)
    assert (found.verdict, found.accepted) == (verdict, verdict == "accepted")
    assert says in found.reason


@pytest.mark.parametrize(
    ("sets", "verdict"),
    [
        ([figures("a", 1.0, 1.0), figures("b", 0.5, 0.6)], "accepted"),
        ([figures("a", 1.0, 1.0), figures("b", 0.5, 0.475)], "refused"),
        ([], "refused"),
    ],
)
def test_a_student_must_reach_its_teacher_on_every_set(sets, verdict):
    assert judge_student(sets).verdict == verdict


def test_a_card_says_data_licence_recipe_figures_and_limits():
    found = figures("held-out works", 0.5, 0.75)
    outcome = {
        "name": "mine",
        "base": "small",
        "teacher": "",
        "space": "",
        "verdict": "accepted",
        "reason": "better",
        "documents": 40,
        "kept_out": 4,
        "pairs": {"opening": 12},
        "recipe": {"rank": 16, "fit": {"epochs": 2}},
        "sets": {found.name: found.to_json()},
    }
    card = model_card(outcome, licence="Apache-2.0")
    for expected in (
        "# mine",
        "| opening | 12 |",
        "Apache-2.0",
        "- rank: 16",
        "- epochs: 2",
        "## Limits",
        "**accepted**",
    ):
        assert expected in card
    assert "| held-out works | 40 | ndcg@10 | 0.500 (" in card
