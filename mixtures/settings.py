"""Settings of ``mixtures``, apart from the code that needs numpy, so that help is quick."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from common.settings import Settings

ORDER_VERSION = 1
"""Part of every digest and of a run's settings. Raise it when the same settings would give another order."""


class TokenizeSettings(Settings):
    """How a corpus becomes token shards."""

    text_column: str = Field(default="text", description="column that holds the text")
    id_column: str = Field(
        default="id", description="column that holds the document's id; if it is the text's, a hash of it"
    )
    text_files: str | None = Field(
        default=None, description="CORPUS is a folder in which each file of this pattern is a document, such as '*.py'"
    )
    held_out_fraction: float = Field(
        default=0.01, ge=0, le=0.5, description="share of the documents that is kept out of the shards for evaluation"
    )
    threads: PositiveInt = Field(default=1, description="threads that encode; the result is the same for any number")
