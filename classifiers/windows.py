"""Which parts of a document are read, and how the scores of its windows become one.

The grader and the model must see the same text: the shared labels were graded on the first 1,500 characters, so the
default reads these, and training always does. Other policies read more windows of that length when a document is
scored. They never overlap, and all follow one rule: a document that fits into the windows it may have is divided into
as few equal ones as hold it; a longer one is read in windows of full length, spread evenly from its first character to
its last. Text is cut *before* it is tokenised; cutting afterwards costs 3.5 to 5 times as much on web pages.

What is pooled is the *raw score* of each window, before calibration. The head was fitted to features of single graded
windows: the mean of several windows' features lies nearer the centre than any it has seen, while a score of each, and
then their mean, asks it nothing new. A document of one window scores the same under every policy and pooling.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from common.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Policy = Literal["head", "begin_middle_end", "all"]
Pooling = Literal["mean", "token_mean", "max"]

POLICY = "head: the beginning; begin_middle_end: three windows; all: the whole document, up to max_windows"
POOLING = "a document's score from its windows' scores; token_mean weighs them by the tokens that were read"
MAX_WINDOWS = "windows a document at most under policy all; a longer document is read in so many, spread evenly"


class Window(Settings):
    """The parts of a document that are read."""

    policy: Policy = Field(default="head", description=POLICY)
    characters: PositiveInt = Field(default=1500, description="length of a window, in characters")
    tokens: PositiveInt = Field(default=400, description="what the transformer reads of a window, in its own tokens")
    pooling: Pooling = Field(default="mean", description=POOLING)
    max_windows: PositiveInt = Field(default=16, description=MAX_WINDOWS)

    @property
    def most(self) -> int:
        """Windows a document at most."""
        return {"head": 1, "begin_middle_end": 3, "all": self.max_windows}[self.policy]

    @model_serializer(mode="wrap")
    def _what_matters(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what the policy does not use: the digest of a classifier must not depend on it."""
        values: dict[str, Any] = handler(self)
        unused = {"head": ("pooling", "max_windows"), "begin_middle_end": ("max_windows",), "all": ()}[self.policy]
        return {name: value for name, value in values.items() if name not in unused}


class Reading(Settings):
    """What may be read otherwise than a classifier says, when documents are scored."""

    policy: Policy | None = Field(default=None, description=f"{POLICY}; none: as the classifier says")
    pooling: Pooling | None = Field(default=None, description=f"{POOLING}; none: as the classifier says")
    max_windows: PositiveInt | None = Field(default=None, description=f"{MAX_WINDOWS}; none: as the classifier says")


def spans(length: int, window: Window) -> list[tuple[int, int]]:
    """Start and end of every window of a text of ``length`` characters: at least one, in order, without overlap.

    >>> spans(4000, Window())
    [(0, 1500)]
    >>> spans(4000, Window(policy="all"))
    [(0, 1333), (1333, 2666), (2666, 4000)]
    >>> spans(10_000, Window(policy="begin_middle_end"))
    [(0, 1500), (4250, 5750), (8500, 10000)]
    """
    count = max(1, -(-length // window.characters))
    if count <= window.most:
        edges = [length * place // count for place in range(count + 1)]
        return list(itertools.pairwise(edges))
    gaps = max(1, window.most - 1)
    starts = [(length - window.characters) * place // gaps for place in range(window.most)]
    return [(start, start + window.characters) for start in starts]


def cut(text: str, window: Window) -> list[str]:
    """The windows of ``text``. Lone surrogates, which have no UTF-8 form, become question marks."""
    return [_valid(text[start:end]) for start, end in spans(len(text), window)]


def head(text: str, window: Window) -> str:
    """The first window's worth of ``text``: what is graded and trained on, whatever the policy."""
    return _valid(text[: window.characters])


def share_seen(text: str, window: Window) -> float:
    """Share of the characters of ``text`` that lie in a window; 1 for an empty text."""
    return sum(end - start for start, end in spans(len(text), window)) / len(text) if text else 1.0


def pool(
    scores: NDArray[np.float64], counts: Sequence[int], tokens: Sequence[int], pooling: Pooling
) -> NDArray[np.float64]:
    """Scores of documents from those of their windows.

    Args:
        scores: of all windows, document after document, float64[windows].
        counts: windows of each document, at least one.
        tokens: tokens that were read of each window.
        pooling: how. A mean never leaves the range of its windows' scores but for rounding, and one window stays as it
            is to the last bit.
    Returns:
        float64[documents].
    """
    import numpy as np  # here: every command line imports this module for its settings

    if not len(counts):
        return np.empty(0)
    starts = np.cumsum([0, *counts])[:-1]
    if pooling == "max":
        return np.maximum.reduceat(scores, starts)
    weights = np.maximum(tokens, 1).astype(np.float64) if pooling == "token_mean" else np.ones(len(scores))
    weights /= np.repeat(np.add.reduceat(weights, starts), counts)
    return np.asarray(np.add.reduceat(scores * weights, starts), np.float64)


def by_documents(advance: Callable[[int], object], counts: Sequence[int]) -> Callable[[int], object]:
    """``advance`` for batches of windows: told of as many documents as the share of windows that are done."""
    windows = done = 0

    def work(batch: int) -> None:
        nonlocal windows, done
        windows += batch
        before, done = done, windows * len(counts) // sum(counts)
        advance(done - before)

    return work


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
