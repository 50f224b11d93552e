"""The one step of every datatrove pipeline here: do the unit of this rank, and publish its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from common.errors import InputError
from common.files import publish_folder
from filters.executors.plan import Counter, read_unit
from filters.executors.units import Work
from filters.spending import timed


class WorkStep(PipelineStep):  # type: ignore[misc]  # datatrove has no types
    """datatrove step that does the unit of its rank and publishes its folder.

    Args:
        name: of the stage.
        plan: folder of the plan (:mod:`filters.executors.plan`).
        work: what to do, importable by name.
    """

    type = "edusieve"

    def __init__(self, name: str, plan: Path, work: Work) -> None:
        self.name = name
        super().__init__()
        self.plan = plan
        self.work = work
        self.home = Path.cwd()

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Do the unit, unless it is done: a cluster may begin one again that had just ended."""
        self._arrive()
        unit = read_unit(self.plan, rank)
        final = Path(unit["folder"])
        if final.is_dir():
            return iter(())
        try:
            with (
                self.track_time("unit"),
                Counter(self.plan, rank) as advance,
                publish_folder(final) as folder,
                timed(folder),
            ):
                self.work(unit["values"], folder, advance)
        except OSError:
            if not final.is_dir():  # else an orphan of a killed run was quicker; equal keys, equal bytes
                raise
        return iter(())

    def _arrive(self) -> None:
        """Stand where the coordinator stands: paths of a job may be relative."""
        for folder in (self.home, self.plan):
            if not folder.is_dir():
                raise InputError(
                    f"{os.uname().nodename} has no folder {folder}: the nodes of a cluster must share the folders of "
                    "the job; put them on a file system that all nodes have"
                )
        os.chdir(self.home)
