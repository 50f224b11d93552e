"""From what the steps of a job found in a sample to what they will find, take and cost in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.copies import CopiesOfAll
from filters.estimates import Design, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sampled:
    """Documents of a sample, a row each, and how they were drawn.

    Attributes:
        design: of the pieces.
        piece: of each row: int64[n].
        survives: rows that the scan did not refuse: bool[n].
        originals: of those, the rows that are no copies: bool[n].
        unique: of those, the rows that hold no eval item and are scored: bool[n].
        tokens: int64[n].
    """

    design: Design
    piece: NDArray[np.int64]
    survives: Mask
    originals: Mask
    unique: Mask
    tokens: NDArray[np.int64]

    def total(self, values: NDArray[Any]) -> Estimate:
        """The sum of a value over all documents of the job; ``values``: of each row, or which rows count."""
        numbers = values.astype(np.float64)
        counted = np.bincount(self.piece, numbers, len(self.design.strata)).astype(np.float64)
        return self.design.total_of(counted, largest=float(numbers.max(initial=0)) or 1.0)

    @cached_property
    def survivors(self) -> Estimate:
        """Documents that pass the rules."""
        return self.total(self.survives)

    def thinned(self, copies: float) -> tuple[Floats, Floats]:
        """Weights of the unique rows if so many of the survivors are copies; and in every replicate."""
        return self._thinned(copies, self.unique)

    def _thinned(self, copies: float, chosen: Mask) -> tuple[Floats, Floats]:
        """The same of some of the originals."""
        stays = 1 - copies / max(self.survivors.value, 1e-9)
        weights, replicates = self.design.weights[self.piece], self.design.replicates[:, self.piece]
        left = stays * replicates[:, self.survives].sum(axis=1) / replicates[:, self.originals].sum(axis=1)
        own = stays * weights[self.survives].sum() / weights[self.originals].sum()
        return own * weights[chosen], left[:, None] * replicates[:, chosen]

    def contaminated(self, copies: CopiesOfAll) -> Estimate:
        """Documents that are no copies, and are dropped for the eval items that they hold."""
        cases = []
        for count in copies.cases:
            weights, replicates = self._thinned(count, self.originals & ~self.unique)
            cases.append(self.design.interval(float(weights.sum()), replicates.sum(axis=1)))
        return _spanning(cases)

    def unique_total(self, values: NDArray[Any], copies: CopiesOfAll) -> Estimate:
        """The sum of a value over all documents of the job that are no copies; ``values``: of each unique row."""
        numbers, cases = values.astype(np.float64), []
        for count in copies.cases:
            weights, replicates = self.thinned(count)
            largest = float(numbers.max(initial=0)) or 1.0
            cases.append(self.design.interval(float(weights @ numbers), replicates @ numbers, largest))
        return _spanning(cases)

    def unique_ratio(self, above: NDArray[Any], below: NDArray[Any], copies: CopiesOfAll) -> Estimate:
        """The ratio of two such sums; 0 if the sample has nothing below."""
        weights, replicates = self.thinned(copies.count.value)
        lower = np.maximum(replicates @ below, 1e-9)
        value = float(weights @ above) / max(float(weights @ below), 1e-9)
        return self.design.interval(value, (replicates @ above) / lower, largest=0.0)


@dataclass(frozen=True)
class Kept:
    """What a budget or a lowest score will keep."""

    pool_documents: Estimate
    pool_tokens: Estimate
    eligible_tokens: Estimate  # of the pool, from the lowest score on that is allowed
    documents: Estimate
    dropped: Estimate
    tokens: Estimate
    threshold: Estimate


def keep(
    sampled: Sampled, scores: NDArray[np.float32], copies: CopiesOfAll, budget: int | None, min_score: float | None
) -> Kept:
    """Predict the cut: for the likely number of copies, and from the least to the most of them.

    Args:
        sampled: the sample.
        scores: of its unique rows.
        copies: in the whole job.
        budget: tokens to keep; None: no limit.
        min_score: the lowest score to keep; None: every score will do.
    """
    order = np.argsort(-scores, kind="stable")
    cases = [
        _case(sampled, scores[order], order, copies=count, budget=budget, min_score=min_score) for count in copies.cases
    ]
    return Kept(*(_spanning(estimates) for estimates in zip(*cases, strict=True)))


def _case(
    sampled: Sampled,
    scores: NDArray[np.float32],
    order: NDArray[np.int64],
    *,
    copies: float,
    budget: int | None,
    min_score: float | None,
) -> tuple[Estimate, ...]:
    """The cut at one number of copies; the rows by score, the highest first."""
    design = sampled.design
    tokens = sampled.tokens[sampled.unique][order].astype(np.float64)
    weights, replicates = (each[..., order] for each in sampled.thinned(copies))
    longest = float(tokens.max())

    def summed(values: NDArray[Any], largest: float = 1.0) -> Estimate:
        return design.interval(float(weights @ values), replicates @ values, largest)

    floor = float("-inf") if min_score is None else min_score
    allowed = scores >= np.float32(floor)
    running, eligible = np.cumsum(weights * tokens * allowed), summed(allowed * tokens, longest)
    pool = summed(np.ones(len(tokens))), summed(tokens, longest), eligible
    if budget is None or (min_score is not None and budget >= running[-1]):  # the budget decides nothing
        lowest = float(scores[allowed].min(initial=np.float32(max(floor, float(scores[0])))))
        kept = summed(allowed), summed(~allowed), eligible
        return *pool, *kept, Estimate(lowest, min(floor, lowest), lowest)
    goal = min(float(budget), float(running[-1]))

    def threshold_at(kept: float) -> float:
        return float(np.interp(kept, running, scores))

    kept_documents = float(np.interp(goal, running, np.cumsum(weights)))
    kept_in = np.array([np.interp(goal, np.cumsum(one * tokens * allowed), np.cumsum(one)) for one in replicates])
    documents = _within_one(design.interval(kept_documents, kept_in))
    dropped = _within_one(design.interval(float(weights.sum()) - kept_documents, replicates.sum(axis=1) - kept_in))
    inside = (scores >= np.float32(threshold_at(goal))) * tokens
    threshold = design.quantile(threshold_at, goal, replicates @ inside - weights @ inside + goal)
    kept_tokens = Estimate(goal, max(0.0, min(budget - longest, eligible.low)), min(budget, eligible.high))
    return *pool, documents, dropped, kept_tokens, threshold


def _within_one(documents: Estimate) -> Estimate:
    """A budget is met within one document."""
    return Estimate(documents.value, max(0.0, documents.low - 1), documents.high + 1)


def _spanning(estimates: Sequence[Estimate]) -> Estimate:
    """The first estimate, with an interval that reaches over all."""
    return Estimate(estimates[0].value, min(one.low for one in estimates), max(one.high for one in estimates))


def hours(seconds: Mapping[str, Estimate], serial: Sequence[str], workers: int, largest_share: float) -> Estimate:
    """Hours on the clock: a file is one worker's, and some steps are one process's.

    Args:
        seconds: CPU seconds of each step.
        serial: steps of one process.
        workers: cores for the others.
        largest_share: of all bytes that the largest file has.
    """
    speed = {step: 1.0 if step in serial else max(1 / workers, largest_share) for step in seconds}
    return total([seconds[step].scaled(part / 3600) for step, part in speed.items()])


def total(estimates: Sequence[Estimate]) -> Estimate:
    """A sum whose parts may all be low or high together."""
    return Estimate(*(math.fsum(column) for column in zip(*((e.value, e.low, e.high) for e in estimates), strict=True)))
