"""The rule sets together: how a job names them, overrides bounds and asks for measurements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from filters.rules import RULES, judge, make_rule, measurements
from filters.words import Words

PROSE = """The moon goes around the earth once in four weeks, and it always shows us the same side.
That is because it turns on its axis in just the time that it takes to go around.
Half of the moon is in sunlight at any moment; we see more or less of that half, and so it seems to change.
When the moon stands between us and the sun, its dark side faces the earth. We call this a new moon.
Two weeks later the whole bright half can be seen all night long. That is a full moon."""


def test_an_unknown_rule_set_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"unknown rule set 'gofer' \(known: gopher_repetition, gopher_quality"):
        make_rule("gofer")


@pytest.mark.parametrize("name", RULES)
def test_a_misspelt_bound_is_refused_with_the_right_one(name):
    field = next(iter(RULES[name].settings_type.model_fields))
    with pytest.raises(SettingsError, match=rf"rules\.{name}: unknown key '{field}s'. Did you mean '{field}'"):
        make_rule(name, {f"{field}s": 1})


@pytest.mark.parametrize("name", RULES)
def test_every_bound_bounds_a_measure(name):
    """A setting min_x or max_x without a measure x would be accepted and do nothing."""
    rule = make_rule(name)
    bounds = {field for field in rule.settings_type.model_fields if field.startswith(("min_", "max_"))}
    line_rules = {"min_words_per_line", "max_word_length"} if name == "c4" else set()
    assert {field[4:] for field in bounds - line_rules} == set(rule.measures())


@pytest.mark.parametrize("name", RULES)
@given(text=st.text(alphabet="ab.!#{•- \n…1", max_size=80))
def test_a_rejection_shows_the_measurement_and_the_bound_it_violates(name, text):
    rule = make_rule(name)
    words = rule.clean(Words(text))
    found = rule.rejection(words)
    measured = rule.measurements(words)
    violated = {
        f"{name}_{field}": (measured[field[4:]], getattr(rule.settings, field))
        for field in rule.settings_type.model_fields
        if field[4:] in measured
        and (measured[field[4:]] - getattr(rule.settings, field)) * (1 if field.startswith("max") else -1) > 0
    }
    assert (found.reason if found else None) == next(iter(violated), None)
    if found:
        assert (found.value, found.limit) == violated[found.reason]


@given(text=st.text(alphabet="ab.!#{•- \n…1", max_size=200))
def test_judge_stops_at_the_first_rule_set_that_rejects(text):
    rules = [make_rule(name) for name in RULES]
    words, found = judge(rules, Words(text))
    alone = Words(text)
    for rule in rules:
        alone = rule.clean(alone)
        expected = rule.rejection(alone)
        if expected:
            break
    assert found == expected
    assert words.text == alone.text


def test_no_rules_keep_everything():
    assert judge([], Words(""))[1] is None


def test_all_rule_sets_keep_prose_and_can_be_measured_in_full():
    rules = [make_rule(name) for name in RULES]
    words, rejection = judge(rules, Words(PROSE))
    assert rejection is None
    assert words.text == PROSE
    values = measurements(rules, Words(PROSE))
    assert len(values) == sum(len(rule.measures()) for rule in rules)
    assert values["c4_sentences"] == 7
    assert values["fineweb_lines"] == 5


def test_measurements_do_not_stop_at_a_rejection():
    values = measurements([make_rule("gopher_quality"), make_rule("fineweb")], Words("short"))
    assert values["gopher_quality_words"] == 1
    assert values["fineweb_short_line_fraction"] == 1
