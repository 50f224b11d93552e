import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from classifiers.resolution import MIN_DISTINCT, MIN_NEAR, MIN_TIED, NEAR, check_resolution
from common.errors import InputError
from filters.budget import cut


def pool(count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    return generator.gamma(2, 0.7, count).clip(0, 5).astype(np.float32), generator.integers(50, 3000, count)


def bfloat16(scores):
    """The upper 16 bits: what a model that runs in bfloat16 gives."""
    return (scores.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def cut_and_check(scores, tokens, share):
    chosen = cut(scores, tokens, [str(n) for n in range(len(scores))], max(1, int(share * tokens.sum())))
    check_resolution(scores, chosen.kept, tokens, chosen.threshold)


@given(count=integers(2, 3000), share=floats(0.05, 0.95), seed=integers(0, 1000))
def test_float32_scores_pass_at_any_budget_and_any_size(count, share, seed):
    cut_and_check(*pool(count, seed), share)


@given(count=integers(30, 150), steps=integers(1, 40), share=floats(0.3, 0.9))
def test_a_job_of_a_few_documents_with_copies_passes(count, steps, share):
    scores, tokens = pool(count)
    chosen = np.sort(scores)[-max(1, int(share * count)) :]
    threshold = float(chosen[0])
    check_resolution(scores, scores >= threshold, tokens, threshold)
    copies = np.repeat(scores[:steps], 5)[:count]  # every page five times
    cut_and_check(copies, tokens[: len(copies)], share)


@given(threshold=floats(1, 4), seed=integers(0, 100))
def test_bfloat16_scores_are_refused_at_any_threshold_with_enough_documents(threshold, seed):
    scores = bfloat16(np.random.default_rng(seed).uniform(0, 5, 20_000).astype(np.float32))
    with pytest.raises(InputError, match=r"only \d+ distinct scores to the \d+ documents within 0\.1"):
        check_resolution(scores, scores >= np.float32(threshold), np.ones(20_000, np.int64), threshold)


def test_a_budget_that_cuts_through_a_heavy_tie_is_refused_with_both_numbers():
    scores = np.float32(np.r_[np.linspace(3, 5, 100), np.full(MIN_TIED, 2.5), np.linspace(0, 2, 100)])
    tokens = np.full(len(scores), 10)
    ids = [str(n) for n in range(len(scores))]
    chosen = cut(scores, tokens, ids, 1_100)  # 100 documents and half of those that tie
    with pytest.raises(InputError, match=rf"{MIN_TIED} documents with 200 tokens share the score 2\.5"):
        check_resolution(scores, chosen.kept, tokens, chosen.threshold)
    whole = cut(scores, tokens, ids, 1_200)  # all of them fit, so nobody chose
    check_resolution(scores, whole.kept, tokens, whole.threshold)
    fewer = np.delete(np.arange(len(scores)), 100)
    chosen = cut(scores[fewer], tokens[fewer], [ids[n] for n in fewer], 1_100)
    check_resolution(scores[fewer], chosen.kept, tokens[fewer], chosen.threshold)


def test_a_tie_that_weighs_little_passes():
    scores = np.float32(np.r_[np.linspace(3, 5, 2_000), np.full(MIN_TIED, 2.5)])
    tokens = np.r_[np.full(2_000, 100), np.full(MIN_TIED, 10)]
    chosen = cut(scores, tokens, [str(n) for n in range(len(scores))], 200_100)
    assert 2_000 < chosen.kept.sum() < 2_000 + MIN_TIED
    check_resolution(scores, chosen.kept, tokens, chosen.threshold)


@pytest.mark.parametrize(
    ("distinct", "documents", "refused"),
    [
        (MIN_DISTINCT, MIN_NEAR, False),
        (MIN_DISTINCT - 1, MIN_NEAR, True),
        (MIN_DISTINCT - 1, MIN_NEAR - 1, False),
    ],
)
def test_the_limits_are_inclusive(distinct, documents, refused):
    scores = np.float32(3 + NEAR * (np.arange(documents) % distinct) / distinct)
    kept, tokens = scores >= 3, np.ones(documents, np.int64)
    if refused:
        with pytest.raises(InputError, match=f"only {distinct} distinct"):
            check_resolution(scores, kept, tokens, 3.0)
    else:
        check_resolution(scores, kept, tokens, 3.0)
