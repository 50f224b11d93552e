"""The audit of a cascade on the very documents that it decides: nothing is assumed about them.

Of the documents that the first stage decided alone some are drawn and scored by the full model after all. They are
drawn by their tokens, each by a keyed hash of its id: who draws, and in which order, makes no difference. A document
is drawn with the chance ``draws × tokens / all tokens``, at most 1, so each error that is found stands for the same
number of tokens, and the number of errors found is a sum of independent draws whose upper and lower limits are those
of a Poisson count (Hoeffding 1956: independent draws of unlike chances spread less than alike ones; Garwood 1936).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEY = b"edusieve audit 1"


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        documents: drawn.
        wrong: those of them that the first stage had decided otherwise than the full model.
        tokens: estimate of the tokens that are decided wrongly.
        low: lower limit of these tokens.
        high: upper limit.
    """

    documents: int
    wrong: int
    tokens: float
    low: float
    high: float


def draw(ids: Iterable[str], tokens: NDArray[np.int64], draws: int) -> NDArray[np.bool_]:
    """Which documents are audited, bool[n]; about ``draws`` of them.

    Args:
        ids: n.
        tokens: n.
        draws: about how many.
    """
    chances = draw_chances(tokens, draws)
    return np.array([_uniform(name) < chance for name, chance in zip(ids, chances, strict=True)], np.bool_)


def draw_chances(tokens: NDArray[np.int64], draws: int) -> NDArray[np.float64]:
    """The chance of each document to be drawn, n."""
    return np.minimum(1.0, draws * tokens / max(1, int(tokens.sum())))


def judge(
    tokens: NDArray[np.int64],
    drawn: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    draws: int,
    confidence: float,
) -> Audit:
    """Estimate and limits of the tokens decided wrongly, each limit with ``confidence`` by itself.

    Args:
        tokens: of all documents that could be drawn, n.
        drawn: as :func:`draw` gave it for the same ``tokens`` and ``draws``, n.
        wrong: documents drawn that were decided otherwise than by the full model, n.
        draws: about how many.
        confidence: of a limit.
    """
    from scipy.special import gammaincinv

    sure = draw_chances(tokens, draws) >= 1  # seen for certain: nothing to estimate
    known = int(tokens[wrong & sure].sum())
    found = int((wrong & ~sure).sum())
    stands_for = 0.0 if sure.all() else int(tokens.sum()) / draws  # tokens ÷ chance, the same for all the others
    low = float(gammaincinv(found, 1 - confidence)) if found else 0.0
    high = float(gammaincinv(found + 1, confidence))
    estimate = (known + stands_for * count for count in (found, low, high))
    return Audit(int(drawn.sum()), int(wrong.sum()), *estimate)


def _uniform(name: str) -> float:
    # a lone surrogate may stand in an id that came from a damaged page
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=_KEY).digest()
    return int.from_bytes(digest, "big") / 2**64
