"""Which documents are suggested for grading, as settings."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from common.settings import Settings


class Suggestion(Settings):
    """Which documents are drawn, and how many."""

    count: PositiveInt = Field(description="documents to suggest")
    threshold: int = Field(default=3, ge=1, le=5, description="the grade whose decision is to be learned")
    random_share: float = Field(
        default=0.2, ge=0, le=1, description="share of them that is drawn at random, so that labels show the whole pool"
    )
    hold_out: bool = Field(
        default=False,
        description='give those drawn at random the split "test": train leaves them out, compare and evaluate use them',
    )
    seed: NonNegativeInt = Field(default=0, description="of the draws")
