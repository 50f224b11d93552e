"""Bits per byte over documents, with bootstrap intervals.

The document is what is resampled: tokens of one document are not independent. The same resamples serve all runs, so
that a difference between two runs over the same documents is compared pair by pair, and most of what makes documents
differ falls out of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError

RESAMPLES = 2_000
CONFIDENCE = 0.95
FEW_DOCUMENTS = 20
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


def resampled_bits_per_byte(
    log_probability: NDArray[np.float64], n_bytes: NDArray[np.int64], resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Bits a byte of ``resamples`` draws of as many documents with replacement; the same draws for every row.

    Args:
        log_probability: float64[rows, documents], in nats.
        n_bytes: int64[documents].
        resamples: number of draws.
    Returns:
        float64[rows, resamples]; the same numbers on every call.
    Raises:
        SettingsError: if there is no document.
    """
    rows, documents = log_probability.shape
    if documents == 0:
        raise SettingsError("no documents to resample")
    random = np.random.default_rng(_SEED)
    result = np.empty((rows, resamples))
    step = max(1, _INDICES_AT_ONCE // documents)
    for start in range(0, resamples, step):
        drawn = random.integers(0, documents, size=(min(step, resamples - start), documents))
        total_bytes = n_bytes[drawn].sum(axis=1)
        for row in range(rows):
            nats = -log_probability[row][drawn].sum(axis=1)
            result[row, start : start + len(drawn)] = nats / (math.log(2) * total_bytes)
    return result


def interval(draws: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Percentile interval of bootstrap draws."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(low), float(high)
