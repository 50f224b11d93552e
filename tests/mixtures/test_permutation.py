from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, text

from common.errors import SettingsError
from mixtures.permutation import MAX_SIZE, Permutation


def whole(size: int, key: str = "key", epoch: int = 0) -> np.ndarray:
    return Permutation(size, key)(np.arange(size), np.full(size, epoch))


def test_every_size_to_5000_is_a_bijection():
    for size in range(1, 5001):
        assert np.array_equal(np.sort(whole(size)), np.arange(size)), size


@settings(max_examples=25, deadline=None)
@given(size=integers(1, 200_000), key=text(max_size=8), epoch=integers(0, 2**40))
def test_any_size_key_and_epoch_is_a_bijection(size, key, epoch):
    assert np.array_equal(np.sort(whole(size, key, epoch)), np.arange(size))


@settings(max_examples=50, deadline=None)
@given(size=integers(10**6, MAX_SIZE), start=integers(0, 10**6 - 1000))
def test_a_part_of_a_huge_permutation_has_no_double_and_stays_inside(size, start):
    values = Permutation(size, "key")(np.arange(start, start + 1000), np.zeros(1000, dtype=np.int64))
    assert len(np.unique(values)) == 1000
    assert 0 <= values.min() <= values.max() < size


def test_epochs_and_keys_give_unrelated_orders():
    base = whole(10_000)
    for other in (whole(10_000, epoch=1), whole(10_000, key="other"), np.arange(10_000)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.05
        assert (base == other).sum() < 12  # one is expected; more than 12 comes once in 10^9


def test_neighbours_do_not_stay_neighbours():
    assert (np.diff(whole(10_000)) == 1).sum() < 12
    assert abs(np.corrcoef(whole(10_000)[:-1], whole(10_000)[1:])[0, 1]) < 0.05


def test_all_120_orders_of_five_windows_come_up_equally_often():
    epochs = 24_000
    index, epoch = np.tile(np.arange(5), epochs), np.repeat(np.arange(epochs), 5)
    orders = Permutation(5, "key")(index, epoch).reshape(epochs, 5)
    known = {order: number for number, order in enumerate(permutations(range(5)))}
    counts = np.bincount([known[tuple(order)] for order in orders.tolist()], minlength=120)
    chi_square = ((counts - epochs / 120) ** 2 / (epochs / 120)).sum()
    assert chi_square < 180  # 119 degrees of freedom: 1 in 4,000


def test_the_mix_is_not_linear():
    # an affine permutation has the same difference between any two neighbours, or few of them
    assert len(np.unique(np.diff(whole(1009)) % 1009)) > 500


@pytest.mark.parametrize("size", [0, -1, MAX_SIZE + 1])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(SettingsError, match=f"got {size}"):
        Permutation(size, "key")
