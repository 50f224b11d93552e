"""What a calibration sample says of documents that the full model will not see.

Documents are sorted into bins by how sure the first stage is of them. The tokens of a bin that would be decided unseen
are known; how often such a decision is wrong, the calibration documents of the bin tell, which the full model did
score. So each of them stands for a known number of tokens, and the tokens decided wrongly are estimated by a weighted
sum of Poisson counts, like a death rate that is standardised by age.

Its upper limits are those of Fay and Feuer (1997, "Confidence intervals for directly standardized rates: a method based
on the gamma distribution", Statistics in Medicine 16): of a gamma distribution with the mean and the variance of the
sum once an error of the heaviest bin was added. With equal weights they are the exact ones (Garwood 1936); with unequal
ones no case is known where they fall short. They hold for any number of documents; nothing is asymptotic.

That limits what is to be *expected*. What comes out scatters around it, much where few documents may be wrong. Given
the expectation, errors of equal size are a Poisson count, and over the gamma distribution a negative binomial one
(Nelson 1970, "Confidence intervals for the ratio of two Poisson means and Poisson predictor intervals", IEEE Trans.
Reliability 19): its tail beyond what is allowed is the chance that is limited here. Documents differ in size; the size
used is the one that gives the count the variance of their sum. In a large crawl it does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def chance_of_more(
    wrong: NDArray[np.int64], documents: NDArray[np.int64], tokens: NDArray[np.float64], size: float, allowed: float
) -> float:
    """Chance, as far as the sample tells, that more than ``allowed`` tokens come out wrong.

    Args:
        wrong: calibration documents of each bin that the first stage decided otherwise than the full model.
        documents: calibration documents of each bin, at least one.
        tokens: of each bin that would be decided unseen.
        size: tokens of a document that would be decided wrongly, more than 0.
        allowed: tokens, more than 0.

    >>> one_bin = np.array([0]), np.array([300]), np.array([1e6])
    >>> chance_of_more(*one_bin, size=1.0, allowed=1.1e4) < 0.05 < chance_of_more(*one_bin, size=1.0, allowed=8e3)
    True
    """
    from scipy.special import betainc

    stands_for = tokens / documents
    top = float(stands_for.max())
    if not top:  # nothing is decided unseen
        return 0.0
    mean = float(stands_for @ wrong) + top
    scale = (float(stands_for**2 @ wrong) + top**2) / mean
    return float(betainc(allowed / size, mean / scale, scale / (scale + size)))


def widest_proven(
    wrong: NDArray[np.int64],
    documents: NDArray[np.int64],
    tokens_of_steps: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    allowed: float,
    error_chance: float,
) -> int:
    """How many steps may be taken: the last of a row of tests that all succeed.

    Step k would leave ``tokens_of_steps[k]`` tokens undecided by the full model, more with each step. The steps are
    tested in this order, each at the whole ``error_chance``, until the first that fails: fixed-sequence testing needs
    no correction for their number (Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then test", §3.2).

    Args:
        wrong: see :func:`chance_of_more`; bins.
        documents: the same.
        tokens_of_steps: steps, bins.
        sizes: steps.
        allowed: tokens.
        error_chance: δ.
    Returns:
        The number of steps proven; 0 if not even the first is.
    """
    for step, (tokens, size) in enumerate(zip(tokens_of_steps, sizes, strict=True)):
        if chance_of_more(wrong, documents, tokens, float(size), allowed) > error_chance:
            return step
    return len(tokens_of_steps)
