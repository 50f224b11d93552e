"""Fine-tune a static encoder on graded texts, end to end.

The score is an ordinal head on the mean of token vectors, so a token acts on it only through as many numbers as the
head has rows. A low-rank change of the table (``embeddings += up @ down``, as in LoRA, arXiv 2106.09685) therefore
loses nothing that training could have found, and ships as one short row a token, in the place of a transformer's
adapters. An epoch over a thousand texts takes a fraction of a second.

The functions are those of :mod:`classifiers.finetune`, for the other kind of encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.finetune import Tuned
from classifiers.labels import MAX_SCORE, Labels
from classifiers.recipe import FineTuning
from classifiers.static import EMBEDDINGS, StaticModel, mean_vectors

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    States = Sequence[NDArray[np.int64]]  # token ids of every text

DROPOUT = 0.1


def lower_states(
    encoder: StaticModel,
    tokens: Sequence[Sequence[int]],
    settings: FineTuning,
    advance: Callable[[int], object] | None = None,
) -> list[NDArray[np.int64]]:
    """What enters the trained part: the token ids of every text, int64[tokens]."""
    return [np.asarray(found, np.int64) for found in tokens]


def fine_tune(
    encoder: StaticModel,
    states: States,
    labels: Labels,
    settings: FineTuning,
    seed: int,
    *,
    advance: Callable[[int], object] | None = None,
) -> Tuned:
    """Train the table of ``encoder`` and an ordinal head on it; the encoder itself is left as it is.

    Args:
        encoder: the static encoder.
        states: of every labelled text, from :func:`lower_states`.
        labels: gradings of the same texts.
        settings: how; there is one table, so ``layers`` says nothing here.
        seed: of the first weights, the order, and the sample of tokens; the same seed gives the same bits.
        advance: called with the number of documents done; there are ``epochs`` times as many as labels.
    """
    import torch

    generator, order = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    length = float(np.sqrt(mean_vectors(encoder.vectors, states).var(axis=0).sum()))  # vectors come on any scale
    down = torch.randn(settings.rank, encoder.dimensions, generator=generator) * length / encoder.dimensions**0.5
    up = torch.nn.Parameter(torch.zeros(len(encoder.vectors), settings.rank))
    head = torch.nn.Linear(encoder.dimensions, MAX_SCORE)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    shares = torch.from_numpy(np.clip(labels.scores[:, None] - np.arange(MAX_SCORE), 0, 1)).float()
    optimizer = torch.optim.Adam(
        [
            {"params": [up], "lr": settings.learning_rate},
            {"params": head.parameters(), "lr": settings.head_rate / max(length, 1e-6)},
        ]
    )
    steps = settings.epochs * -(-len(states) // settings.batch_documents)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.02, 1 - step / steps))
    for _ in range(settings.epochs):
        drawn = order.permutation(len(states))
        for start in range(0, len(drawn), settings.batch_documents):
            places = drawn[start : start + settings.batch_documents]
            sample = [_sample(states[i], settings.token_share, order) for i in places]
            pooled = torch.from_numpy(mean_vectors(encoder.vectors, sample)) + _mean_rows(up, sample) @ down
            kept = pooled * (torch.rand(pooled.shape, generator=generator) >= DROPOUT) / (1 - DROPOUT)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(kept), shares[places]) * MAX_SCORE
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if advance:
                advance(len(places))
    change = (up.detach().numpy().astype(np.float16), down.numpy().astype(np.float16))
    return Tuned({EMBEDDINGS: change}, _arrays(head))


def tuned_features(encoder: StaticModel, tuned: Tuned, settings: FineTuning, states: States) -> NDArray[np.float32]:
    """What the tuned encoder would give: float32[n, dimensions]."""
    up, down = (part.astype(np.float32) for part in tuned.adapters[EMBEDDINGS])
    return mean_vectors(encoder.vectors, states) + mean_vectors(up, states) @ down


def _mean_rows(table: torch.Tensor, sample: Sequence[NDArray[np.int64]]) -> torch.Tensor:
    """Mean of the rows of each text's tokens; zeros for a text without tokens."""
    import torch

    starts = np.cumsum([0, *map(len, sample)])[:-1]
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(np.concatenate(sample)), table, torch.from_numpy(starts), mode="mean"
    )


def _sample(tokens: NDArray[np.int64], share: float, order: np.random.Generator) -> NDArray[np.int64]:
    count = -(-len(tokens) * share // 1)
    return order.choice(tokens, int(count), replace=False) if len(tokens) else tokens


def _arrays(head: torch.nn.Linear) -> dict[str, Any]:
    """The head as the arrays of ``logistic`` (:mod:`classifiers.heads`)."""
    columns = head.in_features
    return {
        "mean": np.zeros(columns, np.float32),
        "scale": np.ones(columns, np.float32),
        "coefficients": head.weight.detach().numpy(),
        "intercepts": head.bias.detach().numpy(),
    }
