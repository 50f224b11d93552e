"""What a step trains on: a pure function of (mixture, seed, step), shared out over the processes.

Step ``s`` (from 1) takes windows ``(s - 1) · B`` to ``s · B`` of the blend. Process ``r`` of ``w`` takes the ``r``-th
of ``w`` equal runs of them. The batch as a whole is the same for every number of processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixtures import BlendData


@dataclass(frozen=True)
class Part:
    """One process's windows of a step."""

    tokens: NDArray[np.uint16]
    """uint16[windows, context_length + 1]"""
    sources: NDArray[np.int64]
    """int64[windows], places in the blend's names"""
    prints: NDArray[np.int64]
    """int64[windows], a fingerprint of each window's tokens"""


def windows_of(step: int, batch_windows: int, rank: int = 0, world_size: int = 1) -> tuple[int, int]:
    """The first window of the blend that ``rank`` trains on in ``step``, and the one after its last.

    >>> windows_of(3, 8), windows_of(3, 8, rank=1, world_size=2)
    ((16, 24), (20, 24))
    """
    share = batch_windows // world_size
    start = (step - 1) * batch_windows + rank * share
    return start, start + share


def read_part(blend: BlendData, step: int, batch_windows: int, rank: int = 0, world_size: int = 1) -> Part:
    """Read what ``rank`` trains on in ``step``."""
    tokens, sources = blend.read(*windows_of(step, batch_windows, rank, world_size))
    return Part(tokens, sources, np.array([_print(window) for window in tokens], dtype=np.int64))


def _print(window: NDArray[np.uint16]) -> int:
    digest = hashlib.blake2b(window.astype("<u2").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
