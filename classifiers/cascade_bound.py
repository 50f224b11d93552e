"""What a calibration sample proves about documents that the full model will not see.

Documents are sorted into bins by their first-stage score. The tokens of a bin that would be decided unseen are known;
the chance that such a decision is wrong is not, but the calibration documents of the bin, which the full model did
score, tell of it. So each calibration document stands for a known number of tokens, and the question is whether the
tokens that would be decided wrongly may be as many as allowed.

The test is a bet against that (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting", JRSS B 86): a capital of 1 is multiplied, for every calibration document, by 1 + β(m - x) / top, where x is
the tokens it stands for if its decision was wrong and else 0, m the mean of x if the wrong tokens were just as many as
allowed, and top the largest x possible. If they were more, the capital would not be expected to grow, and by Markov's
inequality exceeds 1/δ with a chance of at most δ. That holds for any number of documents and any distribution, and for
documents that are independent but not alike (the mean of the factors bounds their product's root). Bets of several
sizes β are held, and their mean is a bet too, so none has to be chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETS = (0.05, 0.15, 0.3, 0.5, 0.75)


def log_evidence(
    wrong: NDArray[np.int64], documents: NDArray[np.int64], tokens: NDArray[np.float64], allowed: float
) -> float:
    """Logarithm of the evidence that fewer than ``allowed`` tokens would be decided wrongly.

    At least log(1/δ) proves it with confidence 1-δ.

    Args:
        wrong: calibration documents of each bin that the first stage decided otherwise than the full model.
        documents: calibration documents of each bin, at least one.
        tokens: of each bin that would be decided unseen.
        allowed: tokens, more than 0.

    >>> one_bin = np.array([0]), np.array([300]), np.array([1e6])
    >>> log_evidence(*one_bin, allowed=2e4) > np.log(1 / 0.05) > log_evidence(*one_bin, allowed=8e3)
    True
    """
    stands_for = tokens / documents
    top = float(stands_for.max())
    if not top:  # nothing is decided unseen
        return float("inf")
    mean = allowed / int(documents.sum())
    bets = np.array(BETS)[:, None]
    right = np.log1p(bets[:, 0] * mean / top) * int((documents - wrong).sum())
    capital = right + (wrong * np.log1p(bets * (mean - stands_for) / top)).sum(axis=1)
    return float(np.logaddexp.reduce(capital) - np.log(len(BETS)))


def widest_proven(
    wrong: NDArray[np.int64],
    documents: NDArray[np.int64],
    tokens_of_steps: NDArray[np.float64],
    allowed: float,
    error_chance: float,
) -> int:
    """How many steps may be taken: the last of a row of tests that all succeed.

    Step k would leave ``tokens_of_steps[k]`` tokens undecided by the full model, more with each step. The steps are
    tested in this order, each at the whole ``error_chance``, until the first that fails: fixed-sequence testing needs
    no correction for their number (Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then test", §3.2).

    Args:
        wrong: see :func:`log_evidence`; bins.
        documents: the same.
        tokens_of_steps: steps, bins.
        allowed: tokens.
        error_chance: δ.
    Returns:
        The number of steps proven; 0 if not even the first is.
    """
    goal = np.log(1 / error_chance)
    for step, tokens in enumerate(tokens_of_steps):
        if log_evidence(wrong, documents, tokens, allowed) < goal:
            return step
    return len(tokens_of_steps)
