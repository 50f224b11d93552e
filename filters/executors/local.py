"""Processes of this machine."""

from __future__ import annotations

import os
import signal
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from datatrove.executor.local import LocalPipelineExecutor

from common.errors import EduSieveError
from filters.executors.settings import Local
from filters.executors.step import WorkStep
from filters.executors.units import POLL_S, Watch
from filters.isolation import die_with


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's local executor on a pool that notices when a worker is killed.

    The original waits forever for the task of a killed worker, and its workers outlive a killed parent.
    """

    def __init__(self, settings: Local, step: WorkStep, units: int) -> None:
        super().__init__(
            pipeline=[step],
            tasks=units,
            workers=min(settings.workers, units),
            logging_dir=str(step.plan / "datatrove"),
            skip_completed=False,
        )

    def run(self, watch: Watch) -> str:
        """Run every rank; the first error ends all workers."""
        pool = ProcessPoolExecutor(
            self.workers, get_context("fork"), initializer=_begin_worker, initargs=(os.getpid(),)
        )
        try:
            waiting = {pool.submit(_run_rank, self, rank) for rank in range(self.world_size)}
            while waiting:
                finished, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                watch()
        except BaseException as error:
            for worker in list(pool._processes.values()):
                worker.kill()  # what a killed worker was at is not published
            if isinstance(error, BrokenProcessPool):
                raise EduSieveError(
                    "a worker was killed, perhaps for want of memory; what is finished is kept: run the job again, "
                    "with fewer workers if memory is short"
                ) from error
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return ""


def _begin_worker(parent: int) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends the pool


def _run_rank(executor: LocalExecutor, rank: int) -> None:
    executor._run_for_rank(rank, local_rank=rank)
