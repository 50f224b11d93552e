"""Three steps of a run, as the command makes them, against the same steps in float64 numpy."""

import numpy as np
import pytest

from mixtures import open_blend
from tests.train import reference
from tests.train.conftest import losses
from train import checkpoint as checkpoints
from train.data import read_part
from train.model import SIZES, new_model


@pytest.fixture(scope="module")
def recomputed(settings):
    """Losses, weights and Adam moments of the first three steps."""
    size, optimizer = SIZES[settings.model], settings.optimizer
    model = new_model(size, settings.context_length, settings.seed)
    weights = {name: parameter.detach().double().numpy() for name, parameter in model.named_parameters()}
    blend = open_blend(settings.mixture, settings.data, settings.context_length, settings.seed)
    moments, found = ({}, {}), []
    for step in (1, 2, 3):
        tokens = read_part(blend, step, settings.batch.windows).tokens.astype(np.int64)
        loss, gradients = reference.loss_and_gradients(weights, tokens, size.heads)
        betas = optimizer.beta_1, optimizer.beta_2
        rate, epsilon, decay = optimizer.learning_rate, optimizer.epsilon, optimizer.weight_decay
        reference.adamw(weights, moments, gradients, step, rate, betas, epsilon, decay)
        found.append(loss)
    return found, {"weights": weights, "exp_avg": moments[0], "exp_avg_sq": moments[1]}


def test_the_losses_are_those_of_a_float64_reference(recomputed, unbroken):
    assert losses(unbroken)[:3] == pytest.approx(recomputed[0], abs=2e-6)


@pytest.mark.parametrize("kind", checkpoints.TENSORS)
def test_weights_and_moments_after_three_steps_are_those_of_a_float64_reference(recomputed, unbroken, settings, kind):
    found = checkpoints.load(unbroken / "checkpoints" / "step-3").tensors(kind)
    expected = recomputed[1][kind]
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        difference = np.abs(tensor.double().numpy() - expected[name])
        # Adam makes an update of any gradient, however small: rounding errors of a weight are told in learning rates
        scale = settings.optimizer.learning_rate if kind == "weights" else np.abs(expected[name]).max()
        assert difference.max() < (5e-3 if kind == "weights" else 2e-5) * scale, name
        assert np.sqrt((difference**2).mean()) < (1e-3 if kind == "weights" else 1e-6) * scale, name
