"""The paper's suite of benchmarks: which task of lm-evaluation-harness, which items, and what is changed of it.

Prompts, few-shot examples and metrics are those of lm-evaluation-harness, from the configuration that it ships; a task
names here only what differs: a data set of one file in place of the hub's, and for MMLU two shots as in the paper.
Items are the rows of the file ``TASK.jsonl[.gz|.zst]`` in a folder, or the evaluation split of the hub's data set.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from common.documents import read_rows
from common.errors import InputError, SettingsError
from common.files import sha256_of

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
SHOTS = 2
"""Examples before a question of MMLU, from the development split of its subject."""
LETTERS = "ABCDE"


def _as_it_is(rows: Sequence[Row], _: Sequence[Row]) -> list[Row]:
    return list(rows)


@dataclass(frozen=True)
class Task:
    """One benchmark, asked in one way."""

    name: str
    kind: Literal["choice", "generation", "text"]
    """one of several answers by log-probability; an answer that is written; a text by its log-probability"""
    stock: str
    """configuration in lm-evaluation-harness, below its folder of tasks; of SQuAD 1.1 it has none"""
    items: str = ""
    """eval file, without suffix; default the name"""
    examples: str = ""
    """eval file with the examples that go before the questions, if they are not in the configuration"""
    hub: tuple[str, str | None, str] | None = None
    """data set, configuration and split, where the stock ones do not serve"""
    columns: tuple[str, ...] = ()
    """that every row of the eval file has"""
    prepare: Callable[[Sequence[Row], Sequence[Row]], list[Row]] = _as_it_is
    """makes the rows that the prompts need of the items and the examples"""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """that go over the stock configuration"""
    reference: Callable[[Row], str] | None = None
    """the right answer in full, of a task whose answer is written: its bits per byte are measured too"""
    groups: Callable[[Row], list[str]] = lambda row: []
    """that an item belongs to"""
    max_tokens: int = 256
    """of a written answer"""

    @property
    def file(self) -> str:
        """Name of the eval file, without suffix."""
        return self.items or self.name

    def files(self, folder: Path) -> list[Path]:
        """The eval files of this task in a folder: of the items, and of the examples if it needs any.

        Raises:
            InputError: if one is not there.
        """
        return [_find(folder, name) for name in (self.file, self.examples) if name]

    def digest(self, folder: Path | None) -> dict[str, Any]:
        """What decides its items, as far as is known before they are loaded."""
        return (
            {"hub": self.stock or self.name}
            if folder is None
            else {path.name: sha256_of(path) for path in self.files(folder)}
        )


def has_items(folder: Path) -> bool:
    """Whether a folder holds an eval file of the suite."""
    return any((folder / f"{task.file}{suffix}").is_file() for task in SUITE for suffix in SUFFIXES)


def read_items(task: Task, folder: Path) -> list[Row]:
    """The rows of a task's eval file, as its prompts need them."""
    rows = [list(read_rows(str(path))) for path in task.files(folder)]
    for number, row in enumerate(rows[0], start=1):
        if missing := [name for name in task.columns if name not in row]:
            raise InputError(f"{task.files(folder)[0]}, row {number}: no {missing[0]}; task {task.name} needs it")
    return task.prepare(rows[0], rows[1] if task.examples else [])


def choose(names: str) -> list[Task]:
    """Tasks by name, in the order of the suite.

    Args:
        names: with commas between them, or ``all``.
    Raises:
        SettingsError: if one is unknown.
    """
    asked = {name.strip() for name in names.split(",") if name.strip()}
    known = [task.name for task in SUITE]
    if unknown := sorted(asked - {*known, "all"}):
        raise SettingsError(f"unknown task {unknown[0]!r}: choose of {', '.join(known)}, or all")
    return [task for task in SUITE if "all" in asked or task.name in asked]


def evenly(count: int, limit: int | None) -> list[int]:
    """Numbers of at most ``limit`` rows, evenly spread: eval files are often sorted by subject.

    >>> evenly(10, 4)
    [0, 2, 5, 7]
    """
    kept = count if limit is None else min(count, limit)
    return [number * count // kept for number in range(kept)]


def exact_match(written: str, answers: Sequence[str]) -> float:
    """1 if what was written is one of the answers, else 0; case, punctuation, articles and spaces do not count.

    Rajpurkar et al. 2016, "SQuAD", arXiv 1606.05250, section 6.1, and the script that came with it.

    >>> exact_match(" The Thames River. ", ["Thames river"])
    1.0
    """

    def plain(text: str) -> list[str]:
        kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", kept).split()

    return float(any(plain(written) == plain(answer) for answer in answers))


def _find(folder: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise InputError(f"{folder} holds no {name}.jsonl, plain, .gz or .zst")


def _boolq(rows: Sequence[Row], _: Sequence[Row]) -> list[Row]:
    """The original files say true or false where the hub's copy says 1 or 0."""
    return [row if "label" in row else {**row, "label": int(row["answer"])} for row in rows]


def _toxigen(rows: Sequence[Row], _: Sequence[Row]) -> list[Row]:
    """People's grades from 1 to 5 by two questions; above 5.5 together is hateful, as in lm-evaluation-harness."""

    def hateful(row: Row) -> int:
        return int(row["label"] == "hate" if "label" in row else row["toxicity_ai"] + row["toxicity_human"] > 5.5)

    return [{**row, "gold": hateful(row)} for row in rows]


def _toxigen_groups(row: Row) -> list[str]:
    targets = row.get("target_groups") or [row.get("target_group", "")]
    return ["hate" if row["gold"] else "neutral", *sorted(set(targets))]


def _mmlu(rows: Sequence[Row], examples: Sequence[Row]) -> list[Row]:
    """Each row with its first development questions in front, as text with letters and as text with answers."""
    shots: dict[str, list[Row]] = {}
    for row in examples:
        shots.setdefault(row["subject"], []).append(row)
    prepared = []
    for row in rows:
        mine = shots.get(row["subject"], [])[:SHOTS]
        if len(mine) < SHOTS:
            raise InputError(f"task mmlu: {len(mine)} examples of {row['subject']}; it needs {SHOTS}")
        lettered = [f"{_mmlu_question(shot)} {LETTERS[shot['answer']]}\n\n" for shot in mine]
        plain = [
            f"Question: {shot['question'].strip()}\nAnswer: {shot['choices'][shot['answer']]}\n\n" for shot in mine
        ]
        about = f"about {row['subject'].replace('_', ' ')}.\n\n"
        prepared.append({**row, "about": about, "lettered": "".join(lettered), "plain": "".join(plain)})
    return prepared


def _mmlu_question(row: Row) -> str:
    choices = "".join(f"{letter}. {text}\n" for letter, text in zip(LETTERS, row["choices"], strict=False))
    return f"{row['question'].strip()}\n{choices}Answer:"


def _gsm8k_answer(row: Row) -> str:
    return " " + str(row["answer"]).split("####")[0].strip()


MMLU: Mapping[str, Any] = {
    "examples": "mmlu_dev",
    "hub": ("cais/mmlu", "all", "test"),
    "columns": ("question", "subject", "choices", "answer"),
    "prepare": _mmlu,
    "groups": lambda row: [row["subject"]],
}
TOXIGEN: Mapping[str, Any] = {
    "stock": "toxigen/toxigen.yaml",
    "items": "toxigen",
    "columns": ("text",),
    "prepare": _toxigen,
    "groups": _toxigen_groups,
}
SUITE = (
    Task("winogrande", "choice", "winogrande/default.yaml", columns=("sentence", "option1", "option2", "answer")),
    Task("arc_easy", "choice", "arc/arc_easy.yaml", columns=("question", "choices", "answerKey")),
    Task("arc_challenge", "choice", "arc/arc_challenge.yaml", columns=("question", "choices", "answerKey")),
    Task("boolq", "choice", "super_glue/boolq/default.yaml", columns=("passage", "question"), prepare=_boolq),
    Task("siqa", "choice", "siqa/siqa.yaml", columns=("context", "question", "answerA", "answerB", "answerC", "label")),
    Task("piqa", "choice", "piqa/piqa.yaml", columns=("goal", "sol1", "sol2", "label")),
    Task(
        "hellaswag",
        "choice",
        "hellaswag/hellaswag.yaml",
        columns=("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    ),
    Task("openbookqa", "choice", "openbookqa/openbookqa.yaml", columns=("question_stem", "choices", "answerKey")),
    Task(
        "squad",
        "generation",
        "",
        hub=("rajpurkar/squad", None, "validation"),
        columns=("title", "context", "question", "answers"),
        changes={
            "doc_to_text": "Title: {{title}}\n\nBackground: {{context}}\n\nQuestion: {{question}}\n\nAnswer:",
            "doc_to_target": "{{answers.text[0]}}",
            "generation_kwargs": {"until": ["\n"], "do_sample": False},
            "process_results": lambda row, written: {"exact_match": exact_match(written[0], row["answers"]["text"])},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        },
        reference=lambda row: " " + row["answers"]["text"][0],
        max_tokens=32,
    ),
    Task(
        "mmlu",
        "choice",
        "mmlu/default/_default_template_yaml",
        changes={
            "description": "The following are multiple choice questions (with answers) {{about}}{{lettered}}",
        },
        **MMLU,
    ),
    Task(
        "mmlu_cloze",
        "choice",
        "mmlu/continuation/_continuation_template_yaml",
        items="mmlu",
        changes={"description": "The following are questions (with answers) {{about}}{{plain}}"},
        **MMLU,
    ),
    Task(
        "gsm8k",
        "generation",
        "gsm8k/gsm8k-cot.yaml",
        columns=("question", "answer"),
        reference=_gsm8k_answer,
    ),
    Task(
        "gsm8k_code",
        "generation",
        "gsm8k/gsm8k-cot.yaml",
        items="gsm8k",
        columns=("question", "answer"),
        changes={
            "doc_to_text": 'def solution():\n    """{{question}}"""\n',
            "num_fewshot": 0,
            "fewshot_config": None,
            "generation_kwargs": {"until": ["\nclass", "\ndef", "\n#", "\nif", "\nprint"], "do_sample": False},
            "filter_list": None,
            "metric_list": [{"metric": "bypass"}],
        },
    ),
    Task(
        "humaneval",
        "generation",
        "humaneval/humaneval.yaml",
        columns=("task_id", "prompt", "canonical_solution", "test", "entry_point"),
        reference=lambda row: str(row["canonical_solution"]),
        changes={"filter_list": None, "metric_list": [{"metric": "bypass"}], "unsafe_code": False},
        max_tokens=512,
    ),
    Task(
        "mbpp",
        "generation",
        "mbpp/mbpp.yaml",
        columns=("text", "code", "test_list"),
        reference=lambda row: str(row["code"]),
        changes={"metric_list": [{"metric": "bypass"}], "unsafe_code": False},
        max_tokens=512,
    ),
    Task(
        "toxigen",
        "choice",
        changes={"doc_to_target": "gold"},
        **TOXIGEN,
    ),
    Task("toxigen_statements", "text", **TOXIGEN),
)
"""``mmlu_cloze`` asks MMLU for the answer's text where ``mmlu`` asks for its letter, which small models cannot give (Gu
et al. 2024, "OLMES", arXiv 2406.08446); ARC, SIQA, PIQA, HellaSwag and OpenBookQA are asked for the text to begin with.
``gsm8k_code`` is how the paper asks GSM8K: for a program. ``toxigen`` is the harness's question whether a statement is
hateful; ``toxigen_statements`` measures the statements themselves, as the paper's toxicity score does."""
