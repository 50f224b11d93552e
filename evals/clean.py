"""Which items decontamination found clean: those that stand in no document of a corpus that was trained on.

Reads ``contamination.parquet`` of a corpus of ``filters`` and the manifest beside it. An item is not clean if it stands
in a document that was kept, or could not be looked for; where its lines were cut or its document dropped it is. Items
are known by their number in the eval file, from 0, as in ``choices.parquet``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.documents import read_rows
from common.errors import InputError
from common.files import check_files, read_manifest
from evals.tasks import SUITE

UNCHECKED = "unchecked"
FILES = {task.name: task.file for task in SUITE}
"""Eval file of a task: decontamination calls items after the file, which may be asked about in more ways than one."""
COLUMNS = ("task", "row", "class", "action", "reason")


@dataclass(frozen=True)
class Contamination:
    """Items of each task that was looked for in *all* of the corpora, and are not clean in at least one."""

    unclean: Mapping[str, frozenset[str]]

    def clean(self, task: str, items: Sequence[str]) -> NDArray[np.bool_] | None:
        """Whether each item is clean: bool[items]; None if the task was not looked for."""
        unclean = self.unclean.get(FILES.get(task, task))
        return None if unclean is None else np.array([item not in unclean for item in items])


def read_contamination(paths: Sequence[Path]) -> Contamination:
    """Join what was found in one corpus or several.

    Args:
        paths: ``contamination.parquet`` of each corpus, in its folder.
    Raises:
        InputError: if one is no such file.
        IntegrityError: if it is not the one that the manifest lists.
    """
    looked_for: list[set[str]] = []
    unclean: dict[str, set[str]] = {}
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} does not exist: name the contamination.parquet of a corpus")
        manifest = read_manifest(path.parent)
        entries = [entry for entry in manifest.get("files", []) if entry["path"] == path.name]
        tasks = (manifest.get("contamination") or {}).get("tasks")
        if not entries or tasks is None:
            raise InputError(f"{path.parent} is no corpus in which eval items were looked for (`decontaminate:`)")
        check_files(path.parent, entries)
        looked_for.append({str(task["task"]) for task in tasks})
        for row in read_rows(str(path), COLUMNS):
            in_corpus = row["reason"] is None and row["action"] == "count"
            if in_corpus or row["class"] == UNCHECKED:
                unclean.setdefault(str(row["task"]), set()).add(str(row["row"]))
    in_all = set.intersection(*looked_for) if looked_for else set()
    return Contamination({task: frozenset(unclean.get(task, ())) for task in in_all})
