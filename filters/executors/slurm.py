"""Array jobs of a Slurm cluster: datatrove submits them and runs on the nodes; here they are waited for.

datatrove returns once the jobs are submitted. Here the coordinator stays, as it does with any other executor: it shows
the counters of the units, hears of their errors through files in the plan, and of everything else that can end an
array task (its time, its memory, its node) through ``squeue``. Slurm itself begins the tasks of a failed node again.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor

from common import errors
from common.errors import EduSieveError, SettingsError
from common.files import content_key, read_json, write_json
from filters.executors.settings import Slurm
from filters.executors.step import WorkStep
from filters.executors.units import POLL_S, Watch

_QUEUE_POLL_S = 5.0  # squeue burdens the controller of the whole cluster
_MAX_SILENCE_S = 900.0  # a controller may be restarted meanwhile
_MAX_CANCEL_S = 120.0
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT"),
}


class SlurmExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's Slurm executor, waited for."""

    def __init__(self, settings: Slurm, step: WorkStep, units: int) -> None:
        self.failures = step.plan / "failures"
        self.failures.mkdir(exist_ok=True)
        logs = step.plan.parents[1] / "logs" / step.plan.parent.name
        shutil.rmtree(logs, ignore_errors=True)
        self.memory_gb = settings.memory_gb
        super().__init__(
            pipeline=[step],
            tasks=units,
            time=settings.time,
            partition=settings.partition,
            cpus_per_task=settings.cpus,
            workers=settings.workers or -1,
            job_name=f"edusieve-{step.plan.parent.name}-{content_key(str(step.plan))[:8]}",
            qos=None,
            env_command=settings.environment or _this_environment(),
            sbatch_args={name: str(value) for name, value in settings.sbatch.items()},
            max_array_size=settings.max_array_size,
            logging_dir=str(step.plan / "datatrove"),
            slurm_logs_folder=str(logs),
            skip_completed=False,
            tasks_per_job=settings.units_per_task,
        )

    def run(self, watch: Watch | None = None) -> str:
        """Run every rank; the first error ends all jobs. On a node, datatrove's launcher calls it without ``watch``."""
        if watch is None:
            super().run()
            return ""
        if absent := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
            raise SettingsError(
                f"executor.kind slurm: there is no {absent[0]} here; run the job where jobs can be submitted"
            )
        try:
            before = self._cancel()  # what a killed coordinator left would work on a plan that is no more
            try:
                self.launch_job()
                lost = self._wait(watch, before)
            except BaseException:
                self._cancel()
                raise
        except subprocess.CalledProcessError as error:
            raise SettingsError(f"Slurm refuses (see above): {shlex.join(error.cmd)}") from error
        if not lost:
            shutil.rmtree(self.slurm_logs_folder, ignore_errors=True)
        return lost

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """datatrove's, with memory by the task and not by the processor."""
        arguments: dict[str, Any] = super().get_sbatch_args(max_array)
        del arguments["mem-per-cpu"]
        arguments["mem"] = f"{round(self.memory_gb * 1024)}M"
        return arguments

    def launch_merge_stats(self) -> None:
        """None: datatrove's would be one more job, and wait forever after a failure."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        """On a node: do the unit, and tell the coordinator if it raises."""
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as error:
            told = {"class": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
            write_json(self.failures / f"{rank}.json", told)
            raise

    def _wait(self, watch: Watch, before: set[str]) -> str:
        """Wait for the end of all jobs; what ended otherwise than well, in words."""
        heard = time.monotonic()
        next_look = heard + _QUEUE_POLL_S
        while True:
            watch()
            self._raise_failure()
            if time.monotonic() >= next_look:
                with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                    states = Counter(state for job, state in self._jobs() if job not in before)
                    if states.keys() <= _ENDED:
                        break
                    heard = time.monotonic()
                if time.monotonic() - heard > _MAX_SILENCE_S:
                    raise EduSieveError(f"squeue has not answered for {_MAX_SILENCE_S:g} s; run the job again later")
                next_look = time.monotonic() + _QUEUE_POLL_S
            time.sleep(POLL_S)
        self._raise_failure()
        ill = [f"{state} {count}" for state, count in states.items() if state != "COMPLETED"]
        return f"Slurm says {', '.join(ill)}, logs in {self.slurm_logs_folder}" if ill else ""

    def _jobs(self) -> list[tuple[str, str]]:
        """Id and state of every job of this name, also of those that ended lately."""
        command = ["squeue", "--noheader", "--states=all", f"--name={self.job_name}", "--format=%F %T"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return [(job, state) for job, state in (line.split() for line in listed.splitlines())]

    def _cancel(self) -> set[str]:
        """Cancel every job of this name and wait until none runs; returns the ids of those that Slurm remembers."""
        subprocess.run(["scancel", f"--name={self.job_name}"], check=True, timeout=60)
        end = time.monotonic() + _MAX_CANCEL_S
        while True:
            jobs = self._jobs()
            if all(state in _ENDED for _, state in jobs):
                return {job for job, _ in jobs}
            if time.monotonic() > end:
                raise EduSieveError(
                    f"the Slurm jobs {self.job_name} were cancelled and do not end (squeue --name={self.job_name}); "
                    "run the job again when they have"
                )
            time.sleep(POLL_S)

    def _raise_failure(self) -> None:
        if failures := sorted(self.failures.glob("*.json")):
            raise _raised(read_json(failures[0]))


def _raised(told: Mapping[str, str]) -> Exception:
    """The error of a unit as it was on the node; one that is not of the family is a bug and keeps its traceback."""
    kind = getattr(errors, told["class"], None)
    if isinstance(kind, type) and issubclass(kind, EduSieveError):
        return kind(told["message"])
    return RuntimeError(f"a unit failed on a node\n{told['traceback']}")


def _this_environment() -> str:
    return f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
