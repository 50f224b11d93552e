import numpy as np
import pytest

from classifiers import heads
from classifiers.encoders import TransformerEncoder
from classifiers.finetune import fine_tune, lower_states, tuned_features
from classifiers.recipe import FineTuning
from common.errors import SettingsError
from tests.classifiers.helpers import small_labels

QUICK = FineTuning(rank=4, epochs=6, token_share=0.5, learning_rate=1e-2, head_rate=5e-2)


@pytest.fixture(scope="module")
def world(tiny_encoder):
    encoder, labels = TransformerEncoder(str(tiny_encoder), layers=(1, 2)), small_labels()
    return encoder, labels, lower_states(encoder, encoder.tokenize(labels.texts), QUICK)


def test_the_tuned_layer_learns_the_grades(world):
    encoder, labels, states = world
    tuned = fine_tune(encoder, states, labels, QUICK, seed=0)
    features = tuned_features(encoder, tuned, QUICK, states)
    assert np.corrcoef(heads.predict("logistic", tuned.head, [features]), labels.scores)[0, 1] > 0.7


def test_adapters_merged_into_the_encoder_give_the_features_they_were_trained_for(world, tiny_encoder):
    encoder, labels, states = world
    tuned = fine_tune(encoder, states, labels, QUICK, seed=0)
    merged = TransformerEncoder(str(tiny_encoder), layers=(1, 2))
    before = merged.embed(merged.tokenize(labels.texts))
    merged.add_adapters(tuned.adapters)
    after = merged.embed(merged.tokenize(labels.texts))
    assert after[:, 1] == pytest.approx(tuned_features(encoder, tuned, QUICK, states), abs=5e-3)  # states are float16
    assert np.abs(after[:, 1] - before[:, 1]).max() > 0.05
    assert after[:, 0].tobytes() == before[:, 0].tobytes()


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(world):
    encoder, labels, states = world
    first, again, other = (fine_tune(encoder, states, labels, QUICK, seed).head["coefficients"] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_fine_tuning_leaves_the_encoder_as_it_was(world):
    encoder, labels, states = world
    tokens = encoder.tokenize(labels.texts[:5])
    before = encoder.embed(tokens).tobytes()
    fine_tune(encoder, states, labels, QUICK, seed=0)
    assert encoder.embed(tokens).tobytes() == before


def test_more_trained_layers_than_are_read_are_refused(world):
    encoder, labels, _ = world
    with pytest.raises(SettingsError, match=r"fine_tune\.layers \(2\) must be less than"):
        lower_states(encoder, encoder.tokenize(labels.texts[:2]), FineTuning(layers=2))
