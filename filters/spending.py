"""CPU seconds and disk that the stages of a job took: kept beside their results, for plans to be measured by."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.files import read_json, write_json

SECONDS = "seconds.json"
"""In the folder of a finished piece of work: what it took."""
SPENT = "spent"
"""In the work folder: what each corpus took."""


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Leave in ``folder`` the CPU seconds of the block, with those of children that ended in it."""
    before = _cpu_seconds()
    yield
    write_json(folder / SECONDS, {"cpu_seconds": _cpu_seconds() - before})


def seconds_of(folders: Iterable[Path]) -> float:
    """CPU seconds that finished work took, all together."""
    records = (folder / SECONDS for folder in folders)
    return float(sum(read_json(record)["cpu_seconds"] for record in records if record.exists()))


def record_spending(work: Path, key: str, made: Mapping[str, Sequence[Path]]) -> None:
    """Keep what a corpus took: seconds by step, and the bytes of all folders that it is made of.

    Args:
        work: the work folder.
        key: of the corpus.
        made: the folders of every step.
    """
    files = [path for folders in made.values() for folder in folders for path in folder.iterdir()]
    seconds = {step: seconds_of(folders) for step, folders in made.items()}
    spent = {"cpu_seconds": seconds, "bytes": sum(path.stat().st_size for path in files)}
    write_json(_record(work, key), spent)


def spent_on(work: Path, key: str) -> dict[str, Any] | None:
    """What :func:`record_spending` kept for this corpus, if it is still there."""
    record = _record(work, key)
    spent: dict[str, Any] | None = read_json(record) if record.is_file() else None
    return spent


def _record(work: Path, key: str) -> Path:
    return work / SPENT / f"{key}.json"


def _cpu_seconds() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
