import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score

from classifiers.metrics import (
    auc,
    best_f1,
    by_name,
    calibration_error,
    calibration_error_by_chance,
    decision,
    quadratic_kappa,
    report,
    spearman,
)


def draw(seed: int, count: int = 60):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, count).astype(float)
    return truth, np.round(truth + generator.normal(0, 1.5, count), 1)  # rounded: ties occur


@given(seed=integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_figures_are_those_of_scikit_learn_and_scipy(seed):
    truth, scores = draw(seed)
    positive = truth >= 3
    assert auc(positive, scores) == pytest.approx(roc_auc_score(positive, scores))
    assert spearman(scores, truth) == pytest.approx(spearmanr(scores, truth).statistic)
    rounded = np.floor(np.clip(scores, 0, 5) + 0.5)
    assert quadratic_kappa(scores, truth) == pytest.approx(cohen_kappa_score(rounded, truth, weights="quadratic"))
    kept = scores >= 2.5
    assert decision(positive, kept)["f1"] == pytest.approx(f1_score(positive, kept))


@given(seed=integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_cut_has_a_higher_f1_than_the_best(seed):
    truth, scores = draw(seed)
    positive = truth >= 3
    best = best_f1(positive, scores)
    every = [decision(positive, scores >= cut)["f1"] for cut in np.unique(scores)]
    assert best["f1"] == pytest.approx(max(every))
    assert decision(positive, scores >= best["cut"])["f1"] == pytest.approx(best["f1"])


def test_a_figure_that_is_not_defined_is_none():
    nobody, scores = np.zeros(4, bool), np.arange(4.0)
    assert (auc(nobody, scores), best_f1(nobody, scores), spearman(np.ones(4), scores)) == (None, None, None)
    assert quadratic_kappa(np.ones(4), np.ones(4)) is None


def test_a_stated_probability_that_is_always_a_fifth_too_high_is_an_error_of_a_fifth():
    positive = np.arange(1000) % 10 < 3
    assert calibration_error(positive, np.full(1000, 0.5)) == pytest.approx(0.2)


def test_intervals_enclose_their_value_and_are_the_same_every_time():
    truth, scores = draw(3, 200)
    chances = np.stack([(scores >= t).astype(float) for t in range(1, 6)], axis=1)
    found = report(scores, truth, chances)
    at = found["thresholds"]["3"]
    assert at["positives"] == (truth >= 3).sum()
    for figure in (found["spearman"], found["quadratic_kappa"], at["auc"], at["f1"], at["precision"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["low"] < figure["high"]
    assert report(scores, truth, chances) == found


def test_copies_of_documents_do_not_narrow_an_interval():
    truth, scores = draw(5, 80)
    chances = np.repeat((scores >= 3).astype(float)[:, None], 5, axis=1)
    once = report(scores, truth, chances)["spearman"]
    many = np.tile(np.arange(80), 6)
    again = report(scores[many], truth[many], chances[many], groups=many)["spearman"]
    assert again["high"] - again["low"] == pytest.approx(once["high"] - once["low"], rel=0.15)


def test_kinds_are_measured_by_themselves_and_small_ones_together():
    truth, scores = draw(7, 200)
    chances = np.repeat(np.clip(scores / 5, 0, 1)[:, None], 5, axis=1)
    kinds = ["many"] * 120 + [""] * 50 + ["few"] * 15 + ["fewer"] * 15
    rows = by_name(kinds, scores, truth, chances, np.arange(200))
    assert [(row["name"], row["documents"]) for row in rows] == [("many", 120), ("not named", 50), ("2 others", 30)]
    many = rows[0]
    assert many["auc"]["value"] == pytest.approx(auc(truth[:120] >= 3, scores[:120]), abs=1e-4)
    assert many["bias"]["value"] == pytest.approx((scores - truth)[:120].mean(), abs=1e-4)
    assert many["f1"]["low"] < many["f1"]["value"] < many["f1"]["high"]
    assert sum(row["positives"] for row in rows) == (truth >= 3).sum()


def test_a_kind_with_hardly_a_positive_has_no_auc_but_a_bias():
    truth, scores = np.r_[np.full(4, 4.0), np.zeros(40)], np.full(44, 1.5)
    (row,) = by_name(["k"] * 44, scores, truth, np.full((44, 5), 0.2), np.arange(44))
    assert (row["auc"], row["f1"]) == (None, None)
    assert row["bias"]["value"] == pytest.approx(1.5 - 16 / 44, abs=1e-4)


def test_chance_alone_makes_the_calibration_error_that_perfect_probabilities_show():
    generator = np.random.default_rng(9)
    chances = generator.random(2000)
    expected = np.mean([calibration_error(generator.random(2000) < chances, chances) for _ in range(50)])
    assert calibration_error_by_chance(chances) == pytest.approx(expected, rel=0.1)
    assert calibration_error_by_chance(np.ones(100)) == 0
