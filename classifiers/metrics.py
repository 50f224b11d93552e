"""How well scores agree with gradings: ranking, decisions at a threshold, agreement, calibration.

Intervals are percentile bootstrap over groups of documents (near-duplicates are drawn together). The best F1 of a
threshold sweep is an optimistic figure; its interval carries that optimism, so the F1 of the decision "P(score ≥ t) is
at least a half" stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from classifiers.labels import MAX_SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

RESAMPLES = 1000
BINS = 10


def auc(positive: NDArray[np.bool_], scores: Scores) -> float | None:
    """Area under the ROC curve: P(a positive scores above a negative), ties half. None without both classes."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    rank_sum = ranks(scores)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def best_f1(positive: NDArray[np.bool_], scores: Scores) -> dict[str, float] | None:
    """The cut with the highest F1: ``{f1, precision, recall, cut}``; kept is score ≥ cut. None without positives."""
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # a cut cannot part equal scores
    kept, found = ends + 1, hits[ends]
    f1 = 2 * found / (kept + hits[-1])
    best = int(f1.argmax())
    return {
        "f1": float(f1[best]),
        "precision": float(found[best] / kept[best]),
        "recall": float(found[best] / hits[-1]),
        "cut": float(scores[order][ends[best]]),
    }


def decision(positive: NDArray[np.bool_], kept: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and F1 of one decision; 0 where nothing is kept or nothing is there to find."""
    found = int((positive & kept).sum())
    precision = found / max(int(kept.sum()), 1)
    recall = found / max(int(positive.sum()), 1)
    return {"f1": 2 * found / max(int(kept.sum() + positive.sum()), 1), "precision": precision, "recall": recall}


def spearman(left: Scores, right: Scores) -> float | None:
    """Rank correlation, ties at their mean rank. None if one side is constant."""
    first, second = ranks(left), ranks(right)
    if not np.ptp(first) or not np.ptp(second):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def quadratic_kappa(left: Scores, right: Scores) -> float | None:
    """Cohen's κ with quadratic weights of two gradings, rounded half up to whole grades. None if undefined."""
    first, second = (np.floor(np.clip(s, 0, MAX_SCORE) + 0.5) for s in (left, right))
    # expected disagreement of independent gradings: E(a − b)² = var a + var b + (mean a − mean b)²
    expected = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1 - ((first - second) ** 2).mean() / expected) if expected else None


def calibration_error(positive: NDArray[np.bool_], probability: Scores) -> float:
    """Expected calibration error: mean distance of stated and observed rate over ten bins of equal size."""
    return float(sum(len(p) * abs(s - o) for p, s, o in _bins(positive, probability)) / len(positive))


def reliability(positive: NDArray[np.bool_], probability: Scores) -> list[tuple[float, float, int]]:
    """Stated probability, observed rate and number of documents, of ten bins of equal size."""
    return [(stated, observed, len(places)) for places, stated, observed in _bins(positive, probability)]


def ranks(values: Scores) -> Scores:
    """Ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[inverse]


def report(
    given: NDArray[np.floating[Any]],
    truth: Scores,
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure with its 95% interval.

    Args:
        given: calibrated scores, float[n].
        truth: mean gradings, float[n]. A document is positive at t if its mean grading is at least t.
        probabilities: P(score ≥ t) for t = 1 … 5, float[n, 5].
        groups: near-duplicates share a number; None: every document by itself.
        seed: of the bootstrap.
    Returns:
        ``{documents, spearman, quadratic_kappa, mean_absolute_error, thresholds: {t: {…}}}``; each figure is
        ``{value, low, high}``, None where it is undefined.
    """
    scores: Scores = np.asarray(given, np.float64)
    draws = _resamples(np.arange(len(truth)) if groups is None else groups, seed)

    def interval(figure: Callable[[NDArray[np.int64]], float | None]) -> dict[str, float] | None:
        value = figure(np.arange(len(truth)))
        if value is None:
            return None
        drawn = [d for d in map(figure, draws) if d is not None]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}

    def at(threshold: int) -> dict[str, Any]:
        positive = truth >= threshold
        likely = np.asarray(probabilities[:, threshold - 1], np.float64)
        sweep = best_f1(positive, scores)
        return {
            "positives": int(positive.sum()),
            "auc": interval(lambda i: auc(positive[i], scores[i])),
            "best_f1": interval(lambda i: (best_f1(positive[i], scores[i]) or {}).get("f1")),
            "best_cut": {name: round(value, 4) for name, value in sweep.items()} if sweep else None,
            **{
                name: interval(lambda i, name=name: decision(positive[i], likely[i] >= 0.5)[name])  # type: ignore[misc]
                for name in ("f1", "precision", "recall")
            },
            "calibration_error": round(calibration_error(positive, likely), 4),
        }

    return {
        "documents": len(truth),
        "spearman": interval(lambda i: spearman(scores[i], truth[i])),
        "quadratic_kappa": interval(lambda i: quadratic_kappa(scores[i], truth[i])),
        "mean_absolute_error": interval(lambda i: float(np.abs(scores[i] - truth[i]).mean())),
        "thresholds": {str(t): at(t) for t in THRESHOLDS},
    }


def _bins(positive: NDArray[np.bool_], probability: Scores) -> list[tuple[NDArray[np.int64], float, float]]:
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return [(part, float(probability[part].mean()), float(positive[part].mean())) for part in parts]


def _resamples(groups: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Bootstrap samples of places: whole groups are drawn with replacement."""
    generator = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    members = np.split(order, starts[1:])
    if len(members) == len(order):  # every group is one document
        return [generator.integers(len(order), size=len(order)) for _ in range(RESAMPLES)]
    return [
        np.concatenate([members[i] for i in generator.integers(len(members), size=len(members))])
        for _ in range(RESAMPLES)
    ]
