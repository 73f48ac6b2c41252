"""Judged queries of one's own: which files belong together, what they hold, and how much a catalogue can answer."""

from dataclasses import asdict
from pathlib import Path

import pytest

from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation.queries import (
    JudgedQuery,
    QuerySet,
    judged_files,
    named_apart,
    set_name,
    trec_set,
)


def pair(folder: Path, queries: str, qrels: str = "1 0 w1 1\n") -> tuple[Path, Path]:
    paths = folder / "mine.queries.tsv", folder / "mine.qrels.txt"
    for path, text in zip(paths, (queries, qrels), strict=True):
        path.write_bytes(text.encode())
    return paths


@pytest.mark.parametrize(
    ("queries", "qrels", "name"),
    [
        ("q.tsv", "own.qrels", "own"),
        ("train.queries.tsv", "train.qrels.txt", "train"),
        ("train.queries_long.tsv", "train.qrels.txt", "train long"),
        ("vibes.queries.tsv", "vibes.qrels_real_books.txt", "vibes real books"),
        ("a.tsv", "2026.judged.txt", "2026.judged"),
    ],
)
def test_a_set_is_named_after_its_files(queries, qrels, name):
    assert set_name(Path("x") / queries, Path("y") / qrels) == name


def test_a_folder_gives_every_pair_of_one_name(tmp_path):
    for name in (
        "a.queries.tsv",
        "a.queries_long.tsv",
        "a.qrels.txt",
        "b.queries.tsv",
        "b.qrels_x.txt",
        "b.qrels_y.txt",
    ):
        (tmp_path / name).touch()
    assert [(queries.name, qrels.name) for queries, qrels in judged_files([tmp_path])] == [
        ("a.queries.tsv", "a.qrels.txt"),
        ("a.queries_long.tsv", "a.qrels.txt"),
        ("b.queries.tsv", "b.qrels_x.txt"),
        ("b.queries.tsv", "b.qrels_y.txt"),
    ]
    one = tmp_path / "a.queries_long.tsv"
    assert judged_files([one]) == [(one, tmp_path / "a.qrels.txt")]


def test_a_place_without_judged_queries_says_what_is_missing(tmp_path):
    with pytest.raises(EvaluationError, match="holds no judged queries") as caught:
        judged_files([tmp_path / "absent"])
    assert caught.value.found == "no such file or folder"
    with pytest.raises(EvaluationError, match="holds no judged queries"):
        judged_files([tmp_path])
    (tmp_path / "a.queries.tsv").touch()
    (tmp_path / "ab.qrels.txt").touch()
    with pytest.raises(EvaluationError, match=r"a\.queries\.tsv has no judgements"):
        judged_files([tmp_path])


def test_kinds_stand_in_a_third_column(tmp_path):
    files = pair(tmp_path, "1\tsad\tfeel\n2\tfunny\t\n3\tcold\n", "1 0 w 1\n2 0 w 1\n3 0 w 1\n")
    assert [query.kind for query in trec_set(*files).queries] == ["feel", "mine", "mine"]


def test_grades_that_reach_three_are_the_golden_scale(tmp_path):
    assert trec_set(*pair(tmp_path, "1\tsad\n", "1 0 w 2\n")).relevant == 1
    assert trec_set(*pair(tmp_path, "1\tsad\n", "1 0 w 3\n")).relevant == 2


@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\x0cb", "a 'quoted\" one", "愛 и мир"])
def test_a_query_is_a_line_whatever_it_holds(tmp_path, text):
    files = pair(tmp_path, f"\ufeff1\t{text}\r\n\r\n", "1 0 w1 1\r\n")
    assert trec_set(*files).queries == (JudgedQuery(text, "mine", {"w1": 1}),)


@pytest.mark.parametrize(
    ("queries", "qrels", "line", "expected"),
    [
        ("1\ta\n1\tb\n", "1 0 w1 1\n", "line 2", "each id once"),
        ("1\ta\tb\tc\n", "1 0 w1 1\n", "line 1", "id, a tab and the query"),
        ("\ta\n", "1 0 w1 1\n", "line 1", "id, a tab and the query"),
        ("1\ta\n", "1 0 w1 1\n\n1 0 w1 2\n", "line 3", "one grade of work w1 for query 1"),
        ("1\ta\n", "1 0 w1 1.5\n", "line 1", "a whole grade"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path, queries, qrels, line, expected):
    with pytest.raises(EvaluationError) as caught:
        trec_set(*pair(tmp_path, queries, qrels))
    assert line in caught.value.found
    assert expected in caught.value.expected


def test_a_judgement_that_stands_twice_with_one_grade_is_one(tmp_path):
    assert trec_set(*pair(tmp_path, "1\ta\n", "1 0 w1 1\n1 0 w1 1\n")).queries[0].grades == {"w1": 1}


def test_what_a_catalogue_lacks_is_no_right_answer_of_it():
    judged = QuerySet(
        "s",
        (
            JudgedQuery("both", "k", {"w1": 3, "gone": 3}),
            JudgedQuery("gone", "k", {"gone": 3, "w2": 0}),
            JudgedQuery("slight", "k", {"gone": 2, "w2": 1}),
        ),
        relevant=2,
    )
    within, coverage = judged.within({"w1", "w2", "w3"})
    assert within == QuerySet("s", (JudgedQuery("both", "k", {"w1": 3}),), relevant=2)
    assert asdict(coverage) == {"queries": 3, "left_out": 2, "works": 3, "missing": 1}


def test_sets_of_one_name_are_told_apart():
    sets = [QuerySet(name, ()) for name in ("own", "own", "golden", "own")]
    assert [judged.name for judged in named_apart(sets, ["golden"])] == ["own", "own 2", "golden 2", "own 3"]
