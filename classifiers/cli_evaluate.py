"""The command ``classifiers evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from common import command


def evaluate(
    *,
    labels: str,
    classifier: Path | None = None,
    out_of_fold: Annotated[bool, Parameter(negative=())] = False,
    folds: int | None = None,
    unlabelled: str | None = None,
    threads: int = 1,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure a classifier on graded texts that it was not trained on, or cross-validate its recipe.

    Example: classifiers evaluate --labels new-labels.jsonl.gz

    Of the documents it was trained on: classifiers evaluate --labels labels.jsonl.gz --out-of-fold

    Parameters
    ----------
    labels
        Labels table, JSONL or Parquet: id, text, score 0 to 5.
    classifier
        Classifier directory; without it, the default that ships.
    out_of_fold
        Measure the scores that the cross-validation of its training gave those of the documents it was trained on.
    folds
        Train the classifier's recipe anew on all folds but one and score that one, for each of so many folds.
    unlabelled
        With --folds: what classifiers train was given under this name.
    threads
        Folds or batches that are computed at a time; no figure depends on it.
    json
        Print one JSON document.
    """
    from classifiers import training
    from classifiers.labels import read_labels
    from classifiers.model import EducationalClassifier
    from classifiers.out_of_fold import kept
    from common.errors import SettingsError

    if folds and out_of_fold:
        raise SettingsError("--folds trains anew and --out-of-fold reads what training found: name one of them")
    loaded, graded = EducationalClassifier.load(classifier), read_labels(labels)
    known = int(loaded.knows(graded).sum())
    if out_of_fold:
        test, unseen = kept(loaded, graded)
        figures = unseen.report(test)
    else:
        test = graded if folds else loaded.unseen(graded)
        with command.progress(training.work(loaded.recipe, len(test), folds), " texts", "evaluate") as bar:
            if folds:
                texts = training.read_texts(unlabelled)
                unseen = training.cross_validated(loaded, test, folds, texts, threads=threads, advance=bar.update)
                figures = {"folds": folds} | unseen.report(test)
            else:
                figures = training.measured(loaded, test, threads=threads, advance=bar.update)
    figures |= {"classifier": loaded.digest, "in_training_set": known}
    command.emit(figures, training.summary(figures), json)
