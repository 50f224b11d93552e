"""Scores over items, with bootstrap intervals.

The document or task item is what is resampled: tokens of one document are not independent. The same resamples serve all
runs, so that a difference between two runs over the same items is compared pair by pair, and most of what makes items
differ falls out of it. Such an interval is about *these trained models*; of recipes speaks ``evals.seeds``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from evals.seeds import holm

RESAMPLES = 2_000
CONFIDENCE = 0.95
FEW_ITEMS = 20
"""With fewer, a percentile interval is clearly too narrow."""
_SEED = 20_230_911
_INDICES_AT_ONCE = 2_000_000


def bits_per_byte(log_probability: NDArray[np.float64], n_bytes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bits a byte of all documents together.

    Args:
        log_probability: float64[…, documents], in nats.
        n_bytes: int64[documents], UTF-8 bytes.
    Returns:
        float64[…].
    """
    bits: NDArray[np.float64] = -log_probability.sum(axis=-1) / (math.log(2) * n_bytes.sum())
    return bits


def resampled_ratio(
    amounts: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int = RESAMPLES, stream: str = ""
) -> NDArray[np.float64]:
    """Σ amounts / Σ sizes of ``resamples`` draws of as many items with replacement; the same draws for every row.

    Args:
        amounts: float64[rows, items].
        sizes: float64[items].
        resamples: number of draws.
        stream: a name; draws of different names are independent.
    Returns:
        float64[rows, resamples]; the same numbers on every call.
    Raises:
        SettingsError: if there is no item.
    """
    rows, items = amounts.shape
    if items == 0:
        raise SettingsError("no documents or items to resample")
    random = np.random.default_rng([_SEED, zlib.crc32(stream.encode())])
    result = np.empty((rows, resamples))
    step = max(1, _INDICES_AT_ONCE // items)
    for start in range(0, resamples, step):
        drawn = random.integers(0, items, size=(min(step, resamples - start), items))
        total_size = sizes[drawn].sum(axis=1)
        for row in range(rows):
            result[row, start : start + len(drawn)] = amounts[row][drawn].sum(axis=1) / total_size
    return result


def interval(draws: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Percentile interval of bootstrap draws."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(low), float(high)


def above_chance(counts: Sequence[tuple[int, int, float]]) -> list[float]:
    """P value of "no better than chance" for each task, corrected for all of them.

    Exact binomial test, one-sided; Holm's step-down correction (1979, Scand. J. Statist. 6). Where items have unequal
    numbers of choices the mean chance is taken, which errs on the safe side (Hoeffding 1956, Ann. Math. Statist. 27).

    Args:
        counts: right answers, items and chance of each task.

    >>> [round(p, 3) for p in above_chance([(40, 100, 0.25), (30, 100, 0.25)])]
    [0.002, 0.15]
    """
    from scipy.stats import binom

    p_values = np.array([binom.sf(right - 1, items, chance) for right, items, chance in counts], dtype=np.float64)
    return [float(p) for p in holm(p_values, np.ones(len(p_values)))] if counts else []
