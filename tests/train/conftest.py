"""Small shards, and one unbroken run that the tests copy, cut short and continue."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.mixtures.helpers import make_source
from train.loop import train
from train.settings import TrainSettings

STEPS = 8
OPTIONS = {
    "mixture": "web",
    "model": "nano",
    "tokens": STEPS * 4 * 32 - 5,
    "context_length": 32,
    "seed": 1,
    "batch": {"windows": 4, "micro_windows": 2},
    "optimizer": {"learning_rate": 1e-3},
    "checkpoint": {"every_steps": 3, "keep": 3},
}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend") / "data"
    for name in ("web", "code", "synthetic"):
        make_source(folder, name)
    return folder


@pytest.fixture(scope="session")
def settings(data: Path) -> TrainSettings:
    return TrainSettings.parse({**OPTIONS, "data": data})


@pytest.fixture(scope="session")
def unbroken(settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of eight steps with checkpoints at 3, 6 and 8. Not to be changed: copy it."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    outcome = train(settings, run)
    assert (outcome.step, outcome.made_steps, outcome.is_finished) == (STEPS, STEPS, True)
    return run


@pytest.fixture
def broken(unbroken: Path, tmp_path: Path) -> Path:
    """The run as it is when it was killed after step 7: checkpoints at 3 and 6, and a ledger that is ahead of them."""
    run = tmp_path / "broken"
    shutil.copytree(unbroken, run)
    shutil.rmtree(run / "export")
    shutil.rmtree(run / "checkpoints" / "step-8")
    for name in ("ledger.jsonl", "metrics.jsonl"):
        lines = (run / name).read_text().splitlines(keepends=True)
        (run / name).write_text("".join(lines[:7]) + lines[7][:20])
    return run


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(run: Path, other: Path) -> None:
    """Same losses to the last digit, same ledger, same model."""
    assert losses(run) == losses(other)
    for name in ("ledger.jsonl", "export/model.safetensors", "export/manifest.json"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


def arguments(data: Path, run: Path) -> list[str]:
    """The options of the unbroken run as a command line."""
    words = ["--data", str(data), "--out", str(run), "--batch.windows", "4", "--batch.micro-windows", "2"]
    words += ["--checkpoint.every-steps", "3", "--checkpoint.keep", "3", "--optimizer.learning-rate", "1e-3"]
    for name in ("mixture", "model", "tokens", "context_length", "seed"):
        words += [f"--{name.replace('_', '-')}", str(OPTIONS[name])]
    return words


def start(words: list[str], processes: int = 1, **more: Any) -> subprocess.Popen[str]:
    """The command ``train`` as a user starts it, alone or under torchrun."""
    command = [sys.executable, "-m", "train", *words]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*launcher, "--nproc-per-node", str(processes), "-m", "train", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, text=True, stderr=subprocess.PIPE, **more)


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str], timeout_s: float = 240) -> None:
    """Until ``process`` has recorded ``step``."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        if (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_text().count("\n") >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within {timeout_s} s; exit status {process.poll()}")
