"""What predicts the score without reading: where a text comes from, how long it is, what it looks like.

A shortcut that predicts the *grade* lies in the labels: textbooks are educational. One that predicts the *score* beyond
that lies in the classifier. So both are asked the same way: a ridge regression on the shortcut alone, each document
predicted by a fit on other documents, and the share of the variance that this explains. Two more figures tell whether
the classifier reads: its AUC among documents of one source, where the source says nothing; and how much of the
scores' variance the source still explains once the grade is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.metrics import auc, interval, resamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Columns = NDArray[np.float64]

GRADE = 3
FOLDS = 5
PENALTY = 1.0
"""Of the ridge regression on standardised columns: a source with few documents is drawn towards the mean."""
MAX_SPREADS = 5.0
"""Standard deviations from the mean at which a column is cut off."""

FORMAT = (
    r"[A-Z]",
    r"\d",
    r"[.!?]",
    r"[,;:]",
    r"[\"'“”‘’]",
    r"[()\[\]]",
    r"[|>•·*#=_/\\]",
    r"!",
    r"\?",
    r"\n",
    r"\n\s*\n",
    r"https?:|www\.|@",
)
"""Signs whose number a character is a text's format, beside the lengths of its lines and its words."""


def shortcuts(
    texts: Sequence[str],
    sources: Sequence[str],
    scores: Scores,
    truth: Scores | None,
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    """How well shortcuts predict grades and scores, and what is left when the source cannot help.

    Args:
        texts: windows as they were scored, n.
        sources: where each comes from, n; "" where that is unknown.
        scores: calibrated, of windows that the classifier had not seen, n.
        truth: mean gradings, n; None if nobody graded them.
        groups: near-duplicates share a number, n.
    Returns:
        ``{documents, sources, predicted_by: [{shortcut, r2_grade, r2_score, auc}], auc, auc_within_sources,
        r2_score_by_grade, r2_score_by_grade_and_source}``. What needs grades is None without them; AUC is at grade 3.
    """
    fold = _fold(groups)
    columns = {"source": _one_hot(sources), "length": _length(texts), "format": _format(texts)}
    columns["all three"] = np.hstack(list(columns.values()))
    positive = None if truth is None else truth >= GRADE
    found: dict[str, Any] = {
        "documents": len(texts),
        "sources": len(set(sources)),
        "predicted_by": [_row(name, cells, fold, scores, truth) for name, cells in columns.items()],
        "auc": None,
        "auc_within_sources": None,
        "r2_score_by_grade": None,
        "r2_score_by_grade_and_source": None,
    }
    if truth is None or positive is None:
        return found
    draws = resamples(groups, 0)
    codes = np.unique(np.array(sources), return_inverse=True)[1]
    found["auc"] = interval(auc(positive, scores), [auc(positive[i], scores[i]) for i in draws])
    found["auc_within_sources"] = interval(
        auc_within(codes, positive, scores), [auc_within(codes[i], positive[i], scores[i]) for i in draws]
    )
    grade = _one_hot([str(int(g)) for g in np.floor(truth + 0.5)])
    found["r2_score_by_grade"] = _explained(scores, out_of_fold(grade, scores, fold))
    both = np.hstack([grade, columns["source"]])
    return found | {"r2_score_by_grade_and_source": _explained(scores, out_of_fold(both, scores, fold))}


def auc_within(codes: NDArray[np.int64], positive: NDArray[np.bool_], scores: Scores) -> float | None:
    """P(a positive scores above a negative of the same source), over all such pairs. None if there are none."""
    order = np.argsort(codes, kind="stable")
    ordered, won, pairs = codes[order], 0.0, 0
    for inside in np.split(order, np.flatnonzero(np.diff(ordered)) + 1):
        value = auc(positive[inside], scores[inside])
        if value is not None:
            count = int(positive[inside].sum() * (~positive[inside]).sum())
            won, pairs = won + value * count, pairs + count
    return won / pairs if pairs else None


def out_of_fold(columns: Columns, target: Scores, fold: NDArray[np.int64]) -> Scores:
    """Ridge predictions of ``target``, each by a fit on the other folds; columns are standardised there."""
    predicted = np.empty(len(target))
    for number in np.unique(fold):
        inside, outside = fold == number, fold != number
        mean, spread = columns[outside].mean(axis=0), columns[outside].std(axis=0)
        # one page of nothing but lines must not decide a coefficient
        rows = np.clip((columns - mean) / np.where(spread > 0, spread, 1), -MAX_SPREADS, MAX_SPREADS)
        given, level = rows[outside], target[outside].mean()
        system = given.T @ given + PENALTY * np.eye(given.shape[1])
        predicted[inside] = level + rows[inside] @ np.linalg.solve(system, given.T @ (target[outside] - level))
    return predicted


def _row(
    name: str, columns: Columns, fold: NDArray[np.int64], scores: Scores, truth: Scores | None
) -> Mapping[str, Any]:
    row = {"shortcut": name, "r2_grade": None, "r2_score": _explained(scores, out_of_fold(columns, scores, fold))}
    if truth is None:
        return row | {"auc": None}
    predicted = out_of_fold(columns, truth, fold)
    found = auc(truth >= GRADE, predicted)
    return row | {"r2_grade": _explained(truth, predicted), "auc": found and round(found, 4)}


def _explained(target: Scores, predicted: Scores) -> float:
    """Share of the variance that predictions explain; below 0 if the mean would have been better."""
    return round(1 - float(((target - predicted) ** 2).sum() / max(((target - target.mean()) ** 2).sum(), 1e-12)), 4)


def _fold(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Folds by group, drawn with a fixed seed."""
    _, number = np.unique(groups, return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS, np.int64)


def _one_hot(names: Sequence[str]) -> Columns:
    found, place = np.unique(np.array(names), return_inverse=True)
    return np.eye(len(found))[place]


def _length(texts: Sequence[str]) -> Columns:
    logs = np.log1p(np.array([len(text) for text in texts], np.float64))
    return np.stack([logs, logs**2], axis=1)


def _format(texts: Sequence[str]) -> Columns:
    patterns = [re.compile(pattern) for pattern in FORMAT]

    def row(text: str) -> list[float]:
        lines, words = text.splitlines() or [""], text.split() or [""]
        lengths = [float(np.log1p(len(text) / len(lines))), float(np.mean([len(word) for word in words]))]
        return lengths + [len(pattern.findall(text)) / max(len(text), 1) for pattern in patterns]

    return np.array([row(text) for text in texts])
