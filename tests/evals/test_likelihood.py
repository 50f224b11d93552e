import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers

from common.errors import SettingsError
from common.tokenizer import END_OF_TEXT, load_tokenizer
from evals.likelihood import HEAD_COLUMNS, Scorer, target_log_probability, windows
from tests.evals.conftest import TEXTS
from tests.evals.helpers import CONTEXT

LENGTHS = (1, 2, CONTEXT - 1, CONTEXT, CONTEXT + 1, 2 * CONTEXT + 5)


@pytest.fixture(scope="module")
def scorer(runs):
    return Scorer(runs[0] / "export", "cpu")


@pytest.fixture(scope="module")
def documents():
    random = np.random.default_rng(0)
    return [random.integers(0, 50_000, size=length).tolist() for length in LENGTHS]


def reference(scorer, ids, context_length, stride) -> float:
    """The definition, token by token: the token at position p is predicted by the window that reaches it first."""
    import torch

    sequence = [END_OF_TEXT, *ids]
    total = 0.0
    for position in range(1, len(sequence)):
        start = 0
        while position > start + context_length:
            start += stride
        with torch.no_grad():
            logits = scorer.model(torch.tensor([sequence[start:position]])).logits[0, -1].double()
        total += float(logits.log_softmax(-1)[sequence[position]])
    return total


@settings(max_examples=200, deadline=None)
@given(sample=data(), tokens=integers(0, 300), context_length=integers(1, 64))
def test_windows_predict_every_token_once_and_from_enough_context(sample, tokens, context_length):
    stride = sample.draw(integers(1, context_length))
    predicted = []
    for window in windows(0, tokens, context_length, stride):
        assert window.length <= context_length
        for position in range(window.first, window.stop + 1):
            # all that came before, or at least context - stride tokens and the one before it
            assert position - window.start >= min(position, context_length - stride + 1)
            predicted.append(position)
    assert predicted == list(range(1, tokens + 1))


@pytest.mark.parametrize("stride", [0, 5])
def test_a_stride_that_leaves_tokens_out_is_refused(stride):
    with pytest.raises(SettingsError, match=rf"stride \({stride}\) must be from 1 to the context length \(4\)"):
        list(windows(0, 10, 4, stride))


@pytest.mark.parametrize("stride", [CONTEXT, CONTEXT // 2, 7])
def test_a_batch_gives_what_the_definition_gives_token_by_token(scorer, documents, stride):
    values = scorer.log_probabilities(documents, CONTEXT, stride, batch_tokens=100)
    expected = [reference(scorer, ids, CONTEXT, stride) for ids in documents]
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=2e-6)


def test_the_batch_size_moves_a_score_in_the_seventh_digit_at_most(scorer, documents):
    one, many = (scorer.log_probabilities(documents, CONTEXT, 24, batch_tokens=size) for size in (1, 100_000))
    np.testing.assert_allclose(one, many, rtol=1e-6)


@pytest.mark.parametrize("has_bias", [True, False])
def test_logits_in_blocks_give_the_log_softmax_of_all(has_bias):
    import torch

    torch.manual_seed(0)
    hidden, weight = torch.randn(300, 8) * 4, torch.randn(2 * HEAD_COLUMNS + 5, 8)
    bias = torch.randn(len(weight)) if has_bias else None
    targets = torch.randint(0, len(weight), (300,))
    logits = torch.nn.functional.linear(hidden.double(), weight.double(), None if bias is None else bias.double())
    expected = logits.log_softmax(1)[torch.arange(300), targets]
    values = target_log_probability(hidden, targets, weight, bias)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), expected, rtol=1e-5, atol=1e-5)


def test_progress_counts_every_token_once(scorer, documents):
    counted = []
    scorer.log_probabilities(documents, CONTEXT, 24, 100, counted.append)
    assert sum(counted) == sum(LENGTHS)


def test_random_weights_predict_about_as_well_as_a_guess(scorer, documents):
    values = scorer.log_probabilities(documents, CONTEXT, 24, 1000)
    assert -values.sum() / sum(LENGTHS) == pytest.approx(math.log(51_200), rel=0.02)


def test_texts_are_encoded_as_for_training_also_those_that_hold_an_end_of_text_mark(scorer):
    texts = [text for group in TEXTS.values() for text in group]
    assert scorer.encode(texts) == [load_tokenizer().encode(text) for text in texts]


def test_a_continuation_is_the_likeliest_and_no_longer_than_asked(scorer):
    import torch

    prompt = "Rivers carry"
    text = scorer.write_on(prompt, 3)
    ids = [END_OF_TEXT, *load_tokenizer().encode(prompt)]
    for _ in range(3):
        with torch.no_grad():
            ids.append(int(scorer.model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert text == load_tokenizer().decode(ids[1 + len(load_tokenizer().encode(prompt)) :])


def test_a_gpu_that_is_not_there_is_refused(runs):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SettingsError, match="device cuda: this machine has no GPU"):
        Scorer(runs[0] / "export", "cuda")
