"""Gopher's repetition rules at their bounds."""

import pytest

from filters.rules import make_rule
from filters.verdict import Rejection
from filters.words import Words


def rejection(text, **bounds):
    return make_rule("gopher_repetition", bounds).rejection(Words(text))


def measures(text):
    return make_rule("gopher_repetition").measurements(Words(text))


def varied(lines, line="word{0}a word{0}b word{0}c word{0}d word{0}e"):
    return [line.format(number) for number in range(lines)]


def test_lines_without_repeats_are_kept():
    assert rejection("\n".join(varied(20))) is None


def test_an_empty_text_is_rejected():
    assert rejection("") == Rejection("gopher_repetition_min_characters", 0, 1)


def test_three_duplicate_lines_in_ten_are_kept_and_four_are_not():
    lines = varied(10)
    assert rejection("\n".join([*lines[:6], "x", "x", "x", "x"])) is None
    five = "\n".join([*lines[:5], "x", "x", "x", "x", "x"])
    assert rejection(five) == Rejection("gopher_repetition_max_duplicate_line_fraction", 0.4, 0.3)
    assert rejection(five, max_duplicate_line_fraction=0.4) is None


def test_duplicate_paragraphs_are_found_before_lines():
    paragraphs = varied(4)
    text = "\n\n".join([*paragraphs, *paragraphs])
    assert rejection(text) == Rejection("gopher_repetition_max_duplicate_paragraph_fraction", 0.5, 0.3)


def test_long_duplicate_lines_count_by_their_characters():
    long = "the very same long line of text, again and again, with nothing new in it at all"
    text = "\n".join([*varied(7, "short {0}"), long, long])
    found = rejection(text)
    assert found == Rejection(
        "gopher_repetition_max_duplicate_line_character_fraction", pytest.approx(len(long) / len(text)), 0.2
    )


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_commonest_n_gram_is_bounded(n):
    phrase = " ".join(["alpha", "beta", "gamma", "delta"][:n])
    text = " ".join(f"{phrase} x{i}y" for i in range(10))
    found = rejection(text)
    assert found is not None
    assert found.reason == "gopher_repetition_max_top_2_gram_character_fraction"
    assert measures(text)[f"top_{n}_gram_character_fraction"] == pytest.approx(10 * len(phrase) / len(text))


@pytest.mark.parametrize("n", [5, 6, 7, 8, 9, 10])
def test_a_passage_that_stands_twice_counts_in_each_length_up_to_its_own(n):
    passage = [f"p{i}" for i in range(n)]
    text = " ".join([*passage, *(f"q{i}" for i in range(40)), *passage])
    values = measures(text)
    assert values[f"repeated_{n}_gram_character_fraction"] == pytest.approx(len("".join(passage)) / len(text))
    for longer in range(n + 1, 11):
        assert values[f"repeated_{longer}_gram_character_fraction"] == 0


def test_an_empty_text_can_be_measured():
    assert set(measures("").values()) == {0.0}
