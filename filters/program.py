"""Which program made a result: part of every content key, so that an upgrade never reuses what it would not make."""

from __future__ import annotations

import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).parent


@functools.cache
def sources(*patterns: str) -> str:
    """Digest of source files of this package, by name or glob.

    Digested as they lie, comments and all: a key that changes too often costs time, one that does not change costs
    correctness.
    """
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in _HERE.glob(pattern)}):
        content = path.read_bytes()
        total.update(f"{path.relative_to(_HERE)} {len(content)}\n".encode() + content)
    return total.hexdigest()[:32]


def libraries(*names: str) -> dict[str, str]:
    """Versions of installed packages."""
    return {name: version(name) for name in names}
