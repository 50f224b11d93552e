"""How far a score moves when only the dress of a text changes, what predicts it without reading, and what it does with
languages it was not taught.

Styles (``classifiers.styles``) are put on the first two thirds of a window, so that what they add pushes no words out,
and the score of the dressed text is held against that of the plain one. With graded texts the ranking is compared too:
AUC and best F1 before and after, on the same documents with a paired interval. Every text is scored by a classifier
that was not trained on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import scoring, training
from classifiers.invariance import Scored, style_changes
from classifiers.labels import Labels, fingerprint, group, read_labels
from classifiers.languages import languages
from classifiers.model import EducationalClassifier, Measures
from classifiers.paired import GRADE
from classifiers.shortcuts import shortcuts
from classifiers.styles import BASE_SHARE, STYLES, base
from classifiers.windows import head
from common.errors import InputError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.out_of_fold import OutOfFold

    Scores = NDArray[np.float64]

PLAIN = "plain"
WHOLE = "whole_window"
WHOLE_SAYS = "for comparison: the next third of the window read as well"
DENSE_SHARE = 0.01
"""All but this share of the documents have more characters per token than the number that is reported."""
VARIANTS = len(STYLES) + 2
"""Texts that are scored for each document: plain, in every style, and the whole window."""


@dataclass(frozen=True)
class Texts:
    """Documents that robustness is measured on."""

    texts: tuple[str, ...]
    sources: tuple[str, ...]
    groups: NDArray[np.int64]  # near-duplicates share a number
    truth: Scores | None  # mean gradings; None if nobody graded them

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Job:
    """What the command measures: a classifier on new texts, or its recipe on folds of labels."""

    classifier: EducationalClassifier
    found: Texts | Labels  # labels where the recipe is repeated
    count: int
    folds: int | None = None
    unlabelled: Sequence[str] = ()

    @property
    def work(self) -> int:
        """Texts that pass through an encoder, for a progress bar."""
        again = training.work(self.classifier.recipe, len(self.found), self.folds) if self.folds else 0
        return again + VARIANTS * min(self.count, len(self.found))

    def run(self, threads: int = 1, advance: Callable[[int], object] | None = None) -> dict[str, Any]:
        """Measure; see :func:`robustness`."""
        if isinstance(self.found, Texts):
            return robustness(self.classifier, self.found, threads=threads, advance=advance)
        given = self.classifier, self.found, self.folds or 0, self.unlabelled
        unseen = training.cross_validated(*given, threads=threads, advance=advance)
        return robustness_out_of_fold(self.classifier, self.found, unseen, self.count, threads=threads, advance=advance)


def prepare(
    *,
    labels: Sequence[str] | None,
    pool: str | None,
    classifier: Path | str | None,
    folds: int | None,
    unlabelled: str | None,
    count: int,
) -> Job:
    """Load the classifier and the texts.

    Raises:
        SettingsError: unless labels or a pool is named, or for folds of a pool or fewer than two documents.
        InputError: if the classifier was trained on all of the labels.
    """
    if (labels is None) == (pool is None):
        raise SettingsError(f"name --labels or --pool, one of them; got {'both' if pool else 'neither'}")
    if folds and pool:
        raise SettingsError(f"--folds {folds} trains on grades: name --labels, not --pool")
    if count < 2:
        raise SettingsError(f"--windows must be at least 2, got {count}")
    loaded = EducationalClassifier.load(classifier)
    if pool:
        return Job(loaded, of_pool(pool, count), count)
    graded = read_labels(labels or [])
    if folds:
        return Job(loaded, graded, count, folds, training.read_texts(unlabelled))
    new = loaded.unseen(graded)
    return Job(loaded, of_labels(new.take(draw(new, count))), count)


def of_labels(labels: Labels) -> Texts:
    """Graded windows as texts."""
    return Texts(labels.texts, labels.sources, labels.groups, labels.scores)


def of_pool(source: str, count: int) -> Texts:
    """At most ``count`` documents of a pool, drawn by a hash of their ids: the order of the pool changes nothing.

    Raises:
        InputError: if the pool is empty or a text is not a string.
    """
    rows = (row for block in scoring.read_blocks(source) for row in block)
    drawn = heapq.nsmallest(count, rows, key=lambda row: (fingerprint(str(row["id"])), str(row["id"])))
    if not drawn:
        raise InputError(f"{source} holds no documents")
    texts = tuple(row["text"] for row in drawn)
    groups = group([str(row["id"]) for row in drawn], texts)
    return Texts(texts, tuple(str(row.get("source") or "") for row in drawn), groups, None)


def draw(labels: Labels, count: int) -> NDArray[np.int64]:
    """Places of ``count`` labels with each grade in its share, the same whatever else is in the table's order."""
    keys = [(int(np.floor(score + 0.5)), fingerprint(i)) for score, i in zip(labels.scores, labels.ids, strict=True)]
    order = np.array(sorted(range(len(labels)), key=keys.__getitem__), np.int64)
    if count >= len(order):
        return order
    return order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]


def work(documents: int) -> int:
    """Texts that are scored, for a progress bar."""
    return documents * VARIANTS


def robustness(
    classifier: EducationalClassifier,
    found: Texts,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Everything about a classifier on texts that are new to it.

    Returns:
        ``{documents, graded, kept, base_characters, styles, shortcuts, languages, characters_per_token}``; see
        :func:`classifiers.invariance.style_changes`, :func:`classifiers.shortcuts.shortcuts` and
        :func:`classifiers.languages.languages`.
    """
    scored = _dressed(classifier, found.texts, threads, advance)
    whole = [head(text, classifier.description.window) for text in found.texts]
    about_shortcuts = shortcuts(whole, found.sources, scored[WHOLE].scores, found.truth, found.groups)
    return _report(classifier, found, scored, about_shortcuts)


def robustness_out_of_fold(
    classifier: EducationalClassifier,
    labels: Labels,
    unseen: OutOfFold,
    count: int,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """The same for labels that ``classifier`` was trained on: the model that left a label out scores it.

    Args:
        classifier: trained on all labels; scores the languages.
        labels: what it was trained on.
        unseen: cross-validated scores, with the models of the folds.
        count: labels that are dressed, each grade in its share. Shortcuts are measured on all.
        threads: batches at a time; nothing depends on it.
        advance: called with the number of texts that were scored.
    """
    places = draw(labels, count)
    found = of_labels(labels.take(places))
    scored = {name: Scored.empty(len(places)) for name in (PLAIN, *_styles(), WHOLE)}
    for number, judge in enumerate(unseen.judges):
        inside = np.flatnonzero(unseen.fold[places] == number)
        # a copy, so that the encoder it loads is freed with it
        for name, part in _dressed(replace(judge), [found.texts[i] for i in inside], threads, advance).items():
            scored[name].put(inside, part)
    whole = [head(text, classifier.description.window) for text in labels.texts]
    scores = unseen.scores.astype(np.float64)
    about_shortcuts = shortcuts(whole, labels.sources, scores, labels.scores, labels.groups)
    return _report(classifier, found, scored, about_shortcuts)


def recorded(
    classifier: EducationalClassifier,
    labels: Labels,
    unseen: OutOfFold,
    count: int,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> EducationalClassifier:
    """``classifier``, saying how robust it is; see :func:`robustness_out_of_fold`."""
    found = robustness_out_of_fold(classifier, labels, unseen, count, threads=threads, advance=advance)
    return replace(classifier, about=dict(classifier.about) | {"robustness": found})


def _styles() -> dict[str, Callable[[str], str]]:
    return {style.name: style.wear for style in STYLES}


def _dressed(
    classifier: EducationalClassifier,
    texts: Sequence[str],
    threads: int,
    advance: Callable[[int], object] | None,
) -> dict[str, Scored]:
    """Scores of all texts plain, in every style, and whole, by name."""
    window = classifier.description.window
    bases = [base(text, window.characters) for text in texts]
    variants = {PLAIN: bases} | {name: [head(wear(text), window) for text in bases] for name, wear in _styles().items()}
    variants |= {WHOLE: [head(text, window) for text in texts]}
    measured = classifier.measure([text for listed in variants.values() for text in listed], threads, advance)
    return {name: _part(measured, place * len(texts), len(texts)) for place, name in enumerate(variants)}


def _part(measured: Measures, start: int, count: int) -> Scored:
    inside = slice(start, start + count)
    kept = measured.probabilities[inside, GRADE - 1] >= np.float32(0.5)
    return Scored(measured.scores[inside].astype(np.float64), kept, measured.characters_per_token[inside])


def _report(
    classifier: EducationalClassifier, found: Texts, scored: dict[str, Scored], about_shortcuts: dict[str, Any]
) -> dict[str, Any]:
    plain = scored[PLAIN]
    says = {style.name: style.says for style in STYLES} | {WHOLE: WHOLE_SAYS}
    dressed = {name: scored[name] for name in says}
    rows = style_changes(plain, dressed, found.groups, found.truth)
    return {
        "documents": len(found),
        "graded": found.truth is not None,
        "kept": int(plain.kept.sum()),
        "base_characters": int(BASE_SHARE * classifier.description.window.characters),
        "styles": [row | {"says": says[row["style"]]} for row in rows],
        "shortcuts": about_shortcuts,
        "languages": languages(classifier),
        "characters_per_token": round(float(np.quantile(scored[WHOLE].density, DENSE_SHARE)), 2),
    }
