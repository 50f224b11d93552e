"""Copies of a whole job from a sample of it."""

import numpy as np
import pytest

from filters import copies
from filters.estimates import Design


def design(pieces, taken, strata=None):
    """Every ``pieces / taken`` pieces one was drawn, two of each stratum."""
    of = np.repeat(np.arange(taken // 2), 2)
    sizes = np.full(taken // 2, 2 * pieces // taken)
    return Design(of, sizes, np.ones(taken), float(pieces))


def test_in_a_sample_of_everything_the_copies_are_counted():
    found = copies.estimate(design(4, 4), np.array([0, 1, 2, 3, 3]), np.array([0, 0, 2, 2, 4]), 5)
    assert (found.count.value, found.count.low, found.count.high, found.told) == (2, 2, 2, True)


def test_pairs_across_a_job_are_estimated_without_bias():
    random = np.random.default_rng(5)
    documents, pieces, taken = 4000, 200, 60
    of_piece = random.permutation(np.repeat(np.arange(pieces), documents // pieces))
    stays = np.arange(documents)
    twins = random.permutation(documents)[:800].reshape(400, 2)
    stays[twins.max(axis=1)] = twins.min(axis=1)
    values, held = [], 0
    for _ in range(60):
        chosen = np.concatenate(
            [
                random.choice(np.arange(s, s + 200 * 2 // taken), 2, replace=False)
                for s in range(0, 180, 200 * 2 // taken)
            ]
        )[:taken]
        rows = np.flatnonzero(np.isin(of_piece, chosen))
        own = np.searchsorted(np.sort(chosen), of_piece[rows])
        place = {row: number for number, row in enumerate(rows)}
        leaders = np.array([place.get(stays[row], place[row]) for row in rows])
        found = copies.estimate(design(180, taken), own, leaders, documents * 0.9)
        values.append(found.count.value)
        held += found.count.low <= 400 * 0.9**2 <= found.count.high
    assert np.mean(values) == pytest.approx(400 * 0.9**2, rel=0.12)
    assert held >= 54


def test_a_small_sample_sets_no_upper_end_and_says_so():
    found = copies.estimate(design(20_000, 20), np.arange(20), np.arange(20), 20_000)
    assert not found.told and found.count.low == 0 == found.count.value
    assert found.count.high == pytest.approx(19_980)
    assert found.cases == (0,)


def test_an_assumed_share_is_taken_as_it_is():
    assert copies.assumed(0.25, 400).cases == (100, 100, 100)
