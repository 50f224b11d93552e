import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train import loss as module
from train.loss import LanguageModel, linear_cross_entropy
from train.model import SIZES, new_model


def problem(tokens, width=8, words=50, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(words, width, generator=generator).to(dtype).requires_grad_()
    bias = torch.randn(words, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, bias, torch.randint(words, (tokens,), generator=generator)


def plain(hidden, weight, bias, target):
    return torch.nn.functional.cross_entropy((hidden @ weight.T + bias).float(), target)


@settings(max_examples=25, deadline=None)
@given(tokens=st.integers(1, 300), seed=st.integers(0, 1000))
def test_loss_and_gradients_are_those_of_cross_entropy(tokens, seed):
    ours, theirs = problem(tokens, seed=seed), problem(tokens, seed=seed)
    found, expected = linear_cross_entropy(*ours), plain(*theirs)
    (3 * found).backward()
    (3 * expected).backward()
    torch.testing.assert_close(found, expected)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_how_many_tokens_are_done_at_once_does_not_change_the_gradient(monkeypatch):
    gradients = []
    for at_once in (1, 7, 300):
        monkeypatch.setattr(module, "TOKENS_AT_ONCE", at_once)
        inputs = problem(300)
        linear_cross_entropy(*inputs).backward()
        gradients.append([x.grad for x in inputs[:3]])
    for other in gradients[1:]:
        for mine, theirs in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(mine, theirs)


def test_logits_of_a_thousand_do_not_overflow():
    hidden, weight, bias, target = problem(20)
    inputs = (hidden.detach() * 1000).requires_grad_(), weight, bias, target
    found = linear_cross_entropy(*inputs)
    found.backward()
    torch.testing.assert_close(found, plain(*inputs))
    assert all(x.grad.isfinite().all() for x in inputs[:3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gradients_are_within_one_percent_and_survive_a_loss_scale(dtype):
    ours, exact = problem(600, dtype=dtype), problem(600)
    (linear_cross_entropy(*ours) * 1024).backward()
    plain(*exact).backward()
    for mine, other in zip(ours[:3], exact[:3], strict=True):
        assert mine.grad.dtype == dtype
        assert (mine.grad.float() / 1024 - other.grad).norm() < 0.01 * other.grad.norm()


def test_a_window_is_scored_like_hugging_face_scores_it():
    phi = new_model(SIZES["nano"], 16, seed=0)
    tokens = torch.randint(50_000, (2, 17), generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(phi(tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(LanguageModel(phi)(tokens), expected)
