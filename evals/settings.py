"""Settings of ``evals``, apart from the code that needs torch, so that help is quick."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt

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
