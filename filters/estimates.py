"""What a sample of pieces says about the whole, with intervals.

*Totals* are combined ratio estimates: what is counted in the drawn pieces, each weighted by how many it stands for,
over their bytes (or documents), times the bytes (documents) of the whole (Cochran 1977, "Sampling Techniques", §6.11).

*Variance* by balanced half-samples (McCarthy 1969, "Pseudo-replication: half samples", Rev. Int. Stat. Inst. 37; Wolter
2007, "Introduction to Variance Estimation", ch. 3): in each replicate one piece of every stratum counts more and the
other less, by the signs of a Hadamard matrix; anything computed from weights can be computed again from those. The
shift is shrunk by the share of the stratum that was drawn, so that what was read as a whole has no variance.

*Intervals* of totals are those of Fay and Feuer (1997, "Confidence intervals for directly standardized rates: a method
based on the gamma distribution", Stat. Med. 16): never below zero, skewed where little was seen, and with an upper end
even for what was not seen at all. Few strata widen them as Student's t would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A prediction: the value and the ends of its interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """The estimate in another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def exactly(value: float) -> Estimate:
    """What is known without a sample."""
    return Estimate(value, value, value)


@dataclass(frozen=True)
class Design:
    """How the pieces were drawn, and what is known of the whole.

    Attributes:
        strata: of each piece its stratum, ascending from 0: int64[n].
        sizes: pieces that there are in each stratum: int64[strata].
        base: bytes (or documents) of each piece: float64[n].
        total: of the whole.
    """

    strata: NDArray[np.int64]
    sizes: NDArray[np.int64]
    base: Floats
    total: float

    @property
    def drawn(self) -> NDArray[np.int64]:
        """Pieces that were drawn of each stratum: int64[strata]."""
        return np.bincount(self.strata, minlength=len(self.sizes))

    @cached_property
    def inclusion(self) -> Floats:
        """Chance that a piece was drawn: float64[n]."""
        return (self.drawn / self.sizes)[self.strata]

    @cached_property
    def weights(self) -> Floats:
        """How many pieces of the whole each stands for: float64[n]."""
        return self._to_total(1 / self.inclusion)

    @cached_property
    def replicates(self) -> Floats:
        """The weights of every balanced half-sample: float64[replicates, n]."""
        from scipy.linalg import hadamard

        strata = len(self.sizes)
        order = 1 << strata.bit_length()  # the first column is constant, so one more than there are strata
        signs = hadamard(order)[:, 1 : strata + 1][:, self.strata].astype(np.float64)
        signs[:, 1:][:, self.strata[1:] == self.strata[:-1]] *= -1  # the second of a pair
        shift = np.sqrt(1 - self.inclusion) * (self.drawn[self.strata] > 1)
        return self._to_total((1 + signs * shift) / self.inclusion)

    @property
    def freedom(self) -> int:
        """Degrees of freedom: strata that were not read as a whole."""
        return max(1, int((self.drawn < self.sizes).sum()))

    def total_of(self, counted: Floats, largest: float = 1.0) -> Estimate:
        """A total from what each piece holds: float64[n]; ``largest``: the most that one more document may add."""
        return self.interval(float(self.weights @ counted), self.replicates @ counted, largest)

    def interval(self, value: float, replicated: Floats, largest: float = 1.0) -> Estimate:
        """Interval of a positive figure from its value in every replicate."""
        most = largest * float((self.weights * (self.inclusion < 1)).max(initial=0))
        return gamma_interval(value, self._variance(value, replicated), most)

    def quantile(self, value_at: Callable[[float], float], share: float, shares: Floats) -> Estimate:
        """Interval of a figure that is read off where a total reaches ``share``.

        Woodruff 1952, "Confidence intervals for medians and other position measures", JASA 47: the ends are read off
        at the ends of the interval of the total.

        Args:
            value_at: the figure at a share.
            share: of the total.
            shares: what the total is in every replicate, at the figure that has ``share`` in the sample.
        """
        reach = _z() * float(np.sqrt(self._variance(share, shares)))
        ends = sorted((value_at(share - reach), value_at(share + reach)))
        return Estimate(value_at(share), ends[0], ends[1])

    def _variance(self, value: float, replicated: Floats) -> float:
        from scipy.stats import t

        widened = t.ppf((1 + CONFIDENCE) / 2, self.freedom) / _z()
        return float(((replicated - value) ** 2).mean() * widened**2)

    def _to_total(self, weights: Floats) -> Floats:
        return weights * (self.total / np.asarray(weights @ self.base))[..., None]


def gamma_interval(value: float, variance: float, most: float) -> Estimate:
    """Interval of a weighted count of Poisson events (Fay and Feuer 1997).

    Args:
        value: the weighted count.
        variance: of it.
        most: the largest weight that one more event may have; 0: none is possible.

    >>> gamma_interval(0, 0, 1)  # the rule of three, two-sided
    Estimate(value=0, low=0.0, high=3.688879454113936)
    """
    from scipy.stats import chi2

    tail = (1 - CONFIDENCE) / 2
    low = variance / (2 * value) * chi2.ppf(tail, 2 * value**2 / variance) if value and variance else value
    above, spread = value + most, variance + most**2
    high = spread / (2 * above) * chi2.ppf(1 - tail, 2 * above**2 / spread) if above and spread else value
    return Estimate(value, float(low), float(high))


def _z() -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + CONFIDENCE) / 2))


def spread_over(rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The piece of every row, from the rows of every piece.

    >>> spread_over([2, 0, 1]).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(rows)), rows)
