"""Exact duplicates over the whole job: of documents with the same text, the first stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def first_copies(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For every document the position of the first one with the same hash; its own position if it is the first.

    Args:
        hashes: uint64[n, 2], the 128 bits of each text's hash.
    Returns:
        int64[n].

    >>> import numpy as np
    >>> first_copies(np.uint64([[7, 1], [7, 2], [7, 1], [7, 1]]))
    array([0, 1, 0, 0])
    """
    import numpy as np

    if not len(hashes):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: within a group in order of position
    ordered = hashes[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first
