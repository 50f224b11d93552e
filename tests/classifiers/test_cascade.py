from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.cascade import BIN_DOCUMENTS, Cascade, _groups
from classifiers.cascade_settings import Promise
from common.errors import IntegrityError
from tests.classifiers.cascades import CALIBRATION, full_scores, small_cascade, texts

PROMISE = Promise()
HAND = texts(3000, 200_000)
TOKENS = np.random.default_rng(3).lognormal(5, 1, len(HAND)).astype(np.int64) + 1


@pytest.fixture(scope="module")
def cascade():
    return small_cascade()


@pytest.fixture(scope="module")
def first(cascade):
    return cascade.score(HAND)


def kept(full, threshold):
    return int(TOKENS[full >= np.float32(threshold)].sum())


@pytest.mark.parametrize("threshold", [2.0, 3.0])
def test_most_documents_are_decided_by_the_first_stage_and_few_tokens_wrongly(cascade, first, threshold):
    full = full_scores(HAND)
    band = cascade.band(first, TOKENS, threshold, kept(full, threshold), PROMISE)
    wrong = ~band.undecided & ((first >= threshold) != (full >= threshold))
    assert 0 < band.undecided.mean() < 0.6
    assert TOKENS[wrong].sum() <= 0.05 * kept(full, threshold)
    assert band.expected_error <= 0.05 * kept(full, threshold)


def test_what_is_undecided_lies_nearer_the_threshold_than_what_is_decided_with_as_many_tokens(cascade, first):
    tokens = np.full(len(first), 100)
    band = cascade.band(first, tokens, 3.0, 120_000, PROMISE)
    chance = cascade.chance_above(first, 3.0)
    doubt = np.minimum(chance, 1 - chance)
    assert doubt[band.undecided].min() >= doubt[~band.undecided].max()


@settings(max_examples=25)
@given(st.floats(0.5, 4.5), st.floats(0.01, 0.2), st.sampled_from([0.8, 0.95, 0.99]))
def test_a_weaker_promise_never_needs_the_full_model_more(cascade, first, threshold, fraction, confidence):
    def undecided(**settings):
        return cascade.band(first, TOKENS, threshold, 200_000, Promise(**settings)).undecided

    strict = undecided(error_fraction=fraction, confidence=confidence)
    assert (undecided(error_fraction=1.5 * fraction, confidence=confidence) <= strict).all()
    assert (undecided(error_fraction=fraction, confidence=0.9 * confidence) <= strict).all()


def test_a_document_far_larger_than_what_may_differ_is_not_decided_by_the_first_stage(cascade, first):
    tokens = TOKENS.copy()
    far = int(np.argmin(first))
    assert not cascade.band(first, tokens, 3.0, 200_000, PROMISE).undecided[far]
    tokens[far] = 200_000
    assert cascade.band(first, tokens, 3.0, 200_000, PROMISE).undecided[far]


def test_a_large_crawl_needs_the_full_model_for_fewer_of_its_documents(cascade, first):
    kept_tokens = kept(full_scores(HAND), 3.0)
    few = cascade.band(first, TOKENS, 3.0, kept_tokens, PROMISE).undecided.mean()
    many = cascade.band(first, TOKENS, 3.0, kept_tokens, PROMISE, copies=50)
    tiled = cascade.band(np.tile(first, 50), np.tile(TOKENS, 50), 3.0, 50 * kept_tokens, PROMISE)
    assert (np.tile(many.undecided, 50) == tiled.undecided).all()
    assert many.undecided.mean() < few


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20))
def test_bins_are_put_together_until_each_has_enough_documents_and_stay_in_order(counts):
    groups = _groups(np.array(counts))
    assert groups[0] == 0 and set(np.diff(groups)) <= {0, 1}
    sizes = np.bincount(groups, weights=counts)
    assert len(sizes) == 1 or sizes.min() >= BIN_DOCUMENTS


def test_the_fewer_calibration_documents_the_more_goes_to_the_full_model(cascade, first):
    few = replace(cascade, sample=cascade.sample[:, ::30])
    bands = [each.band(first, TOKENS, 3.0, kept(full_scores(HAND), 3.0), PROMISE) for each in (cascade, few)]
    assert bands[0].undecided.mean() + 0.2 < bands[1].undecided.mean()
    none = replace(cascade, sample=np.empty((2, 0), np.float32))
    assert none.band(first, TOKENS, 3.0, 200_000, PROMISE).undecided.all()
    assert cascade.band(first[:0], TOKENS[:0], 3.0, 0, PROMISE).undecided.shape == (0,)


def test_a_student_that_knows_nothing_decides_nothing_that_matters(cascade, first):
    shuffled = replace(
        cascade, sample=np.stack([cascade.sample[0], np.random.default_rng(0).permutation(cascade.sample[1])])
    )
    assert shuffled.band(first, TOKENS, 3.0, kept(full_scores(HAND), 3.0), PROMISE).undecided.mean() > 0.9


def test_the_chance_is_a_half_at_the_threshold_and_rises_with_the_score(cascade):
    scores = np.linspace(0.1, 4.5, 200).astype(np.float32)
    chances = cascade.chance_above(scores, 2.5)
    assert cascade.chance_above(np.float32([2.5]), 2.5)[0] == pytest.approx(0.5, abs=1e-3)
    assert ((chances > 0.5) == (scores > 2.5)).all()


def test_the_expected_threshold_is_the_full_models_once_it_has_seen_everything(cascade, first):
    full = full_scores(HAND)
    order = np.argsort(-full)
    budget = int(0.2 * TOKENS.sum())
    exact = full[order][np.searchsorted(np.cumsum(TOKENS[order]), budget)]
    assert cascade.expected_threshold(first, full, TOKENS, budget) == pytest.approx(exact, abs=0.01)
    unseen = np.full(len(first), np.nan, np.float32)
    assert cascade.expected_threshold(first, unseen, TOKENS, budget) == pytest.approx(exact, abs=0.2)


def test_equal_calibration_scores_are_no_obstacle(cascade, first):
    flat = replace(cascade, sample=np.stack([np.full(900, 1, np.float32), cascade.sample[1]]))
    assert flat.band(first, TOKENS, 3.0, 200_000, PROMISE).undecided.any()


def test_arrays_bring_a_cascade_back_and_broken_ones_are_refused(cascade):
    restored = Cascade.from_arrays(cascade.arrays(), CALIBRATION)
    assert (restored.score(HAND[:20]) == cascade.score(HAND[:20])).all()
    assert (restored.sample == cascade.sample).all()
    for broken in ({"spread": cascade.spread[:2]}, {"sample": cascade.sample[:, ::-1]}):
        with pytest.raises(IntegrityError, match="does not hold the arrays"):
            Cascade.from_arrays(cascade.arrays() | broken, CALIBRATION)
