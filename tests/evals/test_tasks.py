import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError, SettingsError
from evals.tasks import SUITE, choose, evenly, exact_match, has_items, read_items
from tests.conftest import shared
from tests.evals.items import ITEMS, write_items

PAPERS = {
    *("winogrande", "arc_easy", "arc_challenge", "boolq", "siqa", "piqa", "hellaswag", "openbookqa"),
    *("squad", "mmlu", "gsm8k", "humaneval", "mbpp", "toxigen"),
}


def test_the_suite_has_all_of_the_papers_tasks_each_name_once():
    names = [task.name for task in SUITE]
    assert len(set(names)) == len(names)
    assert set(names) - {"mmlu_cloze", "gsm8k_code", "toxigen_statements"} == PAPERS


def test_tasks_are_chosen_by_name_in_the_order_of_the_suite():
    assert [task.name for task in choose("boolq, arc_easy")] == ["arc_easy", "boolq"]
    assert choose("all") == list(SUITE)
    assert choose("") == []
    with pytest.raises(SettingsError, match=r"'bool'.*boolq"):
        choose("boolq,bool")


@given(st.integers(0, 2_000), st.none() | st.integers(1, 3_000))
def test_a_limit_takes_different_rows_in_order_over_the_whole_file(count, limit):
    rows = evenly(count, limit)
    assert len(rows) == (count if limit is None else min(count, limit))
    assert rows == sorted(set(rows))
    if rows:
        assert rows[0] == 0 and rows[-1] < count
        assert count - 1 - rows[-1] <= -(-count // len(rows))


@pytest.mark.parametrize(
    ("written", "score"),
    [(" the Lake  Baikal.", 1.0), ("BAIKAL", 1.0), ("Lake Baikal is", 0.0), ("", 0.0), ("a", 0.0)],
)
def test_exact_match_overlooks_case_articles_and_punctuation_and_no_word(written, score):
    assert exact_match(written, ITEMS["squad"][0]["answers"]["text"]) == score


def test_a_missing_eval_file_is_named(tmp_path):
    write_items(tmp_path)
    (tmp_path / "mmlu_dev.jsonl").unlink()
    assert has_items(tmp_path) and not has_items(tmp_path / "none")
    with pytest.raises(InputError, match=r"no mmlu_dev\.jsonl"):
        read_items(choose("mmlu")[0], tmp_path)


def test_a_row_without_a_field_is_named(tmp_path):
    (tmp_path / "piqa.jsonl").write_text('{"goal": "a", "sol1": "b", "sol2": "c"}\n')
    with pytest.raises(InputError, match=r"piqa.jsonl, row 1: no label"):
        read_items(choose("piqa")[0], tmp_path)


def test_a_subject_without_two_examples_is_named(tmp_path):
    write_items(tmp_path)
    (tmp_path / "mmlu_dev.jsonl").write_text("")
    with pytest.raises(InputError, match="0 examples of marine_biology"):
        read_items(choose("mmlu")[0], tmp_path)


def test_every_task_reads_the_shared_eval_files():
    folder = shared("evals/boolq.jsonl.gz").parent
    for task in SUITE:
        rows = read_items(task, folder)
        assert len(rows) == (164 if task.name == "humaneval" else 500), task.name
