import numpy as np
import pytest
from scipy import stats

from benchmarks import verdicts
from benchmarks.verdicts import World, _means, _paired, _probability, measured, rate


def test_its_sigmoid_and_its_means_of_the_first_items_are_right():
    logits = np.random.default_rng(0).normal(size=(2, 10_000)).astype(np.float32)
    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    right = _probability(logits.copy())
    np.testing.assert_allclose(right, expected, atol=1e-6)
    np.testing.assert_allclose(_means(right)[:, 1], [expected[1, :n].mean() for n in verdicts.ITEMS], atol=1e-6)


def test_its_test_over_items_is_the_paired_one_of_scipy():
    gains = np.random.default_rng(1).normal(0.01, 1, size=(3, 10_000)).astype(np.float32)
    expected = [stats.ttest_1samp(gains[:, :n].astype(np.float64), 0, axis=-1).pvalue for n in verdicts.ITEMS]
    np.testing.assert_allclose(_paired(gains), expected, rtol=1e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (3, 40), (40, 40)])
def test_its_intervals_are_those_of_clopper_and_pearson(hits, n):
    value, low, high = rate(np.arange(n) < hits)
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    assert (value, low, high) == pytest.approx((hits / n, expected.low, expected.high))


def test_a_small_world_tells_seeds_from_items(monkeypatch):
    monkeypatch.setattr(verdicts, "ITEMS", (50, 400))
    rows = measured(World(repeats=60, seed=0))
    assert len(rows) == 3 * 2 * 3 * 3
    assert np.mean([row["false"][0] for row in rows]) < 0.06
    noisy = [row for row in rows if (row["seed sd"], row["item sd"], row["items"]) == (0.1, 0.25, 400)]
    assert all(row["per item"][1] > 0.5 for row in noisy)
    quiet = [row for row in rows if (row["seed sd"], row["item sd"], row["items"]) == (0.02, 0.25, 400)]
    assert [row["power"][0] for row in quiet if row["power"]] == [1.0]
