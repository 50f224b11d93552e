"""How far the scores of one classifier lie from another's on the same documents, for each source.

Two classifiers may keep the same documents and still score on different scales, and may agree on the whole while they
part on one source; a fixed threshold in somebody's job notices either. Both measures compare two distributions.

*PSI*, the population stability index (Siddiqi 2006, "Credit Risk Scorecards"), is Jeffreys' symmetric form of the
Kullback-Leibler divergence over bins: the sum of (q − p) ln(q / p), p and q the shares of the champion's and of the
challenger's scores in a bin. Bins are the deciles of the champion's scores on the same documents, so p is near 1/10.
By custom, below 0.1 is stable and above 0.25 a shift.

*KS*, the two-sample statistic of Kolmogorov and Smirnov (Smirnov 1939, "On the estimation of the discrepancy between
empirical curves of distribution for two independent samples"), is the largest distance of the two cumulative
distributions. It is read as a distance here, not as a test: the samples are the same documents, not independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Mask = NDArray[np.bool_]

BINS = 10
SMOOTHING = 0.5
"""Added to the count of every bin, so that an empty one gives a large number and not an infinite one."""
MIN_DOCUMENTS = 100
"""Of a smaller source PSI says little: two samples of n from one distribution expect 2 (bins − 1) / n (Yurdakul 2018,
"Statistical properties of population stability index"), which is 0.18 here. Such sources are put together."""
MAX_SOURCES = 50
"""Sources that are told apart; the largest."""
ALL = "all documents"
OTHERS = "other sources"


@dataclass(frozen=True)
class Drift:
    """Scores and decisions on the documents of a source."""

    source: str
    documents: int
    champion_mean: float
    challenger_mean: float
    psi: float
    ks: float
    champion_kept: int
    challenger_kept: int
    changed: int  # kept by one of them only


def psi(reference: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> float:
    """Population stability index of ``other`` against ``reference``, over deciles of the reference.

    >>> psi(np.arange(100.0), np.arange(100.0))
    0.0
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    p, q = (_shares(edges, values) for values in (reference, other))
    return float(((q - p) * np.log(q / p)).sum())


def ks(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Largest distance of the two cumulative distributions, 0 to 1.

    >>> ks(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    1.0
    """
    values = np.concatenate([left, right])
    below = [np.searchsorted(np.sort(side), values, side="right") / len(side) for side in (left, right)]
    return float(np.abs(below[0] - below[1]).max())


def by_source(
    names: Sequence[str], source: NDArray[np.int64], scores: tuple[Scores, Scores], kept: tuple[Mask, Mask]
) -> list[Drift]:
    """Drift over all documents, then for each source from the largest on, then for all small ones together.

    Args:
        names: of the sources; with fewer than two there is only one row.
        source: place in ``names`` of every document, n.
        scores: of the champion and of the challenger, n each.
        kept: what each would keep, n each.
    """
    rows = [_drift(ALL, np.arange(len(source)), scores, kept)]
    if len(names) < 2:
        return rows
    order = np.argsort(source, kind="stable")
    places = np.split(order, np.cumsum(np.bincount(source, minlength=len(names)))[:-1])
    ranked = sorted(range(len(names)), key=lambda number: (-len(places[number]), names[number]))
    large = [number for number in ranked if len(places[number]) >= MIN_DOCUMENTS][:MAX_SOURCES]
    rows += [_drift(names[number], places[number], scores, kept) for number in large]
    rest = [places[number] for number in ranked if number not in set(large)]
    return rows + ([_drift(f"{OTHERS} ({len(rest):,})", np.concatenate(rest), scores, kept)] if rest else [])


def _drift(name: str, places: NDArray[np.int64], scores: tuple[Scores, Scores], kept: tuple[Mask, Mask]) -> Drift:
    champion, challenger = (side[places] for side in scores)
    ours, theirs = (side[places] for side in kept)
    return Drift(
        source=name,
        documents=len(places),
        champion_mean=round(float(champion.mean(dtype=np.float64)), 4),
        challenger_mean=round(float(challenger.mean(dtype=np.float64)), 4),
        psi=round(psi(champion, challenger), 4),
        ks=round(ks(champion, challenger), 4),
        champion_kept=int(ours.sum()),
        challenger_kept=int(theirs.sum()),
        changed=int((ours != theirs).sum()),
    )


def _shares(edges: NDArray[np.floating[Any]], values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Share of ``values`` in every bin; a value on an edge lies below it."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + SMOOTHING
    return np.asarray(counts / counts.sum(), np.float64)
