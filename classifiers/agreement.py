"""How far annotators agree: exact, within one grade, and Cohen's κ with quadratic weights.

κ is what remains after chance: two graders who give mostly zeros agree often without agreeing. The row *all pairs*
pools every two gradings of one window by different annotators, each pair in both orders, so that it does not depend
on who is called first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from classifiers.metrics import quadratic_kappa

Pairs = list[tuple[float, float]]


def agreement(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Agreement of every two annotators that graded windows in common.

    Args:
        rows: gradings with ``id, text, annotator, score``, such as a labels table; the first of an annotator counts.
    Returns:
        One row a pair, ``{first, second, windows, exact, within_one, quadratic_kappa}``, by name; with more than one
        pair, a last row for all pairs. κ is None where it is undefined: both gave one and the same grade throughout.
    """
    windows: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        windows[str(row["id"]), row["text"]].setdefault(str(row["annotator"]), float(row["score"]))
    pairs: dict[tuple[str, str], Pairs] = defaultdict(list)
    for scores in windows.values():
        for first, second in combinations(sorted(scores), 2):
            pairs[first, second].append((scores[first], scores[second]))
    found = [_figures(first, second, pairs[first, second]) for first, second in sorted(pairs)]
    if len(found) > 1:
        pooled = [pair for listed in pairs.values() for pair in listed]
        both_orders = pooled + [(second, first) for first, second in pooled]
        found.append(_figures("all pairs", "", both_orders) | {"windows": len(pooled)})
    return found


def _figures(first: str, second: str, pairs: Pairs) -> dict[str, Any]:
    left, right = np.array(pairs).T
    distance = np.abs(left - right)
    kappa = quadratic_kappa(left, right)
    return {
        "first": first,
        "second": second,
        "windows": len(pairs),
        "exact": round(float((distance == 0).mean()), 4),
        "within_one": round(float((distance <= 1).mean()), 4),
        "quadratic_kappa": None if kappa is None else round(kappa, 4),
    }
