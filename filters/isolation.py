"""Work on hostile input in a child process that may die: by time, by memory or by a crash.

One document may cost its own verdict, never its worker. The child counts CPU seconds, not seconds on the clock, so
that a busy machine does not change which documents survive; a clock ten times longer catches a child that sleeps.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_CLOCK_PER_CPU_SECOND = 10
_OUT_OF_MEMORY = "out of memory"
_MAX_MESSAGE = 500
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in <linux/prctl.h>


class TooSlowError(Exception):
    """The call used more CPU time than it was given."""


class TooMuchMemoryError(Exception):
    """The call asked for more memory than it was given."""


class CrashedError(Exception):
    """The child died during the call; the message says how."""


class FailedError(Exception):
    """The call raised an exception; the message holds its class and its message."""


class Isolated(Generic[Argument, Result]):
    """Calls ``function`` in a child process, one call at a time; the child is replaced when it dies.

    Args:
        function: it is called in a fork of this process, so it needs no pickling; its arguments and results do.
        seconds: CPU time of one call.
        memory_bytes: address space of the child beyond what this process holds when the child begins.
    Attributes:
        cpu_seconds: what the calls have used so far, without the beginning of the child.
    """

    def __init__(self, function: Callable[[Argument], Result], seconds: float, memory_bytes: int) -> None:
        self._function = function
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._child: Any = None
        self._pipe: Any = None
        self.cpu_seconds = 0.0

    def __call__(self, argument: Argument) -> Result:
        """The function's result.

        Raises:
            FailedError: if it raised an exception; as text, since not every exception can travel.
            TooSlowError, TooMuchMemoryError, CrashedError: if the child did not survive.
        """
        if self._child is None:
            self._begin()
        try:
            self._pipe.send(argument)
            if not self._pipe.poll(self._seconds * _CLOCK_PER_CPU_SECOND):
                self.close()
                raise TooSlowError
            outcome, failure, used = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise self._autopsy() from None
        self.cpu_seconds += used
        if failure == _OUT_OF_MEMORY:
            self.close()  # what is left of its memory may be in pieces
            raise TooMuchMemoryError
        if failure is not None:
            raise FailedError(failure)
        result: Result = outcome
        return result

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._pipe.close()
            self._child = None

    def __enter__(self) -> Isolated[Argument, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, far_end = context.Pipe()
        self._child = context.Process(target=self._serve, args=(far_end, os.getpid()), daemon=True)
        self._child.start()
        far_end.close()

    def _serve(self, pipe: Connection, parent: int) -> None:
        self._pipe.close()
        die_with(parent)
        _limit_memory(self._memory_bytes)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # by default it ends the process
        before = time.process_time()
        while True:
            try:
                argument = pipe.recv()
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_PROF, self._seconds)
            answer: tuple[Result | None, str | None]
            try:
                answer = (self._function(argument), None)
            except MemoryError:
                answer = (None, _OUT_OF_MEMORY)
            except Exception as error:  # whatever it is, the parent hears of it
                answer = (None, f"{type(error).__name__}: {error}"[:_MAX_MESSAGE])
            signal.setitimer(signal.ITIMER_PROF, 0)
            now = time.process_time()
            pipe.send((*answer, now - before))
            before = now

    def _autopsy(self) -> Exception:
        self._child.join(self._seconds)
        status = self._child.exitcode
        self.close()
        if status == -signal.SIGPROF:
            self.cpu_seconds += self._seconds
            return TooSlowError()
        if status is not None and status < 0:
            return CrashedError(f"killed by {signal.Signals(-status).name}")
        return CrashedError(f"exit status {status}")


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, so that no orphan goes on writing (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _limit_memory(allowed: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as stream:
        held = int(stream.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = held + allowed if hard == resource.RLIM_INFINITY else min(held + allowed, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
