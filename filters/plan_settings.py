"""What a plan samples, what it is for, and what things cost, as settings."""

from __future__ import annotations

from typing import Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from common.settings import Settings

_DEFAULT_SHARE, _MIN_SAMPLE_BYTES, _MAX_SAMPLE_BYTES = 0.1, 2 << 20, 64 << 20


class Planning(Settings):
    """What is sampled, what the prediction is for, and what things cost."""

    sample_fraction: float | None = Field(default=None, gt=0, le=1, description="of the input's bytes, to be read")
    sample_bytes: PositiveInt | None = Field(
        default=None, description="or how many; if neither is given a tenth, at least 2 MiB and at most 64 MiB"
    )
    seed: NonNegativeInt = Field(default=0, description="of the draw")
    total_bytes: PositiveInt | None = Field(
        default=None, description="predict for an input of so many bytes like these, instead of the job's own"
    )
    documents: PositiveInt | None = Field(default=None, description="or of so many documents like these")
    duplicate_fraction: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="take so many of the documents that pass the rules for copies: a small sample cannot tell",
    )
    price_core_hour: NonNegativeFloat | None = Field(default=None, description="USD")
    price_gpu_hour: NonNegativeFloat | None = Field(default=None, description="USD; needs --gpu-documents-s")
    price_tb_month: NonNegativeFloat | None = Field(default=None, description="USD for 10^12 bytes of disk")
    gpu_documents_s: PositiveFloat | None = Field(
        default=None,
        description="documents a second that the full model scores on one GPU: its part is then counted in GPU hours",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for one, other in (("sample_fraction", "sample_bytes"), ("total_bytes", "documents")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        if self.price_gpu_hour is not None and self.gpu_documents_s is None:
            raise ValueError("price_gpu_hour needs gpu_documents_s: no GPU is measured here")
        return self

    @property
    def for_other_input(self) -> bool:
        """Whether the prediction is not for the job's own input."""
        return self.total_bytes is not None or self.documents is not None

    def bytes_to_read(self, total: int) -> int:
        """Size of the sample from an input of ``total`` bytes."""
        if self.sample_bytes is not None:
            return min(total, self.sample_bytes)
        if self.sample_fraction is not None:
            return max(1, round(total * self.sample_fraction))
        return min(total, max(_MIN_SAMPLE_BYTES, min(round(total * _DEFAULT_SHARE), _MAX_SAMPLE_BYTES)))
