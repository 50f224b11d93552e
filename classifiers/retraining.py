"""Retraining with more labels: what the new gradings bought, and no old ones lost in silence.

Old and new gradings are merged (a window that was graded again counts with its mean), and one division into folds holds
for both trainings. So every old document gets two scores by models that had not seen it: one that learned from the old
gradings alone, one from all. The difference on the same documents is what the new labels bought; that the *old*
documents are asked keeps it from looking better, or worse, only because the new ones are easy or hard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import training
from classifiers.labels import Labels, fingerprint, folds, gather, read_labels
from classifiers.model import EducationalClassifier, plain
from classifiers.paired import TITLES, paired_figures
from common.command import table
from common.documents import read_documents
from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.out_of_fold import OutOfFold
    from classifiers.recipe import Recipe
    from classifiers.training import Ingredients


@dataclass(frozen=True)
class Extension:
    """Old labels, new ones, and both together."""

    labels: Labels  # all gradings, merged
    old: Labels  # with the old gradings alone
    new: Labels  # with the new gradings alone
    places: NDArray[np.int64]  # where the old windows stand in labels


def read(
    tables: Sequence[str], more: Sequence[str] = (), replaces: Path | str | None = None
) -> tuple[Labels, Extension | None]:
    """What a classifier is to learn from: every row whose ``split`` is not "test".

    Args:
        tables: labels tables.
        more: new ones to extend them by. A row that stands in both, as when a table was copied and added to, counts
            once.
        replaces: the classifier that the new one is to follow; see :func:`check_nothing_lost`.
    Raises:
        InputError: if a table is not one of labels, if the new ones hold no new grading, or if old labels are lost.
    """
    extension = _extended(tables, more) if more else None
    labels = extension.labels if extension else read_labels(tables, skip_split="test")
    if replaces:
        check_nothing_lost(EducationalClassifier.load(replaces), labels)
    return labels, extension


def check_nothing_lost(classifier: EducationalClassifier, labels: Labels) -> None:
    """Hold a classifier's training set against the labels that its successor is to learn from.

    Raises:
        InputError: if it learned from windows that are not among them.
    """
    learned = set(classifier.training_set["texts"].tolist())
    lost = len(learned - {fingerprint(plain(text)) for text in labels.texts})
    if lost:
        raise InputError(
            f"the classifier to be replaced was trained on {len(learned):,} windows, and {lost:,} of them are not in "
            "these labels: name every table it was trained on, or leave out --replaces if they are to be forgotten"
        )


def work(recipe: Recipe, labels: Labels, extension: Extension | None) -> int:
    """Texts that pass through the encoder or its top, for a progress bar."""
    total = training.work(recipe, len(labels), recipe.folds, final=True)
    # once more on the old labels alone, which are not embedded twice
    return total + (training.work(recipe, len(extension.old), recipe.folds) - len(extension.old) if extension else 0)


def with_gain(
    classifier: EducationalClassifier,
    ingredients: Ingredients,
    extension: Extension,
    unseen: OutOfFold,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> EducationalClassifier:
    """``classifier``, recording both tables by number and digest, and what the new labels bought.

    Args:
        classifier: of :func:`classifiers.training.train` on all the labels.
        ingredients: what it was made of.
        extension: the labels.
        unseen: its cross-validated scores.
        threads: folds at a time; the result does not depend on it.
        advance: called with the number of texts that were trained on, for a progress bar; see :func:`work`.
    """
    old, new, labels = extension.old, extension.new, extension.labels
    entry = {
        "old": _described(old),
        "new": _described(new),
        "in_both": len(old) + len(new) - len(labels),
        "gain": _gain(ingredients, extension, unseen, threads, advance),
    }
    return replace(classifier, about=dict(classifier.about) | {"extension": entry})


def summary(result: Mapping[str, Any], replaces: Path | None) -> str:
    """Figures of a new classifier, what the new labels bought, and the next step, for people."""
    parts = [training.summary(result)]
    if found := result.get("extension"):
        counts = {"old windows": found["old"]["documents"], "new windows": found["new"]["documents"]}
        rows = [
            {"on the old windows": TITLES[metric]} | {name: _shown(pair[name]) for name in ("without", "with", "gain")}
            for metric, pair in found["gain"].items()
            if pair
        ]
        parts += [table([counts | {"in both": found["in_both"]}]), table(rows)]
    champion = replaces or "default"
    parts.append(f"next: classifiers compare {champion} {result['out']} --labels HELD_OUT --pool DOCUMENTS")
    return "\n\n".join(parts)


def _gain(
    ingredients: Ingredients,
    extension: Extension,
    unseen: OutOfFold,
    threads: int,
    advance: Callable[[int], object] | None,
) -> dict[str, Any]:
    """``{without, with, gain}`` of every metric on the old windows, with 95% intervals; None where it is undefined.

    Both are held against the mean of all gradings. A gain is above zero where the new labels helped.
    """
    labels, places, recipe = extension.labels, extension.places, ingredients.recipe
    fold = folds(labels, recipe.folds, recipe.seed)[places]
    if len(np.unique(fold)) < 2:  # near-duplicates of each other: none can be held out
        return dict.fromkeys(TITLES)
    alone = replace(
        ingredients,
        features={name: values[places] for name, values in ingredients.features.items()},
        states=[ingredients.states[i] for i in places] if ingredients.states else (),
    )
    before = training.cross_validate(alone, extension.old, recipe.folds, fold=fold, threads=threads, advance=advance)
    without, taught = (np.asarray(each, np.float64) for each in (before.scores, unseen.scores[places]))
    figures = paired_figures(labels.scores[places], without, taught, labels.groups[places])
    return {
        name: pair and {"without": asdict(pair.champion), "with": asdict(pair.challenger), "gain": asdict(pair.gain)}
        for name, pair in figures.items()
    }


def _extended(old: Sequence[str], new: Sequence[str]) -> Extension:
    before, after = _rows(old), _rows(new)
    first, _ = gather(before), gather(after)  # whatever is wrong with a row is said here
    known = {_grading(row) for row in before}
    after = [row for row in after if _grading(row) not in known]
    if not after:
        raise InputError(f"{', '.join(new)} holds no grading that is not in {', '.join(old)} already")
    labels = gather([*before, *after])
    place = {window: place for place, window in enumerate(zip(labels.ids, labels.texts, strict=True))}
    places = np.array([place[window] for window in zip(first.ids, first.texts, strict=True)], np.int64)
    return Extension(labels, first, gather(after), places)


def _rows(source: Sequence[str]) -> list[dict[str, Any]]:
    return [row for row in read_documents(source, ("id", "text", "score")) if row.get("split") != "test"]


def _grading(row: Mapping[str, Any]) -> tuple[str, str, float, str]:
    return str(row["id"]), row["text"], row["score"], str(row.get("annotator"))


def _described(labels: Labels) -> dict[str, Any]:
    return {"documents": len(labels), "gradings": int(labels.gradings.sum()), "digest": labels.digest}


def _shown(value: Mapping[str, float]) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
