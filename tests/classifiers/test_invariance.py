import numpy as np
import pytest

from classifiers import metrics
from classifiers.invariance import Scored, style_changes


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 100)


def scored(scores):
    scores = np.asarray(scores, np.float64)
    return Scored(scores, scores >= 3, np.full(len(scores), 4, np.float32))


def world(count=200, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, count).astype(float)
    return truth, truth + generator.normal(0, 1, count)


def test_the_same_scores_change_nothing():
    truth, scores = world()
    (row,) = style_changes(scored(scores), {"same": scored(scores)}, np.arange(200), truth)
    for name in ("mean_change", "mean_absolute_change", "p95_absolute_change", "flipped"):
        assert row[name] == {"value": 0, "low": 0, "high": 0}
    assert (row["raised"], row["lowered"]) == (0, 0)
    assert row["auc"]["gain"] == row["best_f1"]["gain"] == {"value": 0, "low": 0, "high": 0}


def test_a_shift_of_all_scores_is_the_mean_change_and_leaves_the_ranking():
    truth, scores = world()
    (row,) = style_changes(scored(scores), {"up": scored(scores + 0.5)}, np.arange(200), truth)
    assert row["mean_change"]["value"] == row["p95_absolute_change"]["value"] == 0.5
    raised = int(((scores < 3) & (scores + 0.5 >= 3)).sum())
    assert (row["raised"], row["lowered"]) == (raised, 0)
    assert row["flipped"]["value"] == pytest.approx(raised / 200, abs=1e-4)
    assert row["auc"]["gain"]["value"] == 0


def test_noise_on_the_scores_shows_as_a_loss_of_auc_whose_interval_excludes_zero():
    truth, scores = world()
    noisy = scores + np.random.default_rng(1).normal(0, 3, 200)
    (row,) = style_changes(scored(scores), {"noise": scored(noisy)}, np.arange(200), truth)
    assert row["auc"]["gain"]["high"] < 0
    assert row["auc"]["before"] - row["auc"]["after"] == pytest.approx(-row["auc"]["gain"]["value"], abs=2e-4)
    size = np.abs(noisy - scores)
    assert row["mean_absolute_change"]["value"] == pytest.approx(size.mean(), abs=1e-4)
    assert row["p95_absolute_change"]["value"] == pytest.approx(np.quantile(size, 0.95), abs=1e-4)


def test_without_grades_or_without_a_class_there_is_no_ranking():
    _, scores = world()
    for known in (None, np.zeros(200)):
        (row,) = style_changes(scored(scores), {"up": scored(scores + 1)}, np.arange(200), known)
        assert (row["auc"], row["best_f1"]) == (None, None)
