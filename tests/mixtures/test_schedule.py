"""Blends whose weights change: stages in ``mixtures.blend`` and the schedule of a recipe."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers, lists, sampled_from, sets

from common.errors import SettingsError
from mixtures import Blend, Recipe, load_recipe
from mixtures.blend import MAX_SLOT
from mixtures.chairman import prefix_bound
from mixtures.recipe import planned_use
from mixtures.settings import ORDER_VERSION

THREE = {"web": 900, "code": 70, "synthetic": 250}
SCHEDULE = """
sources:
  web: {weight: 4/5, max_repeats: 4}
  code: 1/5
  synthetic: 0
schedule:
  - {from_tokens: 1_000, weights: {web: 2/5, code: 1/5, synthetic: 2/5}}
  - {from_tokens: 2_000, weights: {synthetic: 1}}
"""


def recipe(tmp_path, text: str = SCHEDULE) -> Recipe:
    (tmp_path / "mine.yaml").write_text(text)
    return load_recipe(tmp_path / "mine.yaml")


def random_stages(sample, most_sources=6) -> Blend:
    names = [f"source{i}" for i in range(sample.draw(integers(2, most_sources)))]
    starts = [0, *sorted(sample.draw(sets(integers(1, 500), max_size=4)))]
    weights = []
    for _ in starts:
        drawn = sorted(sample.draw(sets(sampled_from(names), min_size=1)))
        integer = sample.draw(lists(integers(1, 20), min_size=len(drawn), max_size=len(drawn)))
        weights.append({name: Fraction(one, sum(integer)) for name, one in zip(drawn, integer, strict=True)})
    used = {name: sample.draw(integers(1, 60)) for name in sorted(set().union(*weights))}
    return Blend(weights[0], used, 0, schedule=list(zip(starts[1:], weights[1:], strict=True)))


@settings(max_examples=80)
@given(sample=data())
def test_every_prefix_of_every_stage_is_within_the_bound(sample):
    blend = random_stages(sample)
    source, _, _ = blend.slots(0, 1000)
    for stage in blend.stages:
        places = [blend.names.index(name) for name in stage.weights]
        mine = source[stage.start : stage.stop]
        assert set(mine.tolist()) <= set(places)
        if len(places) > 1:
            drawn = np.cumsum(mine[:, None] == places, axis=0)
            integer = np.array([int(weight * stage.pattern.period) for weight in stage.weights.values()])
            owed = np.arange(1, len(mine) + 1)[:, None] * integer
            worst = Fraction(int(np.abs(drawn * stage.pattern.period - owed).max()), stage.pattern.period)
            assert worst <= prefix_bound(len(places))


@settings(max_examples=80)
@given(sample=data())
def test_every_source_goes_on_where_the_stage_before_left_it(sample):
    blend = random_stages(sample)
    source, epoch, window = blend.slots(0, 1000)
    for number, name in enumerate(blend.names):
        alone = Blend({name: "1"}, {name: blend.windows[name]}, 0).slots(0, int((source == number).sum()))
        assert epoch[source == number].tolist() == alone[1].tolist()
        assert window[source == number].tolist() == alone[2].tolist()


@settings(max_examples=80)
@given(sample=data(), cuts=sets(integers(0, 1000), min_size=2, max_size=6))
def test_seeking_and_counting_across_stages_give_what_iterating_gives(sample, cuts):
    blend = random_stages(sample)
    whole = blend.slots(0, 1000)
    for start, stop in pairwise(sorted(cuts)):
        part = blend.slots(start, stop)
        assert [column.tolist() for column in part] == [column[start:stop].tolist() for column in whole]
        assert list(blend.counts(start, stop).values()) == np.bincount(part[0], minlength=len(blend.names)).tolist()


def test_a_stage_changes_nothing_before_it_and_a_far_stage_costs_no_time():
    plain = Blend({"web": "4/5", "code": "1/5"}, {"web": 900, "code": 70}, 0)
    late = Blend(plain.weights, plain.windows, 0, schedule=[(10**12, {"code": "1"})])
    for one, other in zip(plain.slots(0, 5000), late.slots(0, 5000), strict=True):
        assert one.tolist() == other.tolist()
    source, epoch, _ = late.slots(10**12 - 5, 10**12 + 5)
    assert source[5:].tolist() == [1] * 5
    assert epoch[-1] == (10**12 // 5 + 4) // 70
    assert plain.digest != late.digest


def test_the_slots_of_a_schedule_never_change_under_an_order_version():
    weights = [{"web": "4/5", "code": "1/5"}, {"web": "2/5", "code": "1/5", "synthetic": "2/5"}]
    blend = Blend(weights[0], THREE, 0, schedule=[(100, weights[1])])
    assert blend.digest == "134345a452860891db7f1e483e1894c1"
    assert [column[98:104].tolist() for column in blend.slots(0, 104)] == [
        [0, 0, 2, 0, 1, 2],
        [0, 0, 0, 0, 0, 0],
        [132, 705, 55, 719, 12, 64],
    ]
    assert ORDER_VERSION == 1


@pytest.mark.parametrize("starts", [(5, 5), (5, 4), (0,), (-3,), (MAX_SLOT + 1,)])
def test_stages_that_do_not_follow_one_another_are_refused(starts):
    with pytest.raises(SettingsError, match="one after the other"):
        Blend({"a": "1"}, {"a": 1}, 0, schedule=[(start, {"a": "1"}) for start in starts])


def test_a_recipe_gives_the_first_window_at_or_after_the_tokens(tmp_path):
    stages = recipe(tmp_path).stages(context_length=300)
    assert [start for start, _ in stages] == [4, 7]
    assert stages[0][1] == {"web": Fraction(2, 5), "code": Fraction(1, 5), "synthetic": Fraction(2, 5)}
    assert [start for start, _ in recipe(tmp_path).stages(1_000)] == [1, 2]


def test_a_recipe_with_a_schedule_survives_being_written_and_read(tmp_path):
    one = recipe(tmp_path)
    assert Recipe.parse(one.model_dump(mode="json")) == one
    assert one.weights == {"web": Fraction(4, 5), "code": Fraction(1, 5)}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("synthetic: 2/5", "synthetic: 1/5", r"from 1,000 tokens: weights must sum .* synthetic 1/5 = 4/5"),
        ("synthetic: 1}", "synthetik: 1}", "from 2,000 tokens: synthetik is none of the sources web, code, synthetic"),
        ("2_000", "1_000", r"follow one another, got from_tokens \[1000, 1000\]"),
        ("2_000", "900", r"follow one another, got from_tokens \[1000, 900\]"),
        ("2_000", "0", "greater than 0, got 0"),
        ("synthetic: 0", "synthetic: 0\n  mail: 0", "mail has weight 0 and no stage of the schedule draws it"),
        ("weights: {web", "wieghts: {web", "Did you mean 'weights'"),
    ],
)
def test_a_wrong_schedule_is_refused_with_what_is_wrong(tmp_path, old, new, complaint):
    assert SCHEDULE.count(old) == 1
    with pytest.raises(SettingsError, match=complaint):
        recipe(tmp_path, SCHEDULE.replace(old, new))


def test_repeats_are_limited_over_all_stages(tmp_path):
    one = recipe(tmp_path)
    stages = one.stages(context_length=10)  # the weights change at windows 100 and 200
    blend = Blend(one.weights, {"web": 30, "code": 7, "synthetic": 10}, 0, schedule=stages)
    uses = planned_use(one, blend, 250, context_length=10)
    assert [(use.windows, use.repeats) for use in uses] == [(80 + 40, 4), (20 + 20, 6), (40 + 50, 9)]
    assert [use.source for use in uses if use.warning] == ["code", "synthetic"]
    blend = Blend(one.weights, {"web": 20, "code": 7, "synthetic": 10}, 0, schedule=stages)
    with pytest.raises(SettingsError, match=r"web would be seen 6.0 times.* 4; train on at most 1,010 tokens"):
        planned_use(one, blend, 250, context_length=10)
    assert next(use.windows for use in planned_use(one, blend, 101, context_length=10)) == 80
