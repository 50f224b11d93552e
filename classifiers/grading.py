"""The running part of annotation: many requests at a time, patient with a busy server, and quick to stop.

The first request of a run goes alone, so that a wrong key, address or model costs one request. When the run has to
stop (price limit, signal, a server that refuses) requests in flight are awaited, because they are paid for; nothing new
is sent. A server that fails window after window is not worn out: the run stops with its last words.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from classifiers.assignment import Annotation, Annotator, Extract, Plan, failed
from classifiers.cost import TOKENS_A_BYTE, Meter, Tariff
from classifiers.endpoint import (
    MAX_KEPT_CHARACTERS,
    Answer,
    Endpoint,
    EndpointError,
    RefusedError,
    TryAgainError,
    backoff_s,
)
from classifiers.journal import Journal, Ledger, Problem
from classifiers.prompt import ReplyError, messages, parse

MAX_SILENT_IN_A_ROW = 3
"""Windows in a row for which the server gave no answer at all, retries and all."""
MAX_FAILED_IN_A_ROW = 50
"""Windows in a row for which it gave no grade: the model cannot do this, or it is not such a server."""

Work = tuple[str, Extract, Annotator]
"""A grading to ask for, under its key."""


@dataclass
class Outcome:
    """How a run went."""

    given_up: dict[str, str] = field(default_factory=dict)
    """Gradings that this run got no answer to, and why; the next run asks again."""
    stopped: str | None = None
    """Why gradings are missing; None if none is."""


def meter_of(settings: Annotation, ledger: Ledger) -> Meter:
    """The meter of a run, going on where the journal ends."""

    def each(prices: tuple[float, ...]) -> tuple[float, ...]:
        return prices if len(prices) > 1 else (prices or (0.0,)) * len(settings.model)

    rows = zip(settings.model, each(settings.price_in), each(settings.price_out), strict=True)
    tariffs = {model: Tariff(prompt, reply) for model, prompt, reply in rows}
    return Meter(tariffs, settings.max_cost, ledger.paid_usd, ledger.maybe_paid_usd)


def prompt_bytes(chat: list[dict[str, str]]) -> int:
    """Size of the messages of a request."""
    return sum(len(message["content"].encode()) for message in chat)


def grade_all(plan: Plan, journal: Journal, key: str | None, progress: Callable[[int, str], object]) -> Outcome:
    """Ask for every grading that the journal lacks.

    Args:
        plan: what to grade.
        journal: open; it takes every event.
        key: of the server, for the header; it goes nowhere else.
        progress: called with gradings done since the last call, and the state in a few words.
    Raises:
        EndpointError: if the server refuses, or fails too often in a row.
        KeyboardInterrupt: on SIGINT or SIGTERM, when the requests in flight have come back.
    """
    run = _Run(plan, journal, progress)
    asyncio.run(run.go(key))
    if isinstance(run.error, EndpointError) and journal.ledger.grades:
        kept = f"{len(journal.ledger.grades):,} gradings are kept; run the same command to go on"
        raise EndpointError(f"{run.error}; {kept}") from run.error
    if run.error:
        raise run.error
    return run.outcome


class _Run:
    def __init__(self, plan: Plan, journal: Journal, progress: Callable[[int, str], object]) -> None:
        self.outcome = Outcome()
        self.error: BaseException | None = None
        self._settings, self._journal, self._progress = plan.settings, journal, progress
        self._meter = meter_of(plan.settings, journal.ledger)
        self._work = plan.pending(journal.ledger)
        again = plan.settings.retry_failures
        self._forgiven = {key: len(found) for key, found in journal.ledger.problems.items()} if again else {}
        self._chance = random.Random(plan.settings.seed)
        self._silent_in_a_row = self._failed_in_a_row = self._retries = 0
        self._answered = False
        self._not_before = 0.0  # the event loop's time until which the server asked everyone to wait

    async def go(self, key: str | None) -> None:
        """Grade until nothing is left or the run has to stop; ``error`` and ``outcome`` say which."""
        settings = self._settings
        self._stop, self._open = asyncio.Event(), asyncio.Event()
        first = next(self._work, None)
        if first is None:
            return
        with self._signals():
            async with Endpoint(settings.base_url, key, settings.timeout_s, settings.concurrency) as self._endpoint:
                others = [self._worker(self._work, after_first=True) for _ in range(settings.concurrency - 1)]
                await asyncio.gather(self._worker(itertools.chain([first], self._work)), *others)

    async def _worker(self, work: Iterator[Work], after_first: bool = False) -> None:
        if after_first:
            await self._open.wait()
        try:
            while not self._stop.is_set() and (item := next(work, None)):
                await self._grade(*item)
        except BaseException as error:  # raised when the other workers have come to rest
            self._halt(error)
        finally:
            self._open.set()

    async def _grade(self, key: str, extract: Extract, annotator: Annotator) -> None:
        """Ask until there is a grade, a failure, or no use in asking."""
        failures = 0
        while not self._stop.is_set():
            await self._sleep(self._not_before - asyncio.get_running_loop().time())
            if self._stop.is_set():
                return
            try:
                await self._ask(key, extract, annotator)
            except TryAgainError as error:
                failures += 1
                if failures > self._settings.retries:
                    self._give_up(key, str(error))
                    return
                await self._back_off(failures, error)
                continue
            failures = 0
            if key in self._journal.ledger.grades or failed(self._problems(key)):
                self._finish(key)
                return

    async def _ask(self, key: str, extract: Extract, annotator: Annotator) -> None:
        """One request, and its outcome in the journal and on the meter."""
        settings, journal, meter = self._settings, self._journal, self._meter
        chat = messages(extract.text, again=bool(self._problems(key)))
        size = prompt_bytes(chat)
        at_most = meter.at_most(annotator.model, size, settings.max_reply_tokens)
        if not await meter.reserve(at_most):
            self._halt(f"the next request could pass --max-cost {settings.max_cost:g} USD")
            return
        paid = maybe_paid = 0.0
        try:
            if self._stop.is_set():  # while it waited for the money
                return
            await journal.append("sent", key, model=annotator.model, window=extract.sha256, at_most_usd=at_most)
            request = {"model": annotator.model, "messages": chat, "max_tokens": settings.max_reply_tokens}
            request |= settings.request
            try:
                answer = await self._endpoint.ask({name: v for name, v in request.items() if v is not None})
            except TryAgainError as error:
                self._hold(error.wait_s)
                maybe_paid = at_most if error.billed else 0.0
                if not error.billed:
                    await journal.append("unbilled", key)
                raise
            except RefusedError as error:
                await journal.append("refused", key, problem=str(error))
            except EndpointError:
                await journal.append("unbilled", key)
                raise
            else:
                paid = await self._record(key, annotator.model, size, answer)
            self._answered = True
            self._silent_in_a_row = 0
            self._open.set()
        finally:
            await meter.settle(at_most, paid, maybe_paid)

    async def _record(self, key: str, model: str, size: int, answer: Answer) -> float:
        """Put an answer into the journal; its price in USD."""
        bill = self._bill(model, size, answer)
        try:
            if answer.problem:
                raise ReplyError(answer.problem)
            grade = parse(answer.text)
        except ReplyError as error:
            reply = answer.text[:MAX_KEPT_CHARACTERS]
            await self._journal.append("malformed", key, problem=str(error), reply=reply, **bill)
        else:
            await self._journal.append("grade", key, score=grade.score, reason=grade.reason, **bill)
        usd: float = bill["usd"]
        return usd

    def _bill(self, model: str, size: int, answer: Answer) -> dict[str, Any]:
        """Tokens and price of an answer: what the server reports, or guesses on the high side."""
        prompt, reply = answer.prompt_tokens, answer.reply_tokens
        if prompt is not None and reply is not None:
            self._meter.observe(model, size, prompt, reply)
        if prompt is None:
            prompt = self._meter.tokens(model, size)
        if reply is None and answer.problem:  # there is nothing to measure
            reply = self._settings.max_reply_tokens
        elif reply is None:
            reply = math.ceil(len(answer.text.encode("utf-8", "replace")) * TOKENS_A_BYTE)
        return {"prompt_tokens": prompt, "reply_tokens": reply, "usd": self._meter.tariffs[model].usd(prompt, reply)}

    def _problems(self, key: str) -> list[Problem]:
        """Problems that count in this run."""
        return self._journal.ledger.problems.get(key, [])[self._forgiven.get(key, 0) :]

    def _finish(self, key: str) -> None:
        graded = key in self._journal.ledger.grades
        self._failed_in_a_row = 0 if graded else self._failed_in_a_row + 1
        self._progress(1, self._state())
        if self._failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            last = self._problems(key)[-1]
            said = f"; it replied {last.reply[:80]!r}" if last.reply else ""
            self._halt(EndpointError(f"{MAX_FAILED_IN_A_ROW} windows in a row got no grade: {last.problem}{said}"))

    def _give_up(self, key: str, why: str) -> None:
        self.outcome.given_up[key] = why
        self._silent_in_a_row += 1
        self._progress(1, self._state())
        if not self._answered or self._silent_in_a_row >= MAX_SILENT_IN_A_ROW:
            tries = f"each tried {self._settings.retries + 1} times"
            self._halt(EndpointError(f"no answer to {self._silent_in_a_row} windows in a row, {tries}: {why}"))

    async def _back_off(self, failures: int, error: TryAgainError) -> None:
        self._retries += 1
        self._progress(0, self._state())
        await self._sleep(backoff_s(failures, error.wait_s, self._chance))

    def _hold(self, wait_s: float | None) -> None:
        """A pause that the server asks one request for holds for all."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + (wait_s or 0))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but wake up when the run stops."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    def _state(self) -> str:
        """The run in a few words, for the progress bar."""
        meter, parts = self._meter, []
        if self._settings.price_in:
            limit = f" of {meter.limit_usd:g}" if meter.limit_usd else ""
            parts.append(f"{meter.paid_usd + meter.maybe_paid_usd:.4f}{limit} USD")
        if self._retries:
            parts.append(f"{self._retries} retries")
        return ", ".join(parts)

    def _halt(self, why: BaseException | str) -> None:
        """Send nothing new. An error is raised in the end; a reason is told."""
        if isinstance(why, str):
            self.outcome.stopped = self.outcome.stopped or why
        elif self.error is None:
            self.error = why
        self._stop.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM lets requests in flight come back; a second one ends the process."""
        loop, names = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

        def restore() -> None:
            for name in names:
                loop.remove_signal_handler(name)

        def stop() -> None:
            restore()
            self._halt(KeyboardInterrupt())

        with suppress(RuntimeError, ValueError):  # signals belong to the main thread
            for name in names:
                loop.add_signal_handler(name, stop)
        try:
            yield
        finally:
            restore()
