"""How a classifier is made, as settings. The same recipe and labels give the same bytes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt

from classifiers.windows import Window
from common.settings import Settings

DEFAULT_ENCODER = "all-MiniLM-L6-v2"

HeadName = Literal["ridge", "svr", "logistic", "forest", "mlp"]
Source = Literal["transformer", "static"]


class Part(Settings):
    """A head, the features it reads, and its weight in the raw score."""

    head: HeadName = Field(description="form of the head")
    reads: tuple[Source, ...] = Field(description="features, side by side in this order")
    weight: float = Field(1.0, description="weight in the raw score")


class Recipe(Settings):
    """Encoder, window, features and head of a classifier."""

    encoder: str = Field(
        DEFAULT_ENCODER, description="sentence-transformers model: a directory, the installed default, or a hub name"
    )
    window: Window = Field(default_factory=Window)
    static_dimensions: NonNegativeInt = Field(
        64, description="columns of the static encoder that is distilled from it; 0: none"
    )
    head: HeadName = Field("svr", description="head on the features")
    folds: int = Field(5, ge=2, description="folds of the cross-validation that calibrates the scores")
    seed: NonNegativeInt = Field(0, description="of the folds, and of heads that draw")

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is fitted."""
        sources: tuple[Source, ...] = ("transformer", "static") if self.static_dimensions else ("transformer",)
        return (Part(head=self.head, reads=sources),)
