"""Settings of a training run. The defaults are the recipe of phi-1.5 (Li et al. 2023, arXiv 2309.05463, section 2).

The paper: 24 layers, 32 heads of 64, context 2048, constant learning rate 2e-4 without warm-up, weight decay 0.1,
Adam with betas 0.9 and 0.98 and epsilon 1e-7, fp16, ZeRO stage 2, batch size 2048, 150B tokens. It names neither
dropout nor gradient clipping: both are off. "Batch size 2048" has no unit there; it is taken as windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cyclopts import Parameter
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from common.errors import SettingsError
from common.settings import Settings
from mixtures.settings import ORDER_VERSION

Preset = Literal["nano", "14m", "29m", "70m", "160m", "410m", "phi_1_5"]
Precision = Literal["auto", "fp16", "bf16", "fp32"]
Attention = Literal["auto", "flash_attention_2", "sdpa", "eager"]
Schedule = Literal["matched", "paper"]

PAPER_TOKENS = {"phi_1_5": 150_000_000_000, "web_only": 150_000_000_000, "web": 300_000_000_000}
"""What the paper trained its variants on. It does not say for ``web_only``: taken as for ``phi_1_5``."""


class BatchSettings(Settings):
    """How many windows make one optimizer step."""

    windows: PositiveInt = Field(default=2048, description="global batch: windows of the context length a step")
    micro_windows: PositiveInt = Field(default=8, description="windows a device holds at once, at most")

    def division(self, world_size: int) -> tuple[int, int]:
        """Windows of a micro-step and micro-steps of a step, for each of ``world_size`` processes.

        Raises:
            SettingsError: if the windows cannot be shared out evenly.
        """
        share, rest = divmod(self.windows, world_size)
        if rest:
            raise SettingsError(
                f"batch.windows ({self.windows}) must be a multiple of the number of processes ({world_size})"
            )
        micro = next(size for size in range(min(self.micro_windows, share), 0, -1) if share % size == 0)
        return micro, share // micro


class OptimizerSettings(Settings):
    """AdamW at a constant learning rate."""

    learning_rate: PositiveFloat = Field(default=2e-4, description="constant, no warm-up; small models want more")
    weight_decay: NonNegativeFloat = Field(default=0.1, description="decoupled, on every parameter")
    beta_1: float = Field(default=0.9, ge=0, lt=1, description="decay of the mean of the gradients")
    beta_2: float = Field(default=0.98, ge=0, lt=1, description="decay of the mean of their squares")
    epsilon: PositiveFloat = Field(default=1e-7, description="added to the root of the mean square")
    max_gradient_norm: PositiveFloat | None = Field(default=None, description="clip to this norm; none: off")


class CheckpointSettings(Settings):
    """How often a run is saved. May differ when a run is continued."""

    every_steps: PositiveInt = Field(default=1000, description="save after this many steps, and at the end")
    keep: PositiveInt = Field(default=2, description="how many of the newest checkpoints stay")
    keep_every_steps: PositiveInt | None = Field(
        default=None, description="keep those of every multiple of this step for good; none: only the newest stay"
    )


class TrainSettings(Settings):
    """Everything that decides what a run computes."""

    mixture: str = Field(description="phi_1_5, web_only, web, or a YAML file")
    data: Path = Field(description="folder that holds a folder of token shards for each source")
    model: Preset = Field(default="phi_1_5", description="size of the model; nano is for CPUs")
    schedule: Schedule = Field(
        default="matched",
        description="matched: every mixture trains on the same tokens; paper: as published, web on twice as many",
    )
    tokens: PositiveInt = Field(
        default=150_000_000_000, description="tokens to train on, rounded up to whole optimizer steps"
    )
    context_length: PositiveInt = Field(default=2048, description="predicted tokens a window")
    document_mask: bool = Field(
        default=False,
        description="a token sees its own document only; off, as in the paper: the whole window before it",
    )
    seed: NonNegativeInt = Field(default=0, description="of the initial weights and the order of the windows")
    precision: Precision = Field(default="auto", description="auto: fp16 on a GPU, fp32 on a CPU")
    attention: Attention = Field(
        default="auto", description="auto: FlashAttention where it is installed and fits, else PyTorch's own"
    )
    activation_checkpointing: bool = Field(default=False, description="compute activations twice to save memory")
    compile: bool = Field(
        default=False, description="torch.compile the layers: faster after a minute; needs a C++ compiler"
    )
    batch: BatchSettings = BatchSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    order_version: Annotated[int, Parameter(show=False)] = Field(
        default=ORDER_VERSION, description="of the rule that gives the windows their order; kept with the run"
    )

    @field_validator("order_version")
    @classmethod
    def _order_is_ours(cls, value: int) -> int:
        if value != ORDER_VERSION:
            raise ValueError(f"this edusieve orders windows by version {ORDER_VERSION}; use the one that began the run")
        return value

    @model_validator(mode="before")
    @classmethod
    def _tokens_of_the_paper(cls, values: Any) -> Any:
        """``schedule: paper`` says how many tokens; whoever says it too must say the same."""
        if not isinstance(values, dict) or values.get("schedule") != "paper":
            return values
        mixture = values.get("mixture")
        if not isinstance(mixture, str) or mixture not in PAPER_TOKENS:
            raise ValueError(
                f"the paper has no mixture {mixture}: with schedule paper give {', '.join(PAPER_TOKENS)}, "
                "or give tokens and schedule matched"
            )
        published = PAPER_TOKENS[mixture]
        if values.get("tokens", published) != published:
            raise ValueError(
                f"schedule paper trains {mixture} on {published:,} tokens, got tokens {values['tokens']}: "
                "leave one of the two out"
            )
        return {**values, "tokens": published}

    @model_validator(mode="after")
    def _at_least_one_step(self) -> Self:
        if self.tokens < self.step_tokens:
            raise ValueError(
                f"tokens ({self.tokens:,}) are fewer than one step of batch.windows × context_length "
                f"({self.batch.windows:,} × {self.context_length:,} = {self.step_tokens:,}): lower one of these"
            )
        return self

    @property
    def step_tokens(self) -> int:
        """Predicted tokens of one optimizer step."""
        return self.batch.windows * self.context_length

    @property
    def steps(self) -> int:
        """Optimizer steps of the run: ``tokens`` rounded up to whole steps, so that every step is of one size."""
        return -(-self.tokens // self.step_tokens)

    @property
    def run_tokens(self) -> int:
        """Tokens the run really trains on: at least ``tokens``, and fewer than one step more."""
        return self.steps * self.step_tokens


FREE = ("data", "checkpoint.every_steps", "checkpoint.keep", "checkpoint.keep_every_steps")
"""What may change when a run is continued: it does not decide a single bit of the result.
The shards in ``data`` are held against the digest in the checkpoint."""


def differences(old: TrainSettings, new: TrainSettings) -> list[str]:
    """Settings that would make ``new`` another run than ``old``, each as ``name: old → new``."""
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return [
        f"{name}: {before[name]} → {after[name]}" for name in before if before[name] != after[name] and name not in FREE
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
