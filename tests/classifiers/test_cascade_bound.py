import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.cascade_bound import BETS, log_evidence, widest_proven


def one_bin(wrong, documents, tokens):
    return np.array([wrong]), np.array([documents]), np.array([float(tokens)])


def test_the_evidence_of_one_bin_is_the_mean_of_the_bets():
    # every document stands for 10 tokens; 100 of 1,000 tokens are allowed, so the mean of x is 1 if all are used up
    expected = np.log(np.mean([(1 + b * (1 - 10) / 10) ** 2 * (1 + b * 1 / 10) ** 98 for b in BETS]))
    assert log_evidence(*one_bin(2, 100, 1000), allowed=100) == pytest.approx(expected, rel=1e-12)


def test_nothing_that_is_decided_unseen_needs_no_proof():
    assert log_evidence(*one_bin(3, 10, 0), allowed=1) == np.inf


@given(documents=st.integers(60, 2000), wrong=st.integers(0, 20), tokens=st.floats(1, 1e9), share=st.floats(0.001, 0.5))
def test_more_errors_or_less_allowance_never_make_the_evidence_stronger(documents, wrong, tokens, share):
    allowed = share * tokens
    evidence = log_evidence(*one_bin(wrong, documents, tokens), allowed=allowed)
    assert log_evidence(*one_bin(wrong + 1, documents, tokens), allowed=allowed) <= evidence + 1e-9 * abs(evidence)
    assert log_evidence(*one_bin(wrong, documents, tokens), allowed=0.9 * allowed) <= evidence + 1e-9 * abs(evidence)


@given(scale=st.floats(1e-3, 1e6), wrong=st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_the_unit_of_the_tokens_does_not_matter(scale, wrong):
    documents, tokens = np.array([60, 80, 70]), np.array([1000.0, 50.0, 700.0])
    one = log_evidence(np.array(wrong), documents, tokens, 100)
    assert log_evidence(np.array(wrong), documents, tokens * scale, 100 * scale) == pytest.approx(one, rel=1e-6)


def test_the_steps_end_before_the_first_that_fails():
    tokens = np.array([[0.0], [10.0], [1e6], [10.0]])
    assert widest_proven(np.array([0]), np.array([500]), tokens, allowed=100, error_chance=0.05) == 2
    assert widest_proven(np.array([0]), np.array([500]), tokens[2:], allowed=100, error_chance=0.05) == 0
    assert widest_proven(np.array([0]), np.array([500]), tokens[:2], allowed=100, error_chance=0.05) == 2


@pytest.mark.parametrize("excess", [1.0, 1.3])
def test_a_false_claim_is_proven_in_fewer_than_one_case_of_twenty(excess):
    """Many samples of a population that has just as many wrong tokens as allowed, or more."""
    draws = np.random.default_rng(1)
    documents, tokens = np.array([300, 60, 400]), np.array([3e5, 1e5, 5e5])
    chances = np.array([0.02, 0.08, 0.001])
    allowed = float(tokens @ chances) / excess
    wrong = draws.binomial(documents, chances, size=(4000, 3))
    proven = np.mean([log_evidence(each, documents, tokens, allowed) >= np.log(20) for each in wrong])
    assert proven <= 0.05


def test_a_true_claim_is_proven_with_enough_documents():
    draws = np.random.default_rng(2)
    wrong = draws.binomial(3000, 0.01, size=400)
    assert np.mean([log_evidence(*one_bin(each, 3000, 1e6), allowed=3e4) >= np.log(20) for each in wrong]) > 0.95
