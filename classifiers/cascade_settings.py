"""What a cascade promises, and how its first stage is made, as settings."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from common.settings import Settings


class Promise(Settings):
    """How many decisions may differ from the full model's, and how surely."""

    error_fraction: float = Field(
        default=0.05, gt=0, lt=1, description="tokens decided otherwise than by the full model, of those that it keeps"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="with which they are no more")


class Making(Settings):
    """How a first stage is made."""

    teaching_windows: PositiveInt = Field(default=20_000, description="windows to learn from, at most")
    windows_each: PositiveInt = Field(default=3, description="windows of one teaching text, at most")
    calibration_documents: PositiveInt = Field(default=20_000, description="documents to calibrate with, at most")
    promise: Promise = Field(default=Promise(), description="for the table in the card; a filter job has its own")
    seed: NonNegativeInt = Field(default=0, description="of what draws")
