"""From a raw score to a calibrated one, and to the probability of reaching a threshold.

Isotonic regression (Zadrozny and Elkan 2002) fitted on scores that a model gave to documents it had not seen. It is
kept as knots and read by linear interpolation, with a slight slope where the isotonic fit is flat, so that two raw
scores stay two scores, the ranking survives, and a token budget can be met exactly.
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
KNOTS = 65
SLOPE_SHARE = 0.01
"""How much of a calibrated score is the straight line over all knots; the rest is the isotonic fit."""


@dataclass(frozen=True)
class Calibration:
    """Piecewise linear maps over common raw-score knots."""

    knots: Scores  # raw scores, increasing, k
    scores: Scores  # calibrated 0–5 at the knots, k
    probabilities: Scores  # P(score ≥ t) at the knots, for t = 1 … 5: 5, k

    def score(self, raw: Scores) -> NDArray[np.float32]:
        """Calibrated scores, 0 to 5, strictly increasing between the first and the last knot."""
        return np.asarray(np.interp(raw, self.knots, self.scores), np.float32)

    def probability(self, raw: Scores, threshold: int) -> NDArray[np.float32]:
        """P(score ≥ threshold) for a threshold from 1 to 5."""
        return np.asarray(np.interp(raw, self.knots, self.probabilities[threshold - 1]), np.float32)


def fit_calibration(raw: Scores, scores: Scores) -> Calibration:
    """Fit on raw scores of documents that their model had not seen.

    A mean of several gradings that lies between two grades counts as a share of the higher one.
    """
    from sklearn.isotonic import IsotonicRegression

    margin = max(float(np.ptp(raw)), 1.0)  # unseen documents may lie outside what was seen
    inner = np.unique(np.quantile(raw, np.linspace(0, 1, KNOTS), method="nearest"))
    knots = np.concatenate([[inner[0] - margin], inner, [inner[-1] + margin]])

    def rising(target: Scores) -> Scores:
        fitted = IsotonicRegression(out_of_bounds="clip").fit(raw, target)
        return np.asarray(fitted.predict(knots), np.float64)

    line = MAX_SCORE * (knots - knots[0]) / (knots[-1] - knots[0])
    shares = np.stack([rising(np.clip(scores - (t - 1), 0, 1)) for t in THRESHOLDS])
    return Calibration(
        knots=knots,
        scores=(1 - SLOPE_SHARE) * rising(scores) + SLOPE_SHARE * line,
        probabilities=np.minimum.accumulate(shares, axis=0),
    )
