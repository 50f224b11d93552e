"""Two classifiers on the same labels: figures of each, the gain of the challenger, and the gate.

Both are measured on the same bootstrap samples, so that what makes a sample easy or hard falls out of the difference:
the interval of a gain is mostly far narrower than the two intervals beside it suggest. Whole groups of near-duplicates
are drawn (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", ch. 8 and 13: percentile intervals, the
bootstrap unit is what is independent).

The gate looks at one metric, named before anything is measured: of four metrics one would fall below by chance sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from classifiers.compare_settings import Metric
from classifiers.metrics import auc_of_ranks, best_f1_of_falling, correlation, ranks, resamples
from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.labels import Labels
    from classifiers.model import EducationalClassifier

    Scores = NDArray[np.float64]

GRADE = 3
"""Documents of at least this mean grade are the ones to find."""
FEW_DOCUMENTS = 20
"""With fewer on either side of the grade, percentile intervals are clearly too narrow."""

TITLES: Mapping[Metric, str] = {
    "auc": f"AUC at ≥ {GRADE}",
    "best_f1": f"best F1 at ≥ {GRADE}",
    "spearman": "Spearman",
    "mean_absolute_error": "mean absolute error",
}

Verdict = Literal["worse", "better", "not worse", "not distinguishable"]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval, to four digits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """One metric of both. The gain is above zero where the challenger is better, also for an error."""

    champion: Interval
    challenger: Interval
    gain: Interval


@dataclass(frozen=True)
class Gate:
    """The answer: it passes unless the challenger is worse."""

    primary: Metric
    margin: float
    gain: Interval
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the challenger may take the champion's place, as far as the labels can tell."""
        return self.verdict != "worse"


def paired_figures(
    truth: Scores, champion: Scores, challenger: Scores, groups: NDArray[np.int64], seed: int = 0
) -> dict[Metric, Paired | None]:
    """Every metric of both classifiers, and the challenger's gain, with paired intervals.

    Args:
        truth: mean gradings, n.
        champion: its calibrated scores, n.
        challenger: its calibrated scores, n.
        groups: near-duplicates share a number, n.
        seed: of the bootstrap.
    Returns:
        A pair for each metric; None where it is undefined, such as an AUC without documents of one class.
    """
    whole = _figures(truth, champion, challenger)
    drawn = [_figures(truth[i], champion[i], challenger[i]) for i in resamples(groups, seed)]

    def pair(name: Metric) -> Paired | None:
        defined = np.array([both[name] for both in drawn if None not in both[name]], np.float64)
        if None in whole[name] or not len(defined):
            return None
        ours, theirs = np.array(whole[name], np.float64)
        sign = -1 if name == "mean_absolute_error" else 1
        return Paired(
            _interval(ours, defined[:, 0]),
            _interval(theirs, defined[:, 1]),
            _interval(sign * (theirs - ours), sign * (defined[:, 1] - defined[:, 0])),
        )

    return {name: pair(name) for name in TITLES}


def gate(figures: Mapping[Metric, Paired | None], primary: Metric, margin: float) -> Gate:
    """Judge by the printed digits of the primary metric's gain alone.

    *worse*: the interval lies below −margin. *better*: it lies above zero. *not worse*: none of it lies below −margin.
    *not distinguishable*: the labels cannot tell.

    Raises:
        InputError: if the primary metric is undefined on these labels.
    """
    pair = figures[primary]
    if pair is None:
        raise InputError(
            f"{TITLES[primary]} is undefined on these labels: all grades or all scores are on one side; name more "
            "labels or another --primary"
        )
    gain = pair.gain
    if gain.high < -margin:
        return Gate(primary, margin, gain, "worse")
    if gain.low > 0:
        return Gate(primary, margin, gain, "better")
    return Gate(primary, margin, gain, "not worse" if gain.low >= -margin else "not distinguishable")


def new_to_both(labels: Labels, champion: EducationalClassifier, challenger: EducationalClassifier) -> Labels:
    """The labels that neither was trained on, and no near-duplicate of them in the table either.

    Raises:
        InputError: if none is left; it says how many each was trained on.
    """
    ours, theirs = champion.knows(labels), challenger.knows(labels)
    left = ~np.isin(labels.groups, labels.groups[ours | theirs])
    if not left.any():
        raise InputError(
            f"none of the {len(labels):,} labels is new to both classifiers: the champion was trained on "
            f"{ours.sum():,}, the challenger on {theirs.sum():,}, and near-duplicates of these do not count; name "
            'labels kept out of both trainings (classifiers train leaves out rows whose split is "test")'
        )
    return labels.take(left)


def _figures(truth: Scores, *scores: Scores) -> dict[Metric, tuple[float | None, ...]]:
    """Every metric of each of ``scores`` on one sample; what they share is found once."""
    positive, rank_of_truth = truth >= GRADE, ranks(truth)
    rank = [ranks(each) for each in scores]
    falling = [np.argsort(-each, kind="stable") for each in scores]
    best = [best_f1_of_falling(positive[i], each[i]) for i, each in zip(falling, scores, strict=True)]
    return {
        "auc": tuple(auc_of_ranks(positive, each) for each in rank),
        "best_f1": tuple(each["f1"] if each else None for each in best),
        "spearman": tuple(correlation(each, rank_of_truth) for each in rank),
        "mean_absolute_error": tuple(float(np.abs(each - truth).mean()) for each in scores),
    }


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    # + 0.0 turns −0.0 into 0.0
    return Interval(*(round(float(number), 4) + 0.0 for number in (value, low, high)))


def described(labels: Labels, all_labels: Labels) -> dict[str, Any]:
    """What the figures rest on."""
    return {
        "documents": len(labels),
        "groups": len(np.unique(labels.groups)),
        "positives": int((labels.scores >= GRADE).sum()),
        "left_out": len(all_labels) - len(labels),
    }
