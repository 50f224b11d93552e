"""How fast this machine multiplies matrices: what a training's speed is held against."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

REPEATS = 5


def matmul_peak(dtype: torch.dtype, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """FLOP/s of a square matrix product, the best of five: on a busy machine the others are interrupted.

    Args:
        dtype: of the matrices.
        device: where they lie; on a CPU torch's own number of threads is used.
        clock: seconds; give ``time.process_time`` for FLOP a CPU-second.
    """
    import torch

    side = 8192 if device.type == "cuda" else 1024
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    product = torch.empty_like(a)
    best = float("inf")
    for _ in range(1 + REPEATS):  # the first one warms up; it is no faster than the others
        began = clock()
        torch.mm(a, b, out=product)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - began)
    return 2 * side**3 / best
