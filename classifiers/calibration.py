"""From a raw score to a calibrated one, and to the probability of reaching a threshold.

Beta calibration (Kull, Silva Filho and Flach 2017, "Beta calibration", AISTATS): for each grade t the log-odds of
reaching it are a·ln s − b·ln(1 − s) + c with a, b ≥ 0, where s is the raw score on the scale from 0 to 1, fitted on
scores that a model gave to documents it had not seen. The calibrated score is the sum of the five probabilities, which
is the expected grade. All curves are smooth and rise, so two raw scores stay two scores, the ranking survives, and a
token budget can be met exactly. No rounding enters anywhere. What it was chosen against stands in docs/log.md.

The curves are kept as knots and read by linear interpolation: what reads them need not know how they were fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from classifiers.labels import MAX_SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

THRESHOLDS = tuple(range(1, MAX_SCORE + 1))
KNOTS = 129
MARGIN = 0.25
"""How far the curves reach beyond the grades and beyond every raw score they were fitted on. Further out they stop."""


@dataclass(frozen=True)
class Calibration:
    """Piecewise linear maps over common raw-score knots."""

    knots: Scores  # raw scores, increasing, k
    scores: Scores  # calibrated 0–5 at the knots, k
    probabilities: Scores  # P(score ≥ t) at the knots, for t = 1 … 5: 5, k

    def score(self, raw: Scores) -> NDArray[np.float32]:
        """Calibrated scores, 0 to 5; they rise strictly but for the last hundredth at either end of the scale."""
        return np.asarray(np.interp(raw, self.knots, self.scores), np.float32)

    def probability(self, raw: Scores, threshold: int) -> NDArray[np.float32]:
        """P(score ≥ threshold) for a threshold from 1 to 5."""
        return np.asarray(np.interp(raw, self.knots, self.probabilities[threshold - 1]), np.float32)


def fit_calibration(raw: Scores, scores: Scores) -> Calibration:
    """Fit on raw scores of documents that their model had not seen.

    A mean of several gradings that lies between two grades counts as a share of the higher one. One document of grade
    0 at the lowest raw score and one of grade 5 at the highest are added: grades that nobody got keep a curve, and no
    probability is exactly 0 or 1.
    """
    low, high = min(0.0, float(raw.min())) - MARGIN, max(float(MAX_SCORE), float(raw.max())) + MARGIN
    knots = np.linspace(low, high, KNOTS)
    seen = _log_odds_terms(np.concatenate([raw, [low + MARGIN, high - MARGIN]]), low, high)
    graded = np.concatenate([scores, [0.0, MAX_SCORE]])
    at_knots = _log_odds_terms(knots, low, high)
    curves = np.stack([_rising(seen, np.clip(graded - (t - 1), 0, 1), at_knots) for t in THRESHOLDS])
    curves = np.minimum.accumulate(curves, axis=0)
    return Calibration(knots=knots, scores=curves.sum(axis=0), probabilities=curves)


def _log_odds_terms(raw: Scores, low: float, high: float) -> Scores:
    """ln s and −ln(1 − s), float64[n, 2]; the ends are brought in a little, where the logarithm is infinite."""
    share = np.clip((raw - low) / (high - low), 1e-3, 1 - 1e-3)
    return np.stack([np.log(share), -np.log(1 - share)], axis=1)


def _rising(terms: Scores, share: Scores, wanted: Scores) -> Scores:
    """P at ``wanted``: logistic regression of shares on terms; a term with a falling coefficient is left out."""
    from sklearn.linear_model import LogisticRegression

    used = [0, 1]
    answers, weights = np.repeat([1, 0], len(share)), np.concatenate([share, 1 - share])
    while used:
        rows = np.concatenate([terms[:, used], terms[:, used]])
        fitted = LogisticRegression(C=100.0, solver="newton-cholesky").fit(rows, answers, sample_weight=weights)
        if (fitted.coef_[0] >= 0).all():
            return np.asarray(fitted.predict_proba(wanted[:, used])[:, 1], np.float64)
        used = [used[place] for place in np.flatnonzero(fitted.coef_[0] >= 0)]
    return np.full(len(wanted), float(share.mean()))  # raw scores that say nothing about the grade
