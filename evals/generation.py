"""Written answers: the most likely continuation of many prompts, up to a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.likelihood import Scorer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Asking:
    """How questions are put to a model."""

    context_length: int
    """tokens of question and answer together"""
    batch_tokens: int
    """tokens that go through the model at once"""
    max_tokens: int
    """of a written answer; it gets half the context at most"""


def write(
    scorer: Scorer,
    prompts: Sequence[str],
    until: Sequence[str],
    asking: Asking,
    report: Callable[[int], Any] | None = None,
) -> list[str]:
    """Continue every prompt greedily, as lm-evaluation-harness does.

    Prompts of alike length go through the model together, filled up at the left. A prompt that leaves no room for the
    answer is cut off at the left.

    Args:
        scorer: holds the model.
        prompts: none may be empty.
        until: an answer ends before the first of these.
        asking: limits and batch.
        report: is called with the number of prompts after each batch.
    """
    import torch

    max_tokens = min(asking.max_tokens, asking.context_length // 2)
    tokenizer, end = scorer.tokenizer, int(scorer.tokenizer.eos_token_id)
    encoded = [ids[-(asking.context_length - max_tokens) :] for ids in scorer.encode(prompts)]
    order = sorted(range(len(prompts)), key=lambda number: -len(encoded[number]))
    written = [""] * len(prompts)
    while order:
        length = len(encoded[order[0]])
        count = max(1, asking.batch_tokens // (length + max_tokens))
        batch, order = order[:count], order[count:]
        inputs_bt = torch.full((len(batch), length), end)
        mask_bt = torch.zeros((len(batch), length), dtype=torch.long)
        for row, number in enumerate(batch):
            inputs_bt[row, length - len(encoded[number]) :] = torch.tensor(encoded[number])
            mask_bt[row, length - len(encoded[number]) :] = 1
        stopped = _stopped(tokenizer, until, length)
        with torch.inference_mode():
            output_bt = scorer.model.generate(
                inputs_bt.to(scorer.device),
                attention_mask=mask_bt.to(scorer.device),
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=end,
                stopping_criteria=[stopped],
            )
        texts = tokenizer.batch_decode(output_bt[:, length:].tolist(), skip_special_tokens=True)
        for number, text in zip(batch, texts, strict=True):
            written[number] = min((text.split(stop)[0] for stop in until), key=len, default=text)
        if report:
            report(len(batch))
    return written


def _stopped(tokenizer: Any, until: Sequence[str], start: int) -> Callable[..., torch.Tensor]:
    """Whether each answer of a batch holds a stop string."""
    import torch

    def stopped(ids_bt: torch.Tensor, _: torch.Tensor, **__: Any) -> torch.Tensor:
        texts = tokenizer.batch_decode(ids_bt[:, start:].tolist())
        return torch.tensor([any(stop in text for stop in until) for text in texts], device=ids_bt.device)

    return stopped
