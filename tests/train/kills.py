"""The experiment of the kills: train, SIGKILL at a random moment, go on; then hold every loss against an unbroken run.

A process that has loaded torch and DeepSpeed once forks a child for every attempt, since loading takes longer than the
attempt; the child is a process like any other, and dies like any other.

    python -m tests.train.kills SETTINGS.yaml FOLDER KILLS SEED      # prints the counts as JSON
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

from common.files import TEMPORARY_PREFIX
from train.loop import train
from train.settings import TrainSettings
from train.verify import verify


def kill_and_count(settings: TrainSettings, folder: Path, kills: int, seed: int = 0) -> dict:
    """Train one run unbroken, another with ``kills`` kills, every second of them while a checkpoint is written."""
    chance = random.Random(seed)
    unbroken, run = folder / "unbroken", folder / "killed"
    train(settings, unbroken)  # here, so that everything is loaded when the children are forked
    began = time.monotonic()
    train_in_a_child(settings, folder / "timed").join()
    took = time.monotonic() - began
    expected = losses(unbroken)
    turn = killed = within = resumed = differing = 0
    while killed < kills and (turn := turn + 1) <= 4 * kills:  # some attempts are finished before their kill
        child = train_in_a_child(settings, run)
        if turn % 2:
            wait_until(lambda: any(unfinished(run)), child, 4 * took)
            time.sleep(chance.uniform(0, 0.15))
        else:
            child.join(chance.uniform(0, took))
        # stopped first, so that what is seen is what it dies with
        if child.is_alive():
            os.kill(child.pid, signal.SIGSTOP)
            within += any(unfinished(run))
            killed += 1
            child.kill()
        child.join()
        made = losses(run)
        resumed += len(made)
        differing += made != expected[: len(made)]
        if len(made) == len(expected) and (run / "export").exists():  # finished: begin again
            run.rename(folder / f"finished-{turn}")
    last = train_in_a_child(settings, run)
    last.join()
    verdict = verify(run)
    return {
        "killed": killed,
        "killed_inside_a_checkpoint": within,
        "attempts": turn,
        "steps": settings.steps,
        "losses_compared": resumed + len(losses(run)),
        "attempts_with_another_loss": differing + (losses(run) != expected),
        "finished_well": last.exitcode == 0,
        "verified_steps": verdict.steps,
        "difference": verdict.difference,
        "same_ledger": (run / "ledger.jsonl").read_bytes() == (unbroken / "ledger.jsonl").read_bytes(),
        "same_model": model(run) == model(unbroken),
    }


def train_in_a_child(settings, run):
    child = multiprocessing.get_context("fork").Process(target=train, args=(settings, run))
    child.start()
    return child


def wait_until(true, child, timeout_s):
    end = time.monotonic() + timeout_s
    while not true() and child.is_alive() and time.monotonic() < end:
        time.sleep(0.001)


def unfinished(run):
    return (run / "checkpoints").glob(f"{TEMPORARY_PREFIX}step-*")


def losses(run):
    """Losses of the steps that were recorded whole; a line that the kill tore is none."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line)["loss"] for line in lines if line.endswith("\n")]


def model(run):
    return (run / "export" / "model.safetensors").read_bytes()


if __name__ == "__main__":
    counts = kill_and_count(TrainSettings.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(counts))
