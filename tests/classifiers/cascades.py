"""A small cascade: a student of a made-up model that likes teaching words."""

import functools

import numpy as np

from classifiers.calibration import Calibration
from classifiers.cascade import Cascade, fit_spread
from classifiers.first_stage_teaching import teach
from tests.classifiers.helpers import TEACHING, text_of_grade

KNOTS = np.linspace(-10, 15, 26)
CALIBRATION = Calibration(
    knots=KNOTS, scores=np.clip(KNOTS, 0, 5) * 0.99 + 0.002 * (KNOTS + 10), probabilities=np.zeros((5, 26))
)


def texts(count, first=0):
    return [text_of_grade(number % 6, number, words=30 + number % 40) for number in range(first, first + count)]


def full_raw(found):
    """What the made-up full model says: the share of teaching words, and a little that no student can know."""
    words = [text.split() for text in found]
    noise = np.random.default_rng(0).normal(0, 0.1, 4096)
    return np.array([5 * sum(w in TEACHING for w in each) / len(each) + noise[len(" ".join(each))] for each in words])


def full_scores(found):
    return CALIBRATION.score(full_raw(found))


def embed(words):
    """What the made-up full model makes of words alone: whether they are teaching words, and their length."""
    return np.array([[word in TEACHING, len(word) / 10] for word in words], np.float32)


@functools.cache
def small_cascade(calibration=900):
    """A cascade taught on 400 texts and calibrated on others."""
    taught, held, unseen = texts(400), texts(calibration, 10_000), texts(200, 50_000)
    stage = teach(taught, full_raw(taught), characters=1500, embed=embed)
    spread = fit_spread(stage.estimate(unseen), full_raw(unseen))
    cascade = Cascade(stage, CALIBRATION, spread, np.empty((2, 0), np.float32))
    own, full = cascade.score(held), full_scores(held)
    order = np.lexsort((full, own))
    return Cascade(stage, CALIBRATION, spread, np.stack([own[order], full[order]]))
