"""Questions, filters and metrics of lm-evaluation-harness; the answers are ours.

The harness makes the prompts of a task and judges the answers. Between the two stands :class:`evals.likelihood.Scorer`,
which gives log-probabilities in batches of like length without ever holding all logits, and every one of them is kept.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import content_key
from evals.generation import Asking, write
from evals.likelihood import Scorer
from evals.results import answer_schema, choice_schema
from evals.statistics import bits_per_byte
from evals.tasks import Row, Task
from evals.units import Choices

if TYPE_CHECKING:
    import pyarrow as pa


Report = Callable[[int], Any] | None
Floats = NDArray[np.float64]
Measure = Callable[[Sequence[tuple[str, str]]], Floats]
"""Log-probability of each text after its question."""


@dataclass(frozen=True)
class Answers:
    """What a model said to one task."""

    choices: pa.Table
    items: pa.Table
    requests: str
    """digest of all that it was asked"""
    chance: float | None
    """accuracy without reading the questions; None where nothing was judged"""
    metrics: Mapping[str, float]


def load_items(task: Task) -> tuple[list[Row], list[Row]]:
    """Items and examples of a task from the hub.

    Raises:
        InputError: if they cannot be had; it says how to do without the hub.
    """
    import datasets

    datasets.disable_progress_bars()
    stock = _stock(task)
    split = stock.get("test_split") or stock.get("validation_split")
    path, name, split = task.hub or (stock["dataset_path"], stock.get("dataset_name"), split)
    try:
        splits = [split, "dev"] if task.examples else [split]
        loaded = [list(datasets.load_dataset(path, name, split=each)) for each in splits]
    except Exception as error:  # the hub's client raises what its transport raises
        raise InputError(
            f"task {task.name}: cannot load {path} from the hub ({' '.join(str(error).split())[:200]}); "
            f"name a folder with {task.file}.jsonl by --data"
        ) from error
    return loaded[0], loaded[1] if task.examples else []


def harness_task(task: Task, rows: Sequence[Row]) -> Any:
    """The harness's own task object over ``rows``."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    datasets.disable_progress_bars()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    splits = {"training_split": None, "validation_split": None, "fewshot_split": None, "test_split": "test"}
    items = {"test": datasets.Dataset.from_list(list(rows))}
    config = _stock(task) | splits | {"task": task.name, "dataset_path": task.name, "dataset_name": None}
    config |= {"output_type": "multiple_choice" if task.kind == "choice" else "generate_until"}
    config |= dict(task.changes) | {"custom_dataset": lambda **_: items, "should_decontaminate": False}
    made = ConfigurableTask(config=config)
    made.set_config("num_fewshot", made.config.num_fewshot or 0)
    made.set_fewshot_seed(0)
    return made


def ask(task: Task, rows: Sequence[Row], scorer: Scorer, asking: Asking, report: Report = None) -> Answers:
    """Put the items ``rows`` of a task to a model.

    Args:
        task: of the suite.
        rows: as :func:`evals.tasks.read_items` gives them; ``number`` is the row's number in the eval file.
        scorer: holds the model.
        asking: how.
        report: is called with a number of requests, now and then; there are ``requests(task, rows)`` in all.
    """
    if task.kind == "text":
        return _texts(task, rows, scorer, asking, report)
    made = harness_task(task, rows)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for a second's work
        made.build_all_requests()

    def measure(pairs: Sequence[tuple[str, str]]) -> Floats:
        return scorer.continuations(pairs, asking.context_length, asking.batch_tokens, report)

    prompts = _prompts(made)
    if task.kind == "choice":
        chance, choices = _choose(task, rows, made, measure)
        written: list[str | None] = [None] * len(rows)
    else:
        questions = [item[0][0] for item in prompts]
        texts = write(scorer, questions, made.config.generation_kwargs["until"], asking, report)
        for instance, text in zip(made.instances, texts, strict=True):
            instance.resps.append(text)
        chance, written, choices = 0.0, list(texts), _references(task, rows, questions, measure)
    metrics, scores = _judge(made, len(rows))
    return Answers(
        choices,
        _items(task, rows, scores, written),
        requests=content_key([[list(map(str, args)) for args in item] for item in prompts]),
        chance=None if scores[0] is None else chance,
        metrics=metrics | _measures(choices),
    )


def requests(task: Task, rows: Sequence[Row]) -> int | None:
    """How many requests :func:`ask` makes, where that is known before."""
    if task.kind == "choice":
        return None
    return len(rows) * (2 if task.reference else 1)


def _prompts(made: Any) -> list[list[tuple[str, Any]]]:
    """What is asked about each item."""
    prompts: list[list[tuple[str, Any]]] = [[] for _ in made.task_docs]
    for instance in made.instances:
        prompts[instance.doc_id].append(instance.args)
    return prompts


def _choose(task: Task, rows: Sequence[Row], made: Any, measure: Measure) -> tuple[float, pa.Table]:
    """Chance, and the log-probability of every choice of every item."""
    values = measure([instance.args for instance in made.instances])
    for instance, value in zip(made.instances, values.tolist(), strict=True):
        instance.resps.append((value, False))  # no metric of the suite asks whether it is the most likely text
    offered = [[text.removeprefix(made.config.target_delimiter) for _, text in item] for item in _prompts(made)]
    right = made.doc_to_text if made.multiple_input else made.doc_to_target
    gold = [int(right(row)) for row in made.task_docs]
    return _chance(offered, gold), _choices(task, rows, offered, gold, values)


def _references(task: Task, rows: Sequence[Row], questions: Sequence[str], measure: Measure) -> pa.Table:
    """The log-probability of the right answer in full, where there is one: a choice without alternatives."""
    if not task.reference:
        return choice_schema().empty_table()
    right = [task.reference(row) for row in rows]
    values = measure(list(zip(questions, right, strict=True)))
    return _choices(task, rows, [[text.strip()] for text in right], [0] * len(rows), values)


def _texts(task: Task, rows: Sequence[Row], scorer: Scorer, asking: Asking, report: Report) -> Answers:
    """Log-probability of statements by themselves, each after an end-of-text token."""
    texts = [str(row["text"]) for row in rows]
    values = scorer.log_probabilities(
        scorer.encode(texts), asking.context_length, max(1, asking.context_length // 2), asking.batch_tokens
    )
    if report:
        report(len(rows))
    choices = _choices(task, rows, [[text] for text in texts], [0] * len(rows), values)
    items = _items(task, rows, [None] * len(rows), [None] * len(rows))
    return Answers(choices, items, content_key(texts), None, _measures(choices))


def _judge(made: Any, count: int) -> tuple[dict[str, float], list[float | None]]:
    """The harness's metrics, and each item's score by the first of them."""
    made.apply_filters()
    instances: list[list[Any]] = [[] for _ in range(count)]
    for instance in made.instances:
        instances[instance.doc_id].append(instance)
    metrics: dict[str, float] = {}
    scores: list[float | None] = [None] * count
    for filtered in made.instances[0].filtered_resps:
        judged = [
            made.process_results(doc, [instance.filtered_resps[filtered] for instance in mine])
            for doc, mine in zip(made.task_docs, instances, strict=True)
        ]
        for name in judged[0]:
            if name == "bypass":
                continue
            values = [float(each[name]) for each in judged]
            if not metrics:
                scores = list(values)
            metrics[name if filtered == "none" else f"{name},{filtered}"] = float(np.mean(values))
    return metrics, scores


def _choices(
    task: Task, rows: Sequence[Row], offered: Sequence[Sequence[str]], gold: Sequence[int], values: Floats
) -> pa.Table:
    import pyarrow as pa

    places = [(number, choice) for number, texts in enumerate(offered) for choice in range(len(texts))]
    columns = {
        "task": [task.name] * len(places),
        "item": [str(rows[number]["number"]) for number, _ in places],
        "choice": [choice for _, choice in places],
        "log_probability": values.tolist(),
        "bytes": [len(offered[number][choice].encode()) for number, choice in places],
        "is_gold": [gold[number] == choice for number, choice in places],
    }
    return pa.Table.from_pydict(columns, schema=choice_schema())


def _items(task: Task, rows: Sequence[Row], scores: Sequence[float | None], written: Sequence[str | None]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "task": [task.name] * len(rows),
        "item": [str(row["number"]) for row in rows],
        "groups": [task.groups(row) for row in rows],
        "score": scores,
        "written": written,
    }
    return pa.Table.from_pydict(columns, schema=answer_schema())


def _measures(choices: pa.Table) -> dict[str, float]:
    """Measures of log-probabilities: of the right answer against the others, and by itself."""
    if not choices.num_rows:
        return {}
    is_gold = choices["is_gold"].to_numpy(zero_copy_only=False)
    right = (choices[name].to_numpy()[is_gold] for name in ("log_probability", "bytes"))
    read = Choices(choices, "what was asked")
    measures = {"bits_per_byte": float(bits_per_byte(*right))}
    return measures | ({"gold_probability": float(read.gold_probability.mean())} if read.offers_a_choice else {})


def _chance(offered: Sequence[Sequence[str]], gold: Sequence[int]) -> float:
    """Accuracy without reading the questions: of one guess in as many as there are choices; where these are the same
    for all items (yes and no, letters), of always giving the answer that is right most often."""
    guess = float(np.mean([1 / len(texts) for texts in offered]))
    if all(list(texts) == list(offered[0]) for texts in offered):
        return max(guess, float(np.bincount(gold).max() / len(gold)))
    return guess


def _stock(task: Task) -> dict[str, Any]:
    """A task's configuration as the harness ships it.

    Where it would run code that a model wrote, the harness fetches a metric from the hub on loading its helpers; those
    are left unloaded, and examples in them are read as the constants that they are.
    """
    if not task.stock:
        return {}
    import lm_eval
    from lm_eval.tasks._yaml_loader import load_yaml

    path = Path(lm_eval.__file__).parent / "tasks" / task.stock
    config: dict[str, Any] = load_yaml(path, resolve_func=False)
    if not config.get("unsafe_code"):
        config = load_yaml(path)
    elif isinstance(samples := (config.get("fewshot_config") or {}).get("samples"), str):
        module, _, name = samples.rpartition(".")
        config["fewshot_config"]["samples"] = _constant(Path(f"{module}.py"), name)
    for unused in ("tag", "group", "task_list", "class", "metadata", "dataset_kwargs"):
        config.pop(unused, None)
    return config


def _constant(path: Path, function: str) -> Any:
    """What a function returns that does nothing but return a constant, without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function).body
    assert isinstance(body[-1], ast.Return) and body[-1].value is not None, f"{path}: {function} returns no constant"
    return ast.literal_eval(body[-1].value)
