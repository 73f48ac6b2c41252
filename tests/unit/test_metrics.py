"""The figures of search quality by hand."""

import numpy as np
import pytest

from viberary_pipeline.ranking_metrics import bootstrap, ndcg, ndcg_of_scores, recall, reciprocal_rank

GRADES = {"a": 3, "b": 2, "c": 1, "z": 0}


def test_ndcg_is_one_for_the_best_order_and_discounts_by_rank():
    assert ndcg(["a", "b", "c"], GRADES) == 1.0
    gained = 1 / np.log2(2) + 3 / np.log2(4)
    ideal = 3 / np.log2(2) + 2 / np.log2(3) + 1 / np.log2(4)
    assert ndcg(["c", "z", "a"], GRADES) == pytest.approx(gained / ideal)
    assert ndcg(["x"] * 10 + ["a"], GRADES) == 0.0, "the eleventh does not count"
    assert ndcg([], GRADES) == 0.0
    assert ndcg(["a"], {"z": 0}) == 0.0


def test_ndcg_against_ideal_lists_longer_than_ten():
    grades = {str(n): 1 for n in range(50)}
    assert ndcg([str(n) for n in range(10)], grades) == pytest.approx(1.0)


def test_ndcg_of_many_queries_is_that_of_each():
    random = np.random.default_rng(0)
    gains, scores = random.integers(0, 4, size=(20, 30)), random.normal(size=(20, 30))
    alone = [
        ndcg([str(n) for n in np.argsort(-row)], {str(n): int(gain) for n, gain in enumerate(of)})
        for row, of in zip(scores, gains, strict=True)
    ]
    assert ndcg_of_scores(scores, gains) == pytest.approx(alone)
    assert ndcg_of_scores(scores[:, :3], np.zeros((20, 3))) == pytest.approx(np.ones(20))


def test_reciprocal_rank_is_that_of_the_first_that_is_good_enough():
    assert reciprocal_rank(["x", "c", "b"], GRADES) == 1 / 2
    assert reciprocal_rank(["x", "c", "b"], GRADES, least=2) == 1 / 3
    assert reciprocal_rank(["x"] * 10 + ["a"], GRADES) == 0.0


def test_recall_counts_at_most_as_many_as_can_be_found():
    assert recall(["a", "x"], GRADES, least=2) == 1 / 2
    assert recall(["a", "b"], GRADES, least=2) == 1.0
    assert recall([str(n) for n in range(5)], {str(n): 1 for n in range(50)}, depth=5) == 1.0
    assert recall(["a"], {}) == 0.0


def test_the_interval_holds_the_mean_and_is_the_same_again():
    values = [0.0] * 50 + [1.0] * 50
    mean, low, high = bootstrap(values)
    assert mean == 0.5
    assert 0.38 < low < 0.43
    assert 0.57 < high < 0.62
    assert bootstrap(values) == (mean, low, high)
    assert bootstrap([0.25]) == (0.25, 0.25, 0.25)
