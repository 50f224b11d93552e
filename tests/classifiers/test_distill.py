import numpy as np
import pytest

from classifiers.distill import distill, principal_components, rarity
from classifiers.encoders import TransformerEncoder
from tests.classifiers.helpers import text_of_grade


def test_a_rare_token_weighs_more_and_one_of_a_thousandth_a_half():
    weights = rarity([[0] * 989 + [1] * 8], 3)
    assert weights[2] > weights[1] > weights[0]
    tenth = rarity([[0] * 9989, [1] * 9], 2)
    assert tenth[1] == pytest.approx(0.5)


def test_principal_components_keep_the_distances_when_none_is_dropped():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    found = principal_components(vectors, 6)
    assert np.linalg.norm(found[0] - found[1]) == pytest.approx(np.linalg.norm(vectors[0] - vectors[1]), rel=1e-4)
    assert (np.diff(found.var(axis=0)) <= 1e-5).all()


def test_texts_that_are_alike_for_the_transformer_are_alike_for_its_distillation(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder), layers=(1,))
    tokens = encoder.tokenize([text_of_grade(n % 6, n, words=50) for n in range(60)])
    static = distill(encoder, tokens, 12)
    full, small = encoder.embed(tokens)[:, 0], static.embed(tokens)

    def likeness(vectors):
        centred = vectors - vectors.mean(axis=0)
        return (centred @ centred.T)[np.triu_indices(60, 1)]

    assert np.corrcoef(likeness(full), likeness(small))[0, 1] > 0.5


def test_the_tokenizers_own_marks_say_nothing(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder), layers=(1,))
    tokens = encoder.tokenize(["energy", ""])
    assert distill(encoder, tokens, 4).embed([tokens[1]]).tolist() == [[0, 0, 0, 0]]
