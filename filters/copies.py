"""Copies in a whole job, from those in a sample of it: what can be said, and where nothing can.

A sample sees a copy only if it holds both documents. Of the copies within it, projected as everything else is, there
are *at least* so many in the job. Each *pair* of copies, weighted by one over the chance that both were drawn (Horvitz
and Thompson 1952, JASA 47), estimates the pairs of the job, of which there are *at least* as many as documents to be
dropped, and just as many where copies come in twos. So the truth lies between; but pairs are seen in proportion to the
square of what was sampled, and from a thousandth of a crawl the upper end says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filters.estimates import Design, Estimate, exactly, gamma_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_TOLD = 0.5
"""An upper end above this share of the documents tells nothing."""


@dataclass(frozen=True)
class CopiesOfAll:
    """Documents of the whole job that are copies.

    Attributes:
        count: the estimate by pairs, from the least to the most; if ``told`` is false the least is all that is known.
        told: whether the sample limits them from above.
    """

    count: Estimate
    told: bool

    @property
    def cases(self) -> tuple[float, ...]:
        """The count to predict with, then the ends of what it may be."""
        return (self.count.value, self.count.low, self.count.high) if self.told else (self.count.value,)


def assumed(share: float, documents: float) -> CopiesOfAll:
    """What a user takes them to be, of so many documents."""
    return CopiesOfAll(exactly(share * documents), told=True)


def estimate(design: Design, piece: NDArray[np.int64], stays: NDArray[np.int64], documents: float) -> CopiesOfAll:
    """Copies in the whole job.

    Args:
        design: how the pieces were drawn.
        piece: of each document of the sample that passed the rules: int64[n].
        stays: of each the place of the document that stays for it: int64[n].
        documents: that pass the rules in the whole job.
    """
    dropped = stays != np.arange(len(stays))
    weight = design.weights[piece]
    seen_in_class = np.bincount(stays, weights=np.where(dropped, weight, 0.0), minlength=len(stays))
    pairs_in_class = np.array([_pairs(design, piece[stays == one]) for one in np.unique(stays[dropped])])
    seen, pairs = float(seen_in_class.sum()), float(pairs_in_class.sum())
    most_pairs = float(design.weights.max() ** 2) if np.any(design.inclusion < 1) else 0.0
    least = gamma_interval(seen, float((seen_in_class**2).sum()), 0.0).low if most_pairs else seen
    most = gamma_interval(pairs, float((pairs_in_class**2).sum()) if most_pairs else 0.0, most_pairs).high
    room = documents - len(np.unique(stays))  # those seen to differ are no copies of each other
    if most > _MOST_TOLD * documents:
        return CopiesOfAll(Estimate(seen, least, max(seen, room)), told=False)
    return CopiesOfAll(Estimate(min(max(seen, pairs), room), least, min(most, room)), told=True)


def _pairs(design: Design, pieces: NDArray[np.int64]) -> float:
    """The pairs among documents that lie in these pieces, each by one over its chance of being drawn."""
    places, counts = np.unique(pieces, return_counts=True)
    weights, strata = design.weights[places], design.strata[places]
    sizes = design.sizes[strata]
    together = np.outer(counts * weights, counts * weights)
    # two pieces of one stratum are drawn together less often than two of different ones
    together *= np.where(strata[:, None] == strata[None, :], 2 * (sizes - 1) / np.maximum(sizes, 1), 1.0)
    inside = weights @ (counts * (counts - 1) / 2)
    return float(inside + np.triu(together, 1).sum())
