"""A refusal: scores that are too coarse for the decision that rests on them.

A filter that keeps the best of a crawl decides at an edge, and the edge is only as fine as the scores around it.
FineWeb-Edu's scores passed through bfloat16 and came out as 233 distinct numbers; a budget over such scores is cut by
chance among the many documents that share one. Nothing in the output would show it, so it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 0.1
"""Scores at most this far from the threshold lie around it."""
MIN_DISTINCT = 50
"""Distinct scores that must lie around the threshold; bfloat16 has 13 there at a threshold of 3."""
MIN_NEAR = 200
"""With fewer documents around the threshold nothing is asked of them: a small job need not have many scores."""
MAX_TIED_SHARE = 0.01
"""Share of the kept tokens that documents may hold which share the score at the edge and are kept only in part."""
MIN_TIED = 20
"""Fewer documents than this are no sign of coarse scores, however long they are: they may be copies."""

REMEDY = (
    "use a classifier whose scores are finer (float32 throughout, a head other than a small forest), or remove "
    "duplicates first"
)


def check_resolution(
    scores: NDArray[np.float32],
    kept: NDArray[np.bool_],
    tokens: NDArray[np.int64],
    threshold: float,
    whose: str = "the classifier",
) -> None:
    """Refuse a decision at ``threshold`` that the scores are too coarse for.

    Args:
        scores: of all documents the decision was about, float32[n].
        kept: bool[n]; of equal scores at the threshold some may be kept and some not.
        tokens: int64[n], what a document weighs.
        threshold: lowest kept score.
        whose: whose scores they are, for the message.
    Raises:
        InputError: if documents that share the score at the edge, and were parted by chance, hold more than
            :data:`MAX_TIED_SHARE` of the kept tokens; or if fewer than :data:`MIN_DISTINCT` distinct scores lie
            around the threshold. It names the numbers and the remedy.
    """
    edge = np.float32(threshold)
    tied = scores == edge
    parted, tied_tokens, kept_tokens = bool((tied & ~kept).any()), int(tokens[tied].sum()), int(tokens[kept].sum())
    if parted and tied.sum() >= MIN_TIED and tied_tokens > MAX_TIED_SHARE * kept_tokens:
        raise InputError(
            f"{tied.sum():,} documents with {tied_tokens:,} tokens share the score {threshold:.6g} at the edge, more "
            f"than {MAX_TIED_SHARE:.0%} of the {kept_tokens:,} tokens that are kept, so chance and not {whose} would "
            f"choose among them: {REMEDY}"
        )
    near = scores[np.abs(scores - edge) <= NEAR]
    distinct = len(np.unique(near))
    if len(near) >= MIN_NEAR and distinct < MIN_DISTINCT:
        raise InputError(
            f"{whose} gives only {distinct} distinct scores to the {len(near):,} documents within {NEAR:g} of the "
            f"threshold {threshold:.6g}, fewer than {MIN_DISTINCT}, so the threshold decides by steps: {REMEDY}"
        )
