"""The budget cut: the best documents that fit a number of tokens, exact within one document.

Order the pool by score, highest first, equal scores by a keyed hash of the id; keep the longest prefix whose tokens
fit the budget. Adding the next document would pass it. Neither the order of the rows nor how they were sharded, nor
any float sum, takes part in the decision: scores are compared as bit patterns and tokens are added as integers.

Nothing is sorted but the documents that share the score at the cut. A float32 has 32 bits, so two histograms of
tokens, over the upper and then the lower 16 bits, find that score in two passes: ten million rows take less than a
second, and beyond the columns themselves the memory is a block of rows and 65,536 counters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import IntegrityError, SettingsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 1 << 20
_TIE_KEY = b"edusieve budget cut 1"


@dataclass(frozen=True)
class Cut:
    """What is kept of a pool.

    Attributes:
        threshold: the lowest score that was kept; infinity if not even the first document fits.
        kept: one bool a row, in the order of the input.
        kept_tokens: their sum; at most the budget.
        ties: documents whose score equals the threshold, kept or not. Only among these the keyed hash decided.
    """

    threshold: float
    kept: NDArray[np.bool_]
    kept_tokens: int
    ties: int


def cut(
    scores: NDArray[np.float32], tokens: NDArray[np.int64], ids: Sequence[str] | NDArray[Any], budget_tokens: int
) -> Cut:
    """Keep the highest scores whose tokens fit ``budget_tokens``.

    Args:
        scores: float32[n], finite.
        tokens: integers[n], not negative.
        ids: n distinct strings; only those at the threshold are looked at.
        budget_tokens: positive, at most the tokens of the pool.
    Raises:
        SettingsError: if the pool holds fewer tokens than the budget.
        IntegrityError: if the columns do not belong together, a score is not finite or a token count is negative.

    >>> import numpy as np
    >>> cut(np.float32([1, 5, 3]), np.array([10, 20, 30]), ["a", "b", "c"], 55)
    Cut(threshold=3.0, kept=array([False,  True,  True]), kept_tokens=50, ties=1)
    """
    import numpy as np

    scores, tokens = np.asarray(scores, dtype=np.float32), np.asarray(tokens, dtype=np.int64)
    _check(scores, tokens, ids)
    pool_tokens = int(tokens.sum())
    check_budget(budget_tokens, pool_tokens, len(scores))
    if budget_tokens == pool_tokens:  # nothing is left to decide
        threshold = scores.min()
        return Cut(float(threshold), np.ones(len(scores), dtype=bool), pool_tokens, int((scores == threshold).sum()))

    edge, kept_tokens = _edge(scores, tokens, budget_tokens)
    pattern = _sortable(scores)
    kept = pattern > edge
    at_edge = np.flatnonzero(pattern == edge)
    by_hash = at_edge[np.argsort(_tie_hashes(ids, at_edge), kind="stable")]
    running = kept_tokens + np.cumsum(tokens[by_hash])
    taken = by_hash[: int(np.searchsorted(running, budget_tokens, side="right"))]
    kept[taken] = True
    if not kept.any():
        return Cut(float("inf"), kept, 0, 0)
    threshold = scores[kept].min()
    return Cut(float(threshold), kept, int(tokens[kept].sum()), int((scores == threshold).sum()))


def check_budget(budget_tokens: int, pool_tokens: int, documents: int) -> None:
    """Refuse a budget that is not positive or larger than the pool.

    Raises:
        SettingsError: naming both numbers.
    """
    if budget_tokens < 1:
        raise SettingsError(f"budget_tokens must be positive, got {budget_tokens}")
    if budget_tokens > pool_tokens:
        raise SettingsError(
            f"budget_tokens is {budget_tokens:,} but the pool holds only {pool_tokens:,} tokens in {documents:,} "
            f"documents; lower the budget, loosen the rules or add input"
        )


def _check(scores: NDArray[np.float32], tokens: NDArray[np.int64], ids: Sequence[str] | NDArray[Any]) -> None:
    import numpy as np

    if not len(scores) == len(tokens) == len(ids):
        raise IntegrityError(f"{len(scores)} scores, {len(tokens)} token counts and {len(ids)} ids do not match")
    if len(tokens) and int(tokens.min()) < 0:
        raise IntegrityError(f"a document has {int(tokens.min())} tokens")
    for block in _blocks(len(scores)):
        if not np.isfinite(scores[block]).all():
            row = block.start + int(np.flatnonzero(~np.isfinite(scores[block]))[0])
            raise IntegrityError(f"the score of document {ids[row]!r} is {float(scores[row])}, not a finite number")


def _edge(scores: NDArray[np.float32], tokens: NDArray[np.int64], budget_tokens: int) -> tuple[int, int]:
    """Bit pattern of the highest score that does not fit as a whole, and the tokens of all scores above it."""
    upper, above = _first_past(scores, tokens, budget_tokens, prefix=None, above=0)
    lower, above = _first_past(scores, tokens, budget_tokens, prefix=upper, above=above)
    return (upper << 16) | lower, above


def _first_past(
    scores: NDArray[np.float32], tokens: NDArray[np.int64], budget_tokens: int, prefix: int | None, above: int
) -> tuple[int, int]:
    """The highest of 65,536 bins at which the running tokens pass the budget, and the tokens above that bin.

    Bins are the upper halves of all patterns, or the lower halves of those that begin with ``prefix``.
    """
    import numpy as np

    histogram = np.zeros(1 << 16, dtype=np.int64)
    for block in _blocks(len(scores)):
        pattern, weights = _sortable(scores[block]), tokens[block]
        if prefix is None:
            bins = pattern >> 16
        else:
            inside = (pattern >> 16) == prefix
            bins, weights = pattern[inside] & 0xFFFF, weights[inside]
        # bincount adds in float64, which is exact below 2**53; a block of a million documents stays far below
        histogram += np.bincount(bins, weights=weights, minlength=1 << 16).astype(np.int64)
    running = above + np.cumsum(histogram[::-1])
    place = int(np.searchsorted(running, budget_tokens, side="right"))
    return (1 << 16) - 1 - place, int(running[place - 1]) if place else above


def _sortable(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """IEEE 754 patterns that compare as unsigned integers the way the numbers compare; -0.0 becomes 0.0."""
    import numpy as np

    bits = (scores + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _tie_hashes(ids: Sequence[str] | NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.bytes_]:
    import numpy as np

    # a lone surrogate may stand in an id that came from a damaged page
    digests = [
        hashlib.blake2b(str(ids[row]).encode("utf-8", "surrogatepass"), digest_size=16, key=_TIE_KEY).hexdigest()
        for row in rows
    ]
    return np.array(digests, dtype="S32")


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK_ROWS) for start in range(0, rows, _BLOCK_ROWS))
