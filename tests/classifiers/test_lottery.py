import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.labels import near_duplicates
from classifiers.lottery import Candidate, KnownTexts, Lottery
from tests.classifiers.helpers import text_of_grade

CHANCES = [0.02 + 0.9 * random.Random(n).random() ** 3 for n in range(60)]
CANDIDATES = [Candidate(f"d{n}", f"word{n}", chance) for n, chance in enumerate(CHANCES)]


def draw(candidates, count, share=0.2, seed=0, known=()):
    lottery = Lottery(count, share, seed)
    for candidate in candidates:
        lottery.offer(candidate)
    return lottery.draw(KnownTexts(known))


@given(st.integers(1, 80), st.floats(0, 1), st.integers(0, 5), st.randoms())
def test_the_draw_does_not_depend_on_the_order_of_the_pool(count, share, seed, chance):
    shuffled = chance.sample(CANDIDATES, len(CANDIDATES))
    picks = draw(shuffled, count, share, seed)
    assert picks == draw(CANDIDATES, count, share, seed)
    assert len({pick.candidate.id for pick in picks}) == len(picks) == min(count, 60)
    assert sum(pick.reason == "random" for pick in picks) == min(60, round(count * share))


@pytest.mark.parametrize(("count", "share"), [(8, 0.25), (8, 1.0), (16, 0.5)])
def test_weighted_by_inverse_probability_the_few_estimate_the_whole_pool_without_bias(count, share):
    pool = CANDIDATES[:24]
    truth = np.array([len(pool), sum(candidate.chance for candidate in pool)])
    estimates = []
    for seed in range(2000):
        picks = draw(pool, count, share, seed)
        weights = np.array([1 / pick.inclusion_probability for pick in picks])
        estimates.append([weights.sum(), weights @ [pick.candidate.chance for pick in picks]])
    error = np.std(estimates, axis=0) / math.sqrt(len(estimates))
    assert (np.abs(np.mean(estimates, axis=0) - truth) < 4 * error).all()
    assert (error < 0.015 * truth).all()  # it would notice a bias


def test_the_doubtful_are_drawn_far_more_often():
    sure = [Candidate(f"s{n}", f"sure{n}", 0.02) for n in range(900)]
    doubtful = [Candidate(f"u{n}", f"doubtful{n}", 0.5) for n in range(100)]
    picks = draw(sure + doubtful, 50, share=0.2)
    at_random = [pick.candidate.chance for pick in picks if pick.reason == "random"]
    uncertain = [pick.candidate.chance for pick in picks if pick.reason == "uncertain"]
    assert (len(at_random), len(uncertain)) == (10, 40)
    assert sum(chance == 0.5 for chance in at_random) <= 5
    assert sum(chance == 0.5 for chance in uncertain) >= 35


def test_who_takes_everything_took_it_with_certainty():
    assert {pick.inclusion_probability for pick in draw(CANDIDATES, 60)} == {1.0}


def test_near_duplicates_of_each_other_and_of_known_texts_are_left_out():
    texts = [text_of_grade(3, seed) for seed in range(20)]
    copies = [Candidate(f"c{n}", texts[n % 20] + f" and {n}", 0.5) for n in range(100)]
    picks = draw(copies, 30, known=texts[:5])
    assert len(picks) == 15
    assert near_duplicates([*texts[:5], *(pick.candidate.text for pick in picks)]) == []


@given(st.lists(st.text("ab ", min_size=12, max_size=30), min_size=2, max_size=6))
def test_known_texts_are_recognised_by_the_rule_of_the_groups(texts):
    *before, last = texts
    pairs = near_duplicates(texts)
    assert KnownTexts(before).resembles(last) == any(right == len(before) for _, right in pairs)


def test_no_more_is_held_than_a_few_times_the_count():
    lottery = Lottery(3, 0.5)
    for candidate in CANDIDATES * 10:
        lottery.offer(candidate)
    assert max(len(held) for held in lottery._held.values()) <= 13
