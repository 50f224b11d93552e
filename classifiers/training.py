"""From labels to a classifier: fit the parts, cross-validate the recipe, calibrate.

Every figure about a recipe comes from scores that a document got from a model that had not seen it, its near-duplicates
or its other gradings. The calibration of a fold's scores is fitted on the other folds, so it has not seen them either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import finetune, finetune_static, heads
from classifiers.calibration import THRESHOLDS, Calibration, fit_calibration
from classifiers.distill import check_dimensions, distill
from classifiers.encoders import Encoder, TransformerEncoder, load_encoder, one_torch_thread
from classifiers.finetune import Tuned
from classifiers.labels import Labels, folds
from classifiers.metrics import full_report
from classifiers.model import Description, EducationalClassifier, read_features, sum_of_parts, training_set
from classifiers.out_of_fold import OutOfFold
from classifiers.recipe import STATIC, Recipe, layer_name
from classifiers.rubric import RUBRIC_SHA256
from classifiers.static import StaticEncoder, StaticModel, Tokens
from classifiers.windows import head
from common.command import table
from common.documents import read_documents
from common.errors import InputError, SettingsError
from common.files import content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.model import Arrays


@dataclass(frozen=True)
class Ingredients:
    """What does not depend on the labels: the encoders, and the features of every window."""

    recipe: Recipe
    encoder: Encoder
    static: StaticEncoder | None
    features: dict[str, NDArray[np.float32]]
    states: Sequence[NDArray[Any]] = ()  # what enters the layers that are fine-tuned
    unlabelled: str | None = None  # digest of the unlabelled texts


@dataclass(frozen=True)
class Fitted:
    """What was learned from labels."""

    heads: tuple[Arrays, ...]  # one a part of the recipe
    tuned: Tuned | None = None


def prepare(
    recipe: Recipe,
    labels: Labels,
    unlabelled: Sequence[str] = (),
    *,
    advance: Callable[[int], object] | None = None,
) -> Ingredients:
    """Load and distil the encoders and embed every window once."""
    encoder = load_encoder(recipe.encoder, recipe.window.tokens, recipe.layers)
    tokens = encoder.tokenize([head(text, recipe.window) for text in labels.texts])
    static = None
    if recipe.static_dimensions:
        if not isinstance(encoder, TransformerEncoder):
            raise SettingsError(f"{recipe.encoder} is a static encoder already: say static_dimensions 0")
        check_dimensions(encoder, recipe.static_dimensions, "static_dimensions")
        more: list[Tokens] = [*tokens, *encoder.tokenize([head(text, recipe.window) for text in unlabelled])]
        static = distill(encoder, more, recipe.static_dimensions)
    if recipe.fine_tune is None:
        features = read_features(encoder, static, tokens, advance=advance)
        return Ingredients(recipe, encoder, static, features, (), _digest(unlabelled))
    states = _tuning(encoder).lower_states(encoder, tokens, recipe.fine_tune, advance)
    below = [layer for layer in recipe.layers if 0 < layer <= max(recipe.layers) - recipe.fine_tune.layers]
    features = {STATIC: static.embed(tokens)} if static else {}
    if below:
        features |= read_features(load_encoder(recipe.encoder, recipe.window.tokens, below), None, tokens)
    return Ingredients(recipe, encoder, static, features, states, _digest(unlabelled))


def work(recipe: Recipe, documents: int, count: int | None, final: bool = False) -> int:
    """Texts that pass through the encoder or its top, for a progress bar: cross-validation, and a last fit on all."""
    fits = (count - 1 if count else 0) + final
    return documents * (1 + (recipe.fine_tune.epochs * fits if recipe.fine_tune else 0))


def fit(
    ingredients: Ingredients,
    labels: Labels,
    places: NDArray[np.int64],
    seed: int,
    *,
    advance: Callable[[int], object] | None = None,
) -> Fitted:
    """Learn from the labels at ``places``: first the top of the encoder, if the recipe says so, then the heads."""
    recipe, chosen = ingredients.recipe, labels.take(places)
    tuned = None
    if recipe.fine_tune:
        states = [ingredients.states[i] for i in places]
        tuned = _tuning(ingredients.encoder).fine_tune(
            ingredients.encoder, states, chosen, recipe.fine_tune, seed, advance=advance
        )
    features = {name: values[places] for name, values in ingredients.features.items()}
    fitted = [
        heads.fit(part.head, [features[name] for name in part.reads], chosen.scores, seed)
        for part in recipe.parts[bool(tuned) :]
    ]
    return Fitted((tuned.head, *fitted) if tuned else tuple(fitted), tuned)


def predict(ingredients: Ingredients, fitted: Fitted, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Raw scores of the windows at ``places``."""
    recipe = ingredients.recipe
    features = {name: values[places] for name, values in ingredients.features.items()}
    if fitted.tuned and recipe.fine_tune:
        states = [ingredients.states[i] for i in places]
        features[layer_name(max(recipe.layers))] = _tuning(ingredients.encoder).tuned_features(
            ingredients.encoder, fitted.tuned, recipe.fine_tune, states
        )
    return sum_of_parts(recipe.parts, fitted.heads, features)


def cross_validate(
    ingredients: Ingredients,
    labels: Labels,
    count: int,
    *,
    fold: NDArray[np.int64] | None = None,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> OutOfFold:
    """Score every window by a model fitted on the other folds; groups of near-duplicates stay in one fold.

    Args:
        ingredients: of :func:`prepare`, for the same labels.
        labels: the gradings.
        count: number of folds.
        fold: of every window, 0 … count − 1; None: as :func:`classifiers.labels.folds` deals them.
        threads: folds at a time; the result does not depend on it.
        advance: called with the number of texts that were trained on, for a progress bar; see :func:`work`.
    """
    if fold is None:
        fold = folds(labels, count, ingredients.recipe.seed)
    raw, models = np.empty(len(labels)), dict[int, Fitted]()

    def score_fold(number: int) -> None:
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        fitted = fit(ingredients, labels, outside, ingredients.recipe.seed + 1 + number, advance=advance)
        models[number], raw[inside] = fitted, predict(ingredients, fitted, inside)

    with one_torch_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(score_fold, range(count)))
    scores = np.empty(len(labels), np.float32)
    probabilities = np.empty((len(labels), len(THRESHOLDS)), np.float32)
    judges = []
    for number in range(count):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        calibration = fit_calibration(raw[outside], labels.scores[outside])
        judges.append(_classifier(ingredients, models[number], calibration))
        scores[inside] = calibration.score(raw[inside])
        for column, threshold in enumerate(THRESHOLDS):
            probabilities[inside, column] = calibration.probability(raw[inside], threshold)
    return OutOfFold(raw, scores, probabilities, fold, tuple(judges))


def train(
    ingredients: Ingredients,
    labels: Labels,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> tuple[EducationalClassifier, OutOfFold]:
    """Fit on all labels; calibrate on cross-validated scores, which also give the figures it is published with."""
    recipe = ingredients.recipe
    unseen = cross_validate(ingredients, labels, recipe.folds, threads=threads, advance=advance)
    with one_torch_thread():
        fitted = fit(ingredients, labels, np.arange(len(labels)), recipe.seed, advance=advance)
    classifier = replace(
        _classifier(ingredients, fitted, fit_calibration(unseen.raw, labels.scores)),
        training_set=training_set(labels) | unseen.arrays(labels),
        about={
            "recipe": recipe.model_dump(mode="json"),
            "labels": {
                "documents": len(labels),
                "gradings": int(labels.gradings.sum()),
                "digest": labels.digest,
            },
            "unlabelled": ingredients.unlabelled,
            "rubric_sha256": RUBRIC_SHA256,
            "cross_validation": {"folds": recipe.folds} | unseen.report(labels),
        },
    )
    return classifier, unseen


def _classifier(ingredients: Ingredients, fitted: Fitted, calibration: Calibration) -> EducationalClassifier:
    """A classifier of what was learned; it does not say yet what from."""
    recipe = ingredients.recipe
    return EducationalClassifier(
        description=Description(
            kind="educational_classifier",
            format=1,
            encoder=recipe.encoder,
            encoder_sha256=ingredients.encoder.digest,
            window=recipe.window,
            layers=recipe.layers,
            parts=recipe.parts,
        ),
        calibration=calibration,
        heads=fitted.heads,
        static=ingredients.static,
        adapters=fitted.tuned.adapters if fitted.tuned else {},
    )


def cross_validated(
    classifier: EducationalClassifier,
    labels: Labels,
    count: int,
    unlabelled: Sequence[str] = (),
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> OutOfFold:
    """Scores by the recipe that made ``classifier``, cross-validated over ``count`` folds of ``labels``.

    Raises:
        InputError: if the unlabelled texts are not those that the classifier was made with.
    """
    if _digest(unlabelled) != classifier.about.get("unlabelled"):
        raise InputError(
            "the unlabelled texts are not those the classifier was made with, so its recipe cannot be repeated: "
            "name the same --unlabelled as in train, or none if there was none"
        )
    ingredients = prepare(classifier.recipe, labels, unlabelled, advance=advance)
    return cross_validate(ingredients, labels, count, threads=threads, advance=advance)


def measured(
    classifier: EducationalClassifier,
    labels: Labels,
    *,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Figures of a classifier as it stands; ``labels`` must be new to it (:meth:`EducationalClassifier.unseen`)."""
    found = classifier.measure(labels.texts, threads, advance)
    return full_report(found.scores, labels, found.probabilities)


def read_texts(source: str | None) -> list[str]:
    """The texts of a documents table; none if it is not named."""
    return [str(row["text"]) for row in read_documents(source)] if source else []


def _tuning(encoder: Encoder) -> ModuleType:
    """How this kind of encoder is fine-tuned."""
    return finetune_static if isinstance(encoder, StaticModel) else finetune


def _digest(texts: Sequence[str]) -> str | None:
    return content_key(list(texts)) if texts else None


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
