import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.tokenizer import END_OF_TEXT
from train import loss as module
from train.loss import LanguageModel, document_positions, linear_cross_entropy
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


WINDOW = [5, 6, 7, END_OF_TEXT, 8, 9, END_OF_TEXT, END_OF_TEXT, 3, 4]


def test_positions_start_again_at_every_end_of_text():
    window = torch.tensor([WINDOW, [END_OF_TEXT, *range(9)]])
    assert document_positions(window).tolist() == [[0, 1, 2, 0, 1, 2, 0, 0, 1, 2], list(range(10))]


def language_model(document_mask: bool) -> LanguageModel:
    return LanguageModel(new_model(SIZES["nano"], context_length=16, seed=0), document_mask).eval()


@torch.no_grad()
def test_what_is_read_of_a_document_does_not_depend_on_the_document_before_if_they_are_masked_apart():
    before = torch.tensor([WINDOW, WINDOW])
    before[1, :3] = torch.tensor([100, 200, 300])
    masked, plain = (language_model(mask).hidden(before) for mask in (True, False))
    assert torch.equal(masked[0, 3:], masked[1, 3:])
    assert not torch.allclose(masked[0, :3], masked[1, :3], atol=1e-3)
    assert not torch.allclose(plain[0, 3:], plain[1, 3:], atol=1e-3)


@torch.no_grad()
def test_a_document_is_read_as_if_it_stood_alone_behind_its_end_of_text():
    model = language_model(document_mask=True)
    packed = model.hidden(torch.tensor([WINDOW]))[0]
    for start, stop in ((0, 3), (3, 6), (6, 7), (7, 10)):
        alone = model.phi.model(torch.tensor([WINDOW[start:stop]]), use_cache=False).last_hidden_state[0]
        torch.testing.assert_close(packed[start:stop], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_windows_laid_in_one_row_as_flash_attention_needs_them_give_the_same_loss(monkeypatch):
    model = language_model(document_mask=True)
    windows = torch.tensor([WINDOW, WINDOW[4:] + WINDOW[:4]])
    rows = model(windows)
    whole = model.phi.model.forward
    shapes = []

    def forward(tokens, position_ids, **rest):  # FlashAttention is not here: what it is given goes to PyTorch's own
        shapes.append(tuple(tokens.shape))
        model.phi.config._attn_implementation = "sdpa"
        return whole(tokens, position_ids=position_ids, **rest)

    monkeypatch.setattr(model.phi.model, "forward", forward)
    monkeypatch.setattr(model.phi.config, "_attn_implementation_internal", "flash_attention_2")
    torch.testing.assert_close(model(windows), rows)
    assert shapes == [(1, 18)]
