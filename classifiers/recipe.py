"""How a classifier is made, as settings. The same recipe and labels give the same bytes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt

from classifiers.windows import Window
from common.settings import Settings

DEFAULT_ENCODER = "all-MiniLM-L6-v2"

HeadName = Literal["ridge", "svr", "logistic", "forest", "mlp"]

STATIC = "static"
POOLED = "pooled"


def layer_name(layer: int) -> str:
    """Name of the features that are a hidden layer's mean over the tokens; layer 0 is the model's own output."""
    return f"layer_{layer}" if layer else POOLED


class Part(Settings):
    """A head, the features it reads, and its weight in the raw score."""

    head: HeadName = Field(description="form of the head")
    reads: tuple[str, ...] = Field(min_length=1, description="features, side by side in this order")
    weight: float = Field(default=1.0, description="weight in the raw score")


class Recipe(Settings):
    """Encoder, window, features and head of a classifier."""

    encoder: str = Field(
        default=DEFAULT_ENCODER,
        description="sentence-transformers model: a directory, the installed default, or a hub name",
    )
    window: Window = Field(default=Window(), description="the part of a document that is read")
    layers: tuple[NonNegativeInt, ...] = Field(
        default=(2, 3, 4),
        description="hidden layers whose mean over the tokens is read; layers above the highest are not computed; "
        "0: the output that the model was trained to give",
    )
    static_dimensions: NonNegativeInt = Field(
        default=64, description="columns of the static encoder that is distilled from it; 0: none"
    )
    head: HeadName = Field(default="svr", description="head on the features")
    folds: int = Field(default=5, ge=2, description="folds of the cross-validation that calibrates the scores")
    seed: NonNegativeInt = Field(default=0, description="of the folds, and of heads that draw")

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is fitted."""
        names = [layer_name(layer) for layer in self.layers]
        return (Part(head=self.head, reads=(*names, *([STATIC] if self.static_dimensions else []))),)
