"""The training run: from settings and shards to checkpoints, ledger and exported model.

A run may be killed at any moment. Started again with the same settings it goes on from the newest whole checkpoint, and
what it writes is, to the last bit of every loss, what an unbroken run writes. A finished run does nothing.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import command
from common.errors import IntegrityError
from common.files import lock, remove_unfinished
from train import checkpoint as checkpoints
from train import engine as engines
from train import ledger, run
from train.data import read_part
from train.export import export
from train.metrics import Log
from train.model import SIZES
from train.peak import matmul_peak
from train.settings import TrainSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixtures import BlendData

EXIT_STOPPED = 75
"""Exit status after SIGTERM or SIGUSR1: saved, start it again. Schedulers can requeue on it (sysexits' EX_TEMPFAIL)."""


@dataclass(frozen=True)
class Outcome:
    """How a call of :func:`train` ended."""

    step: int
    steps: int
    tokens: dict[str, int]
    loss: float
    """Of the last step."""
    made_steps: int
    """By this call."""

    @property
    def is_finished(self) -> bool:
        """Whether the run is complete, and not stopped by a signal."""
        return self.step == self.steps

    @property
    def exit_status(self) -> int:
        """0, or :data:`EXIT_STOPPED`."""
        return 0 if self.is_finished else EXIT_STOPPED

    def remark(self, out: Path) -> str:
        """One line for the person at the terminal."""
        if not self.is_finished:
            return f"stopped and saved after step {self.step:,} of {self.steps:,}: run the command again to go on"
        if not self.made_steps:
            return f"{out} is finished: nothing to do"
        return (
            f"finished: the model is in {out / run.EXPORT}; next: train generate {out} --prompt TEXT, evals run {out}"
        )

    def report(self, flat: bool = False) -> dict[str, Any]:
        """The outcome as a JSON object, or as one flat row."""
        by_source = (
            {f"{name}_tokens": count for name, count in self.tokens.items()} if flat else {"tokens": self.tokens}
        )
        return {"step": self.step, "steps": self.steps, **by_source, "loss": self.loss}


def train(settings: TrainSettings, out: Path) -> Outcome:
    """Train, or go on training, in the run directory ``out``.

    Raises:
        EduSieveError: with one line that says what is wrong; ``out`` is then as it was, or at its last checkpoint.
    """
    from mixtures import open_blend
    from train.plan import rounding

    here = engines.world()
    settings.batch.division(here.size)
    settings = run.adopt(out, settings)
    blend = open_blend(settings.mixture, settings.data, settings.context_length, settings.seed)
    uses = blend.use(settings.steps * settings.batch.windows)  # refuses more repeats than the mixture allows
    done = run.finished(out, settings)
    if done:
        _check_blend(done["blend_digest"], blend, settings, out)
        return Outcome(settings.steps, settings.steps, done["tokens"], done["loss"], made_steps=0)
    settings = engines.resolved(settings)
    if here.is_first:
        command.note(f"{settings.mixture}: {rounding(settings)}")
        if advice := SIZES[settings.model].advice(settings.optimizer.learning_rate):
            command.note(advice)
        for use in uses:
            if use.warning:
                command.note(use.warning)
        blend.check()
    with lock(out) if here.is_first else contextlib.nullcontext(), _Stop() as stop:
        if here.is_first:
            run.claim(out, settings)
            remove_unfinished(out)
            remove_unfinished(out / checkpoints.FOLDER)
        with engines.processes(here):
            return _Run(settings, out, blend, here).go(stop)


class _Stop:
    """Turns the first SIGTERM or SIGUSR1 into a flag; the step that is under way is finished and saved."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Stop:
        with contextlib.suppress(ValueError):  # not in the main thread: no signals
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True


@dataclass
class _Run:
    settings: TrainSettings
    out: Path
    blend: BlendData
    here: engines.World
    engine: Any = None
    totals: dict[str, int] = field(default_factory=dict)
    loss: float = math.nan
    gradient_norm: float = math.nan
    peak: float = math.nan
    """FLOP/s of a matrix product on this process's device."""

    def go(self, stop: _Stop) -> Outcome:
        self.engine = engines.build(self.settings, self.here)
        newest = self._resume()
        step = first = newest.step if newest else 0
        with self._log(first) as log:
            for step, stopping in self._steps(first + 1, log, stop):
                if stopping or step == self.settings.steps or step % self.settings.checkpoint.every_steps == 0:
                    self._save(step)
                if stopping:
                    break
        if step == self.settings.steps and self.here.is_first:
            export(self.out, checkpoints.load(self.out / checkpoints.FOLDER / f"step-{step}"), self.settings)
        return Outcome(step, self.settings.steps, self.totals, self.loss, step - first)

    def _steps(self, first: int, log: Log | None, stop: _Stop) -> Iterator[tuple[int, bool]]:
        settings = self.settings
        for step in range(first, settings.steps + 1):
            began = time.perf_counter()
            part = read_part(self.blend, step, settings.batch.windows, self.here.rank, self.here.size)
            self.loss, stopping = self._step(part.tokens, stop)
            self._check_finite(step)
            sources, prints = self._gathered(part.sources, part.prints)
            entry = ledger.entry(step, self.blend.names, sources, prints, settings.context_length)
            for name, count in entry.tokens.items():
                self.totals[name] = self.totals.get(name, 0) + count
            if log:
                log.step(entry.line(), self._metrics(step, time.perf_counter() - began), settings.step_tokens)
            yield step, stopping

    def _check_finite(self, step: int) -> None:
        """Stop a run that is no longer training; a gradient that overflows in fp16 costs one update (train/ledger.py).

        Raises:
            DivergedError: if the loss, or outside fp16 the gradient, is not finite.
        """
        self.gradient_norm = engines.gradient_norm(self.engine)
        bad = [("loss", self.loss)]
        if self.settings.precision != "fp16":
            bad.append(("norm of the gradient", self.gradient_norm))
        for name, value in bad:
            if not math.isfinite(value):
                raise engines.DivergedError(
                    f"the {name} is {value} at step {step:,}: stopped; the checkpoints in {self.out} are older. "
                    "Try a lower --optimizer.learning-rate or --precision bf16, with another --out"
                )

    def _metrics(self, step: int, seconds: float) -> dict[str, float | None]:
        """What is told of a step that took ``seconds``."""
        settings, tokens = self.settings, self.settings.step_tokens
        flops = SIZES[settings.model].training_flops(tokens, settings.context_length)
        metrics: dict[str, float | None] = {
            "step": step,
            "tokens": step * tokens,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm if math.isfinite(self.gradient_norm) else None,
            "learning_rate": settings.optimizer.learning_rate,
            "tokens_per_second": tokens / seconds,
            "mfu": flops / seconds / (self.peak * self.here.size),
        }
        for name, count in self.totals.items():
            metrics[f"epochs/{name}"] = count / (self.blend.blend.windows[name] * settings.context_length)
        if settings.precision == "fp16":
            metrics["loss_scale"] = float(self.engine.optimizer.cur_scale)
            metrics["skipped_updates"] = int(self.engine.skipped_steps)
        return metrics

    def _step(self, tokens: NDArray[np.uint16], stop: _Stop) -> tuple[float, bool]:
        """One optimizer step: its mean loss over the global batch, and whether any process was asked to stop."""
        import torch

        micro = int(self.engine.train_micro_batch_size_per_gpu())
        total = torch.zeros((), dtype=torch.float64, device=self.engine.device)
        parts = range(0, len(tokens), micro)
        for start in parts:
            window_nt = torch.from_numpy(tokens[start : start + micro].astype("int64")).to(self.engine.device)
            loss = self.engine(window_nt)
            total += loss.detach()
            self.engine.backward(loss)
            self.engine.step()
        summed, asked = engines.summed([float(total), float(stop.asked)], self.engine.device)
        return summed / (len(parts) * self.here.size), asked > 0

    def _resume(self) -> checkpoints.Checkpoint | None:
        """Put the engine and the run's files where the newest whole checkpoint left them."""
        newest = checkpoints.newest_valid(self.out, command.note if self.here.is_first else _quiet)
        steps = engines.summed([float(newest.step if newest else 0)], self.engine.device)[0]
        if steps != (newest.step if newest else 0) * self.here.size:
            raise IntegrityError(f"the processes do not see the same checkpoints in {self.out}: it must be shared")
        if newest:
            _check_blend(newest.manifest["blend_digest"], self.blend, self.settings, newest.path)
            engines.restore(self.engine, newest)
            self.totals, self.loss = dict(newest.manifest["tokens"]), float(newest.manifest["loss"])
            if self.here.is_first:
                command.note(f"going on after step {newest.step:,} of {self.settings.steps:,}")
        if self.here.is_first:
            checkpoints.rewind(self.out, newest)
        return newest

    def _save(self, step: int) -> None:
        groups = engines.capture(self.engine)
        if not self.here.is_first:
            for _ in groups:  # takes part in the gathering
                pass
            return
        facts = {
            "step": step,
            "loss": self.loss,
            "tokens": self.totals,
            "blend_digest": self.blend.digest,
            "sources": {
                name: {"windows": self.blend.blend.windows[name], "content_hash": shards.content_hash}
                for name, shards in self.blend.shards.items()
            },
            "counters": engines.counters(self.engine),
        }
        saving = self.settings.checkpoint
        checkpoints.publish(self.out, facts, groups, saving.keep, saving.keep_every_steps)

    @contextlib.contextmanager
    def _log(self, done_steps: int) -> Iterator[Log | None]:
        if not self.here.is_first:
            yield None
            return
        self.peak = matmul_peak(next(self.engine.module.parameters()).dtype, self.engine.device)
        tokens = self.settings.step_tokens
        log = Log(self.out, done_steps * tokens, self.settings.run_tokens, done_steps, f"train {self.settings.model}")
        try:
            yield log
        finally:
            log.close()

    def _gathered(self, *columns: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Columns of all processes, in the order of the blend."""
        import torch

        if self.here.size == 1:
            return list(columns)
        mine = torch.tensor([column.tolist() for column in columns], dtype=torch.int64, device=self.engine.device)
        parts = [torch.empty_like(mine) for _ in range(self.here.size)]
        torch.distributed.all_gather(parts, mine)
        return [column.numpy() for column in torch.cat(parts, dim=1).cpu()]


def _check_blend(digest: str, blend: BlendData, settings: TrainSettings, trained: Path) -> None:
    if digest != blend.digest:
        raise IntegrityError(
            f"the mixture {settings.mixture} or the shards in {settings.data} are not those that {trained} was trained "
            "on: give --data the same shards, or begin again with another --out"
        )


def _quiet(_: str) -> None:
    return
