import numpy as np
import pytest

from classifiers import heads
from classifiers.finetune_static import fine_tune, lower_states, tuned_features
from classifiers.labels import Labels
from classifiers.recipe import FineTuning, Recipe
from classifiers.static import StaticModel, write_static
from classifiers.training import cross_validate, prepare, train
from tests.classifiers.helpers import small_labels
from tests.classifiers.test_static import VECTORS, tokenizer

QUICK = FineTuning(rank=4, epochs=4, learning_rate=5e-2, head_rate=5e-2, token_share=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("static") / "model"
    write_static(path, VECTORS, tokenizer(), {})
    return path


@pytest.fixture(scope="module")
def world(folder) -> tuple[StaticModel, Labels, list]:
    model, labels = StaticModel(str(folder)), small_labels()
    return model, labels, lower_states(model, model.tokenize(labels.texts), QUICK)


def test_the_tuned_table_learns_what_a_linear_head_on_the_frozen_one_cannot(world):
    """Six random columns cannot tell forty words apart; training gives each word its own part."""
    model, labels, states = world
    tuned = fine_tune(model, states, labels, QUICK, seed=0)
    features = model.embed(states)[:, 0]
    frozen = heads.predict("ridge", heads.fit("ridge", [features], labels.scores), [features])
    found = heads.predict("logistic", tuned.head, [tuned_features(model, tuned, QUICK, states)])
    assert np.corrcoef(found, labels.scores)[0, 1] > np.corrcoef(frozen, labels.scores)[0, 1] + 0.1


def test_the_change_added_to_the_table_gives_the_features_it_was_trained_for(world, folder):
    model, labels, states = world
    tuned = fine_tune(model, states, labels, QUICK, seed=0)
    changed = StaticModel(str(folder))
    changed.add_adapters(tuned.adapters)
    assert changed.embed(states)[:, 0] == pytest.approx(tuned_features(model, tuned, QUICK, states), abs=1e-4)
    assert np.abs(changed.vectors - model.vectors).max() > 0.05


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(world):
    model, labels, states = world
    first, again, other = (fine_tune(model, states, labels, QUICK, seed).head["coefficients"] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_training_leaves_the_encoder_as_it_was_and_survives_a_text_without_tokens(world):
    model, labels, states = world
    before = model.vectors.tobytes()
    tuned = fine_tune(model, [np.empty(0, np.int64), *states[1:]], labels, QUICK, seed=0)
    assert all(np.isfinite(array).all() for array in [*tuned.adapters["embeddings"], *tuned.head.values()])
    assert model.vectors.tobytes() == before


@pytest.mark.parametrize("tuning", [None, QUICK], ids=["frozen", "tuned"])
def test_a_recipe_on_a_static_encoder_is_trained_saved_and_loaded(folder, tmp_path, tuning):
    labels = small_labels()
    recipe = Recipe(encoder=str(folder), layers=(0,), static_dimensions=0, folds=3, head="ridge", fine_tune=tuning)
    ingredients = prepare(recipe, labels)
    one, two = (cross_validate(ingredients, labels, 3, threads=n).raw for n in (1, 3))
    assert one.tobytes() == two.tobytes()
    classifier, unseen = train(ingredients, labels)
    assert np.corrcoef(unseen.raw, labels.scores)[0, 1] > 0.6
    classifier.save(tmp_path / "c")
    loaded = type(classifier).load(tmp_path / "c")
    assert loaded.score(labels.texts).tobytes() == classifier.score(labels.texts).tobytes()
    assert (tmp_path / "c" / "weights.safetensors").stat().st_size < 20_000
