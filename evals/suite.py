"""The suite of benchmarks over runs: what is to be asked, what is known already, and adding an answer to a result.

Each task is a piece of work by itself, addressed by the weights, the items, the harness's version and the way of
asking; it is published as soon as it is answered, so that a killed command goes on with the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.files import content_key
from evals.generation import Asking
from evals.likelihood import Scorer
from evals.results import RunResult
from evals.runs import TrainedRun
from evals.seeds import LEVEL
from evals.settings import RunSettings, TaskSettings
from evals.statistics import above_chance
from evals.tasks import Row, Task, choose, evenly, read_items

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""Part of every key. Raise it when the same weights and items would give other numbers."""


@dataclass(frozen=True)
class Question:
    """One task for one run."""

    task: Task
    about: dict[str, Any]
    """how it is asked; its key is made of this"""
    key: str
    is_done: bool


def plan(
    run: TrainedRun, done: RunResult | None, settings: RunSettings, asked: TaskSettings, items: Path | None
) -> list[Question]:
    """The tasks that a run is asked, before anything heavy is loaded.

    Args:
        run: the model.
        done: what the results folder holds of it.
        settings: batch and device.
        asked: which tasks, and how much of them.
        items: folder with the eval files; None asks the hub for them.
    """
    questions = []
    for task in choose(asked.tasks or ""):
        about = {
            "harness": version("lm_eval"),
            "items": task.digest(items),
            "limit": asked.limit,
            "context_length": run.context_length,
            "max_tokens": min(asked.max_tokens or task.max_tokens, task.max_tokens, run.context_length // 2),
            "batch_tokens": settings.batch_tokens,
            "device": settings.device,
        }
        key = content_key(VERSION, run.model_digest, task.name, about)
        known = done is not None and done.tasks.get(task.name, {}).get("key") == key
        questions.append(Question(task, about, key, known))
    return questions


def answer(
    question: Question,
    result: RunResult,
    scorer: Scorer,
    items: Path | None,
    progress: Callable[[str, int | None, str], AbstractContextManager[Any]],
) -> RunResult:
    """``result`` with the answers to one task.

    Args:
        question: from :func:`plan`.
        result: of the run; answers to the same task are replaced.
        scorer: holds the model of the run.
        items: as in :func:`plan`.
        progress: is called with a name, a number of requests and a unit; gives a context whose value has ``update``.
    """
    from evals import harness

    task, about = question.task, question.about
    rows = read_items(task, items) if items else task.prepare(*harness.load_items(task))
    rows = _numbered(rows, about["limit"])
    asking = Asking(about["context_length"], about["batch_tokens"], about["max_tokens"])
    with progress(f"{result.name} {task.name}", harness.requests(task, rows), " requests") as bar:
        answers = harness.ask(task, rows, scorer, asking, bar.update)
    told = about | {
        "key": question.key,
        "requests": answers.requests,
        "asked": len(rows),
        "chance": answers.chance,
        "metrics": dict(answers.metrics),
    }
    return replace(
        result,
        choices=_with(result.choices, answers.choices, task.name),
        answers=_with(result.answers, answers.items, task.name),
        tasks={name: each for name, each in result.tasks.items() if name != task.name} | {task.name: told},
    )


def kept(result: RunResult, old: RunResult | None) -> RunResult:
    """``result`` with what an older one of the same weights was asked."""
    if old is None or old.model_digest != result.model_digest:
        return result
    return replace(result, choices=old.choices, answers=old.answers, tasks=old.tasks)


def rows(run: RunResult, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a task: its measures, and whether the model is above chance on it; see :func:`above_chance`."""
    import pyarrow.compute as pc

    table: list[dict[str, Any]] = []
    for name in names:
        about = run.tasks[name]
        metrics = dict(about["metrics"])
        scores = None if run.answers is None else run.answers.filter(pc.field("task") == name)["score"]
        right = None if scores is None or scores.null_count else round(pc.sum(scores).as_py())
        table.append(
            {
                "run": run.name,
                "task": name,
                "items": about["asked"],
                "accuracy": None if right is None else right / about["asked"],
                "acc_norm": metrics.get("acc_norm"),
                "chance": about["chance"],
                "gold_probability": metrics.get("gold_probability"),
                "bits/byte": metrics.get("bits_per_byte"),
                "right": right,
            }
        )
    judged = [row for row in table if row["right"] is not None]
    p_values = above_chance([(row["right"], row["items"], row["chance"]) for row in judged])
    for row, p in zip(judged, p_values, strict=True):
        row |= {"p": p, "signal": "yes" if p < LEVEL else "none"}
    for row in table:
        del row["right"]
    return table


def _numbered(rows: Sequence[Row], limit: int | None) -> list[Row]:
    return [{**rows[number], "number": number} for number in evenly(len(rows), limit)]


def _with(old: pa.Table | None, new: pa.Table, task: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if old is None:
        return new
    return pa.concat_tables([old.filter(pc.field("task") != task), new])
