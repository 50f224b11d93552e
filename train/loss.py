"""Next-token loss without the logits of a whole batch in memory.

16 windows of 2,048 tokens over 51,200 words are 6.7 GB of float32 logits, and as much again for their gradient. Here
the head, the softmax and their gradients are done for a few tokens at a time, in one pass: the gradient of the
cross-entropy needs nothing but the softmax, so it is formed in place of the logits while they are in the cache, and
the backward pass only scales it: the idea of Liger-Kernel's fused linear cross-entropy (Hsu et al. 2024, arXiv
2410.10989).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from common.tokenizer import END_OF_TEXT

if TYPE_CHECKING:
    from transformers import PhiForCausalLM

TOKENS_AT_ONCE = 256
"""Fewer read and write the head and its gradient too often, more leave the cache with their logits (52 MB)."""
TOKENS_AT_ONCE_ON_GPU = 4096


class LanguageModel(torch.nn.Module):
    """A Phi that maps windows of tokens to their mean loss.

    Args:
        phi: the model.
        document_mask: whether a token sees its own document only, or all of the window that comes before it.
    """

    def __init__(self, phi: PhiForCausalLM, document_mask: bool = False) -> None:
        super().__init__()
        self.phi = phi
        self.document_mask = document_mask

    def forward(self, tokens_nt: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy in nats of ``tokens_nt[:, 1:]`` given what comes before."""
        hidden_nth = self.hidden(tokens_nt[:, :-1])
        head = self.phi.lm_head
        return linear_cross_entropy(hidden_nth.flatten(0, 1), head.weight, head.bias, tokens_nt[:, 1:].flatten())

    def hidden(self, tokens_nt: torch.Tensor) -> torch.Tensor:
        """What the head reads of every token; a row a window, or all windows in one row."""
        positions_nt = None
        if self.document_mask:
            # transformers makes the mask from positions that start again; with FlashAttention only if there is one row,
            # else it masks nothing, and says nothing
            positions_nt = document_positions(tokens_nt)
            if self.phi.config._attn_implementation == "flash_attention_2":
                tokens_nt, positions_nt = tokens_nt.reshape(1, -1), positions_nt.reshape(1, -1)
        output = self.phi.model(tokens_nt, position_ids=positions_nt, use_cache=False)
        hidden_nth: torch.Tensor = output.last_hidden_state
        return hidden_nth


def document_positions(tokens_nt: torch.Tensor) -> torch.Tensor:
    """Each token's place in its document, from 0 where the document or the window begins.

    The end-of-text token ends a document for the loss of the token before it, and begins the next one for attention: so
    the first token of a document is predicted too, from nothing but the fact that one begins, and every token counts.
    """
    place_nt = torch.arange(tokens_nt.shape[1], device=tokens_nt.device).expand_as(tokens_nt)
    start_nt = torch.where(tokens_nt == END_OF_TEXT, place_nt, 0).cummax(1).values
    return place_nt - start_nt


def linear_cross_entropy(
    hidden_nh: torch.Tensor, weight_vh: torch.Tensor, bias_v: torch.Tensor, target_n: torch.Tensor
) -> torch.Tensor:
    """Mean of ``cross_entropy(hidden @ weight.T + bias, target)``, in float32."""
    loss: torch.Tensor = _LinearCrossEntropy.apply(hidden_nh, weight_vh, bias_v, target_n)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor) -> Any:
        # Half precision: sums over many tokens are kept in float32, and the mean is taken in the backward pass, where
        # the loss scale is known; dividing by the number of tokens here would underflow.
        single = weight.dtype == torch.float32
        at_once = min(len(target), TOKENS_AT_ONCE_ON_GPU if hidden.is_cuda else TOKENS_AT_ONCE)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        grad_bias = torch.zeros_like(bias, dtype=torch.float32)
        logits = hidden.new_empty(at_once, len(weight), dtype=torch.float32)  # one buffer: fresh pages cost 3%
        ones = logits.new_ones(at_once)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for x, y, grad_x in zip(*(part.split(at_once) for part in (hidden, target[:, None], grad_hidden)), strict=True):
            grad = logits[: len(x)]  # tokens, vocabulary
            if single:
                torch.addmm(bias, x, weight.t(), out=grad)
            else:
                grad.copy_(torch.addmm(bias, x, weight.t()))
            below_largest = grad.amax(1, keepdim=True) - grad.gather(1, y)
            torch.softmax(grad, 1, out=grad)  # in the logits' place
            total += (below_largest - grad.amax(1, keepdim=True).log()).sum()  # the largest word's p is 1 / sum of exp
            grad.scatter_add_(1, y, -torch.ones_like(below_largest))
            low = grad.to(hidden.dtype)
            torch.mm(low, weight, out=grad_x)
            if single:
                grad_weight.addmm_(low.t(), x)
            else:
                grad_weight += low.t() @ x
            grad_bias.addmv_(grad.t(), ones[: len(x)])
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.dtype = weight.dtype
        return total / len(target)

    @staticmethod
    def backward(ctx: Any, *grad_output: torch.Tensor) -> Any:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        scale = grad_output[0] / len(grad_hidden)
        return (
            (grad_hidden.float() * scale).to(ctx.dtype) if ctx.dtype != torch.float32 else grad_hidden.mul_(scale),
            grad_weight.mul_(scale).to(ctx.dtype),
            grad_bias.mul_(scale).to(ctx.dtype),
            None,
        )
