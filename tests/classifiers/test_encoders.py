import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from classifiers.encoders import BATCH_TOKENS, TransformerEncoder, batches, load_encoder
from common.errors import IntegrityError, SettingsError
from tests.classifiers.architectures import ARCHITECTURES, POSITIONS, build
from tests.classifiers.helpers import text_of_grade

TEXTS = [text_of_grade(n % 6, n, words=5 + 7 * (n % 9)) for n in range(40)]


@given(lengths=lists(integers(1, 300), max_size=700))
@settings(max_examples=30, deadline=None)
def test_batches_hold_every_document_once_and_no_more_tokens_than_they_may(lengths):
    found = batches(lengths)
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[i] for i in batch) <= BATCH_TOKENS for batch in found)


@given(lengths=lists(integers(1, 300), min_size=300, max_size=600))
@settings(max_examples=10, deadline=None)
def test_a_block_is_batched_alike_whatever_follows_it(lengths):
    alone = [b.tolist() for b in batches(lengths[:256])]
    assert [b.tolist() for b in batches(lengths)][: len(alone)] == alone


def test_threads_do_not_change_a_bit(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder), layers=(1, 2))
    tokens = encoder.tokenize(TEXTS)
    assert encoder.embed(tokens, threads=3).tobytes() == encoder.embed(tokens, threads=1).tobytes()


def test_a_text_embeds_alike_alone_and_in_company(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder), layers=(1, 3))
    tokens = encoder.tokenize(TEXTS)
    together = encoder.embed(tokens)
    assert np.abs(together[3] - encoder.embed([tokens[3]])[0]).max() < 1e-5


def test_the_models_own_output_is_what_sentence_transformers_gives(tiny_encoder):
    from sentence_transformers import SentenceTransformer

    encoder = TransformerEncoder(str(tiny_encoder), layers=(0,))
    found = encoder.embed(encoder.tokenize(TEXTS))[:, 0]
    expected = SentenceTransformer(str(tiny_encoder), device="cpu").encode(TEXTS)  # of length one
    assert found / np.linalg.norm(found, axis=1, keepdims=True) == pytest.approx(expected, abs=1e-5)


class TestEveryArchitecture:
    @pytest.fixture(scope="class", params=ARCHITECTURES)
    def architecture(self, request):
        return request.param

    @pytest.fixture(scope="class")
    def folder(self, architecture, tmp_path_factory):
        return build(tmp_path_factory.mktemp(architecture), architecture, "cls" if architecture == "MPNet" else "mean")

    def test_its_own_output_is_what_sentence_transformers_gives(self, folder):
        from sentence_transformers import SentenceTransformer

        texts = [text[:150] for text in TEXTS]
        encoder = TransformerEncoder(str(folder))
        found = encoder.embed(encoder.tokenize(texts))[:, 0]
        expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
        assert found / np.linalg.norm(found, axis=1, keepdims=True) == pytest.approx(expected, abs=1e-5)

    def test_a_middle_layer_does_not_depend_on_the_layers_above_it(self, folder):
        low, whole = (TransformerEncoder(str(folder), layers=layers) for layers in ((2,), (2, 3)))
        tokens = low.tokenize(TEXTS)
        assert low.embed(tokens)[:, 0] == pytest.approx(whole.embed(tokens)[:, 0], abs=1e-6)

    def test_it_reads_as_many_tokens_as_it_has_positions(self, folder, architecture):
        encoder = TransformerEncoder(str(folder), max_tokens=1000)
        assert encoder.max_tokens == POSITIONS - (2 if architecture in {"MPNet", "Roberta"} else 0)
        assert np.isfinite(encoder.embed(encoder.tokenize([" ".join(["energy"] * 100)]))).all()


def test_a_layer_of_its_own_after_the_pooling_is_applied_and_does_not_mix_with_hidden_layers(tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = build(tmp_path, "Bert", dense=5)
    encoder = load_encoder(str(folder), 256, (0,))
    found = encoder.embed(encoder.tokenize(TEXTS))[:, 0]
    expected = SentenceTransformer(str(folder), device="cpu").encode([text[:150] for text in TEXTS])
    assert found.shape == expected.shape == (len(TEXTS), 5)
    assert load_encoder(str(folder), 256, (1, 2)).embed([[3, 4]]).shape == (1, 2, 16)
    with pytest.raises(SettingsError, match=r"output of .* has 5 columns and its layers have 16"):
        load_encoder(str(folder), 256, (0, 1))


def test_a_middle_layer_is_the_same_with_and_without_the_layers_above_it(tiny_encoder):
    low, whole = (TransformerEncoder(str(tiny_encoder), layers=layers) for layers in ((2,), (2, 3)))
    assert [len(e.layer_modules()) for e in (low, whole)] == [2, 3]
    assert low.embed(low.tokenize(TEXTS))[:, 0] == pytest.approx(whole.embed(whole.tokenize(TEXTS))[:, 0], abs=1e-6)


def test_a_long_text_is_cut_and_keeps_its_closing_mark(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder), max_tokens=10)
    tokens = encoder.tokenize([" ".join(["energy"] * 50)])
    ids, mask = encoder.pad(tokens)
    assert (ids.shape, mask.sum().item()) == ((1, 10), 10)
    assert ids[0, -1] == tokens[0][-1]


@pytest.mark.parametrize("text", ["", "\x00", "🦉" * 400, "a" * 3000, "?\n\t" * 500])
def test_a_hostile_text_still_has_a_finite_embedding(tiny_encoder, text):
    encoder = TransformerEncoder(str(tiny_encoder))
    assert np.isfinite(encoder.embed(encoder.tokenize([text]))).all()


def test_more_layers_than_there_are_is_refused(tiny_encoder):
    with pytest.raises(SettingsError, match="has 3 layers, and layer 4 was asked for"):
        TransformerEncoder(str(tiny_encoder), layers=(4,))


def test_an_adapter_for_another_model_is_refused(tiny_encoder):
    encoder = TransformerEncoder(str(tiny_encoder))
    name = f"{encoder.layer_modules()[0][0]}.attention.self.query"
    encoder.add_adapters({name: (np.ones((16, 2)), np.ones((2, 16)))})
    with pytest.raises(IntegrityError, match="does not fit"):
        encoder.add_adapters({name: (np.ones((16, 2)), np.ones((2, 15)))})
    with pytest.raises(IntegrityError, match=r"'encoder\.layer\.9\.x' does not fit"):
        encoder.add_adapters({"encoder.layer.9.x": (np.ones((16, 2)), np.ones((2, 16)))})
