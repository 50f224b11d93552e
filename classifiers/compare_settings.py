"""How two classifiers are compared, as settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from common.settings import Settings

DEFAULT_KEEP_FRACTION = 0.1

Metric = Literal["auc", "best_f1", "spearman", "mean_absolute_error"]


class Rule(Settings):
    """What a classifier would keep: the best of the pool up to a share of its tokens, or all from a score on."""

    keep_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=f"share of the pool's tokens that each keeps; {DEFAULT_KEEP_FRACTION} where no threshold is given",
    )
    threshold: float | None = Field(default=None, ge=0, le=5, description="keep scores of at least this instead")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.keep_fraction is not None and self.threshold is not None:
            raise ValueError(
                f"keep_fraction {self.keep_fraction:g} and threshold {self.threshold:g} exclude each other; give one"
            )
        return self

    @property
    def fraction(self) -> float:
        """The share that holds where there is no threshold."""
        return DEFAULT_KEEP_FRACTION if self.keep_fraction is None else self.keep_fraction

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"scores of at least {self.threshold:g}"
        return f"the best {100 * self.fraction:g}% of the pool's tokens"


class CompareSettings(Rule):
    """What is kept, what is told apart, and what decides."""

    source_column: str | None = Field(
        default=None,
        description="column of the pool that names where a document comes from; without it, source where there is one",
    )
    primary: Metric = Field(default="auc", description="metric that decides, named before anything is measured")
    margin: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="loss in the primary metric that is tolerated; 0: none that chance does not explain",
    )
    samples: PositiveInt = Field(default=10, description="gained and lost documents that the page quotes, each")
