import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from common.errors import InputError
from evals.results import choice_schema
from evals.units import ANSWER, task_units
from tests.evals.helpers import made_choices, made_result

BITS = np.array([1.0, 1.5])


def unit(table: pa.Table):
    (found,) = task_units([made_result("web", BITS, choices=table)])
    return found


def choices(*rows: tuple[str, int, float, int, bool]) -> pa.Table:
    names = choice_schema().names
    return pa.Table.from_pylist([dict(zip(names, ("piqa", *row), strict=True)) for row in rows], choice_schema())


def test_the_probability_of_the_right_answer_is_taken_per_byte_and_normalised_over_the_choices():
    # 2 and 1 nats a byte lost: e⁻² against e⁻¹
    found = unit(choices(("0", 0, -20.0, 10, True), ("0", 1, -3.0, 3, False)))
    assert found.scores[0] == pytest.approx(math.exp(-2) / (math.exp(-2) + math.exp(-1)), abs=1e-15)
    assert found.accuracy.tolist() == [0.0]


def test_the_length_of_an_answer_does_not_count():
    found = unit(choices(("0", 0, -100.0, 100, True), ("0", 1, -1.0, 1, False)))
    assert found.scores[0] == pytest.approx(0.5, abs=1e-15)
    assert found.accuracy.tolist() == [0.5]  # a tie is right by half


def test_very_improbable_answers_have_a_probability_too():
    found = unit(choices(("0", 0, -90_000.0, 10, True), ("0", 1, -90_010.0, 10, False)))
    assert found.scores[0] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-12)


def test_the_rows_may_come_in_any_order():
    table = made_choices("piqa", np.linspace(0.1, 0.9, 12))
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    assert np.array_equal(unit(table).amounts, unit(shuffled).amounts)


def test_items_with_other_numbers_of_choices_are_read_together():
    table = pa.concat_tables([made_choices("piqa", np.full(3, 0.5)), choices(("9", 0, -1.0, 1, True))])
    assert unit(table).amounts[0].tolist() == pytest.approx([0.5, 0.5, 0.5, 1.0])


def test_a_task_whose_answer_is_written_is_scored_by_the_bits_of_the_right_answer():
    found = unit(choices(("0", 0, -20 * math.log(2), 10, True), ("1", 0, -10 * math.log(2), 30, True)))
    assert found.metric is ANSWER
    assert found.scores[0] == pytest.approx(30 / 40, abs=1e-15)


def test_statements_that_are_no_answers_are_no_unit():
    table = choices(("0", 0, -1.0, 1, True)).set_column(0, "task", pa.array(["toxigen_statements"]))
    assert task_units([made_result("web", BITS, choices=table)]) == []


def test_an_item_without_a_right_answer_is_named():
    table = choices(("0", 0, -1.0, 1, True), ("7", 0, -1.0, 1, False))
    with pytest.raises(InputError, match="web, task piqa: the item 7 has no right answer"):
        unit(table)


def test_chance_is_one_over_the_choices_where_their_order_says_nothing():
    found = unit(made_choices("piqa", np.linspace(0.1, 0.9, 40), choices=4))
    assert found.chance.mean() == pytest.approx(0.25, abs=1e-12)


def test_who_always_says_yes_is_no_better_than_chance_where_yes_is_often_right():
    gold = np.array([0] * 70 + [1] * 30)
    always_yes = np.where(gold == 0, 0.9, 0.1)
    found = unit(made_choices("boolq", always_yes, choices=2, gold=gold))
    assert found.scores[0] == pytest.approx(0.7 * 0.9 + 0.3 * 0.1)
    assert found.chance.mean() == pytest.approx(found.scores[0], abs=1e-12)


@settings(max_examples=30)
@given(seed=integers(0, 1000), options=integers(2, 5))
def test_chance_is_the_mean_over_all_ways_to_deal_out_the_right_answers(seed, options):
    random = np.random.default_rng(seed)
    gold = random.integers(0, options, size=5)
    probability = random.uniform(0.05, 0.9, size=5)
    found = unit(made_choices("piqa", probability, choices=options, gold=gold))
    table = np.full((5, options), 0.0)
    for item, place in enumerate(gold):
        table[item] = (1 - probability[item]) / (options - 1)
        table[item, place] = probability[item]
    dealt = [table[np.arange(5), random.permutation(gold)].mean() for _ in range(1500)]
    assert found.chance.mean() == pytest.approx(np.mean(dealt), abs=0.02)


def test_some_of_the_items_are_scored_by_themselves():
    found = unit(made_choices("piqa", np.array([0.2, 0.4, 0.9])))
    part = found.only(np.array([True, False, True]))
    assert part.items == ("0", "2")
    assert part.scores[0] == pytest.approx(0.55)


def test_merged_rows_are_means_of_runs():
    runs = [
        made_result(f"r{i}", BITS, choices=made_choices("piqa", np.full(4, p))) for i, p in enumerate((0.2, 0.4, 0.9))
    ]
    (found,) = task_units(runs)
    np.testing.assert_allclose(found.merged([[0, 1], [2]]).scores, [0.3, 0.9])
