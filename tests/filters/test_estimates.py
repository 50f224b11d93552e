"""Intervals from a sample: exact where all was read, right as often as they say elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.estimates import Design, gamma_interval
from filters.sampling import draw


def drawn(counts, pieces_wanted, seed):
    """A design over pieces of 4 KiB, of which ``counts`` says what each holds; and what the drawn ones hold."""
    piece = 1 << 12
    sample = draw([piece * len(counts)], piece * pieces_wanted, seed)
    places = np.array([one.start // piece for one in sample.pieces])
    base = np.full(len(places), float(piece))
    return Design(np.array(sample.strata), np.array(sample.sizes), base, float(piece * len(counts))), counts[places]


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=40), seed=st.integers(0, 9))
def test_what_was_read_as_a_whole_is_known_exactly(counts, seed):
    design, found = drawn(np.array(counts, float), len(counts), seed)
    estimate = design.total_of(found)
    assert estimate.value == pytest.approx(sum(counts))
    assert (estimate.low, estimate.high) == (estimate.value, estimate.value)


@pytest.mark.parametrize(("mean", "spread"), [(20, 0.3), (0.05, 0), (2, 1.0)])
def test_intervals_of_totals_hold_the_truth_about_as_often_as_they_say(mean, spread):
    random = np.random.default_rng(1)
    rates = mean * np.exp(spread * random.standard_normal(400) + np.linspace(-0.5, 0.5, 400))
    counts = random.poisson(rates).astype(float)
    inside = 0
    for seed in range(200):
        design, found = drawn(counts, 40, seed)
        estimate = design.total_of(found)
        inside += estimate.low <= counts.sum() <= estimate.high
    assert 0.9 <= inside / 200 <= 1


def test_the_mean_of_estimates_is_the_truth():
    counts = np.random.default_rng(2).gamma(0.5, 10, 333)
    values = []
    for seed in range(250):
        design, found = drawn(counts, 30, seed)
        values.append(design.total_of(found).value)
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - counts.sum()) < 4 * error


def test_replicates_have_the_textbook_variance_of_a_stratified_sample():
    counts = np.random.default_rng(3).integers(0, 30, 64).astype(float)
    design, found = drawn(counts, 16, 0)
    pairs, sizes = found.reshape(-1, 2), design.sizes
    expected = (sizes**2 * (1 - 2 / sizes) * pairs.var(axis=1, ddof=1) / 2).sum()
    assert ((design.replicates @ found - design.weights @ found) ** 2).mean() == pytest.approx(expected)


def test_what_was_not_seen_may_still_be_there():
    assert gamma_interval(0, 0, 10).high == pytest.approx(36.9, abs=0.1)
    assert gamma_interval(0, 0, 10).low == 0


def test_an_interval_of_many_is_that_of_the_normal_distribution():
    found = gamma_interval(10_000, 100.0**2, 1)
    assert (found.low, found.high) == pytest.approx((9_804, 10_197), abs=4)


def test_a_quantile_reaches_as_far_as_its_total_may_be_off():
    counts = np.full(64, 10.0)
    design, _ = drawn(counts, 16, 0)
    found = design.quantile(lambda share: 5 - share / 100, 200, np.array([180.0, 220.0] * 8))
    assert found.value == 3
    assert found.low == pytest.approx(3 - 2.306 * 20 / 100, rel=0.01)  # Student's t at 8 strata
    assert found.high == pytest.approx(6 - found.low)
