"""The order in which a training run sees its windows: a pure function of (weights, windows, seed, schedule).

Slot n of the blend names a source, an epoch of that source and a window in it. No state, no index files: slot 10^12
is found as fast as slot 0, by any process of any world size.

The k-th window that is drawn from a source depends only on that source, the seed and k. Adding, removing, reweighting
or reordering the other sources leaves its stream as it was, so that ablations are paired.

A schedule changes the weights at a slot. Every stage is a blend of its own, exact at each of its prefixes, and draws
from where the stages before it left each source.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from common.files import content_key
from mixtures.chairman import MAX_SOURCES, Pattern
from mixtures.permutation import Permutation
from mixtures.settings import ORDER_VERSION

MAX_SLOT = 1 << 62

Weight = str | int | float | Fraction


@dataclass(frozen=True)
class Stage:
    """Slots over which the weights stay the same."""

    start: int
    stop: int
    """Exclusive; the last stage has no end but the largest slot."""
    weights: dict[str, Fraction]
    """Of the sources that the stage draws from; they sum to one."""
    pattern: Pattern
    drawn_before: NDArray[np.int64]
    """int64[sources], windows that the stages before have drawn from each source."""

    def draw(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of the slots ``start`` to ``stop`` that lie in this stage: the source, and which of its windows."""
        slot = np.arange(max(start, self.start), min(stop, self.stop), dtype=np.int64)
        source, earlier = self.pattern(slot - self.start)
        return source, self.drawn_before[source] + earlier

    def drawn(self, source: int, stop: int) -> int:
        """How many of the slots before ``stop`` that lie in this stage fall to ``source``."""
        return self.pattern.drawn(source, max(0, min(stop, self.stop) - self.start))


class Blend:
    """An exact, seekable interleaving of several sources.

    Args:
        weights: share of each source, ``"4/5"`` or ``"0.2"``, exact; they must sum to exactly one.
        windows: how many windows each source has.
        seed: another seed gives other orders of the windows; which source comes when stays the same.
        contents: content hash of each source; the order of its windows hangs on it. Default: the source's name.
        schedule: later weights, each with the slot from which they hold; a source that they leave out is not drawn.
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
        schedule: Sequence[tuple[int, Mapping[str, Weight]]] = (),
    ) -> None:
        self.names: tuple[str, ...] = tuple(
            dict.fromkeys(name for _, stage in [(0, weights), *schedule] for name in stage)
        )
        if len(self.names) > MAX_SOURCES:
            raise SettingsError(f"a blend has 1 to {MAX_SOURCES} sources, got {len(self.names)}")
        if set(self.names) != set(windows):
            raise SettingsError(f"weights name {', '.join(self.names)}, but windows {', '.join(windows)}")
        for name, count in windows.items():
            if count < 1:
                raise SettingsError(f"source {name} has {count} windows, a blend needs at least 1")
        self.windows = {name: int(windows[name]) for name in self.names}
        self.seed = int(seed)
        self.contents = {name: (contents or {}).get(name, name) for name in self.names}
        self.stages = self._staged([(0, weights), *schedule])
        self._sizes = np.array([self.windows[name] for name in self.names], dtype=np.int64)

    @property
    def weights(self) -> dict[str, Fraction]:
        """Share of each source in the first stage, which is the only one unless there is a schedule."""
        return self.stages[0].weights

    @property
    def period(self) -> int:
        """Slots after which the pattern of sources repeats in the first stage."""
        return self.stages[0].pattern.period

    @functools.cached_property
    def digest(self) -> str:
        """32 hex characters; equal digests promise equal slots."""
        return content_key(
            "blend",
            ORDER_VERSION,
            self.seed,
            [[name, str(self.weights.get(name, 0)), self.windows[name], self.contents[name]] for name in self.names],
            *([stage.start, {n: str(w) for n, w in stage.weights.items()}] for stage in self.stages[1:]),
        )

    def slots(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Slots ``start`` to ``stop`` (exclusive) of the blend.

        Returns:
            Three int64[stop - start]: the source, as a place in ``names``; its epoch, from 0; the window in the source.
        Raises:
            SettingsError: unless 0 <= start <= stop <= 2^62.
        """
        _check(start, stop)
        source, drawn = map(np.concatenate, zip(*(stage.draw(start, stop) for stage in self.stages), strict=True))
        epoch, index = np.divmod(drawn, self._sizes[source])
        window = np.empty_like(index)
        for number, permutation in enumerate(self._permutations):
            mine = source == number
            window[mine] = permutation(index[mine], epoch[mine])
        return source, epoch, window

    def counts(self, start: int, stop: int) -> dict[str, int]:
        """How many of the slots ``start`` to ``stop`` (exclusive) fall to each source."""
        _check(start, stop)
        return {name: self._drawn(i, stop) - self._drawn(i, start) for i, name in enumerate(self.names)}

    @functools.cached_property
    def _permutations(self) -> list[Permutation]:
        return [
            Permutation(self.windows[name], f"{ORDER_VERSION}/{self.seed}/{self.contents[name]}") for name in self.names
        ]

    def _staged(self, schedule: Sequence[tuple[int, Mapping[str, Weight]]]) -> tuple[Stage, ...]:
        starts = [start for start, _ in schedule]
        if any(not before < after <= MAX_SLOT for before, after in itertools.pairwise(starts)):
            raise SettingsError(f"the stages of a schedule must start one after the other, got slots {starts}")
        stages: list[Stage] = []
        before: NDArray[np.int64] = np.zeros(len(self.names), dtype=np.int64)
        for (start, weights), stop in zip(schedule, [*starts[1:], MAX_SLOT], strict=True):
            exact = {name: exact_weight(value) for name, value in weights.items()}
            # in the order of the names, so that the order in the recipe does not decide ties
            pattern = Pattern({self.names.index(name): exact[name] for name in sorted(exact)}, len(self.names))
            stage = Stage(start, stop, exact, pattern, before)
            stages.append(stage)
            before = before + np.array([stage.drawn(i, stop) for i in range(len(self.names))], dtype=np.int64)
        return tuple(stages)

    def _drawn(self, source: int, slots: int) -> int:
        return sum(stage.drawn(source, slots) for stage in self.stages)


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


def _check(start: int, stop: int) -> None:
    if not 0 <= start <= stop <= MAX_SLOT:
        raise SettingsError(f"slots must satisfy 0 <= start <= stop <= 2^62, got {start} to {stop}")
