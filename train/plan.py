"""What a run will be, before it starts: sizes, steps, tokens and epochs by source, FLOPs, bytes."""

from __future__ import annotations

from typing import Any

from train.model import SIZES
from train.settings import TrainSettings

CHECKPOINT_BYTES_A_PARAMETER = 12
"""Float32 weights and two Adam moments; headers, ledger and metrics come on top."""


def plan(settings: TrainSettings) -> dict[str, Any]:
    """The plan of a run. Its steps and tokens are exactly those that the run's ledger will hold.

    Raises:
        EduSieveError: if the mixture or the data do not allow the run.
    """
    from mixtures import open_blend

    size = SIZES[settings.model]
    blend = open_blend(settings.mixture, settings.data, settings.context_length, settings.seed)
    windows = settings.steps * settings.batch.windows
    return {
        "mixture": settings.mixture,
        "model": settings.model,
        "parameters": size.parameters,
        "body_parameters": size.body_parameters,
        "steps": settings.steps,
        "windows": windows,
        "tokens": settings.run_tokens,
        "asked_tokens": settings.tokens,
        "tokens_per_step": settings.step_tokens,
        "training_flops": size.training_flops(settings.run_tokens, settings.context_length),
        "checkpoint_bytes": size.parameters * CHECKPOINT_BYTES_A_PARAMETER,
        "sources": [
            {
                "source": use.source,
                "tokens": use.tokens,
                "windows": use.windows,
                "available_windows": use.available_windows,
                "epochs": use.epochs,
            }
            for use in blend.use(windows)
        ],
    }


def rounding(settings: TrainSettings) -> str:
    """One line on how the tokens that were asked for become whole steps."""
    return (
        f"{settings.tokens:,} tokens are {settings.steps:,} steps of {settings.batch.windows:,} × "
        f"{settings.context_length:,} = {settings.run_tokens:,} tokens"
        + (", rounded up to whole steps" if settings.run_tokens > settings.tokens else "")
    )
