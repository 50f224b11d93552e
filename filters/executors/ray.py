"""Tasks of a Ray cluster.

datatrove's own loop over Ray hears a unit's error only in its debug log and ends as if all were well, and waits
forever for a process that was killed inside one of its actors. Ray's plain tasks do neither.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter, deque
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor

from common.errors import EduSieveError, SettingsError
from filters.executors.settings import Ray
from filters.executors.step import WorkStep
from filters.executors.units import POLL_S, Watch

_GIB = 1 << 30
_ATTEMPTS = 3
"""A unit whose worker or node is lost so often is given up: it is the unit that kills them."""
_MAX_RUNNING = 10_000
"""Tasks handed to Ray at a time; what has no room waits there."""
_PATIENCE_S = 10.0
"""For the answer of a cluster."""


class RayExecutor(RayPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's Ray executor with a loop of our own."""

    _run_for_rank = PipelineExecutor._run_for_rank  # datatrove's own for Ray logs into a folder that all jobs share

    def __init__(self, settings: Ray, step: WorkStep, units: int) -> None:
        super().__init__(
            pipeline=[step],
            tasks=units,
            workers=settings.workers or _MAX_RUNNING,
            cpus_per_task=settings.cpus,
            mem_per_cpu_gb=settings.memory_gb / settings.cpus,
            logging_dir=str(step.plan / "datatrove"),
            skip_completed=False,
        )
        self.address = settings.address

    def run(self, watch: Watch) -> str:
        """Run every rank; the first error ends all tasks, a lost worker or node costs its rank another attempt."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        _connect(self.address)
        memory = int(self.mem_per_cpu_gb * self.cpus_per_task * _GIB)
        self._check_room(memory)
        begin = ray.remote(_run_rank).options(num_cpus=self.cpus_per_task, memory=memory, max_retries=0)
        itself = ray.put(self)
        ranks = deque(range(self.world_size))
        attempts, given_up = Counter[int](), Counter[str]()
        running: dict[Any, int] = {}
        try:
            while True:
                while ranks and len(running) < self.workers:
                    rank = ranks.popleft()
                    running[begin.remote(itself, rank)] = rank
                if not running:
                    return ", ".join(f"{name} {count}" for name, count in given_up.items())
                finished, _ = ray.wait(list(running), num_returns=len(running), timeout=POLL_S)
                for task in finished:
                    rank = running.pop(task)
                    try:
                        ray.get(task)
                    except RayTaskError as error:
                        raise (error.cause if isinstance(error.cause, EduSieveError) else error) from None
                    except RayError as error:  # its process, its node or its memory is gone
                        attempts[rank] += 1
                        if attempts[rank] < _ATTEMPTS:
                            ranks.append(rank)
                        else:
                            given_up[f"{type(error).__name__} {_ATTEMPTS} times"] += 1
                watch()
        except BaseException:
            for task in running:
                ray.cancel(task, force=True)
            raise

    def _check_room(self, memory: int) -> None:
        """Refuse what no node can ever begin.

        Raises:
            SettingsError: naming the largest node.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(node.get("CPU", 0) >= self.cpus_per_task and node.get("memory", 0) >= memory for node in nodes):
            largest = max(nodes, key=lambda node: (node.get("CPU", 0), node.get("memory", 0)))
            raise SettingsError(
                f"executor: a unit reserves cpus {self.cpus_per_task} and memory_gb {memory / _GIB:g}, and no node of "
                f"the Ray cluster has both: the largest has {largest.get('CPU', 0):g} and "
                f"{largest.get('memory', 0) / _GIB:.3g}"
            )


def _connect(address: str) -> None:
    import ray

    if ray.is_initialized():
        return
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
    try:
        _check_listening(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except OSError as error:
        raise SettingsError(
            f"executor.address: cannot reach a Ray cluster at {address!r} ({str(error).splitlines()[0]}); begin one "
            "with `ray start --head`, name its address, give RAY_AUTH_TOKEN if it asks for one, or say address: local"
        ) from error


def _check_listening(address: str) -> None:
    """Ask an address by number, if it is one, whether anybody is there: Ray itself would ask for minutes.

    Raises:
        OSError: if nobody is.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()


def _run_rank(executor: RayExecutor, rank: int) -> None:
    from loguru import logger

    logger.disable("datatrove")
    executor._run_for_rank(rank)
