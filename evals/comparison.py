"""What a comparison says: scores, differences, verdicts, signal, curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evals.seeds import LEVEL, Word
from evals.settings import CompareSettings
from evals.units import BITS, METRICS, Metric
from evals.variants import Variant

MEAN = "mean"
"""Name of the line that stands for all tasks with signal, or all sources."""


@dataclass(frozen=True)
class Measure:
    """Score of a variant on one line: the mean over its runs."""

    metric: str
    name: str
    variant: str
    items: int
    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def seed_deviation(self) -> float | None:
        """Standard deviation between seeds; none for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Verdict:
    """What the seeds say of two recipes; the interval is that of this line by itself."""

    word: Word
    low: float
    high: float
    p: float
    """that there is no difference, corrected for all lines"""
    p_equivalent: float
    """that the difference is at least the margin, corrected for all lines"""
    detectable: float
    """difference that would be found with probability 80%"""


@dataclass(frozen=True)
class Difference:
    """First minus second variant over the same items, with the interval over these; and the verdict if there is one."""

    metric: str
    name: str
    first: str
    second: str
    items: int
    difference: float
    low: float
    high: float
    verdict: Verdict | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the interval over items leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Signal:
    """Whether the models do better on a task than if its right answers were dealt out by lot."""

    task: str
    items: int
    gain: float
    """of the probability of the right answer over chance, mean over all runs"""
    p: float
    """corrected for all tasks"""

    @property
    def is_there(self) -> bool:
        return self.p <= LEVEL


@dataclass(frozen=True)
class CurvePoint:
    """Scores of the seeds of a variant after so many tokens."""

    metric: str
    name: str
    variant: str
    tokens: int
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """All that is said about a set of runs."""

    settings: CompareSettings
    variants: list[Variant]
    measures: list[Measure]
    differences: list[Difference]
    clean: list[Difference]
    """the differences on tasks once more, on the items that decontamination found clean"""
    signals: list[Signal]
    accuracy: Mapping[tuple[str, str], float]
    """by task and variant: as the harness scores it, or else the part whose most probable choice (per byte) is right"""
    curves: list[CurvePoint]
    notes: list[str]

    def metrics(self) -> list[Metric]:
        """Metrics that were measured, the primary one first."""
        measured = {measure.metric for measure in self.measures}
        return [metric for metric in METRICS if metric.name in measured]

    def names(self, metric: Metric) -> list[str]:
        """Lines of a metric, the mean first where there is one."""
        return list(dict.fromkeys(m.name for m in self.measures if m.metric == metric.name))

    def measure(self, variant: str, name: str, metric: Metric = BITS) -> Measure:
        """One cell of the table."""
        key = (variant, name, metric.name)
        return next(m for m in self.measures if (m.variant, m.name, m.metric) == key)

    def has_signal(self, name: str) -> bool:
        """Whether the line is no task without signal."""
        return all(signal.is_there for signal in self.signals if signal.task == name)
