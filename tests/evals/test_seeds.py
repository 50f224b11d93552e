import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers
from scipy import stats

from common.errors import SettingsError
from evals.seeds import LEVEL, POWER, Welch, holm, judge, shares, welch

RANDOM = np.random.default_rng(11)
P_VALUES = arrays(np.float64, integers(1, 8), elements=floats(0, 1))


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape)


def one(difference: float, error: float, freedom: float = 8.0) -> Welch:
    return Welch(np.array([difference]), np.array([error]), np.array([freedom]))


def test_the_test_and_its_interval_are_those_of_scipy():
    first, second = normal(20, 5) * 3, normal(20, 4) + 1
    ours, theirs = welch(first, second), stats.ttest_ind(first, second, axis=-1, equal_var=False)
    np.testing.assert_allclose(ours.p_different(), theirs.pvalue, rtol=1e-10)
    np.testing.assert_allclose(ours.interval(), theirs.confidence_interval(0.95), rtol=1e-10)


def test_the_test_of_equivalence_is_two_tests_of_scipy():
    first, second = normal(20, 5), normal(20, 7) + 0.5
    margin = 1.5
    above, below = (
        stats.ttest_ind(first + shift, second, axis=-1, equal_var=False, alternative=side).pvalue
        for shift, side in ((margin, "greater"), (-margin, "less"))
    )
    np.testing.assert_allclose(welch(first, second).p_equivalent(margin), np.maximum(above, below), rtol=1e-9)


@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 2), (1, 10)])
def test_fewer_than_three_seeds_get_no_test(first, second):
    with pytest.raises(SettingsError, match=rf"at least 3 seeds of each recipe, not {first} and {second}"):
        welch(normal(first), normal(second))


def test_seeds_without_any_spread_say_nothing():
    tests = welch(np.full((1, 3), 0.1), np.full((1, 3), 0.2))
    judged = judge(tests, np.ones(1), margin=1.0)
    assert judged.words.tolist() == ["not distinguishable"]
    assert (tests.p_different()[0], tests.p_equivalent(1.0)[0]) == (1.0, 1.0)
    assert np.isinf(tests.interval()).all()


def test_the_difference_it_calls_detectable_is_found_about_as_often_as_it_says():
    seeds, found = 6, 0
    least = float((stats.t.ppf(1 - LEVEL / 2, 10) + stats.t.ppf(POWER, 10)) * np.sqrt(2 / seeds))
    assert one(0.0, np.sqrt(2 / seeds), 10.0).detectable()[0] == pytest.approx(least)
    found = welch(normal(4000, seeds) + least, normal(4000, seeds)).p_different() <= LEVEL
    assert 0.76 <= found.mean() <= 0.84


def test_holm_gives_the_values_of_its_paper():
    np.testing.assert_allclose(holm(np.array([0.01, 0.02, 0.03, 0.9]), np.ones(4)), [0.04, 0.06, 0.06, 0.9])


def test_a_line_with_half_of_the_level_needs_to_be_only_twice_as_sure():
    weights = shares(np.array([True, False, False, False]))
    np.testing.assert_allclose(holm(np.array([0.02, 0.5, 0.5, 0.5]), weights)[0], 0.04)
    np.testing.assert_allclose(holm(np.array([0.5, 0.005, 0.5, 0.5]), weights)[1], 0.03)


@given(p_values=P_VALUES)
def test_no_value_falls_and_their_order_stays(p_values):
    adjusted = holm(p_values, np.ones(len(p_values)))
    assert (adjusted >= np.minimum(p_values, 1) - 1e-15).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


@given(p_values=P_VALUES, seed=integers(0, 9))
def test_the_order_of_the_lines_does_not_matter(p_values, seed):
    weights = np.random.default_rng(seed).integers(1, 5, size=len(p_values)).astype(float)
    order = np.random.default_rng(seed).permutation(len(p_values))
    np.testing.assert_allclose(
        holm(p_values[order], weights[order]), holm(p_values, weights)[order], rtol=1e-12, atol=1e-300
    )


@given(p_value=floats(0, 1))
def test_a_line_alone_is_not_corrected(p_value):
    assert holm(np.array([p_value]), np.ones(1))[0] == p_value


@pytest.mark.parametrize(
    ("difference", "error", "word"),
    [
        (0.05, 0.005, "better"),
        (-0.05, 0.005, "worse"),
        (0.05, 0.04, "not distinguishable"),
        (0.001, 0.001, "equivalent"),
        (0.005, 0.001, "equivalent"),  # surely above zero, and surely below what matters
        (0.011, 0.001, "better"),
    ],
)
def test_each_word_has_its_case(difference, error, word):
    assert judge(one(difference, error), np.ones(1), margin=0.01).words.tolist() == [word]


def test_where_lower_is_better_the_words_change_places():
    assert judge(one(-0.05, 0.005), np.ones(1), 0.01, higher_is_better=False).words.tolist() == ["better"]
    assert judge(one(0.05, 0.005), np.ones(1), 0.01, higher_is_better=False).words.tolist() == ["worse"]


@given(
    first=arrays(np.float64, (4, 3), elements=floats(-9, 9)), second=arrays(np.float64, (4, 5), elements=floats(-9, 9))
)
def test_exchanging_the_recipes_exchanges_better_and_worse(first, second):
    opposite = {"better": "worse", "worse": "better"}
    there, back = (judge(welch(*pair), np.ones(4), 0.1).words for pair in ((first, second), (second, first)))
    assert [opposite.get(word, word) for word in there.tolist()] == back.tolist()


def test_equal_recipes_are_called_different_in_at_most_one_family_of_twenty():
    shared = normal(4000, 1, 10)
    scores = normal(4000, 5, 10) + shared
    judged = judge(welch(scores[..., :5], scores[..., 5:]), shares(np.arange(5) == 0), 1e-9)
    assert np.isin(judged.words, ["better", "worse"]).any(axis=1).mean() <= 0.05
