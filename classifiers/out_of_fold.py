"""Scores that the documents of a training set got from models that had not seen them.

To cross-validate a fine-tuned encoder takes an hour. So what came of it is kept in the classifier directory: its
figures can be checked in a second, also on some of the documents alone, and others can be held against it in the same
folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.labels import Labels, fingerprint
from classifiers.metrics import full_report
from classifiers.model import EducationalClassifier, plain
from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.model import Arrays

_COLUMNS = ("raw", "scores", "probabilities", "fold")
_PREFIX = "out_of_fold/"


@dataclass(frozen=True)
class OutOfFold:
    """Scores of documents by models that had not seen them."""

    raw: NDArray[np.float64]  # n
    scores: NDArray[np.float32]  # calibrated on the other folds, n
    probabilities: NDArray[np.float32]  # n, 5
    fold: NDArray[np.int64]  # that each document stands in, n
    judges: tuple[EducationalClassifier, ...] = ()  # the classifier that scored each fold; none if it is not kept

    def report(self, labels: Labels) -> dict[str, Any]:
        """Figures with intervals; see :func:`classifiers.metrics.full_report`."""
        return full_report(self.scores, labels, self.probabilities)

    def arrays(self, labels: Labels) -> Arrays:
        """What :func:`kept` reads: a row a text, in the order of ``training_set["texts"]``."""
        _, first = np.unique(_marks(labels), return_index=True)
        return {_PREFIX + name: getattr(self, name)[first] for name in _COLUMNS}


def kept(classifier: EducationalClassifier, labels: Labels) -> tuple[Labels, OutOfFold]:
    """Those labels whose texts a classifier was trained on, and the scores that its cross-validation gave them.

    Raises:
        InputError: if it keeps no such scores, or was trained on none of the texts.
    """
    if _PREFIX + "raw" not in classifier.training_set:
        raise InputError(
            "this classifier keeps no scores of its cross-validation: use --folds 5 to repeat it, or train it again"
        )
    known, marks = classifier.training_set["texts"], _marks(labels)
    there = np.flatnonzero(np.isin(marks, known))
    if not len(there):
        raise InputError(
            f"the classifier was trained on none of these {len(labels)} texts: leave out --out-of-fold to measure it"
        )
    rows = np.searchsorted(known, marks[there])
    raw, scores, probabilities, fold = (classifier.training_set[_PREFIX + name][rows] for name in _COLUMNS)
    return labels.take(there), OutOfFold(raw, scores, probabilities, fold)


def _marks(labels: Labels) -> NDArray[Any]:
    """By which the texts of a training set are known."""
    return np.array([fingerprint(plain(text)) for text in labels.texts])
