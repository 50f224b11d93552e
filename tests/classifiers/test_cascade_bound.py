import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from classifiers.cascade_bound import chance_of_more, widest_proven


def one_bin(wrong, documents, tokens):
    return np.array([wrong]), np.array([documents]), np.array([float(tokens)])


@pytest.mark.parametrize(("wrong", "allowed"), [(0, 300), (2, 500), (13, 2100), (40, 5000)])
def test_with_equal_weights_and_a_large_crawl_the_chance_is_that_of_a_poisson_count(wrong, allowed):
    # each of 1,000 documents stands for 100 tokens: as many wrong as allowed would be allowed / 100 errors
    chance = chance_of_more(*one_bin(wrong, 1000, 1e5), size=1e-4, allowed=allowed)
    assert chance == pytest.approx(poisson(allowed / 100).cdf(wrong), abs=2e-4)


@pytest.mark.parametrize(("wrong", "fit"), [(0, 3), (5, 12), (9, 9)])
def test_with_as_many_documents_at_hand_it_is_that_of_tossing_coins(wrong, fit):
    """An error is as likely to be one of the sample's as of those at hand: more of the latter before one more there."""
    chance = chance_of_more(*one_bin(wrong, 1000, 1e5), size=100.0, allowed=100.0 * fit)
    assert chance == pytest.approx(binom(wrong + fit, 0.5).sf(fit - 1), rel=1e-9)


def test_nothing_that_is_decided_unseen_needs_no_proof():
    assert chance_of_more(*one_bin(3, 10, 0), size=1.0, allowed=1) == 0


@given(
    wrong=st.integers(0, 20),
    documents=st.integers(60, 2000),
    tokens=st.floats(1e4, 1e9),
    share=st.floats(0.001, 0.5),
    size=st.floats(1, 1e4),
)
def test_more_errors_or_less_allowance_never_make_the_chance_smaller(wrong, documents, tokens, share, size):
    allowed = share * tokens
    chance = chance_of_more(*one_bin(wrong, documents, tokens), size, allowed)
    assert chance_of_more(*one_bin(wrong + 1, documents, tokens), size, allowed) >= chance - 1e-12
    assert chance_of_more(*one_bin(wrong, documents, tokens), size, 0.9 * allowed) >= chance - 1e-12


@given(scale=st.floats(1e-2, 1e6), wrong=st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_the_unit_of_the_tokens_does_not_matter(scale, wrong):
    documents, tokens = np.array([60, 80, 70]), np.array([1000.0, 50.0, 700.0])
    one = chance_of_more(np.array(wrong), documents, tokens, 3.0, 100)
    other = chance_of_more(np.array(wrong), documents, tokens * scale, 3.0 * scale, 100 * scale)
    assert other == pytest.approx(one, rel=1e-6, abs=1e-12)


def test_the_steps_end_before_the_first_that_fails():
    tokens, sizes = np.array([[0.0], [10.0], [1e6], [10.0]]), np.ones(4)
    assert widest_proven(np.array([0]), np.array([500]), tokens, sizes, allowed=100, error_chance=0.05) == 2
    assert widest_proven(np.array([0]), np.array([500]), tokens[2:], sizes[2:], allowed=100, error_chance=0.05) == 0
    assert widest_proven(np.array([0]), np.array([500]), tokens[:2], sizes[:2], allowed=100, error_chance=0.05) == 2


@pytest.mark.parametrize("excess", [1.0, 1.3])
@pytest.mark.parametrize(
    ("tokens", "chances"),
    [
        ([3e5, 1e5, 5e5], [0.02, 0.08, 0.001]),
        ([5e5, 1e3, 5e5], [0.002, 0.1, 0.0]),
        ([1e5, 1e6, 1e4], [0.01, 0.01, 0.3]),
    ],
)
def test_a_false_claim_is_proven_in_no_more_than_one_case_of_twenty(tokens, chances, excess):
    """Many samples of a population that has just as many wrong tokens as allowed, or more."""
    documents = np.array([300, 60, 400])
    allowed = float(np.dot(tokens, chances)) / excess
    wrong = np.random.default_rng(1).binomial(documents, chances, size=(4000, 3))
    found = [chance_of_more(each, documents, np.array(tokens), 1e-4, allowed) for each in wrong]
    assert np.mean(np.array(found) <= 0.05) <= 0.055


@pytest.mark.parametrize("rate", [0.004, 0.008, 0.014])
def test_seldom_are_more_tokens_wrong_at_hand_than_were_said_to_be(rate):
    """Documents at hand are drawn as the sample is, in unlike sizes; the allowance is what was just proven."""
    draws = np.random.default_rng(2)
    failed = 0
    for _ in range(2000):
        sizes = draws.lognormal(5, 0.8, 3000)
        size, allowed = (sizes**2).mean() / sizes.mean(), 0.01 * sizes.sum()
        claimed = chance_of_more(*one_bin(draws.binomial(3000, rate), 3000, sizes.sum()), size, allowed) <= 0.05
        failed += claimed and sizes[draws.random(3000) < rate].sum() > allowed
    assert failed <= 0.05 * 2000


def test_a_true_claim_is_proven_with_enough_documents():
    wrong = np.random.default_rng(2).binomial(3000, 0.01, size=400)
    assert np.mean([chance_of_more(*one_bin(each, 3000, 1e6), 1.0, 3e4) <= 0.05 for each in wrong]) > 0.95
