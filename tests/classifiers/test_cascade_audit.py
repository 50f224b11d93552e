import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.cascade_audit import draw, draw_chances, judge

NAMES = [f"d{number}" for number in range(4000)]
TOKENS = np.random.default_rng(0).lognormal(5, 1.5, 4000).astype(np.int64) + 1


def test_draws_are_by_tokens_and_about_as_many_as_asked_for():
    chances = draw_chances(TOKENS, 200)
    rest = chances < 1
    assert (chances[rest] / TOKENS[rest]).std() == pytest.approx(0, abs=1e-12)
    assert 150 < draw(NAMES, TOKENS, 200).sum() <= 230
    assert draw(NAMES, TOKENS, 200)[~rest].all()


@given(st.permutations(range(60)))
def test_the_order_of_the_documents_does_not_matter(order):
    drawn = draw(NAMES[:60], TOKENS[:60], 20)
    again = draw([NAMES[place] for place in order], TOKENS[:60][order], 20)
    assert (again == drawn[order]).all()


def test_limits_hold_in_nineteen_cases_of_twenty():
    chance = np.random.default_rng(1)
    wrong = chance.random(4000) < 0.05
    truth = TOKENS[wrong].sum()
    low = high = 0
    for _ in range(400):
        drawn = chance.random(4000) < draw_chances(TOKENS, 300)
        found = judge(TOKENS, drawn, wrong & drawn, 300, 0.95)
        low += found.low <= truth
        high += found.high >= truth
        assert found.low <= found.tokens <= found.high
    assert min(low, high) >= 0.95 * 400 * 0.98


def test_what_was_seen_for_certain_is_not_estimated():
    tokens, wrong = np.array([10, 20, 30]), np.array([True, False, True])
    found = judge(tokens, np.ones(3, bool), wrong, 1000, 0.95)
    assert (found.documents, found.wrong, found.tokens, found.low, found.high) == (3, 2, 40.0, 40.0, 40.0)


def test_an_audit_without_an_error_still_has_an_upper_limit():
    tokens = np.full(1000, 10)
    found = judge(tokens, draw(NAMES[:1000], tokens, 100), np.zeros(1000, bool), 100, 0.95)
    # rule of three: -log(0.05) errors, each standing for a hundredth of the tokens
    assert (found.tokens, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(-np.log(0.05) * 100, rel=1e-9)
