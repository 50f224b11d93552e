"""The ledger: every token that was trained on, by source and step, with a digest of each batch.

``ledger.jsonl`` has one line a step: ``{"step": 1, "order": 1, "tokens": {"web": 6144, …}, "digest": "…"}``. The digest
is taken over the tokens that went into the model, in the order of the blend, so it is the same for every number of
processes and can be recomputed from the settings and the shards alone. ``order`` is the version of the blend's order.

A step takes its windows whether or not its update was made. With fp16 an update whose gradient overflows is skipped,
and the step stands in the ledger all the same: data never depend on numerics, so that variants stay paired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import IntegrityError
from mixtures.settings import ORDER_VERSION

NAME = "ledger.jsonl"


@dataclass(frozen=True)
class Entry:
    """One step."""

    step: int
    order: int
    """:data:`mixtures.settings.ORDER_VERSION` when it was trained."""
    tokens: dict[str, int]
    digest: str

    def line(self) -> str:
        """The entry as a line of the ledger."""
        return json.dumps(vars(self)) + "\n"


def entry(
    step: int, names: Sequence[str], sources: NDArray[np.int64], prints: NDArray[np.int64], context_length: int
) -> Entry:
    """The entry of a step, from the source and the fingerprint of each of its windows, in the order of the blend."""
    counts = np.bincount(sources, minlength=len(names)) * context_length
    digest = hashlib.sha256(sources.astype("<i8").tobytes() + prints.astype("<i8").tobytes()).hexdigest()[:32]
    return Entry(step, ORDER_VERSION, dict(zip(names, counts.tolist(), strict=True)), digest)


def read(path: Path) -> list[Entry]:
    """The entries of a ledger.

    Raises:
        IntegrityError: at the first line that is not the entry of the next step.
    """
    entries = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        found = _parsed(line)
        if found is None or found.step != number:
            raise IntegrityError(f"{path}, line {number}: expected the entry of step {number}, got {line!r:.80}")
        entries.append(found)
    return entries


def totals(entries: Iterable[Entry]) -> dict[str, int]:
    """Tokens by source over all entries."""
    sums: dict[str, int] = {}
    for item in entries:
        for name, count in item.tokens.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def _parsed(line: str) -> Entry | None:
    try:
        values: Any = json.loads(line)
        tokens = {str(name): int(count) for name, count in values["tokens"].items()}
        return Entry(int(values["step"]), int(values["order"]), tokens, str(values["digest"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
