"""How well scores agree with gradings: ranking, decisions at a threshold, agreement, calibration.

Intervals are percentile bootstrap over groups of documents (near-duplicates are drawn together). The best F1 of a
threshold sweep is an optimistic figure; its interval carries that optimism, so the F1 of the decision "P(score ≥ t) is
at least a half" stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from classifiers.labels import MAX_SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.labels import Labels

    Scores = NDArray[np.float64]

RESAMPLES = 1000
BINS = 10
CHANCE_DRAWS = 100
MIN_NAMED = 20
"""Kinds or sources with fewer documents are put together: figures of a handful mislead."""
MIN_POSITIVES = 5
"""With fewer documents on either side of the grade, a kind's AUC and F1 are not shown."""
UNNAMED = "not named"


def auc(positive: NDArray[np.bool_], scores: Scores) -> float | None:
    """Area under the ROC curve: P(a positive scores above a negative), ties half. None without both classes."""
    return auc_of_ranks(positive, ranks(scores))


def best_f1(positive: NDArray[np.bool_], scores: Scores) -> dict[str, float] | None:
    """The cut with the highest F1: ``{f1, precision, recall, cut}``; kept is score ≥ cut. None without positives."""
    order = np.argsort(-scores, kind="stable")
    return best_f1_of_falling(positive[order], scores[order])


def decision(positive: NDArray[np.bool_], kept: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and F1 of one decision; 0 where nothing is kept or nothing is there to find."""
    found = int((positive & kept).sum())
    precision = found / max(int(kept.sum()), 1)
    recall = found / max(int(positive.sum()), 1)
    return {"f1": 2 * found / max(int(kept.sum() + positive.sum()), 1), "precision": precision, "recall": recall}


def spearman(left: Scores, right: Scores) -> float | None:
    """Rank correlation, ties at their mean rank. None if one side is constant."""
    return correlation(ranks(left), ranks(right))


def quadratic_kappa(left: Scores, right: Scores) -> float | None:
    """Cohen's κ with quadratic weights of two gradings, rounded half up to whole grades. None if undefined."""
    first, second = (np.floor(np.clip(s, 0, MAX_SCORE) + 0.5) for s in (left, right))
    # expected disagreement of independent gradings: E(a − b)² = var a + var b + (mean a − mean b)²
    expected = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1 - ((first - second) ** 2).mean() / expected) if expected else None


def calibration_error(positive: NDArray[np.bool_], probability: Scores) -> float:
    """Expected calibration error: mean distance of stated and observed rate over ten bins of equal size."""
    return float(sum(len(p) * abs(s - o) for p, s, o in _bins(positive, probability)) / len(positive))


def calibration_error_by_chance(probability: Scores, seed: int = 0) -> float:
    """The :func:`calibration_error` of perfect probabilities on so many documents: the part of it that is chance."""
    drawn = np.random.default_rng(seed).random((CHANCE_DRAWS, len(probability))) < probability
    return float(np.mean([calibration_error(positive, probability) for positive in drawn]))


def reliability(positive: NDArray[np.bool_], probability: Scores) -> list[tuple[float, float, int]]:
    """Stated probability, observed rate and number of documents, of ten bins of equal size."""
    return [(stated, observed, len(places)) for places, stated, observed in _bins(positive, probability)]


def ranks(values: Scores) -> Scores:
    """Ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[inverse]


def auc_of_ranks(positive: NDArray[np.bool_], rank: Scores) -> float | None:
    """:func:`auc` of scores that are ranked already."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def best_f1_of_falling(positive: NDArray[np.bool_], falling: Scores) -> dict[str, float] | None:
    """:func:`best_f1` of scores that are in falling order already."""
    hits = np.cumsum(positive)
    if not len(hits) or not hits[-1]:
        return None
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # a cut cannot part equal scores
    kept, found = ends + 1, hits[ends]
    f1 = 2 * found / (kept + hits[-1])
    best = int(f1.argmax())
    return {
        "f1": float(f1[best]),
        "precision": float(found[best] / kept[best]),
        "recall": float(found[best] / hits[-1]),
        "cut": float(falling[ends[best]]),
    }


def correlation(left: Scores, right: Scores) -> float | None:
    """Pearson's correlation; of ranks it is Spearman's. None if one side is constant."""
    if not np.ptp(left) or not np.ptp(right):
        return None
    return float(np.corrcoef(left, right)[0, 1])


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
    likely = np.asarray(probabilities, np.float64)
    value = _figures(scores, truth, likely)
    draws = resamples(np.arange(len(truth)) if groups is None else groups, seed)
    drawn = [_figures(scores[i], truth[i], likely[i]) for i in draws]

    def figure(name: str) -> dict[str, float] | None:
        return interval(value[name], [d[name] for d in drawn])

    def at(threshold: int) -> dict[str, Any]:
        positive = truth >= threshold
        best = best_f1(positive, scores)
        return {
            "positives": int(positive.sum()),
            **{name: figure(f"{name} {threshold}") for name in ("auc", "best_f1", "f1", "precision", "recall")},
            "best_cut": {name: round(number, 4) for name, number in best.items()} if best else None,
            "calibration_error": round(calibration_error(positive, likely[:, threshold - 1]), 4),
            "calibration_error_by_chance": round(calibration_error_by_chance(likely[:, threshold - 1], seed), 4),
        }

    overall = {name: figure(name) for name in ("spearman", "quadratic_kappa", "mean_absolute_error")}
    return {"documents": len(truth)} | overall | {"thresholds": {str(t): at(t) for t in THRESHOLDS}}


def full_report(
    given: NDArray[np.floating[Any]], labels: Labels, probabilities: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """:func:`report` of all labels, and :func:`by_name` for their kinds and their sources."""
    overall = report(given, labels.scores, probabilities, labels.groups)
    names = {"kinds": labels.kinds, "sources": labels.sources}
    return overall | {
        title: by_name(listed, given, labels.scores, probabilities, labels.groups) for title, listed in names.items()
    }


def by_name(
    names: Sequence[str],
    given: NDArray[np.floating[Any]],
    truth: Scores,
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.int64],
    *,
    threshold: int = 3,
) -> list[dict[str, Any]]:
    """Figures of each kind or source by itself, the largest first; small ones together, last.

    Args:
        names: of what each document is or comes from, n; "" where that is unknown.
        given: calibrated scores, float[n].
        truth: mean gradings, float[n].
        probabilities: P(score ≥ t), float[n, 5].
        groups: near-duplicates share a number.
        threshold: grade of the decision.
    Returns:
        ``{name, documents, positives, mean_grade, mean_score, auc, f1, mean_absolute_error, bias}`` each; the last four
        are ``{value, low, high}``, or None with too few documents on one side of the grade. Bias is score minus grade.
    """
    called = np.array([name or UNNAMED for name in names])
    found, counts = np.unique(called, return_counts=True)
    small = {str(name) for name, count in zip(found, counts, strict=True) if count < MIN_NAMED}
    if len(small) > 1:
        rest = f"{len(small)} others"
        called = np.array([rest if name in small else name for name in called.tolist()])
    sizes = {str(name): int((called == name).sum()) for name in np.unique(called)}
    order = sorted(sizes, key=lambda name: (name.endswith(" others") and len(small) > 1, -sizes[name], name))
    scores, likely = np.asarray(given, np.float64), np.asarray(probabilities, np.float64)[:, threshold - 1]
    rows = []
    for name in order:
        inside = np.flatnonzero(called == name)
        rows.append({"name": name} | _slice(scores[inside], truth[inside], likely[inside], groups[inside], threshold))
    return rows


def _slice(scores: Scores, truth: Scores, likely: Scores, groups: NDArray[np.int64], threshold: int) -> dict[str, Any]:
    positive = truth >= threshold
    both = min(positive.sum(), (~positive).sum()) >= MIN_POSITIVES
    error = scores - truth

    def figures(i: NDArray[np.int64]) -> tuple[float | None, ...]:
        some = positive[i].any() and both
        found = auc(positive[i], scores[i]) if both else None
        f1 = decision(positive[i], likely[i] >= 0.5)["f1"] if some else None
        return found, f1, float(np.abs(error[i]).mean()), float(error[i].mean())

    whole, drawn = figures(np.arange(len(truth))), [figures(i) for i in resamples(groups, 0)]
    counts = {"documents": len(truth), "positives": int(positive.sum())}
    means = {"mean_grade": round(float(truth.mean()), 3), "mean_score": round(float(scores.mean()), 3)}
    names = ("auc", "f1", "mean_absolute_error", "bias")
    return counts | means | {n: interval(whole[p], [d[p] for d in drawn]) for p, n in enumerate(names)}


def interval(value: float | None, drawn: Sequence[float | None]) -> dict[str, float] | None:
    """A figure with the 95% percentile interval of its bootstrap draws, to four digits; None if it is undefined."""
    defined = [number for number in drawn if number is not None]
    if value is None or not defined:
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    # + 0.0 turns −0.0 into 0.0
    return {n: round(float(x), 4) + 0.0 for n, x in (("value", value), ("low", low), ("high", high))}


def resamples(groups: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
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


def _figures(scores: Scores, truth: Scores, likely: Scores) -> dict[str, Any]:
    """All figures of one sample; what they share, the order of the scores, is found once."""
    rank, order = ranks(scores), np.argsort(-scores, kind="stable")
    found: dict[str, Any] = {
        "spearman": correlation(rank, ranks(truth)),
        "quadratic_kappa": quadratic_kappa(scores, truth),
        "mean_absolute_error": np.abs(scores - truth).mean(),
    }
    for threshold in THRESHOLDS:
        positive = truth >= threshold
        found[f"auc {threshold}"] = auc_of_ranks(positive, rank)
        found[f"best_f1 {threshold}"] = (best_f1_of_falling(positive[order], scores[order]) or {}).get("f1")
        at_half = decision(positive, likely[:, threshold - 1] >= 0.5)
        found |= {f"{name} {threshold}": number for name, number in at_half.items()}
    return found


def _bins(positive: NDArray[np.bool_], probability: Scores) -> list[tuple[NDArray[np.int64], float, float]]:
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return [(part, float(probability[part].mean()), float(positive[part].mean())) for part in parts]
