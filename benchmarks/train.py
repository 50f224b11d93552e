"""Training speed and memory: ours beside Hugging Face's Trainer, litgpt and a plain PyTorch loop.

    python -m benchmarks.train --litgpt LITGPT_VENV/bin/python

The same Phi (29M parameters, the same initial weights), the same windows in the same order, float32, one core. Each
system trains in a process of its own (benchmarks/train_systems.py), one after the other and all of them again for every
repeat, so that a busy minute does not fall on one alone. Time is CPU time of the process over the steps after the first
``--warm-up``: what loading or compiling takes is not counted. Memory is the peak of the whole process up to its last
step (VmHWM). The peak of the machine is the fastest matrix product (1,024 × 1,024) that any repeat saw, in the same
CPU seconds.

litgpt holds transformers back, so it needs an environment of its own: ``pip install --no-deps litgpt lightning …`` in a
venv that sees this one's packages will do. Without ``--litgpt`` it is left out.

Prints a table, whether the losses agree, and last one JSON row; exit status 1 if the losses differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.command import note, table

HERE = Path(__file__).resolve().parent.parent
SYSTEMS = ("ours", "ours, compiled", "Trainer", "litgpt", "plain PyTorch")
OWN = SYSTEMS[:2]
SAME_LOSS = 2e-3
"""Rounding grows by the step; Trainer logs four digits."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litgpt", type=Path, help="Python of an environment that has litgpt")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--model", default="29m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--micro", type=int, default=8)
    parser.add_argument("--context", type=int, default=256)
    options = parser.parse_args(arguments)
    systems = [name for name in options.systems if name != "litgpt" or options.litgpt]
    if len(systems) < len(options.systems):
        note("litgpt is left out: give --litgpt PYTHON of an environment that has it")

    task = {name: getattr(options, name) for name in ("model", "steps", "windows", "micro", "context")}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in ("peak", *systems)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, task)
        for repeat in range(options.repeats):
            for system, results in told.items():
                note(f"repeat {repeat + 1} of {options.repeats}: {system}")
                python = options.litgpt if system == "litgpt" else sys.executable
                results.append(_run(python, system, folder))
    return _report(told, task, options)


def _prepare(folder: Path, task: dict[str, Any]) -> None:
    """Shards of the standard library's sources, the windows that a run reads from them, and the first weights."""
    from mixtures import open_blend
    from mixtures.settings import TokenizeSettings
    from mixtures.tokenize import tokenize
    from train.model import SIZES, new_model

    with (folder / "code.jsonl").open("w", encoding="utf-8") as stream:
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:80]:
            stream.write(json.dumps({"id": path.name, "text": path.read_text(encoding="utf-8")}) + "\n")
    tokenize(str(folder / "code.jsonl"), folder / "data" / "code", TokenizeSettings())
    (folder / "mixture.yaml").write_text("sources: {code: 1}\n", encoding="utf-8")
    blend = open_blend(folder / "mixture.yaml", folder / "data", task["context"], seed=0)
    np.save(folder / "windows.npy", blend.read(0, task["steps"] * task["windows"])[0])
    new_model(SIZES[task["model"]], task["context"] + 1, seed=0).save_pretrained(folder / "initial")
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")


def _run(python: Path | str, system: str, folder: Path) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "benchmarks.train_systems", system, folder],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{system} failed:\n{done.stdout}\n{done.stderr}")
    result: dict[str, Any] = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    return result


def _report(told: dict[str, list[dict[str, Any]]], task: dict[str, Any], options: argparse.Namespace) -> int:
    from train.model import SIZES

    step_tokens = task["windows"] * task["context"]
    tokens = step_tokens * (task["steps"] - options.warm_up)
    flops = SIZES[task["model"]].training_flops(tokens, task["context"])
    peak = max(result["losses"][0] for result in told.pop("peak"))  # a busy moment makes it lower, never higher
    rows = []
    for system, results in told.items():
        seconds = [result["seconds"][-1] - result["seconds"][options.warm_up] for result in results]
        rows.append(
            {
                "system": system,
                "tokens/CPU-s": round(tokens / statistics.median(seconds)),
                "slowest": round(tokens / max(seconds)),
                "fastest": round(tokens / min(seconds)),
                "of the peak": round(flops / statistics.median(seconds) / peak, 3),
                "peak MB": round(statistics.median(result["peak_mb"] for result in results)),
                "last loss": round(results[0]["losses"][-1], 4),
            }
        )
    print(table(rows))
    by_name = {row["system"]: row for row in rows}
    peers = [row for name, row in by_name.items() if name in ("Trainer", "litgpt")]
    best = {own: by_name[own] for own in OWN if own in by_name}
    ratios = {
        own: {
            "times the best of Trainer and litgpt": round(
                row["tokens/CPU-s"] / max(peer["tokens/CPU-s"] for peer in peers), 3
            ),
            "of their least memory": round(row["peak MB"] / min(peer["peak MB"] for peer in peers), 3),
        }
        for own, row in best.items()
        if peers
    }
    for own, ratio in ratios.items():
        print(f"{own}: " + ", ".join(f"{value} {name}" for name, value in ratio.items()))
    losses = np.array([result["losses"] for results in told.values() for result in results])
    apart = float(np.ptp(losses, axis=0).max())
    print(f"largest difference between the losses of a step: {apart:.1e} (agree: below {SAME_LOSS})")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    row = {"benchmark": "train", "commit": commit.stdout.strip(), "machine": platform.machine()}
    row |= {"repeats": options.repeats, **task, "peak_gflops": round(peak / 1e9, 1), "losses_apart": apart}
    print(json.dumps(row | {"systems": rows, "ratios": ratios}))
    return int(apart > SAME_LOSS)


if __name__ == "__main__":
    sys.exit(main())
