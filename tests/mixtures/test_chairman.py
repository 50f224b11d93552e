from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from common.errors import SettingsError
from mixtures.chairman import MAX_PERIOD, chairman_table, integer_weights, prefix_bound


def prefix_counts(table: bytes, sources: int) -> np.ndarray:
    """Counts after 0, 1, 2, … windows; shape (len(table) + 1, sources)."""
    drawn = np.frombuffer(table, dtype=np.uint8)[:, None] == np.arange(sources)
    return np.vstack([np.zeros((1, sources), dtype=np.int64), np.cumsum(drawn, axis=0)])


@settings(max_examples=200, deadline=None)
@given(weights=lists(integers(1, 50), min_size=2, max_size=31))
def test_every_prefix_of_two_periods_stays_within_the_bound(weights):
    period = sum(weights)
    counts = prefix_counts(chairman_table(weights) * 2, len(weights))
    owed = np.outer(np.arange(len(counts)), weights)
    worst = Fraction(int(np.abs(counts * period - owed).max()), period)
    assert worst <= prefix_bound(len(weights))


@settings(max_examples=100, deadline=None)
@given(weights=lists(integers(1, 50), min_size=1, max_size=31))
def test_a_period_holds_every_source_exactly_as_often_as_its_weight_says(weights):
    assert prefix_counts(chairman_table(weights), len(weights))[-1].tolist() == weights


def test_the_bound_is_reached_so_that_it_could_not_be_smaller():
    weights = [1, 1]
    counts = prefix_counts(chairman_table(weights), 2)
    owed = np.outer(np.arange(len(counts)), weights) / 2
    assert np.abs(counts - owed).max() == prefix_bound(2) == Fraction(1, 2)


@pytest.mark.parametrize(("sources", "bound"), [(2, Fraction(1, 2)), (3, Fraction(3, 4)), (31, Fraction(59, 60))])
def test_the_bound_is_the_one_of_tijdeman(sources, bound):
    assert prefix_bound(sources) == bound


def test_one_source_has_no_bound_but_a_table():
    with pytest.raises(SettingsError, match="at least two sources, got 1"):
        prefix_bound(1)
    assert list(chairman_table([1])) == [0]


def test_the_smallest_integers_in_the_proportion_are_found():
    assert integer_weights([Fraction("0.4"), Fraction("1/5"), Fraction("2/5")]) == [2, 1, 2]
    assert integer_weights([Fraction(1)]) == [1]


def test_weights_that_do_not_sum_to_one_are_refused_with_the_sum():
    with pytest.raises(SettingsError, match=r"4/5 \+ 1/4 = 21/20"):
        integer_weights([Fraction(4, 5), Fraction(1, 4)])


def test_a_weight_of_zero_is_refused():
    with pytest.raises(SettingsError, match=r"above zero, got 1 \+ 0"):
        integer_weights([Fraction(1), Fraction(0)])


def test_a_period_over_the_limit_is_refused_by_its_length():
    over = MAX_PERIOD + 1
    with pytest.raises(SettingsError, match="1,000,001"):
        integer_weights([Fraction(1, over), Fraction(over - 1, over)])


def test_257_sources_are_refused_and_256_are_not():
    assert len(chairman_table([1] * 256)) == 256
    with pytest.raises(SettingsError, match="1 to 256 sources, got 257"):
        chairman_table([1] * 257)
