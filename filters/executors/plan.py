"""The plan of a stage as files, so that workers on any machine know their unit and say how far they are.

``units.jsonl`` holds a line a unit and ``places`` where each begins, so that a worker reads its own among a hundred
thousand and no other; ``progress`` holds a counter of eight bytes a unit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_UNITS, _PLACES, _PROGRESS = "units.jsonl", "places", "progress"
_WORD = 8
_REST_S = 0.2


def write_plan(folder: Path, units: Iterable[Mapping[str, Any]]) -> None:
    """Write the values of every unit, to be read by their rank."""
    places = bytearray()
    with (folder / _UNITS).open("wb") as stream:
        for unit in units:
            places += stream.tell().to_bytes(_WORD, "little")
            stream.write(json.dumps(unit).encode() + b"\n")
    (folder / _PLACES).write_bytes(places)
    (folder / _PROGRESS).write_bytes(bytes(len(places)))


def read_unit(folder: Path, rank: int) -> dict[str, Any]:
    """The values of one unit."""
    with (folder / _PLACES).open("rb") as places, (folder / _UNITS).open("rb") as stream:
        places.seek(_WORD * rank)
        stream.seek(int.from_bytes(places.read(_WORD), "little"))
        unit: dict[str, Any] = json.loads(stream.readline())
    return unit


def amount_done(folder: Path) -> int:
    """The sum of all counters."""
    import numpy as np

    return int(np.fromfile(folder / _PROGRESS, "<u8").sum())


class Counter:
    """The counter of one unit. It rests between two writes: over a network each costs milliseconds."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._path, self._place = folder / _PROGRESS, _WORD * rank
        self._next_s, self._done = 0.0, 0

    def __call__(self, done: int) -> None:
        """So much of the unit is done."""
        self._done = done
        if time.monotonic() >= self._next_s:
            self._write()
            self._next_s = time.monotonic() + _REST_S

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def _write(self) -> None:
        with self._path.open("r+b") as stream:
            stream.seek(self._place)
            stream.write(self._done.to_bytes(_WORD, "little"))
