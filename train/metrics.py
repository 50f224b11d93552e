"""What a run tells while it goes: ``metrics.jsonl``, TensorBoard, and the progress line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import command
from train import ledger

NAME = "metrics.jsonl"


class Log:
    """Writes one step after the other to the ledger, the metrics, TensorBoard and the terminal."""

    def __init__(self, run: Path, done_tokens: int, total_tokens: int, done_steps: int, title: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._ledger = open(run / ledger.NAME, "a", buffering=1, encoding="ascii")  # noqa: SIM115
        self._metrics = open(run / NAME, "a", buffering=1, encoding="ascii")  # noqa: SIM115
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=done_steps + 1)
        self._bar = command.progress(total_tokens, " tokens", title, initial=done_tokens)

    def step(self, ledger_line: str, metrics: Mapping[str, Any], tokens: int) -> None:
        """Record one step."""
        self._ledger.write(ledger_line)
        self._metrics.write(json.dumps(metrics, allow_nan=False) + "\n")
        for name, value in metrics.items():
            if name != "step" and value is not None:
                self._board.add_scalar(name, value, metrics["step"])
        self._bar.set_postfix(loss=f"{metrics['loss']:.3f}", mfu=f"{metrics['mfu']:.0%}", refresh=False)
        self._bar.update(tokens)

    def close(self) -> None:
        """Close all files."""
        self._bar.close()
        self._ledger.close()
        self._metrics.close()
        self._board.close()
