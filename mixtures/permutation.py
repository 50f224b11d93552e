"""Which window comes next: a keyed permutation of a source's windows, a new one every epoch, without an index.

The window number is split into two digits of nearly equal size and goes through a Feistel network whose halves need
not be powers of two (J. Black and P. Rogaway 2002, "Ciphers with arbitrary finite domains"): each round adds to one
digit a keyed, non-linear mix of the other, modulo that digit's own size. The two digits cover a little more than the
windows there are; a number that lands outside goes through the network again until it lands inside (cycle-walking),
which is rare: fewer than one in √size.

So every epoch is a complete pass, any window of any epoch is found in constant time and memory, and nothing is kept on
disk. It is made to mix well, not to keep secrets.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError

ROUNDS = 16
"""With 8 the 120 orders of five windows come up unevenly (chi-square 5 times its expectation), with 12 no longer."""
MAX_SIZE = 1 << 62
GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio, made odd: the increment of splitmix64."""
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31, _32 = map(np.uint64, (27, 30, 31, 32))


class Permutation:
    """A bijection of 0 … size - 1 for every epoch.

    Args:
        size: number of windows, from 1 to 2^62.
        key: any text; another key gives unrelated permutations.
    """

    def __init__(self, size: int, key: str) -> None:
        if not 1 <= size <= MAX_SIZE:
            raise SettingsError(f"a permutation needs 1 to 2^62 windows, got {size}")
        self.size = size
        self._low = math.isqrt(size - 1) + 1  # the least digit size with low² >= size
        self._high = -(-size // self._low)
        digest = hashlib.shake_256(key.encode("utf-8", "surrogatepass")).digest(8 * ROUNDS)
        self._keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def __call__(self, index: NDArray[np.int64], epoch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows at places ``index`` of epochs ``epoch``.

        Args:
            index: int64[n], each in 0 … size - 1.
            epoch: int64[n], from 0.
        Returns:
            int64[n], each in 0 … size - 1.
        """
        epoch_u = epoch.astype(np.uint64)
        # nearly always all are of one epoch: half the work
        is_one = len(epoch_u) > 0 and bool((epoch_u == epoch_u[0]).all())
        value = self._network(index.astype(np.uint64), epoch_u[:1] if is_one else epoch_u)
        outside = np.flatnonzero(value >= self.size)
        while len(outside):
            value[outside] = self._network(value[outside], epoch_u[:1] if is_one else epoch_u[outside])
            outside = outside[value[outside] >= self.size]
        return value.astype(np.int64)

    def _network(self, value: NDArray[np.uint64], epoch: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """``epoch`` holds one epoch a value, or one for all; then the round keys are mixed at once."""
        low_size, high_size = np.uint64(self._low), np.uint64(self._high)
        high, low = np.divmod(value, low_size)
        turned = epoch * GOLDEN_RATIO
        at_once = len(epoch) == 1
        round_keys = _mix(self._keys[:, None] ^ turned) if at_once else (_mix(key ^ turned) for key in self._keys)
        for number, round_key in enumerate(round_keys):
            if number % 2:
                low = (low + _below(_mix(high + round_key), low_size)) % low_size
            else:
                high = (high + _below(_mix(low + round_key), high_size)) % high_size
        return high * low_size + low


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014), a bijection of 64 bits in which every bit moves every
    other; numpy's unsigned integers wrap, as it wants."""
    value = value + GOLDEN_RATIO
    value ^= value >> _30
    value *= _FIRST
    value ^= value >> _27
    value *= _SECOND
    value ^= value >> _31
    return value


def _below(value: NDArray[np.uint64], size: np.uint64) -> NDArray[np.uint64]:
    """The upper 32 bits of ``value`` scaled to 0 … size - 1 (size < 2^32), without a modulo's bias to small numbers."""
    return ((value >> _32) * size) >> _32
