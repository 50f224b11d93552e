"""The memory of annotation: an append-only file of one JSON object a line, every line on disk before it counts.

Events, each about one grading (``key``):

- ``sent``: a request is about to leave; ``at_most_usd`` is its highest price.
- ``grade``: it was answered with a grade, and paid for.
- ``malformed``: it was answered with something else, and paid for.
- ``unbilled``: the server turned it away (429, 5xx, no connection).
- ``refused``: the server's content policy forbids the window.

A ``sent`` that no other event closes is a request that was in flight when the process died, or whose reply was lost:
it may have been paid for. Nothing else can be paid without standing here. A process that is killed while it writes
leaves at most a torn last line, which the next one cuts off.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from classifiers.prompt import Grade
from common.errors import BusyError, InputError, IntegrityError

EVENTS = ("sent", "grade", "malformed", "unbilled", "refused")


@dataclass(frozen=True)
class Problem:
    """Why a window has no grade, and what was replied."""

    problem: str
    reply: str | None = None
    final: bool = False


@dataclass
class Ledger:
    """What a journal says, read from its events."""

    grades: dict[str, Grade] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=lambda: defaultdict(list))
    answered: int = 0
    sent: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    paid_usd: float = 0.0
    in_flight: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Highest price of every request without an outcome."""

    @property
    def unanswered(self) -> int:
        return sum(map(len, self.in_flight.values()))

    @property
    def maybe_paid_usd(self) -> float:
        return sum(usd for prices in self.in_flight.values() for usd in prices)

    def cost(self) -> dict[str, Any]:
        """Requests, tokens and USD of all runs so far."""
        return {
            "requests": self.sent,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "prompt_tokens": self.prompt_tokens,
            "reply_tokens": self.reply_tokens,
            "paid_usd": round(self.paid_usd, 6),
            "maybe_paid_usd_at_most": round(self.maybe_paid_usd, 6),
        }

    def apply(self, event: dict[str, Any]) -> None:
        """Take one event into account.

        Raises:
            KeyError, TypeError, ValueError: if it is not an event.
        """
        key, kind = event["key"], event["event"]
        if kind == "sent":
            self.sent += 1
            self.in_flight[key].append(float(event["at_most_usd"]))
            return
        if kind not in EVENTS:
            raise ValueError(f"unknown event {kind!r}")
        if self.in_flight[key]:
            self.in_flight[key].pop()  # the latest: a grading is never in flight twice at once
        if kind in ("grade", "malformed"):
            self.answered += 1
            self.prompt_tokens += int(event["prompt_tokens"])
            self.reply_tokens += int(event["reply_tokens"])
            self.paid_usd += float(event["usd"])
        if kind == "grade":
            self.grades.setdefault(key, Grade(int(event["score"]), event["reason"]))
        elif kind in ("malformed", "refused"):
            self.problems[key].append(Problem(event["problem"], event.get("reply"), final=kind == "refused"))


class Journal:
    """A journal that is open for this process alone.

    Raises:
        BusyError: another process has it open.
        IntegrityError: a line before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger()
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._broken: OSError | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BusyError(f"another process is annotating into {self.path}; wait for it or stop it") from error
            self.ledger, whole_bytes = read_events(self.path)
            os.ftruncate(self._file, whole_bytes)
        except BaseException:
            os.close(self._file)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    async def append(self, event: str, key: str, **values: Any) -> None:
        """Write one event; when this returns it is on disk. Events that wait for the disk together share one fsync.

        Raises:
            InputError: if the disk does not take it.
        """
        entry = {"event": event, "key": key, **values}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(entry).encode() + b"\n", done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        try:
            await done
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.ledger.apply(entry)

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                if self._broken:  # nothing may follow a line that was torn
                    raise self._broken
                await asyncio.to_thread(self._write, b"".join(line for line, _ in batch))
            except OSError as error:
                self._broken = error
            for _, done in batch:
                if not done.done():
                    done.set_exception(self._broken) if self._broken else done.set_result(None)

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)


def read_events(path: Path) -> tuple[Ledger, int]:
    """What a journal says, and how many of its bytes are whole lines. A torn last line is left out.

    Raises:
        IntegrityError: naming the line, if one before the last is damaged.
    """
    ledger, whole_bytes = Ledger(), 0
    if not path.exists():
        return ledger, 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                ledger.apply(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if stream.read(1):
                    raise IntegrityError(f"{path}, line {number} is damaged: restore the file, or remove it") from error
                break
            whole_bytes += len(line)
    return ledger, whole_bytes
