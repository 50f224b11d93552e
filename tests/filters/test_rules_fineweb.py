"""FineWeb's rules at their bounds."""

import pytest

from filters.rules import make_rule
from filters.verdict import Rejection
from filters.words import Words

LINE = "A line of text number {0} that is long enough to be no menu entry."


def rejection(text, **bounds):
    return make_rule("fineweb", bounds).rejection(Words(text))


def measures(text, **bounds):
    return make_rule("fineweb", bounds).measurements(Words(text))


def lines(count, line=LINE):
    return [line.format(number) for number in range(count)]


def test_lines_of_prose_are_kept():
    assert rejection("\n".join(lines(10))) is None


def test_white_space_is_an_empty_text():
    assert rejection(" \n\t\n") == Rejection("fineweb_min_lines", 0, 1)


def test_three_sentence_ends_in_twenty_five_lines_are_enough():
    open_ended = [line.removesuffix(".") for line in lines(25)]
    three = "\n".join([*(line + "." for line in open_ended[:3]), *open_ended[3:]])
    assert rejection(three) is None
    two = three.replace(".", "", 1)
    assert rejection(two) == Rejection("fineweb_min_punctuated_line_fraction", 2 / 25, 0.12)


def test_a_line_of_thirty_characters_is_short_and_one_more_is_not():
    assert measures("x" * 30)["short_line_fraction"] == 1
    assert measures("x" * 31)["short_line_fraction"] == 0
    assert measures("x" * 31, short_line_characters=31)["short_line_fraction"] == 1


def test_mostly_short_lines_are_rejected():
    text = "\n".join([*lines(3), *lines(7, "entry {0}.")])
    assert rejection(text) == Rejection("fineweb_max_short_line_fraction", 0.7, 0.67)


def test_a_duplicate_line_counts_by_its_characters():
    text = "\n".join([*lines(9), LINE.format(0)])
    share = len(LINE.format(0)) / (len(text) - 9)
    assert rejection(text) == Rejection("fineweb_max_duplicate_line_character_fraction", pytest.approx(share), 0.01)
    assert rejection("\n\n \n".join(lines(9))) is None, "empty lines are no duplicates"


def test_lists_have_too_many_newlines():
    text = "\n\n\n\n\n".join(lines(4, "averylongwordthatfillsthelinenumber{0} indeed."))
    found = rejection(text)
    assert found is not None
    assert found.reason == "fineweb_max_newlines_per_token"
    assert found.value == 15 / 12


def test_an_empty_text_can_be_measured():
    assert set(measures("").values()) == {0.0}
