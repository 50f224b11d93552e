import numpy as np
import pytest

from classifiers.labels import folds, gather
from classifiers.metrics import auc
from classifiers.recipe import FineTuning, Recipe
from classifiers.training import cross_validate, prepare, train
from classifiers.windows import Window
from common.errors import SettingsError
from tests.classifiers.helpers import grading, small_labels, text_of_grade

TUNED = FineTuning(rank=4, epochs=3, learning_rate=1e-2, head_rate=5e-2)


def recipe(tiny_encoder, **more) -> Recipe:
    return Recipe(encoder=str(tiny_encoder), layers=(1, 2), static_dimensions=8, folds=3, **more)


@pytest.fixture(scope="module", params=[None, TUNED], ids=["frozen", "tuned"])
def ingredients(request, tiny_encoder):
    return prepare(recipe(tiny_encoder, fine_tune=request.param), small_labels())


def test_unseen_documents_are_ranked_by_their_grades(ingredients):
    labels = small_labels()
    assert auc(labels.scores >= 3, cross_validate(ingredients, labels, 3).raw) > 0.85


def test_threads_do_not_change_a_bit(ingredients):
    one, three = (cross_validate(ingredients, small_labels(), 3, threads=n) for n in (1, 3))
    assert one.raw.tobytes() == three.raw.tobytes()
    assert one.scores.tobytes() == three.scores.tobytes()


def test_what_was_trained_scores_as_its_parts_say(ingredients, tmp_path):
    labels = small_labels()
    classifier, _ = train(ingredients, labels)
    classifier.save(tmp_path / "c")
    scores = type(classifier).load(tmp_path / "c").score(labels.texts)
    assert np.corrcoef(scores, labels.scores)[0, 1] > 0.8
    assert bool(classifier.adapters) == bool(ingredients.recipe.fine_tune)


def test_a_document_never_helps_to_score_itself(tiny_encoder):
    """Its own grade, made wrong, changes the scores of other folds and not its own raw score."""
    rows = [grading(number) for number in range(90)]
    ingredients = prepare(recipe(tiny_encoder), gather(rows))
    honest = cross_validate(ingredients, gather(rows), 3)
    labels = gather(rows)
    mine = int(np.flatnonzero(labels.scores == 2)[0])
    fold = folds(labels, 3)
    labels.scores[mine] = 2.4  # the same rounded grade, so the same folds
    assert folds(labels, 3).tolist() == fold.tolist()
    changed = cross_validate(ingredients, labels, 3)
    same = fold == fold[mine]
    assert changed.raw[same].tobytes() == honest.raw[same].tobytes()
    assert (changed.raw[~same] != honest.raw[~same]).mean() > 0.9


def test_more_static_columns_than_the_encoder_has_are_refused(tiny_encoder):
    with pytest.raises(SettingsError, match=r"static_dimensions \(64\) must be at most the encoder's \(16\)"):
        prepare(Recipe(encoder=str(tiny_encoder), layers=(1,)), small_labels())


def test_training_reads_the_graded_window_whatever_will_be_scored(tiny_encoder):
    rows = [grading(number, text=text_of_grade(number % 6, number, words=600)) for number in range(12)]
    head, whole = (
        prepare(recipe(tiny_encoder, window=Window(policy=policy)), gather(rows)).features for policy in ("head", "all")
    )
    assert all(len(row["text"]) > 2000 for row in rows)
    assert {name: values.tobytes() for name, values in head.items()} == {
        name: values.tobytes() for name, values in whole.items()
    }
