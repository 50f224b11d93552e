"""Verdicts on recipes: what the scores of several trained models of each recipe allow to be said.

The unit of replication is the seed. One number a trained model goes in (its mean over items); items are never counted
as if they were models, which is what makes a per-item test call two runs of one recipe different.

- Difference: Welch's t-test and interval (Welch 1947, Biometrika 34; freedom by Satterthwaite 1946), which do not take
  both recipes to vary alike.
- Equivalence: two one-sided tests against a margin that is stated beforehand (Schuirmann 1987, J. Pharmacokinet.
  Biopharm. 15).
- Many lines: Holm's step-down correction (1979, Scand. J. Statist. 6), in its weighted form: the line that was declared
  first may take half of the level, and what a decided line does not need passes on to the others.

At most 5% of comparisons of equal recipes then carry a false "better" or "worse" anywhere, and at most 5% of those of
recipes at least a margin apart a false "equivalent". ``python -m benchmarks.verdicts`` holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError

MIN_SEEDS = 3
"""Fewer trained models of a recipe say nothing about how much the recipe varies by itself."""
LEVEL = 0.05
POWER = 0.8
_NO_SPREAD = 1e-12
"""A standard error below this part of the scores is rounding."""

Word = Literal["better", "worse", "equivalent", "not distinguishable"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Welch:
    """Mean of the first minus mean of the second, over seeds; float64[…], any number of comparisons at once.

    Where the seeds do not differ at all nothing is known about their spread: p is 1 and the interval endless.
    """

    difference: Floats
    error: Floats
    """standard error; infinite where the seeds show no spread"""
    freedom: Floats

    def interval(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Limits of the difference with confidence 1 - ``level``."""
        reach = _quantile(self.freedom, 1 - level / 2) * self.error
        return self.difference - reach, self.difference + reach

    def p_different(self) -> Floats:
        """Two-sided p value of "there is no difference"."""
        return 2 * _below(self.freedom, -np.abs(self.difference) / self.error)

    def p_equivalent(self, margin: float) -> Floats:
        """P value of "the difference is at least ``margin``": the larger one of the two one-sided tests."""
        beyond = (np.abs(self.difference) - margin) / self.error
        return np.where(np.isinf(self.error), 1.0, _below(self.freedom, beyond))

    def detectable(self, level: float | Floats = LEVEL, power: float = POWER) -> Floats:
        """The least difference that would be found with probability ``power`` at ``level`` (Bloom 1995).

        (t(1 - level/2) + t(power)) · standard error, Evaluation Review 19; with three seeds it is somewhat too low.
        """
        return (_quantile(self.freedom, 1 - level / 2) + _quantile(self.freedom, power)) * self.error


def welch(first: Floats, second: Floats) -> Welch:
    """Compare scores of seeds.

    Args:
        first: float64[…, n], a score each trained model of the first recipe.
        second: float64[…, m], of the second.
    Raises:
        SettingsError: with fewer than three seeds of either.
    """
    count = first.shape[-1], second.shape[-1]
    if min(count) < MIN_SEEDS:
        raise SettingsError(f"a verdict takes at least {MIN_SEEDS} seeds of each recipe, not {count[0]} and {count[1]}")
    parts = [scores.var(axis=-1, ddof=1) / scores.shape[-1] for scores in (first, second)]
    error = np.sqrt(parts[0] + parts[1])
    size = np.maximum(np.abs(first).max(axis=-1), np.abs(second).max(axis=-1))
    is_spread = error > _NO_SPREAD * size
    part = np.where(is_spread, parts[0], 1.0) / np.where(is_spread, parts[0] + parts[1], 2.0)
    freedom = 1 / (part**2 / (count[0] - 1) + (1 - part) ** 2 / (count[1] - 1))
    return Welch(first.mean(axis=-1) - second.mean(axis=-1), np.where(is_spread, error, np.inf), freedom)


def holm(p_values: Floats, weights: Floats) -> Floats:
    """P values that may be held against the level of the whole family; weighted Holm, step by step downwards.

    Args:
        p_values: float64[…, lines].
        weights: float64[lines], positive: how the level is shared out at first.
    Returns:
        float64[…, lines], each at least its p value and at most 1.

    >>> holm(np.array([0.01, 0.04, 0.03]), np.ones(3)).round(9).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values / weights, axis=-1)
    sorted_weights = weights[order]
    left = np.flip(np.cumsum(np.flip(sorted_weights, -1), axis=-1), -1)
    steps = np.take_along_axis(p_values, order, -1) * left / sorted_weights
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), -1)
    return adjusted


def shares(is_declared: NDArray[np.bool_]) -> Floats:
    """Weights for :func:`holm`: the lines declared as primary share half of the level, the others the other half.

    >>> shares(np.array([True, False, False])).tolist()
    [2.0, 1.0, 1.0]
    """
    lines, declared = len(is_declared), int(is_declared.sum())
    if declared in (0, lines):
        return np.ones(lines)
    return np.where(is_declared, (lines - declared) / declared, 1.0)


@dataclass(frozen=True)
class Judged:
    """What is said of a family of lines; arrays are […, lines]."""

    words: NDArray[np.str_]
    """a :data:`Word` each: what the first recipe is, beside the second"""
    p_different: Floats
    p_equivalent: Floats
    detectable: Floats
    """least difference that would be found with probability 80% if no other line were decided"""


def judge(tests: Welch, weights: Floats, margin: float, higher_is_better: bool = True) -> Judged:
    """One word a line, at a level of 5% for the whole family.

    A difference that is proven to be smaller than the margin is called equivalent even where it is proven not to be
    zero: the margin was declared as what does not matter.

    Args:
        tests: with the lines as the last axis.
        weights: float64[lines], see :func:`holm`.
        margin: differences below it do not matter.
        higher_is_better: whether a higher score is a better one.
    """
    different = holm(tests.p_different(), weights)
    equivalent = holm(tests.p_equivalent(margin), weights)
    gain = tests.difference if higher_is_better else -tests.difference
    words: NDArray[np.str_] = np.select(
        [equivalent <= LEVEL, (different <= LEVEL) & (gain > 0), (different <= LEVEL) & (gain < 0)],
        ["equivalent", "better", "worse"],
        default="not distinguishable",
    )
    return Judged(words, different, equivalent, tests.detectable(LEVEL * weights / weights.sum()))


def _below(freedom: Floats, value: Floats) -> Floats:
    """P(T <= value) of Student's t."""
    from scipy.special import stdtr

    result: Floats = stdtr(freedom, value)
    return result


def _quantile(freedom: Floats, probability: Any) -> Floats:
    from scipy.special import stdtrit

    result: Floats = stdtrit(freedom, probability)
    return result
