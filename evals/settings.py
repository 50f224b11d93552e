"""Settings of ``evals``, apart from the code that needs torch, so that help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from common.errors import SettingsError
from common.settings import Settings


class RunSettings(Settings):
    """How held-out documents are scored."""

    stride: PositiveInt | None = Field(
        default=None,
        description="tokens between two windows of a document longer than the context; default half the context, so "
        "that every token but a document's first is predicted from at least half a context or all that came before",
    )
    max_documents: PositiveInt | None = Field(
        default=None, description="score at most so many documents a source, the first by id; default all"
    )
    sample_tokens: PositiveInt = Field(default=60, description="tokens that each model writes on from a few prompts")
    batch_tokens: PositiveInt = Field(default=8192, description="tokens that go through the model at once")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto takes a GPU where there is one")

    def resolved(self, context_length: int) -> dict[str, Any]:
        """What is done for a model of that context length.

        Raises:
            SettingsError: if the stride would leave tokens out.
        """
        stride = self.stride or max(1, context_length // 2)
        if stride > context_length:
            raise SettingsError(f"stride ({stride}) must be from 1 to the context length ({context_length})")
        return self.model_dump() | {"context_length": context_length, "stride": stride}


class TaskSettings(Settings):
    """Which benchmarks are asked, and how much of them."""

    tasks: str | None = Field(
        default=None, description="benchmarks to ask, with commas between them, or `all` of the paper's; default none"
    )
    limit: PositiveInt | None = Field(
        default=None, description="ask at most so many items a task, evenly spread over the file; default all"
    )
    max_tokens: PositiveInt | None = Field(
        default=None, description="tokens of a written answer at most; default the task's own limit"
    )


class CompareSettings(Settings):
    """What is compared, and what difference matters. To be decided before the results are looked at."""

    baseline: str | None = Field(
        default=None,
        description="compare the others with this variant alone; default: every pair, which asks more of each",
    )
    margin_probability: PositiveFloat = Field(
        default=0.005, description="differences of the probability of the right answer below this do not matter"
    )
    margin_bits: PositiveFloat = Field(
        default=0.01, description="differences in bits per byte below this do not matter"
    )
    average: PositiveInt = Field(
        default=1, description="score a run by the mean over its last so many checkpoints (`evals run --checkpoints`)"
    )
    contamination: tuple[Path, ...] = Field(
        default=(),
        description="contamination.parquet of each corpus that was trained on: repeats every verdict on clean items",
    )

    def margin(self, metric: str) -> float:
        """The margin of a metric by its name."""
        return self.margin_probability if metric == "gold_probability" else self.margin_bits
