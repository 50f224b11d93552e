"""The benchmark of the cascade counts what goes to the full model and what is decided otherwise."""

import numpy as np
import pytest

from benchmarks.cascade import Documents, error, resplit, shares, undecided
from tests.classifiers.cascades import full_scores, small_cascade, texts


@pytest.fixture(scope="module")
def documents():
    found = texts(1500, 300_000)
    tokens = np.random.default_rng(4).lognormal(5, 0.5, len(found)).astype(np.int64) + 1
    return Documents(found, tokens, small_cascade().score(found), full_scores(found))


def test_the_threshold_keeps_the_share_of_the_tokens_that_was_asked_for(documents):
    kept = documents.tokens[documents.full >= np.float32(documents.threshold(0.2))].sum()
    assert 0.2 <= kept / documents.tokens.sum() < 0.21


def test_what_is_sent_on_is_never_an_error_and_what_is_not_is_compared(documents):
    threshold = documents.threshold(0.2)
    assert error(documents, np.ones(len(documents), bool), threshold) == 0
    nothing = np.zeros(len(documents), bool)
    keeps, first = documents.full >= np.float32(threshold), documents.first >= np.float32(threshold)
    wrong = documents.tokens[keeps != first].sum() / documents.tokens[keeps].sum()
    assert error(documents, nothing, threshold) == pytest.approx(wrong) and wrong > 0


def test_a_crawl_of_many_like_them_sends_a_smaller_share_on_than_they_alone(documents):
    row = shares(small_cascade(), documents, 0.2)
    assert 0 < row["sent, of a million"] <= row["sent, alone"] < 1
    sent = undecided(small_cascade(), documents, documents.threshold(0.2))
    assert row["sent, alone"] == round(float(sent.mean()), 4)


def test_each_resplit_calibrates_with_one_half_and_is_held_against_the_other(documents):
    row = resplit(small_cascade(), documents, 0.3, 20, np.random.default_rng(0))
    assert row["holds"] >= 0.9
    assert 0 < row["sent"] < 1 and row["error 5%"] <= row["error 50%"] <= row["error 95%"] <= row["error max"]
