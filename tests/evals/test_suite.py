import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evals import suite
from evals.cli import main
from evals.results import answer_schema
from evals.statistics import above_chance
from evals.tasks import SUITE
from tests.evals.helpers import made_result
from tests.evals.items import ITEMS, write_items

FILES = ("items.parquet", "choices.parquet", "answers.parquet", "manifest.json")
QUICK = ("--sample-tokens", "1", "--max-tokens", "3", "--batch-tokens", "4000")


def call(capsys, *words):
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def items(tmp_path):
    return write_items(tmp_path / "items")


def test_one_command_asks_all_tasks_without_a_network_and_keeps_every_choice(runs, items, tmp_path, capsys):
    words = ("run", runs[0], "--out", tmp_path / "r", "--data", items, "--tasks", "all", *QUICK, "--json")
    status, out, _ = call(capsys, *words)
    assert status == 0
    table = {row["task"]: row for row in json.loads(out)["tasks"]}
    assert list(table) == [task.name for task in SUITE]
    assert {name: row["items"] for name, row in table.items()} == {t.name: len(ITEMS[t.file]) for t in SUITE}
    rows = pq.read_table(tmp_path / "r" / "choices.parquet").to_pylist()
    arc = [row for row in rows if row["task"] == "arc_easy"]
    assert [(row["item"], row["choice"]) for row in arc] == [("0", i) for i in range(4)] + [
        *[("1", i) for i in range(4)],
        *[("2", i) for i in range(3)],
    ]
    assert [row["choice"] for row in arc if row["is_gold"]] == [0, 1, 0]
    assert [row["bytes"] for row in arc[:4]] == [len(text) for text in ITEMS["arc_easy"][0]["choices"]["text"]]
    answers = pq.read_table(tmp_path / "r" / "answers.parquet").to_pylist()
    assert {row["task"] for row in answers if row["written"] is not None} == {
        *("squad", "gsm8k", "gsm8k_code", "humaneval", "mbpp")
    }


def test_a_second_run_asks_nothing_and_a_changed_file_only_its_tasks(runs, items, tmp_path, capsys, monkeypatch):
    words = ("run", runs[0], "--out", tmp_path / "r", "--data", items, "--tasks", "piqa,boolq,mmlu,mmlu_cloze", *QUICK)
    asked = []
    real = suite.answer
    monkeypatch.setattr(
        suite, "answer", lambda question, *rest: asked.append(question.task.name) or real(question, *rest)
    )
    call(capsys, *words)
    assert asked == ["boolq", "piqa", "mmlu", "mmlu_cloze"]
    _, _, err = call(capsys, *words)
    assert "nothing to do" in err
    (items / "mmlu_dev.jsonl").write_text((items / "mmlu_dev.jsonl").read_text().replace("krill", "plankton"))
    call(capsys, *words)
    assert asked[4:] == ["mmlu", "mmlu_cloze"]
    call(capsys, *words, "--limit", 1)
    assert asked[6:] == ["boolq", "piqa", "mmlu", "mmlu_cloze"]
    call(capsys, *words, "--limit", 1, "--stride", 12)
    assert len(asked) == 10  # other windows of documents: the tasks stay
    assert len(json.loads((tmp_path / "r" / "manifest.json").read_text())["runs"]["web"]["tasks"]) == 4


def test_a_killed_command_goes_on_and_gives_the_same_bytes(runs, items, tmp_path, capsys, monkeypatch):
    words = ("--data", items, "--tasks", "piqa,boolq,squad", *QUICK)
    call(capsys, "run", runs[0], "--out", tmp_path / "whole", *words)
    real = suite.answer

    def killed(question, *rest):
        if question.task.name == "squad":
            raise KeyboardInterrupt
        return real(question, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(suite, "answer", killed)
        assert call(capsys, "run", runs[0], "--out", tmp_path / "r", *words)[0] == 130
    assert set(pq.read_table(tmp_path / "r" / "answers.parquet")["task"].to_pylist()) == {"piqa", "boolq"}
    call(capsys, "run", runs[0], "--out", tmp_path / "r", *words)
    for name in FILES:
        assert (tmp_path / "r" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_items_of_the_hub_give_what_the_same_items_from_files_give(runs, items, tmp_path, capsys, monkeypatch):
    import datasets

    hub = {
        ("baber/piqa", None, "validation"): "piqa",
        ("cais/mmlu", "all", "test"): "mmlu",
        ("cais/mmlu", "all", "dev"): "mmlu_dev",
        ("rajpurkar/squad", None, "validation"): "squad",
        ("allenai/ai2_arc", "ARC-Challenge", "test"): "arc_challenge",
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda path, name, split: ITEMS[hub[path, name, split]])
    words = ("run", runs[0], "--tasks", "piqa,mmlu,squad,arc_challenge", *QUICK)
    assert call(capsys, *words, "--out", tmp_path / "hub")[0] == 0
    assert call(capsys, *words, "--out", tmp_path / "files", "--data", items)[0] == 0
    for name in ("choices.parquet", "answers.parquet"):
        assert (tmp_path / "hub" / name).read_bytes() == (tmp_path / "files" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tasks", "bool", "--data", "ITEMS"), "unknown task 'bool': choose of winogrande, "),
        (("--tasks", "squad", "--data", "ITEMS"), "holds no squad.jsonl, plain, .gz or .zst"),
        (("--data", "ITEMS", "--data", "ITEMS"), "are both folders of eval files; name one"),
        (
            ("--tasks", "piqa"),
            "task piqa: cannot load baber/piqa from the hub (no network); name a folder",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(words, message, runs, items, tmp_path, capsys, monkeypatch):
    import datasets

    def unreachable(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    (items / "squad.jsonl").unlink()
    given = [items if word == "ITEMS" else word for word in words]
    status, _, err = call(capsys, "run", runs[0], "--out", tmp_path / "r", "--sample-tokens", 1, *given)
    assert status == 2
    assert message in err.splitlines()[-1]


def test_a_dry_run_writes_nothing(runs, items, tmp_path, capsys):
    words = ("run", runs[0], "--out", tmp_path / "r", "--data", items, "--tasks", "all", "--dry-run", "--json")
    status, out, _ = call(capsys, *words)
    assert (status, json.loads(out)["runs"][0]["tasks"]) == (0, len(SUITE))
    assert not (tmp_path / "r").exists()


def test_a_model_is_above_chance_only_if_chance_would_seldom_do_as_well():
    # sum of C(100, k) / 2^100 for k >= 60 is 0.02844; twice that for the smaller of two p values
    assert above_chance([(60, 100, 0.5), (50, 100, 0.5)]) == pytest.approx([2 * 0.028444, 0.539795], abs=1e-5)
    assert above_chance([(0, 10, 0.0)]) == [1.0]
    assert above_chance([(1, 10, 0.0)]) == [0.0]
    assert above_chance([]) == []


def test_a_task_that_is_answered_better_than_by_chance_shows_signal():
    scores = {"piqa": [1.0] * 70 + [0.0] * 30, "boolq": [1.0] * 50 + [0.0] * 50, "humaneval": [None] * 100}
    table = {
        "task": [name for name, values in scores.items() for _ in values],
        "item": [str(number) for values in scores.values() for number in range(len(values))],
        "groups": [[]] * 300,
        "score": [value for values in scores.values() for value in values],
        "written": [None] * 300,
    }
    about = {"asked": 100, "chance": 0.5, "metrics": {"acc": 0.7}}
    result = made_result(
        "web",
        np.ones(30),
        answers=pa.Table.from_pydict(table, schema=answer_schema()),
        tasks={"piqa": about, "boolq": about, "humaneval": about | {"chance": None, "metrics": {}}},
    )
    piqa, boolq, humaneval = suite.rows(result, list(scores))
    assert (piqa["accuracy"], piqa["signal"]) == (0.7, "yes")
    assert piqa["p"] == pytest.approx(2 * 3.925e-5, rel=1e-3)  # P(at least 70 heads of 100), twice for two judged tasks
    assert (boolq["accuracy"], boolq["signal"]) == (0.5, "none")
    assert (humaneval["accuracy"], humaneval.get("signal")) == (None, None)
