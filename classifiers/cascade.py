"""A cascade: the first stage decides what it can, and the full model only the rest.

At a threshold, the first stage keeps a document if its estimate reaches the threshold. How likely that is wrong falls
with the distance; how much it would cost is the document's tokens. So documents go to the full model by *expected
loss*, tokens × chance: near the threshold all of them, further off the long ones. From which loss on is found for the
documents at hand, so that with confidence 1-δ the tokens whose decision differs from the full model's are at most a
fraction ε of those that the full model keeps (:mod:`classifiers.cascade_bound`). Few documents leave little room for
chance, so that fewer of them are decided unseen than of a large crawl.

What that rests on: among documents with the same first-stage score, those at hand are misjudged as often as those of
the calibration sample. They may be longer, and their scores may be distributed otherwise: both are seen and used. The
sample must not have taught the first stage. Whether a crawl keeps the condition cannot be known beforehand; that is
what the audit of ``filters run`` is for (:mod:`classifiers.cascade_audit`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.cascade_bound import widest_proven
from classifiers.first_stage import FirstStage
from common.errors import IntegrityError
from common.files import content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.calibration import Calibration
    from classifiers.cascade_settings import Promise

    Arrays = dict[str, NDArray[Any]]
    Scores = NDArray[np.float32]

BIN_DOCUMENTS = 60
"""Calibration documents a bin, at least."""
MIN_CHANCE = 2.0**-9
"""No first-stage decision is taken to be surer than this."""
CHANCES = np.concatenate([2.0 ** np.arange(-9, 0), 1 - 2.0 ** np.arange(-2, -10, -1)])
"""Edges of the bins: in each the chance of a wrong decision changes by no more than a factor of two."""
LONG = 8
"""A document with as many tokens as may differ in all counts for 1 + LONG times its expected loss: what comes out
scatters around what is expected, and long documents scatter it most."""
LOSSES = np.geomspace(1e-3, 10, 100)
"""Losses from which on documents go to the full model, in mean tokens of a document: the steps tested."""
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
        *,
        copies: int = 1,
    ) -> Band:
        """Which documents the full model has to see, if the rest is kept where ``first`` reaches the threshold.

        Args:
            first: first-stage scores of all documents at hand, n.
            tokens: of each, n.
            threshold: of the scores; it may depend on anything but the calibration sample.
            kept_tokens: what is kept in the end.
            promise: ε, of the tokens that the full model would keep, and 1-δ.
            copies: to see what a larger crawl would need: so many documents like each of these.
        """
        # the full model may keep less than is kept here, by at most what differs: K_full ≥ K - ε K_full
        allowed = copies * promise.error_fraction * kept_tokens / (1 + promise.error_fraction)
        if not len(first) or not self.sample.size or allowed <= 0:
            return Band(np.ones(len(first), np.bool_), 0.0, 0.0)
        chance = self.chance_above(first, threshold)
        loss = tokens * np.maximum(np.minimum(chance, 1 - chance), MIN_CHANCE) * (1 + LONG * tokens / allowed)
        steps = LOSSES * float(tokens.mean())
        place = np.searchsorted(steps, loss)  # undecided at every step before this one
        bins, documents, wrong = self._bins(chance, threshold)
        shape = len(steps) + 1, len(documents)
        cells = place * len(documents) + bins

        def unseen(values: NDArray[Any]) -> NDArray[np.float64]:
            """Sums over the documents decided unseen: steps, bins."""
            sums = np.bincount(cells, weights=copies * values, minlength=shape[0] * shape[1])
            return np.asarray(np.cumsum(sums.reshape(shape)[:-1], axis=0))

        unseen_tokens, rates = unseen(tokens), (wrong + 0.5) / (documents + 1)
        sizes = unseen(tokens.astype(np.float64) ** 2) @ rates / np.maximum(unseen_tokens @ rates, 1e-9)
        proven = widest_proven(
            wrong,
            documents,
            unseen_tokens,
            np.maximum(sizes, 1),
            allowed=allowed,
            error_chance=1 - promise.confidence,
        )
        if not proven:
            return Band(np.ones(len(first), np.bool_), 0.0, 0.0)
        expected = float((unseen_tokens[proven - 1] * wrong / documents).sum())
        return Band(place >= proven, float(steps[proven - 1]), expected)

    def _bins(
        self, chance: NDArray[np.float64], threshold: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Bin of every document; calibration documents of every bin, and those that the first stage gets wrong."""
        own, full = self.sample
        inside = np.searchsorted(CHANCES, self.chance_above(own, threshold), side="right")
        differs = (own >= np.float32(threshold)) != (full >= np.float32(threshold))
        groups = _groups(np.bincount(inside, minlength=len(CHANCES) + 1))
        documents = np.bincount(groups[inside])
        wrong = np.bincount(groups[inside[differs]], minlength=len(documents))
        return groups[np.searchsorted(CHANCES, chance, side="right")], documents, wrong

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

    @cached_property
    def digest(self) -> str:
        """Identity of all that the first stage decides by."""
        from safetensors.numpy import save

        return content_key(hashlib.sha256(save(self.arrays())).hexdigest())

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


def _groups(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neighbours put together until each group has :data:`BIN_DOCUMENTS`: the group of every bin."""
    groups = np.zeros(len(counts), np.int64)
    group = filled = 0
    for place, count in enumerate(counts):
        groups[place] = group
        filled += int(count)
        if filled >= BIN_DOCUMENTS:
            group, filled = group + 1, 0
    return np.minimum(groups, max(group - 1, 0))  # a rest joins the last


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
