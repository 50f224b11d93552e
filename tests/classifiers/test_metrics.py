import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score

from classifiers.metrics import auc, best_f1, calibration_error, decision, quadratic_kappa, report, spearman


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
