import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists

from common.errors import SettingsError
from evals.statistics import bits_per_byte, interval, resampled_ratio


def test_a_byte_that_is_predicted_with_one_half_costs_one_bit():
    assert bits_per_byte(np.array([100 * math.log(0.5)]), np.array([100])) == pytest.approx(1.0, abs=1e-15)


def test_documents_count_by_their_bytes_and_not_alike():
    value = bits_per_byte(np.array([-2 * math.log(2), 0.0]), np.array([1, 3]))
    assert value == pytest.approx(0.5, abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(amounts=lists(floats(0, 1e6), min_size=1, max_size=40), size=integers(1, 1000))
def test_resampled_values_stay_between_the_best_and_the_worst_item(amounts, size):
    single = np.array(amounts) / size
    draws = resampled_ratio(np.array([amounts]), np.full(len(amounts), float(size)), resamples=50)
    assert draws.min() >= single.min() - 1e-9 * (1 + abs(single.min()))
    assert draws.max() <= single.max() + 1e-9 * (1 + abs(single.max()))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        bits = random.normal(1.0, 0.3, size=60)
        low, high = interval(resampled_ratio(bits[None] * 100, np.full(60, 100.0), resamples=400)[0])
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_pairing_removes_what_makes_items_differ():
    random = np.random.default_rng(3)
    hard = random.normal(2.0, 1.0, size=200)
    both = np.stack([hard, hard + 0.01 + random.normal(0, 0.001, size=200)])
    draws = resampled_ratio(both, np.ones(200))
    low, high = interval(draws[1] - draws[0])
    assert 0.0097 < low < high < 0.0103
    alone = interval(draws[0])
    assert alone[1] - alone[0] > 0.2


def test_the_same_items_give_the_same_draws_whatever_else_is_drawn_with_them():
    items, sizes = np.random.default_rng(1).random((3, 50)), np.arange(1.0, 51.0)
    together = resampled_ratio(items, sizes, resamples=100)
    assert np.array_equal(together[1], resampled_ratio(items[1:2], sizes, resamples=100)[0])


def test_tasks_are_drawn_independently_of_each_other():
    items = np.random.default_rng(1).random((1, 400))
    one, other = (resampled_ratio(items, np.ones(400), stream=name)[0] for name in ("piqa", "boolq"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_no_items_are_refused():
    with pytest.raises(SettingsError, match="no documents or items"):
        resampled_ratio(np.empty((1, 0)), np.empty(0))
