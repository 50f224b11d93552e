"""What is compared: the items of a task or of a held-out source under every model, as one score a model.

Three metrics, declared here before anything is measured:

- of a task, the **probability of the right answer**: each choice gets exp(log-probability per byte), and these are
  normalised over the choices of the item. Unlike the accuracy it moves with every step of a small model.
- of a task whose answer is written, **bits per byte of the right answer** (whether what a small model writes is right
  moves too little);
- of held-out text, **bits per byte**.

A score is a sum over items divided by a sum over items (answers; bytes), so that one bootstrap serves both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError, SettingsError
from evals.results import RunResult
from evals.tasks import SUITE

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """How a score is called and read."""

    name: str
    title: str
    of: str
    """what it is a score of: task or source"""
    items: str
    """what is counted: items or documents"""
    higher_is_better: bool


GOLD = Metric("gold_probability", "Probability of the right answer", "task", "items", True)
ANSWER = Metric("answer_bits_per_byte", "Bits per byte of the right answer", "task", "items", False)
BITS = Metric("bits_per_byte", "Bits per byte of held-out documents", "source", "documents", False)
METRICS = (GOLD, ANSWER, BITS)
"""The primary one first."""
_STATEMENTS = frozenset(task.name for task in SUITE if task.kind == "text")
"""Tasks whose texts are no answers: that one model finds them more probable is not to its credit."""


@dataclass(frozen=True)
class Unit:
    """The items of one task or source under every run. The score of a run is Σ amounts / Σ sizes."""

    metric: Metric
    name: str
    items: tuple[str, ...]
    amounts: Floats
    """float64[runs, items]"""
    sizes: Floats
    """float64[items]"""
    chance: Floats | None = None
    """float64[runs, items]; the amounts to expect if the right answers were dealt out to the items by lot"""
    accuracy: Floats | None = None
    """float64[runs]; part of the items whose most probable choice (per byte) is the right one"""

    @property
    def scores(self) -> Floats:
        """Score of each run: float64[runs]."""
        result: Floats = self.amounts.sum(axis=1) / self.sizes.sum()
        return result

    def only(self, keep: NDArray[np.bool_]) -> Unit:
        """Some of the items: ``keep`` is bool[items]. Accuracies are not carried over."""
        return replace(
            self,
            items=tuple(name for name, kept in zip(self.items, keep, strict=True) if kept),
            amounts=self.amounts[:, keep],
            sizes=self.sizes[keep],
            chance=None if self.chance is None else self.chance[:, keep],
            accuracy=None,
        )

    def merged(self, groups: Sequence[Sequence[int]]) -> Unit:
        """A run a group: the mean over its rows."""

        def mean(rows: Floats | None) -> Floats | None:
            return None if rows is None else np.stack([rows[list(group)].mean(axis=0) for group in groups])

        amounts = np.stack([self.amounts[list(group)].mean(axis=0) for group in groups])
        return replace(self, amounts=amounts, chance=mean(self.chance), accuracy=mean(self.accuracy))


def held_out_units(runs: Sequence[RunResult]) -> list[Unit]:
    """Bits per byte on each source of held-out documents, which are the same for all runs."""
    units = []
    for source in sorted(runs[0].held_out):
        scores = [run.scores(source) for run in runs]
        bits = np.stack([-each.log_probability for each in scores]) / math.log(2)
        sizes = scores[0].n_bytes.astype(np.float64)
        units.append(Unit(BITS, source, tuple(map(str, range(len(sizes)))), bits, sizes))
    return units


def task_units(runs: Sequence[RunResult]) -> list[Unit]:
    """The probability of the right answer on each task that offers choices, its bits per byte on the others.

    Raises:
        SettingsError: if the runs were not asked the same items.
        InputError: if an item has no right answer.
    """
    tables = {run.name: {} if run.choices is None else _by_task(run.choices) for run in runs}
    first = runs[0].name
    units = []
    for task in sorted(set().union(*tables.values())):
        for name, asked in tables.items():
            if task not in asked:
                raise SettingsError(f"{name} was not asked the task {task} and another run was: `evals run` it again")
        read = [Choices(tables[run.name][task], f"{run.name}, task {task}") for run in runs]
        for run, choices in zip(runs, read, strict=True):
            if not read[0].same_items(choices):
                raise SettingsError(f"{first} and {run.name} were asked different items of {task}: `evals run` again")
        if not read[0].offers_a_choice:
            if task not in _STATEMENTS:
                bits = np.stack([choices.bits for choices in read])
                units.append(Unit(ANSWER, task, read[0].items, bits, read[0].sizes))
        else:
            units.append(
                Unit(
                    GOLD,
                    task,
                    read[0].items,
                    np.stack([choices.gold_probability for choices in read]),
                    np.ones(len(read[0].items)),
                    np.stack([choices.chance for choices in read]),
                    np.array([choices.accuracy for choices in read]),
                )
            )
    return units


def _by_task(table: pa.Table) -> dict[str, pa.Table]:
    import pyarrow.compute as pc

    return {str(task): table.filter(pc.field("task") == task) for task in pc.unique(table["task"]).to_pylist()}


class Choices:
    """The choices of one task under one run; a row is a choice, in the order of items and choices."""

    def __init__(self, table: pa.Table, where: str) -> None:
        ordered = table.sort_by([("item", "ascending"), ("choice", "ascending")])
        names = ordered["item"].to_numpy(zero_copy_only=False).astype(str)
        self._starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        self.items = tuple(names[self._starts].tolist())
        self._choice = ordered["choice"].to_numpy()
        self._is_gold = ordered["is_gold"].to_numpy(zero_copy_only=False)
        self._counts = np.diff(np.r_[self._starts, len(names)])
        without = np.flatnonzero(~np.logical_or.reduceat(self._is_gold, self._starts))
        if len(without):
            raise InputError(f"{where}: the item {self.items[without[0]]} has no right answer")
        self.sizes = np.maximum(ordered["bytes"].to_numpy(), 1).astype(np.float64)
        self.bits = -ordered["log_probability"].to_numpy() / math.log(2)
        per_byte = ordered["log_probability"].to_numpy() / self.sizes
        self._best = np.repeat(np.maximum.reduceat(per_byte, self._starts), self._counts)
        weights = np.exp(per_byte - self._best)
        self._probability = weights / np.repeat(np.add.reduceat(weights, self._starts), self._counts)
        self._is_best = per_byte == self._best

    @property
    def offers_a_choice(self) -> bool:
        return bool((self._counts > 1).any())

    def same_items(self, other: Choices) -> bool:
        mine, theirs = (self._choice, self._is_gold), (other._choice, other._is_gold)
        return self.items == other.items and all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))

    @property
    def gold_probability(self) -> Floats:
        """float64[items]."""
        return self._sum(self._probability * self._is_gold)

    @property
    def accuracy(self) -> float:
        """Part of the items whose best choice is right; of choices that tie each counts its part."""
        return float((self._sum(self._is_best & self._is_gold) / self._sum(self._is_best)).mean())

    @property
    def chance(self) -> Floats:
        """Probability of the right answer if these were dealt out by lot to items with as many choices: float64[items].

        For choices in no order it is one over their number; for yes and no it is what a model gets that never looks at
        the question.
        """
        sizes = np.repeat(self._counts, self._counts)
        place = np.arange(len(sizes)) - np.repeat(self._starts, self._counts)
        share = np.zeros(len(sizes))
        for size in np.unique(self._counts):
            mine = sizes == size
            gold = np.bincount(place[mine], weights=self._is_gold[mine], minlength=size)
            share[mine] = (gold / (self._counts == size).sum())[place[mine]]
        return self._sum(self._probability * share)

    def _sum(self, rows: NDArray[np.generic]) -> Floats:
        result: Floats = np.add.reduceat(np.asarray(rows, dtype=np.float64), self._starts)
        return result
