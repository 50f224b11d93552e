import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers

from classifiers.calibration import THRESHOLDS, fit_calibration


def sample(count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    raw = generator.normal(1.5, 1.2, count)
    grades = np.clip(np.round(raw**2 / 3 + generator.normal(0, 0.5, count)), 0, 5)
    return raw, grades


@given(seed=integers(0, 50), count=integers(5, 300), probe=arrays(float, 20, elements=floats(-50, 50)))
@settings(max_examples=10, deadline=None)
def test_calibration_keeps_the_ranking_and_stays_on_the_scale(seed, count, probe):
    raw, grades = sample(count, seed)
    calibration = fit_calibration(raw, grades)
    scores = calibration.score(np.sort(probe))
    assert (np.diff(scores) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 5


@pytest.mark.parametrize("grade", [0.0, 2.0, 3.0])
def test_two_raw_scores_stay_two_scores_where_all_grades_are_the_same(grade):
    raw = np.linspace(0, 1, 50)
    scores = fit_calibration(raw, np.full(50, grade)).score(np.linspace(0, 1, 1000))
    assert (np.diff(scores) > 0).all()


@given(seed=integers(0, 50), count=integers(20, 300))
@settings(max_examples=10, deadline=None)
def test_the_score_is_the_expected_grade_and_rises_with_every_raw_score(seed, count):
    raw, grades = sample(count, seed)
    calibration = fit_calibration(raw, grades)
    probe = np.linspace(raw.min(), raw.max(), 500)
    chances = np.stack([calibration.probability(probe, t) for t in THRESHOLDS])
    assert calibration.score(probe) == pytest.approx(chances.sum(axis=0), abs=1e-5)
    scores = calibration.score(probe)
    assert (np.diff(scores[(scores > 0.01) & (scores < 4.99)]) > 0).all()


def test_scores_that_fall_where_grades_rise_give_the_same_score_to_all():
    raw = np.linspace(0, 5, 200)
    scores = fit_calibration(raw, np.floor(5 - raw)).score(raw)
    assert np.ptp(scores) < 0.2
    assert scores.mean() == pytest.approx(np.floor(5 - raw).mean(), abs=0.1)


@given(seed=integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_a_higher_threshold_is_never_more_likely(seed):
    raw, grades = sample(200, seed)
    calibration = fit_calibration(raw, grades)
    chances = np.stack([calibration.probability(np.linspace(-5, 9, 300), t) for t in THRESHOLDS])
    assert (np.diff(chances, axis=0) <= 1e-6).all()
    assert (np.diff(chances, axis=1) >= -1e-6).all()


def test_calibrated_scores_have_the_mean_of_the_grades():
    raw, grades = sample(2000)
    assert fit_calibration(raw, grades).score(raw).mean() == pytest.approx(grades.mean(), abs=0.03)


def test_a_probability_is_the_rate_at_which_it_comes_true():
    raw, grades = sample(4000)
    new_raw, new_grades = sample(4000, seed=1)
    chance = fit_calibration(raw, grades).probability(new_raw, 3)
    likely = (chance > 0.6) & (chance < 0.9)
    assert (new_grades[likely] >= 3).mean() == pytest.approx(chance[likely].mean(), abs=0.08)
