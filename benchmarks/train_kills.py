"""Kill `train` at random moments, every second time inside the writing of a checkpoint, and compare every loss.

    python -m benchmarks.train_kills --kills 50

Each kill is a SIGKILL to a process that trains the smallest model on a small mixture, with a checkpoint every second
step; the next process goes on in the same run directory, and a run that finishes is begun again. Every loss that any of
them recorded must be, to the last digit, that of an unbroken run; ledger and exported model must have its bytes, and
`train verify` must agree. Prints the counts and last one JSON row; exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from common.command import table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _settings(folder, options.steps)
        words = ["-m", "tests.train.kills", folder / "run.yaml", folder, str(options.kills), str(options.seed)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return done.returncode
    counts = json.loads(done.stdout.splitlines()[-1])
    print(table([{"what": name, "value": value} for name, value in counts.items()]))
    good = (
        counts["killed"] == options.kills
        and counts["attempts_with_another_loss"] == 0
        and counts["finished_well"]
        and counts["verified_steps"] == options.steps
        and counts["difference"] is None
        and counts["same_ledger"]
        and counts["same_model"]
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    took = {"seed": options.seed, "seconds": round(time.monotonic() - start, 1), "holds": good}
    print(json.dumps({"benchmark": "train_kills", "commit": commit.stdout.strip()} | machine | counts | took))
    return 0 if good else 1


def _settings(folder: Path, steps: int) -> None:
    from tests.mixtures.helpers import make_source

    for name in ("web", "code", "synthetic"):
        make_source(folder / "data", name)
    settings = {
        "mixture": "web",
        "data": str(folder / "data"),
        "model": "nano",
        "tokens": steps * 4 * 32,
        "context_length": 32,
        "batch": {"windows": 4, "micro_windows": 2},
        "optimizer": {"learning_rate": 1e-3},
        "checkpoint": {"every_steps": 2, "keep": 2},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
