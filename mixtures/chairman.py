"""Which source comes next: Tijdeman's chairman assignment, as a periodic table over exact weights.

A blend of K sources with weights that are fractions over a common denominator M repeats after M windows, and after
every prefix of n windows each source has been drawn w·n times to within 1 - 1/(2K - 2), which is the best that any
rule can promise (R. Tijdeman 1980, "The chairman assignment problem", Discrete Mathematics 32). A random choice would
stray by about √n; largest-remainder rounding of each batch would stray by a little in every batch.

The table costs five bytes an entry (one for the source, four for how often it came before): 25 bytes for 40/20/40.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError

MAX_SOURCES = 256
"""A source is one byte in the table."""
MAX_PERIOD = 1_000_000
"""About two seconds to build and 5 MB to hold; weights with six decimals fit."""


def prefix_bound(sources: int) -> Fraction:
    """Largest distance between a source's share and its count at any prefix of a blend, in windows.

    Args:
        sources: K >= 2, the number of sources in the blend.
    Raises:
        SettingsError: if K < 2; one source needs no blending.

    >>> prefix_bound(3)
    Fraction(3, 4)
    """
    if sources < 2:
        raise SettingsError(f"a bound needs at least two sources, got {sources}")
    return 1 - Fraction(1, 2 * sources - 2)


def integer_weights(weights: Sequence[Fraction]) -> list[int]:
    """The smallest integers in the proportion of ``weights``; their sum is the period of the blend.

    Raises:
        SettingsError: if a weight is not above zero, the sum is not exactly one, or the period is too long.

    >>> integer_weights([Fraction("0.4"), Fraction("1/5"), Fraction("2/5")])
    [2, 1, 2]
    """
    if not weights or min(weights) <= 0:
        raise SettingsError(f"weights must be above zero, got {_listed(weights) or 'none'}")
    if sum(weights) != 1:
        raise SettingsError(f"weights must sum to exactly 1, got {_listed(weights)} = {sum(weights)}")
    period = math.lcm(*(weight.denominator for weight in weights))
    if period > MAX_PERIOD:
        raise SettingsError(
            f"weights {_listed(weights)} have the common denominator {period:,}, at most {MAX_PERIOD:,} is "
            "supported; write them with fewer digits"
        )
    return [int(weight * period) for weight in weights]


def chairman_table(weights: Sequence[int]) -> bytes:
    """One period of the blend: the source of each window, one byte a window.

    At window n every source i with w·n - drawn >= 1/(2K - 2) may be drawn, and of these the one whose deadline comes
    first is: the moment at which w·n - drawn would pass the bound. All in integers, so nothing drifts.

    Args:
        weights: positive integers; source i gets ``weights[i]`` of every ``sum(weights)`` windows.

    >>> list(chairman_table([2, 1, 2]))
    [0, 2, 1, 0, 2]
    """
    if not 1 <= len(weights) <= MAX_SOURCES:
        raise SettingsError(f"a blend has 1 to {MAX_SOURCES} sources, got {len(weights)}")
    period = sum(weights)
    if len(weights) == 1:
        return bytes(period)
    # everything below is in units of 1 / (period · scale)
    scale = 2 * len(weights) - 2
    bound = period * (scale - 1)
    owed = [0] * len(weights)  # w·n - drawn
    table = bytearray()
    for _ in range(period):
        owed = [value + scale * weight for value, weight in zip(owed, weights, strict=True)]
        chosen = -1
        for source, value in enumerate(owed):
            # the time left is (bound - value) / weight; fractions are compared by cross-multiplication
            if value >= period and (
                chosen < 0 or (bound - value) * weights[chosen] < (bound - owed[chosen]) * weights[source]
            ):
                chosen = source
        assert chosen >= 0, "the owed shares sum to one window, so that some source may be drawn"
        owed[chosen] -= period * scale
        table.append(chosen)
    return bytes(table)


class Pattern:
    """Which source each window of a blend comes from, for ever: one period as a table, and ``divmod``.

    Args:
        weights: exact share of each source by its number; they sum to one. Ties go to the source that is named first.
        sources: how many sources there are, also those that this pattern never draws.
    """

    def __init__(self, weights: Mapping[int, Fraction], sources: int) -> None:
        integers = integer_weights(list(weights.values()))
        place_at = np.frombuffer(chairman_table(integers), dtype=np.uint8)
        self._source_at = np.array(list(weights), dtype=np.uint8)[place_at]
        self._per_period = np.zeros(sources, dtype=np.int64)
        self._per_period[list(weights)] = integers
        self._earlier_at = np.empty(len(place_at), dtype=np.uint32)  # windows of the same source earlier in the period
        for source in weights:
            mine = self._source_at == source
            self._earlier_at[mine] = np.arange(np.count_nonzero(mine))

    @property
    def period(self) -> int:
        """Windows after which the pattern repeats."""
        return len(self._source_at)

    def __call__(self, place: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The source at each place, int64[n], and how many windows of that source come before, int64[n]."""
        turn, rest = np.divmod(place, self.period)
        source = self._source_at[rest].astype(np.int64)
        return source, turn * self._per_period[source] + self._earlier_at[rest]

    def drawn(self, source: int, windows: int) -> int:
        """How many of the first ``windows`` windows come from ``source``."""
        turns, rest = divmod(windows, self.period)
        return turns * int(self._per_period[source]) + int(np.count_nonzero(self._source_at[:rest] == source))


def _listed(weights: Sequence[Fraction]) -> str:
    return " + ".join(map(str, weights))
