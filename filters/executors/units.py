"""Units of work, and their completion, which is decided by us and not by datatrove's executors that do them.

A unit is a piece of work with a folder of its own that is named by its content key: it is done when that folder
exists. datatrove's own completion marker is only the rank, which says nothing about inputs or settings, so it is not
used: a stage is launched with exactly the units that are not done.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from common import command
from common.errors import EduSieveError
from common.files import TEMPORARY_PREFIX, remove_unfinished
from filters.executors.plan import amount_done, write_plan
from filters.executors.settings import Executor, Local, Ray, Slurm

if TYPE_CHECKING:
    from filters.executors.step import WorkStep

POLL_S = 0.2
_PATIENCE_S = 10.0  # a shared file system may show a new folder late

Advance = Callable[[int], None]
Work = Callable[[Mapping[str, Any], Path, Advance], None]
"""Does one unit: (its values, the folder to write into, what to call with the amount done)."""
Watch = Callable[[], object]
"""What an executor calls several times a second while it waits."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work.

    Attributes:
        key: content key of everything that decides the result.
        values: what the work needs to know, as JSON values.
        amount: how much it is, in the unit of the stage's progress bar.
    """

    key: str
    values: Mapping[str, Any]
    amount: int


class Launched(Protocol):
    """One of datatrove's executors, made to be waited for."""

    def run(self, watch: Watch) -> str:
        """Do every unit; returns what is known about units that were lost on the way, in words.

        Raises:
            Exception: the first error that a unit raised, after the others were stopped.
        """
        ...


def run_units(
    stage: Path,
    units: Sequence[Unit],
    work: Work,
    executor: Executor,
    *,
    what: str,
    measure: str,
    warm_up: Callable[[], object] = lambda: None,
) -> None:
    """Do every unit that is not done; afterwards ``stage/<key>`` exists for all of them.

    Args:
        stage: folder of the stage.
        units: of those with equal keys one is done.
        work: importable by name, as other processes have to find it.
        executor: who does it.
        what: name for the progress bar.
        measure: its unit.
        warm_up: called once if there is anything to do by local processes, which inherit what it loads.
    Raises:
        EduSieveError: if workers were lost, and units with them; a rerun does those.
    """
    from filters.executors.step import WorkStep

    wanted = {unit.key: unit for unit in units}
    missing = _missing(stage, wanted)
    if not missing:
        return
    pending = [wanted[key] for key in missing]
    total, amount = (sum(unit.amount for unit in some) for some in (wanted.values(), pending))
    with _scratch(stage) as plan:
        write_plan(plan, ({"folder": str(stage / unit.key), "values": unit.values} for unit in pending))
        launched = _launched(executor, WorkStep(what, plan, work), len(pending), warm_up)
        with command.progress(total, measure, what, initial=total - amount) as bar:
            lost = launched.run(lambda: bar.update(total - amount + amount_done(plan) - bar.n))
            lacking = _missing(stage, missing, 0 if isinstance(executor, Local) else _PATIENCE_S)
            if lacking:
                raise EduSieveError(
                    f"{len(lacking):,} of {len(pending):,} units of the stage {what} were not finished: "
                    f"{lost or 'nobody knows why'}; what is finished is kept: run the job again, with more memory or "
                    "time a unit if that was short"
                )
            bar.update(total - bar.n)


def is_done(stage: Path, unit: Unit) -> bool:
    """Whether a unit's folder is published."""
    return (stage / unit.key).is_dir()


def _missing(stage: Path, keys: Iterable[str], patience_s: float = 0) -> list[str]:
    """Those of ``keys`` that are not published, nor become visible while patience lasts."""
    end = time.monotonic() + patience_s
    while True:
        published = {folder.name for folder in stage.iterdir()} if stage.is_dir() else set()
        missing = [key for key in keys if key not in published]
        if not missing or time.monotonic() >= end:
            return missing
        time.sleep(POLL_S)


@contextmanager
def _scratch(stage: Path) -> Iterator[Path]:
    """A folder for the time of the block; afterwards nothing unfinished is left in the stage, of killed workers either.

    A killed coordinator leaves it behind; the next one clears it away.
    """
    folder = stage.absolute() / f"{TEMPORARY_PREFIX}plan"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove_unfinished(stage)


def _launched(executor: Executor, step: WorkStep, units: int, warm_up: Callable[[], object]) -> Launched:
    """The executor that the settings ask for."""
    from loguru import logger

    logger.disable("datatrove")  # it prints every error with a traceback; ours is one line, from the coordinator
    match executor:
        case Local():
            from filters.executors.local import LocalExecutor

            warm_up()
            return LocalExecutor(executor, step, units)
        case Ray():
            from filters.executors.ray import RayExecutor

            return RayExecutor(executor, step, units)
        case Slurm():
            from filters.executors.slurm import SlurmExecutor

            return SlurmExecutor(executor, step, units)
    assert_never(executor)
