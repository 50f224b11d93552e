"""Which part of a document is read.

The grader and the model must see the same text: the shared labels were graded on the first 1,500 characters, so the
default reads these. Text is cut *before* it is tokenised; cutting afterwards costs 3.5 to 5 times as much on web pages.
A policy gives spans, so that policies with several windows a document need no other interface.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from common.settings import Settings


class Window(Settings):
    """The part of a document that is read."""

    policy: Literal["head"] = Field(default="head", description="head: the beginning of the document")
    characters: PositiveInt = Field(default=1500, description="length of the window, in characters")
    tokens: PositiveInt = Field(default=400, description="what the transformer reads of a window, in its own tokens")


def spans(length: int, window: Window) -> list[tuple[int, int]]:
    """Start and end of every window of a text of ``length`` characters.

    >>> spans(4000, Window(characters=1500))
    [(0, 1500)]
    """
    return [(0, min(length, window.characters))]


def cut(text: str, window: Window) -> str:
    """What is read of ``text``. Lone surrogates, which have no UTF-8 form, become question marks."""
    seen = "".join(text[start:end] for start, end in spans(len(text), window))
    return seen.encode("utf-8", "replace").decode("utf-8")


def share_seen(text: str, window: Window) -> float:
    """Share of the characters of ``text`` that lie in a window; 1 for an empty text."""
    return sum(end - start for start, end in spans(len(text), window)) / len(text) if text else 1.0
