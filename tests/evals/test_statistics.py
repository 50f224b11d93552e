import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists

from common.errors import SettingsError
from evals.statistics import bits_per_byte, interval, resampled_bits_per_byte


def test_a_byte_that_is_predicted_with_one_half_costs_one_bit():
    assert bits_per_byte(np.array([100 * math.log(0.5)]), np.array([100])) == pytest.approx(1.0, abs=1e-15)


def test_documents_count_by_their_bytes_and_not_alike():
    value = bits_per_byte(np.array([-2 * math.log(2), 0.0]), np.array([1, 3]))
    assert value == pytest.approx(0.5, abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(nats=lists(floats(-1e6, 0), min_size=1, max_size=40), size=integers(1, 1000))
def test_resampled_values_stay_between_the_best_and_the_worst_document(nats, size):
    n_bytes = np.full(len(nats), size)
    log_probability = np.array([nats])
    draws = resampled_bits_per_byte(log_probability, n_bytes, resamples=50)
    single = -log_probability[0] / (math.log(2) * n_bytes)
    assert draws.min() >= single.min() - 1e-9 * (1 + abs(single.min()))
    assert draws.max() <= single.max() + 1e-9 * (1 + abs(single.max()))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        bits = random.normal(1.0, 0.3, size=60)
        draws = resampled_bits_per_byte(-bits[None] * 100 * math.log(2), np.full(60, 100), resamples=400)
        low, high = interval(draws[0])
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_pairing_removes_what_makes_documents_differ():
    random = np.random.default_rng(3)
    hard = random.normal(2.0, 1.0, size=200)
    both = np.stack([hard, hard + 0.01 + random.normal(0, 0.001, size=200)])
    draws = resampled_bits_per_byte(-both * 100 * math.log(2), np.full(200, 100))
    low, high = interval(draws[1] - draws[0])
    assert 0.0097 < low < high < 0.0103
    alone = interval(draws[0])
    assert alone[1] - alone[0] > 0.2


def test_the_same_items_give_the_same_draws_whatever_else_is_drawn_with_them():
    items = -np.random.default_rng(1).random((3, 50))
    n_bytes = np.arange(1, 51)
    together = resampled_bits_per_byte(items, n_bytes, resamples=100)
    assert np.array_equal(together[1], resampled_bits_per_byte(items[1:2], n_bytes, resamples=100)[0])


def test_no_documents_are_refused():
    with pytest.raises(SettingsError, match="no documents"):
        resampled_bits_per_byte(np.empty((1, 0)), np.empty(0, dtype=np.int64))
