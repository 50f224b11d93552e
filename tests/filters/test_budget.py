"""The budget cut against a slow reference, its laws, and its bounds."""

import hashlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import IntegrityError, SettingsError
from filters.budget import _TIE_KEY, cut


def slow_reference(scores, tokens, ids, budget):
    def place(row):
        return -scores[row], hashlib.blake2b(ids[row].encode(), digest_size=16, key=_TIE_KEY).hexdigest()

    kept, total = set(), 0
    for row in sorted(range(len(ids)), key=place):
        if total + tokens[row] > budget:
            break
        kept.add(row)
        total += tokens[row]
    return kept, total


# few distinct scores, so that ties at the cut are the rule and not the exception; and the full range of float32
SCORES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 2.5000002, 4.75, -3.0]),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
POOLS = st.lists(st.tuples(SCORES, st.integers(0, 50)), min_size=1, max_size=60)


@given(POOLS, st.data())
def test_the_cut_is_the_longest_prefix_that_fits(pool, data):
    scores, tokens = [row[0] for row in pool], [row[1] for row in pool]
    if sum(tokens) == 0:
        return
    ids = [f"document {n}" for n in range(len(pool))]
    budget = data.draw(st.integers(1, sum(tokens)))

    result = cut(np.float32(scores), np.array(tokens), ids, budget)

    kept, total = slow_reference(scores, tokens, ids, budget)
    assert set(np.flatnonzero(result.kept)) == kept
    assert result.kept_tokens == total <= budget
    if kept:
        assert result.threshold == min(np.float32(scores[row]) for row in kept)
        assert result.ties == sum(np.float32(score) == result.threshold for score in scores)
    else:
        assert (result.threshold, result.ties) == (float("inf"), 0)


@given(POOLS, st.data())
def test_the_order_of_the_rows_decides_nothing(pool, data):
    tokens = np.array([row[1] for row in pool])
    if tokens.sum() == 0:
        return
    scores, ids = np.float32([row[0] for row in pool]), np.array([f"document {n}" for n in range(len(pool))])
    budget = data.draw(st.integers(1, int(tokens.sum())))
    order = np.array(data.draw(st.permutations(range(len(pool)))))

    one, other = cut(scores, tokens, ids, budget), cut(scores[order], tokens[order], ids[order], budget)

    assert set(ids[one.kept]) == set(ids[order][other.kept])
    assert (one.threshold, one.kept_tokens, one.ties) == (other.threshold, other.kept_tokens, other.ties)


@given(POOLS, st.data())
def test_a_larger_budget_keeps_all_that_a_smaller_one_keeps(pool, data):
    tokens = np.array([row[1] for row in pool])
    if tokens.sum() == 0:
        return
    scores, ids = np.float32([row[0] for row in pool]), [f"document {n}" for n in range(len(pool))]
    small, large = sorted(data.draw(st.tuples(*[st.integers(1, int(tokens.sum()))] * 2)))
    assert not (cut(scores, tokens, ids, small).kept & ~cut(scores, tokens, ids, large).kept).any()


def test_a_budget_larger_than_the_pool_is_refused_with_both_numbers():
    with pytest.raises(SettingsError, match=r"budget_tokens is 1,001 but the pool holds only 1,000 tokens in 2 doc"):
        cut(np.float32([1, 2]), np.array([400, 600]), ["a", "b"], 1001)


def test_a_budget_of_the_whole_pool_keeps_everything():
    assert cut(np.float32([1, 2]), np.array([400, 600]), ["a", "b"], 1000).kept.tolist() == [True, True]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_finite_number_is_refused_by_id(bad):
    with pytest.raises(IntegrityError, match="'page 2'"):
        cut(np.float32([1, bad]), np.array([4, 6]), ["page 1", "page 2"], 5)


def test_columns_of_different_lengths_and_negative_counts_are_refused():
    with pytest.raises(IntegrityError, match="2 scores, 1 token counts and 2 ids"):
        cut(np.float32([1, 2]), np.array([4]), ["a", "b"], 5)
    with pytest.raises(IntegrityError, match="-4 tokens"):
        cut(np.float32([1, 2]), np.array([-4, 6]), ["a", "b"], 1)


def test_three_million_rows_are_cut_exactly_in_seconds():
    random = np.random.default_rng(0)
    scores = random.gamma(2, 0.6, 3_000_000).astype(np.float32).clip(0, 5)
    tokens = random.integers(50, 5_000, len(scores))
    budget = int(tokens.sum()) // 7
    start = time.process_time()
    result = cut(scores, tokens, np.arange(len(scores)), budget)
    assert time.process_time() - start < 4
    assert tokens[scores > result.threshold].sum() <= result.kept_tokens <= budget
    assert budget - result.kept_tokens < 5_000
