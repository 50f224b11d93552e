"""From labels to a classifier: fit the parts, cross-validate the recipe, calibrate.

Every figure about a recipe comes from scores that a document got from a model that had not seen it, its near-duplicates
or its other gradings. The calibration of a fold's scores is fitted on the other folds, so it has not seen them either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import heads
from classifiers.calibration import THRESHOLDS, fit_calibration
from classifiers.distill import distill
from classifiers.encoders import StaticEncoder, Tokens, TransformerEncoder
from classifiers.labels import Labels, folds
from classifiers.metrics import report
from classifiers.model import Description, EducationalClassifier, read_features, sum_of_parts, training_set
from classifiers.recipe import Recipe
from classifiers.rubric import RUBRIC_SHA256
from classifiers.windows import cut
from common.command import table
from common.documents import read_documents
from common.errors import InputError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.model import Arrays


@dataclass(frozen=True)
class OutOfFold:
    """Scores of documents by models that had not seen them."""

    raw: NDArray[np.float64]  # n
    scores: NDArray[np.float32]  # calibrated on the other folds, n
    probabilities: NDArray[np.float32]  # n, 5

    def report(self, labels: Labels) -> dict[str, Any]:
        """Figures with intervals; see :func:`classifiers.metrics.report`."""
        return report(self.scores, labels.scores, self.probabilities, labels.groups)


@dataclass(frozen=True)
class Ingredients:
    """What does not depend on the labels: the encoders, and the features of every window."""

    recipe: Recipe
    encoder: TransformerEncoder
    static: StaticEncoder | None
    features: dict[str, NDArray[np.float32]]


def prepare(
    recipe: Recipe,
    labels: Labels,
    unlabelled: Sequence[str] = (),
    advance: Callable[[int], object] | None = None,
) -> Ingredients:
    """Load and distil the encoders and embed every window once."""
    encoder = TransformerEncoder(recipe.encoder, recipe.window.tokens, recipe.layers)
    tokens = encoder.tokenize([cut(text, recipe.window) for text in labels.texts])
    static = None
    if recipe.static_dimensions:
        if recipe.static_dimensions > encoder.dimensions:
            raise SettingsError(
                f"static_dimensions ({recipe.static_dimensions}) must be at most the encoder's ({encoder.dimensions})"
            )
        more: list[Tokens] = [*tokens, *encoder.tokenize([cut(text, recipe.window) for text in unlabelled])]
        static = distill(encoder, more, recipe.static_dimensions)
    return Ingredients(recipe, encoder, static, read_features(encoder, static, tokens, advance=advance))


def cross_validate(ingredients: Ingredients, labels: Labels, count: int) -> OutOfFold:
    """Score every window by a model fitted on the other folds; groups of near-duplicates stay in one fold.

    Args:
        ingredients: of :func:`prepare`, for the same labels.
        labels: the gradings.
        count: number of folds.
    """
    recipe = ingredients.recipe
    fold = folds(labels, count, recipe.seed)
    raw = np.empty(len(labels))
    for number in range(count):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        fitted = fit_parts(recipe, _rows(ingredients.features, outside), labels.scores[outside])
        raw[inside] = sum_of_parts(recipe.parts, fitted, _rows(ingredients.features, inside))
    scores = np.empty(len(labels), np.float32)
    probabilities = np.empty((len(labels), len(THRESHOLDS)), np.float32)
    for number in range(count):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        calibration = fit_calibration(raw[outside], labels.scores[outside])
        scores[inside] = calibration.score(raw[inside])
        for column, threshold in enumerate(THRESHOLDS):
            probabilities[inside, column] = calibration.probability(raw[inside], threshold)
    return OutOfFold(raw, scores, probabilities)


def train(ingredients: Ingredients, labels: Labels) -> tuple[EducationalClassifier, OutOfFold]:
    """Fit on all labels; calibrate on cross-validated scores, which also give the figures it is published with."""
    recipe = ingredients.recipe
    unseen = cross_validate(ingredients, labels, recipe.folds)
    classifier = EducationalClassifier(
        description=Description(
            kind="educational_classifier",
            format=1,
            encoder=recipe.encoder,
            encoder_sha256=ingredients.encoder.digest,
            window=recipe.window,
            layers=recipe.layers,
            parts=recipe.parts,
        ),
        calibration=fit_calibration(unseen.raw, labels.scores),
        heads=fit_parts(recipe, ingredients.features, labels.scores),
        static=ingredients.static,
        training_set=training_set(labels),
        about={
            "recipe": recipe.model_dump(mode="json"),
            "labels": {
                "documents": len(labels),
                "gradings": int(labels.gradings.sum()),
                "digest": labels.digest,
            },
            "rubric_sha256": RUBRIC_SHA256,
            "cross_validation": {"folds": recipe.folds} | unseen.report(labels),
        },
    )
    return classifier, unseen


def cross_validated(
    classifier: EducationalClassifier,
    labels: Labels,
    count: int,
    unlabelled: Sequence[str] = (),
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Figures of the recipe that made ``classifier``, cross-validated over ``count`` folds of ``labels``.

    Raises:
        InputError: if the classifier does not say how it was made.
    """
    if "recipe" not in classifier.about:
        raise InputError("this classifier does not record its recipe, so it cannot be cross-validated")
    recipe = Recipe.parse(classifier.about["recipe"], where="the classifier's recipe")
    ingredients = prepare(recipe, labels, unlabelled, advance)
    return {"folds": count} | cross_validate(ingredients, labels, count).report(labels)


def measured(
    classifier: EducationalClassifier, labels: Labels, advance: Callable[[int], object] | None = None
) -> dict[str, Any]:
    """Figures of a classifier as it stands; ``labels`` must be new to it (:meth:`EducationalClassifier.unseen`)."""
    found = classifier.measure(labels.texts, advance=advance)
    return report(found.scores, labels.scores, found.probabilities, labels.groups)


def read_texts(source: str | None) -> list[str]:
    """The texts of a documents table; none if it is not named."""
    return [str(row["text"]) for row in read_documents(source)] if source else []


def summary(figures: Mapping[str, Any]) -> str:
    """Figures as tables for people."""

    def shown(value: Mapping[str, float] | None) -> str:
        return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else "-"

    overall = {name: shown(figures[name]) for name in ("spearman", "quadratic_kappa", "mean_absolute_error")}
    names = ("auc", "best_f1", "f1", "precision", "recall")
    rows = [
        {"grade at least": int(threshold), "positives": at["positives"]}
        | {name: shown(at[name]) for name in names}
        | {"calibration_error": at["calibration_error"]}
        for threshold, at in figures["thresholds"].items()
    ]
    return "\n\n".join([table([{"documents": figures["documents"]} | overall]), table(rows)])


def fit_parts(
    recipe: Recipe, features: dict[str, NDArray[np.float32]], scores: NDArray[np.float64]
) -> tuple[Arrays, ...]:
    """Fit every part of a recipe."""
    return tuple(
        heads.fit(part.head, [features[source] for source in part.reads], scores, recipe.seed) for part in recipe.parts
    )


def _rows(features: dict[str, NDArray[np.float32]], places: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    return {source: values[places] for source, values in features.items()}
