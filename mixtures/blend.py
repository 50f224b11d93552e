"""The order in which a training run sees its windows: a pure function of (weights, windows, seed).

Slot n of the blend names a source, an epoch of that source and a window in it. No state, no index files: slot 10^12
is found as fast as slot 0, by any process of any world size.

The k-th window that is drawn from a source depends only on that source, the seed and k. Adding, removing, reweighting
or reordering the other sources leaves its stream as it was, so that ablations are paired.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from common.files import content_key
from mixtures.chairman import chairman_table, integer_weights
from mixtures.permutation import Permutation

ORDER_VERSION = 1
"""Part of every digest. Raise it when the same settings would give another order."""
MAX_SLOT = 1 << 62

Weight = str | int | float | Fraction


class Blend:
    """An exact, seekable interleaving of several sources.

    Args:
        weights: share of each source, ``"4/5"`` or ``"0.2"``, exact; they must sum to exactly one.
        windows: how many windows each source has.
        seed: another seed gives other orders of the windows; which source comes when stays the same.
        contents: content hash of each source; the order of its windows hangs on it. Default: the source's name.
    Raises:
        SettingsError: naming the sum, the source or the number that is wrong.

    >>> blend = Blend({"web": "4/5", "code": "1/5"}, {"web": 100, "code": 10}, seed=0)
    >>> blend.counts(0, 60)
    {'web': 48, 'code': 12}
    """

    def __init__(
        self,
        weights: Mapping[str, Weight],
        windows: Mapping[str, int],
        seed: int,
        contents: Mapping[str, str] | None = None,
    ) -> None:
        if set(weights) != set(windows):
            raise SettingsError(f"weights name {', '.join(weights)}, but windows {', '.join(windows)}")
        for name, count in windows.items():
            if count < 1:
                raise SettingsError(f"source {name} has {count} windows, a blend needs at least 1")
        self.names: tuple[str, ...] = tuple(weights)
        self.weights = {name: exact_weight(value) for name, value in weights.items()}
        self.windows = {name: int(windows[name]) for name in self.names}
        self.seed = int(seed)
        self.contents = {name: (contents or {}).get(name, name) for name in self.names}

        # the table is made in the order of the names, so that the order in the recipe does not decide ties
        ranks = sorted(range(len(self.names)), key=self.names.__getitem__)
        by_rank = integer_weights([self.weights[self.names[i]] for i in ranks])
        rank_at = np.frombuffer(chairman_table(by_rank), dtype=np.uint8)
        self._source_at = np.array(ranks, dtype=np.uint8)[rank_at]
        self._earlier_at = np.zeros(len(rank_at), dtype=np.uint32)  # windows of the same source earlier in the period
        for rank in range(len(ranks)):
            mine = rank_at == rank
            self._earlier_at[mine] = np.arange(np.count_nonzero(mine))
        self._per_period = np.empty(len(ranks), dtype=np.int64)
        self._per_period[ranks] = by_rank
        self._sizes = np.array([self.windows[name] for name in self.names], dtype=np.int64)

    @property
    def period(self) -> int:
        """Slots after which the pattern of sources repeats."""
        return len(self._source_at)

    @functools.cached_property
    def digest(self) -> str:
        """32 hex characters; equal digests promise equal slots."""
        return content_key(
            "blend",
            ORDER_VERSION,
            self.seed,
            [[name, str(self.weights[name]), self.windows[name], self.contents[name]] for name in self.names],
        )

    def slots(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Slots ``start`` to ``stop`` (exclusive) of the blend.

        Returns:
            Three int64[stop - start]: the source, as a place in ``names``; its epoch, from 0; the window in the source.
        Raises:
            SettingsError: unless 0 <= start <= stop <= 2^62.
        """
        slot = np.arange(*_checked(start, stop), dtype=np.int64)
        turn, place = np.divmod(slot, self.period)
        source = self._source_at[place].astype(np.int64)
        drawn = turn * self._per_period[source] + self._earlier_at[place]
        epoch, index = np.divmod(drawn, self._sizes[source])
        window = np.empty_like(index)
        for number, permutation in enumerate(self._permutations):
            mine = source == number
            window[mine] = permutation(index[mine], epoch[mine])
        return source, epoch, window

    def counts(self, start: int, stop: int) -> dict[str, int]:
        """How many of the slots ``start`` to ``stop`` (exclusive) fall to each source."""
        _checked(start, stop)
        return {name: self._drawn(i, stop) - self._drawn(i, start) for i, name in enumerate(self.names)}

    @functools.cached_property
    def _permutations(self) -> list[Permutation]:
        return [
            Permutation(self.windows[name], f"{ORDER_VERSION}/{self.seed}/{self.contents[name]}") for name in self.names
        ]

    def _drawn(self, source: int, slots: int) -> int:
        turns, rest = divmod(slots, self.period)
        return turns * int(self._per_period[source]) + int(np.count_nonzero(self._source_at[:rest] == source))


def exact_weight(value: Weight) -> Fraction:
    """A weight as an exact fraction: ``"4/5"``, ``"0.2"``, ``0.2`` (as written, not its binary neighbour).

    Raises:
        SettingsError: if it is not a number above zero.
    """
    text = str(value).strip()
    # no exponents: 1e-999999 would make a number of a million digits
    if not re.fullmatch(r"[0-9]{1,18}([/.][0-9]{1,18})?", text) or re.fullmatch(r".*/0+", text):
        raise SettingsError(f"a weight is written as a fraction or a decimal (4/5 or 0.2), got {text!r:.60}")
    weight = Fraction(text)
    if weight <= 0:
        raise SettingsError(f"a weight must be above zero, got {text!r:.60}")
    return weight


def _checked(start: int, stop: int) -> tuple[int, int]:
    if not 0 <= start <= stop <= MAX_SLOT:
        raise SettingsError(f"slots must satisfy 0 <= start <= stop <= 2^62, got {start} to {stop}")
    return start, stop
