"""Recompute a run's ledger from its settings and the shards, and find the first difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError, IntegrityError
from train import ledger
from train.data import read_part
from train.run import finished, settings_of
from train.settings import TrainSettings


@dataclass(frozen=True)
class Verdict:
    """What :func:`verify` found."""

    steps: int
    """Steps that agree."""
    tokens: dict[str, int]
    """Their tokens by source."""
    difference: str | None
    """The first difference, or None."""


def verify(run: Path, data: Path | None = None, advance: Callable[[int], object] = lambda _: None) -> Verdict:
    """Hold every step of a run's ledger against what its settings say it must have trained on.

    Args:
        run: a run directory.
        data: where the shards are now, if not where the settings say.
        advance: told the tokens of each step that was recomputed.
    Raises:
        InputError: if there is no ledger, or the shards are not there.
        IntegrityError: if the shards are damaged.
    """
    from mixtures import open_blend

    settings = settings_of(run)
    if not (run / ledger.NAME).is_file():
        raise InputError(f"{run} has no {ledger.NAME}: nothing was trained yet")
    blend = open_blend(settings.mixture, data or settings.data, settings.context_length, settings.seed)
    blend.check()
    try:
        entries = ledger.read(run / ledger.NAME)
    except IntegrityError as error:
        return Verdict(0, {}, str(error))
    for written in entries:
        part = read_part(blend, written.step, settings.batch.windows)
        expected = ledger.entry(written.step, blend.names, part.sources, part.prints, settings.context_length)
        if written != expected:
            agreed = entries[: written.step - 1]
            return Verdict(len(agreed), ledger.totals(agreed), _difference(written, expected))
        advance(settings.step_tokens)
    return Verdict(len(entries), ledger.totals(entries), _missing(run, settings, len(entries)))


def _difference(written: ledger.Entry, expected: ledger.Entry) -> str:
    what = next(name for name in ("order", "tokens", "digest") if getattr(written, name) != getattr(expected, name))
    return f"step {written.step:,}: {what} {getattr(written, what)}, expected {getattr(expected, what)}"


def _missing(run: Path, settings: TrainSettings, steps: int) -> str | None:
    if steps > settings.steps or (finished(run, settings) and steps < settings.steps):
        return f"the ledger has {steps:,} steps, the settings say {settings.steps:,}"
    return None
