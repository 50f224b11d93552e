"""How fast the steps of a job are: what finished work left of its seconds, over the documents that it holds.

Seconds depend on the machine and its other users, and a corpus must not: they lie in the work folder, and only
``filters report`` puts them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.page import Page
from filters import corpus
from filters.decisions import FIRST
from filters.educational import ROWS
from filters.minhash import MARKS
from filters.scan import DOCUMENTS
from filters.spending import SECONDS, seconds_of


def throughput_rows(directory: Path) -> list[dict[str, Any]]:
    """Documents and CPU seconds of every step, of all work that lies in a corpus's work folder; none without one."""
    work, rows = corpus.work_folder(directory), []
    for step, (what, documents_of) in _STEPS.items():
        folders = [path.parent for path in sorted(work.glob(f"{step}/*/{SECONDS}"))]
        if folders:
            documents, seconds = sum(map(documents_of, folders)), seconds_of(folders)
            rate = documents / seconds if seconds else None
            row = {"step": step, "documents": documents, "cpu_seconds": seconds, "per_cpu_second": rate, "what": what}
            rows.append(row)
    return rows


def show_throughput(page: Page, directory: Path) -> None:
    """The section of a report on throughput, if it is known."""
    rows = throughput_rows(directory)
    if not rows:
        return
    page.heading("Throughput by step")
    page.paragraph(
        "CPU seconds of all work that lies in .work, also for earlier settings of this job. Two workers do twice as "
        "much in the same time.",
        small=True,
    )
    header = ("step", "documents", "CPU seconds", "documents per CPU second", "what it does")
    page.table(header, [tuple(row.values()) for row in rows])


def _rows_of(*names: str) -> Callable[[Path], int]:
    return lambda folder: sum(corpus.count_rows(folder / name) for name in names if (folder / name).exists())


def _length_of(name: str) -> Callable[[Path], int]:
    def length(folder: Path) -> int:
        import numpy as np

        return len(np.load(folder / name, mmap_mode="r"))

    return length


_STEPS: Mapping[str, tuple[str, Callable[[Path], int]]] = {
    "scan": ("reads, extracts, applies the rules, masks and counts tokens", _rows_of(DOCUMENTS)),
    "sign": ("makes the signatures for near-duplicates", _length_of(MARKS)),
    "deduplicate": ("finds copies over the whole job", _length_of(FIRST)),
    "screen": ("the first stage of the classifier", _length_of(ROWS)),
    "score": ("the full model", _length_of(ROWS)),
    "write": ("divides the documents into kept and dropped", _rows_of(corpus.KEPT, corpus.DROPPED)),
}
