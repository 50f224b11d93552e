"""What a change of dress does to scores, to decisions, and to the ranking of graded texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.metrics import auc, best_f1, interval, resamples
from classifiers.paired import GRADE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

MOVES = ("mean_change", "mean_absolute_change", "p95_absolute_change", "flipped")
RANKINGS = ("auc", "best_f1")


@dataclass(frozen=True)
class Scored:
    """Scores and decisions of texts."""

    scores: Scores
    kept: NDArray[np.bool_]  # P(grade ≥ 3) is at least a half
    density: NDArray[np.float32]  # characters per token

    @classmethod
    def empty(cls, count: int) -> Scored:
        """Room for ``count`` texts."""
        return cls(np.empty(count), np.empty(count, np.bool_), np.empty(count, np.float32))

    def put(self, places: NDArray[np.int64], other: Scored) -> None:
        """Take over ``other`` at ``places``."""
        self.scores[places], self.kept[places], self.density[places] = other.scores, other.kept, other.density


def style_changes(
    plain: Scored, dressed: Mapping[str, Scored], groups: NDArray[np.int64], truth: Scores | None = None
) -> list[dict[str, Any]]:
    """What each style does to scores and to decisions at grade 3.

    Args:
        plain: scores of the texts as they are, n.
        dressed: scores of the same texts in each style, by its name.
        groups: near-duplicates share a number, n.
        truth: mean gradings, n, if there are any.
    Returns:
        A row a style: ``{style, mean_change, mean_absolute_change, p95_absolute_change, flipped, raised, lowered, auc,
        best_f1}``. The first four figures are ``{value, low, high}``; ``flipped`` is the share of documents whose
        decision changes, of which ``raised`` come to be kept and ``lowered`` to be dropped. ``auc`` and ``best_f1`` are
        ``{before, after, gain}``, of which the gain has a paired interval; None where they are undefined.
    """
    draws = [np.arange(len(groups)), *resamples(groups, 0)]  # the first is the sample itself
    before = _rankings(plain, truth, draws)
    rows = []
    for name, each in dressed.items():
        change, flips = each.scores - plain.scores, each.kept != plain.kept
        moves = np.array([_moves(change[i], flips[i]) for i in draws])
        row: dict[str, Any] = {"style": name} | {key: _figure(moves[:, place]) for place, key in enumerate(MOVES)}
        row |= {"raised": int((flips & each.kept).sum()), "lowered": int((flips & plain.kept).sum())}
        after = _rankings(each, truth, draws)
        for place, key in enumerate(RANKINGS):
            gain = _figure(after[:, place] - before[:, place])
            ends = {when: round(float(of[0, place]), 4) for when, of in (("before", before), ("after", after))}
            row[key] = gain and ends | {"gain": gain}
        rows.append(row)
    return rows


def _moves(change: Scores, flips: NDArray[np.bool_]) -> tuple[float, ...]:
    size = np.abs(change)
    return float(change.mean()), float(size.mean()), float(np.quantile(size, 0.95)), float(flips.mean())


def _rankings(scored: Scored, truth: Scores | None, draws: Sequence[NDArray[np.int64]]) -> Scores:
    """AUC and best F1 on every sample, float64[draws, 2]; NaN where they are undefined."""
    found = np.full((len(draws), len(RANKINGS)), np.nan)
    if truth is None:
        return found
    positive = truth >= GRADE
    for place, i in enumerate(draws):
        area, best = auc(positive[i], scored.scores[i]), best_f1(positive[i], scored.scores[i])
        if area is not None and best is not None:
            found[place] = area, best["f1"]
    return found


def _figure(values: Scores) -> dict[str, float] | None:
    """The first value with the interval of the others; None if it is undefined."""
    if np.isnan(values[0]):
        return None
    return interval(float(values[0]), values[1:][~np.isnan(values[1:])].tolist())
