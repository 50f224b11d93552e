"""Against lm-evaluation-harness itself: its own Hugging Face model, its own loop, the same items."""

import contextlib
import io

import numpy as np
import pyarrow.compute as pc
import pytest

from evals.generation import Asking
from evals.harness import ask, harness_task
from evals.likelihood import Scorer
from evals.tasks import SUITE, choose, read_items
from tests.evals.helpers import CONTEXT
from tests.evals.items import ITEMS, write_items

ASKED = Asking(context_length=CONTEXT, batch_tokens=400, max_tokens=8)
CHOICES = [task for task in SUITE if task.kind == "choice"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_items(tmp_path_factory.mktemp("items"))


@pytest.fixture(scope="module")
def scorer(runs):
    return Scorer(runs[0] / "export", "cpu")


@pytest.fixture(scope="module")
def theirs(scorer):
    """The harness's own model over the same weights."""
    with contextlib.redirect_stderr(io.StringIO()):
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=scorer.model, tokenizer=scorer.tokenizer, max_length=CONTEXT, batch_size=1)


def numbered(task, folder):
    return [{**row, "number": number} for number, row in enumerate(read_items(task, folder))]


def judged(task, rows, model):
    """Metrics and samples of the harness."""
    from lm_eval.evaluator import evaluate

    with contextlib.redirect_stderr(io.StringIO()):
        made = harness_task(task, rows)
        if task.kind == "generation":
            made.config.generation_kwargs["max_gen_toks"] = ASKED.max_tokens
        result = evaluate(model, {"tasks": {task.name: made}, "groups": {}}, bootstrap_iters=0, log_samples=True)
    return result["results"][task.name], result["samples"][task.name]


@pytest.mark.parametrize("task", CHOICES, ids=lambda task: task.name)
def test_choices_have_the_log_probabilities_and_the_accuracy_of_the_harness(task, folder, scorer, theirs):
    rows = numbered(task, folder)
    ours = ask(task, rows, scorer, ASKED)
    metrics, samples = judged(task, rows, theirs)
    expected = [float(choice[0]) for sample in samples for choice in sample["filtered_resps"]]
    assert np.abs(ours.choices["log_probability"].to_numpy() - expected).max() < 1e-3
    for name in ("acc", "acc_norm"):
        assert ours.metrics.get(name) == metrics.get(f"{name},none"), name
    lengths = ours.choices["bytes"].to_pylist()
    assert min(lengths) > 0 and len(lengths) == len(expected)


@pytest.mark.parametrize("name", ["squad", "gsm8k", "humaneval", "mbpp"])
def test_written_answers_are_those_of_the_harness(name, folder, scorer, theirs):
    (task,) = choose(name)
    rows = numbered(task, folder)
    ours = ask(task, rows, scorer, ASKED)
    metrics, samples = judged(task, rows, theirs)
    assert ours.items["written"].to_pylist() == [sample["resps"][0][0] for sample in samples[: len(rows)]]
    for key in ("exact_match,none", "exact_match,strict-match", "exact_match,flexible-extract"):
        assert ours.metrics.get(key.removesuffix(",none")) == metrics.get(key), key


@pytest.mark.parametrize(
    ("name", "stock"), [("mmlu", "default/mmlu_marketing"), ("mmlu_cloze", "continuation/mmlu_marketing")]
)
def test_mmlu_is_asked_in_the_words_of_the_harness_with_two_shots(name, stock, folder):
    import datasets
    import lm_eval
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    (task,) = choose(name)
    made = harness_task(task, [{**row, "subject": "marketing"} for row in prepared_for("marketing", task, folder)])
    config = load_yaml(f"{lm_eval.__path__[0]}/tasks/mmlu/{stock}.yaml")
    config = {key: value for key, value in config.items() if key not in ("tag", "metadata")}
    splits = {"test": "mmlu", "dev": "mmlu_dev"}
    data = {split: datasets.Dataset.from_list(ITEMS[file]) for split, file in splits.items()}
    theirs = ConfigurableTask(config=config | {"custom_dataset": lambda **_: data, "num_fewshot": 2})
    for each in (made, theirs):
        with contextlib.redirect_stderr(io.StringIO()):
            each.build_all_requests()
    assert [one.args for one in made.instances] == [one.args for one in theirs.instances]


def prepared_for(subject, task, folder):
    rows = [{**row, "subject": subject} for row in ITEMS["mmlu"]]
    return task.prepare(rows, [{**row, "subject": subject} for row in ITEMS["mmlu_dev"]])


@pytest.mark.parametrize("task", SUITE, ids=lambda task: task.name)
def test_another_batch_size_moves_a_log_probability_by_less_than_a_ten_thousandth(task, folder, scorer):
    rows = numbered(task, folder)
    one, many = (ask(task, rows, scorer, Asking(CONTEXT, size, 4)) for size in (1, 4_000))
    assert one.requests == many.requests
    if one.choices.num_rows:
        apart = pc.subtract(one.choices["log_probability"], many.choices["log_probability"]).to_numpy()
        assert np.abs(apart).max() < 1e-4


def test_another_question_is_another_request(folder, scorer):
    (task,) = choose("piqa")
    rows = numbered(task, folder)
    changed = [{**rows[0], "goal": "keep tea warm"}, *rows[1:]]
    assert ask(task, rows, scorer, ASKED).requests != ask(task, changed, scorer, ASKED).requests


def test_chance_is_a_guess_or_the_answer_that_is_right_most_often(folder, scorer):
    chance = {name: ask(choose(name)[0], numbered(choose(name)[0], folder), scorer, ASKED).chance for name in NAMES}
    assert chance == {"arc_easy": pytest.approx((1 / 4 + 1 / 4 + 1 / 3) / 3), "boolq": pytest.approx(2 / 3), "squad": 0}


NAMES = ("arc_easy", "boolq", "squad")


def test_items_know_their_groups(folder, scorer):
    (task,) = choose("toxigen_statements")
    groups = ask(task, numbered(task, folder), scorer, ASKED).items["groups"].to_pylist()
    assert groups == [["neutral", "bakers"], ["hate", "bakers"]]
