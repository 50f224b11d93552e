"""The paper's suite, asked by us and by lm-evaluation-harness's own Hugging Face model: same weights, same items.

    python -m benchmarks.suite --run runs/web --data EVAL_FILES --limit 100

Times each task (wall clock, after loading), and prints by how much log-probabilities differ: ours from the harness's,
and ours at another batch size from ours. Of written answers it counts those that are other texts. Prints a table and
last one JSON row.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.command import table
from evals.generation import Asking
from evals.harness import Answers, ask, harness_task
from evals.likelihood import Scorer
from evals.runs import open_run
from evals.tasks import SUITE, Row, Task, evenly, read_items

BATCH_TOKENS, OTHER_BATCH_TOKENS = 8192, 1024


def theirs(task: Task, rows: Sequence[Row], model: Any, max_tokens: int) -> tuple[list[float], list[str]]:
    """Log-probabilities or written answers by the harness's own loop and model."""
    from lm_eval.evaluator import evaluate

    with contextlib.redirect_stderr(io.StringIO()):
        made = harness_task(task, rows)
        if task.kind == "generation":
            made.config.generation_kwargs["max_gen_toks"] = max_tokens
        result = evaluate(model, {"tasks": {task.name: made}, "groups": {}}, bootstrap_iters=0, log_samples=True)
    samples = result["samples"][task.name][: len(rows)]
    if task.kind == "generation":
        return [], [sample["resps"][0][0] for sample in samples]
    return [float(choice[0]) for sample in samples for choice in sample["filtered_resps"]], []


def differences(values: Sequence[float], others: Sequence[float]) -> float | None:
    """The largest difference between log-probabilities, in millionths of a nat."""
    return 1e6 * float(np.abs(np.subtract(values, others)).max()) if len(values) else None


def changed(texts: Sequence[str | None], others: Sequence[str | None]) -> int | None:
    """How many written answers are other texts."""
    return sum(a != b for a, b in zip(texts, others, strict=True)) if others and others[0] is not None else None


def measure(task: Task, rows: Sequence[Row], scorer: Scorer, model: Any, context_length: int) -> dict[str, Any]:
    """One row of the table."""

    def ours(batch_tokens: int) -> tuple[Answers, float]:
        start = time.perf_counter()
        answers = ask(task, rows, scorer, Asking(context_length, batch_tokens, max_tokens))
        return answers, time.perf_counter() - start

    max_tokens = min(task.max_tokens, context_length // 2)
    answers, seconds = ours(BATCH_TOKENS)
    other, _ = ours(OTHER_BATCH_TOKENS)
    values, written = answers.choices["log_probability"].to_pylist(), answers.items["written"].to_pylist()
    row: dict[str, Any] = {"task": task.name, "items": len(rows), "seconds": seconds}
    if task.kind != "text":
        start = time.perf_counter()
        their_values, their_texts = theirs(task, rows, model, max_tokens)
        row |= {
            "harness seconds": time.perf_counter() - start,
            "1e-6 nats from harness": differences(values, their_values) if their_values else None,
            "texts not the harness's": changed(their_texts, written) if their_texts else None,
        }
    return row | {
        "1e-6 nats from other batch": differences(values, other.choices["log_probability"].to_pylist()),
        "texts of other batch": changed(written, other.items["written"].to_pylist()),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run directory of train")
    parser.add_argument("--data", type=Path, required=True, help="folder with the eval files")
    parser.add_argument("--limit", type=int, default=100, help="items a task")
    given = parser.parse_args()
    run = open_run(given.run)
    scorer = Scorer(run.export, "cpu")
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=scorer.model, tokenizer=scorer.tokenizer, max_length=run.context_length, batch_size=16, device="cpu"
    )
    rows = []
    for task in SUITE:
        items = read_items(task, given.data)
        chosen = [{**items[number], "number": number} for number in evenly(len(items), given.limit)]
        rows.append(measure(task, chosen, scorer, model, run.context_length))
    columns = ["task", "items", "seconds", "harness seconds", "1e-6 nats from harness", "texts not the harness's"]
    print(table(rows, [*columns, "1e-6 nats from other batch", "texts of other batch"]))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    both = [row for row in rows if "harness seconds" in row]
    summary = {
        "commit": commit.stdout.strip(),
        "machine": platform.platform(),
        "limit": given.limit,
        "context_length": run.context_length,
        "parameters": sum(weight.numel() for weight in scorer.model.parameters()),
        "seconds": sum(row["seconds"] for row in rows),
        "harness_seconds": sum(row["harness seconds"] for row in both),
        "ratio": sum(row["harness seconds"] for row in both) / sum(row["seconds"] for row in both),
        "nats_from_harness": 1e-6 * max(row["1e-6 nats from harness"] or 0 for row in both),
        "nats_from_other_batch": 1e-6 * max(row["1e-6 nats from other batch"] or 0 for row in rows),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
