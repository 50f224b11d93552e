"""A cascade: the first stage decides what it can, and the full model only the rest.

At a threshold, the first stage keeps a document if its estimate reaches the threshold. How likely that is wrong falls
with the distance; how much it would cost is the document's tokens. So documents go to the full model by *expected
loss*, tokens × chance: near the threshold all of them, further off the long ones. From which loss on is found for the
documents at hand, so that with confidence 1-δ the tokens whose decision differs from the full model's are at most a
fraction ε of those that the full model keeps (:mod:`classifiers.cascade_bound`).

What that rests on: among documents with the same first-stage score, those at hand are misjudged as often as those of
the calibration sample. They may be longer, and their scores may be distributed otherwise: both are seen and used. The
sample must not have taught the first stage. Whether a crawl keeps the condition cannot be known beforehand; that is
what the audit of ``filters run`` is for (:mod:`classifiers.cascade_audit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.cascade_bound import widest_proven
from classifiers.first_stage import FirstStage
from common.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.calibration import Calibration
    from classifiers.cascade_settings import Promise

    Arrays = dict[str, NDArray[Any]]
    Scores = NDArray[np.float32]

BIN_DOCUMENTS = 60
"""Calibration documents a bin."""
MIN_CHANCE = 0.002
"""No first-stage decision is taken to be surer than this."""
LARGEST_SHARE = 0.25
"""A document with more tokens than this share of what may differ always goes to the full model: the bound is about
what is to be expected, and a single document must not decide what comes out."""
LOSSES = np.geomspace(1e-3, 3, 80)
"""Expected losses from which on documents go to the full model, in mean tokens of a document: the steps tested."""
_KNOTS = 12


@dataclass(frozen=True)
class Band:
    """What the first stage leaves undecided at a threshold."""

    undecided: NDArray[np.bool_]  # n
    loss: float  # expected loss, in tokens, from which on a document is undecided; 0: nothing could be proven
    expected_error: float  # tokens that would be decided wrongly, as the calibration sample has it; not a bound


@dataclass(frozen=True)
class Cascade:
    """The first stage of a classifier, and the documents that say how far it can be trusted."""

    first_stage: FirstStage
    calibration: Calibration  # the full model's
    spread: NDArray[np.float64]  # raw estimates, how far the median lies above them, width around it: 3, knots
    sample: Scores  # calibration documents, by first-stage score: that and the full model's: 2, documents

    def score(self, texts: Sequence[str]) -> Scores:
        """First-stage scores, 0 to 5, float32[n]: as likely below the full model's as above."""
        raw = self.first_stage.estimate(texts)
        return self.calibration.score(raw + np.interp(raw, self.spread[0], self.spread[1]))

    def chance_above(self, first: Scores, threshold: float) -> NDArray[np.float64]:
        """Chance that the full model's score reaches ``threshold``, by a logistic model of its distance."""
        knots, scores = self.calibration.knots, self.calibration.scores
        raw = np.interp(first, scores, knots)
        distance = (raw - np.interp(threshold, scores, knots)) / np.interp(raw, self.spread[0], self.spread[2])
        return np.asarray(0.5 * (1 + np.tanh(distance / 2)))

    def band(
        self,
        first: Scores,
        tokens: NDArray[np.int64],
        threshold: float,
        kept_tokens: int,
        promise: Promise,
    ) -> Band:
        """Which documents the full model has to see, if the rest is kept where ``first`` reaches the threshold.

        Args:
            first: first-stage scores of all documents at hand, n.
            tokens: of each, n.
            threshold: of the scores; it may depend on anything but the calibration sample.
            kept_tokens: what is kept in the end.
            promise: ε, of the tokens that the full model would keep, and 1-δ.
        """
        # the full model may keep less than is kept here, by at most what differs: K_full ≥ K - ε K_full
        allowed = promise.error_fraction * kept_tokens / (1 + promise.error_fraction)
        if not len(first) or not self.sample.size or allowed <= 0:
            return Band(np.ones(len(first), np.bool_), 0.0, 0.0)
        chance = self.chance_above(first, threshold)
        loss = tokens * np.maximum(np.minimum(chance, 1 - chance), MIN_CHANCE)
        steps = LOSSES * float(tokens.mean())
        place = np.searchsorted(steps, loss)  # undecided at every step before this one
        place[tokens > LARGEST_SHARE * allowed] = len(steps)

        bins, documents, wrong = self._bins(first, threshold)
        cells = np.bincount(
            place * len(documents) + bins, weights=tokens, minlength=(len(steps) + 1) * len(documents)
        ).astype(np.float64)
        unseen = np.cumsum(cells.reshape(-1, len(documents))[:-1], axis=0)  # tokens decided unseen: steps, bins
        proven = widest_proven(wrong, documents, unseen, allowed, 1 - promise.confidence)
        if not proven:
            return Band(np.ones(len(first), np.bool_), 0.0, 0.0)
        expected = float((unseen[proven - 1] * wrong / documents).sum())
        return Band(place >= proven, float(steps[proven - 1]), expected)

    def _bins(self, first: Scores, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Bin of every document; calibration documents of every bin, and those that the first stage gets wrong."""
        own, full = self.sample
        edges = np.unique(own[BIN_DOCUMENTS : max(BIN_DOCUMENTS, len(own) - BIN_DOCUMENTS + 1) : BIN_DOCUMENTS])
        inside = np.searchsorted(edges, own, side="right")
        differs = (own >= np.float32(threshold)) != (full >= np.float32(threshold))
        documents = np.bincount(inside, minlength=len(edges) + 1)
        wrong = np.bincount(inside[differs], minlength=len(edges) + 1)
        used = documents > 0  # none lies below the first edge if the lowest scores are all equal
        bins = np.maximum(np.cumsum(used)[np.searchsorted(edges, first, side="right")] - 1, 0)
        return bins, documents[used], wrong[used]

    def expected_threshold(self, first: Scores, full: Scores, tokens: NDArray[np.int64], budget_tokens: int) -> float:
        """Where the full model's cut to a budget probably lies.

        Args:
            first: first-stage scores, n.
            full: the full model's, NaN where it has not seen the document, n.
            tokens: n.
            budget_tokens: what is kept.
        """
        seen = np.isfinite(full)
        low, high = 0.0, float(self.calibration.scores[-1])
        for _ in range(24):
            middle = (low + high) / 2
            above = np.where(seen, full >= middle, self.chance_above(first, middle))
            low, high = (middle, high) if float(above @ tokens) > budget_tokens else (low, middle)
        return high

    def arrays(self) -> Arrays:
        """What :meth:`from_arrays` takes."""
        own: Arrays = {"spread": self.spread, "sample": self.sample}
        return own | {f"first_stage/{name}": array for name, array in self.first_stage.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, calibration: Calibration) -> Cascade:
        """The cascade that the arrays of a classifier directory hold.

        Raises:
            IntegrityError: if they do not fit together.
        """
        prefix = "first_stage/"
        stage = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
        spread, sample = (arrays.get(name, np.empty((0, 0))) for name in ("spread", "sample"))
        if (spread.ndim, sample.ndim, len(spread), len(sample)) != (2, 2, 3, 2) or np.any(np.diff(sample[0]) < 0):
            raise IntegrityError("the cascade of this classifier does not hold the arrays it should: make it again")
        return cls(FirstStage.from_arrays(stage), calibration, spread, sample)


def fit_spread(estimates: NDArray[np.float64], raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """How the full model's raw scores lie around estimates of texts that the first stage was not taught on.

    Returns:
        Knots of the estimate, the median of what is above it, and the width of a logistic distribution: 3, knots.
    """
    order = np.argsort(estimates, kind="stable")
    parts = np.array_split(order, min(_KNOTS, max(1, len(order) // 20)))
    rests = [raw[part] - estimates[part] for part in parts]
    middles = [float(np.median(rest)) for rest in rests]
    # half of a logistic distribution lies within log 3 widths of its median
    widths = [float(np.median(np.abs(rest - mid))) / np.log(3) for rest, mid in zip(rests, middles, strict=True)]
    return np.array([[float(estimates[part].mean()) for part in parts], middles, np.maximum(widths, 1e-3)])
