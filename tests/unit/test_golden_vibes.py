"""The 150 vibes of benchmarks/golden: every grade has its wish, its scale and its reason."""

from collections import Counter
from pathlib import Path

import pytest

from viberary_pipeline.evaluation.queries import judged_files, trec_set

GOLDEN = Path(__file__).parents[2] / "benchmarks" / "golden"
CATALOGUES = ("real_books", "requests")


def wishes() -> dict[str, tuple[str, str]]:
    rows = (line.split("\t") for line in (GOLDEN / "vibes.queries.tsv").read_text(encoding="utf-8").splitlines())
    return {number: (text, kind) for number, text, kind in rows}


def test_there_are_150_short_wishes_of_every_kind():
    asked = wishes()
    assert len(asked) == len({text for text, _ in asked.values()}) == 150
    assert all(1 <= len(text.split()) <= 8 for text, _ in asked.values())
    kinds = Counter(kind for _, kind in asked.values())
    assert set(kinds) == {"feel", "setting", "genre", "plot", "people", "audience", "form", "topic"}
    assert kinds["feel"] >= 40


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_grade_is_of_a_wish_and_each_above_0_has_a_reason(catalogue):
    lines = [line.split() for line in (GOLDEN / f"vibes.qrels_{catalogue}.txt").read_text().splitlines()]
    assert {number for number, *_ in lines} <= set(wishes())
    assert {grade for *_, grade in lines} == {"0", "1", "2", "3"}
    assert len({(number, work) for number, _, work, _ in lines}) == len(lines)
    graded = {(number, work, grade) for number, _, work, grade in lines if grade != "0"}
    rows = [line.split("\t") for line in (GOLDEN / "reasons.tsv").read_text(encoding="utf-8").splitlines()]
    assert {(number, work, grade) for name, number, work, grade, _ in rows if name == catalogue} == graded
    assert all(reason.strip() for *_, reason in rows)


def test_the_folder_is_a_place_of_judged_sets():
    sets = [trec_set(*pair) for pair in judged_files([GOLDEN])]
    assert [(judged.name, judged.relevant) for judged in sets] == [("vibes real books", 2), ("vibes requests", 2)]
    assert all(len(judged.queries) >= 140 for judged in sets)
