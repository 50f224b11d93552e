"""Gopher's quality rules at their bounds."""

import pytest

from filters.rules import make_rule
from filters.rules.gopher_quality import GopherQualitySettings
from filters.verdict import Rejection
from filters.words import Words

SENTENCE = "the house that stood with us and the hill "  # 9 words


def rejection(text, **bounds):
    return make_rule("gopher_quality", bounds).rejection(Words(text))


def test_plain_prose_is_kept():
    assert rejection(SENTENCE * 6) is None


def test_fifty_words_are_kept_and_forty_nine_are_not():
    fifty = "the house and " + "word " * 47
    assert rejection(fifty) is None
    assert rejection(fifty + " . , ! ?") is None, "marks do not count as words"
    assert rejection(fifty.removesuffix("word ")) == Rejection("gopher_quality_min_words", 49, 50)


def test_a_bound_is_inclusive_above_as_well():
    text = "the house and " + "word " * 47
    assert rejection(text, max_words=50) is None
    assert rejection(text, max_words=49) == Rejection("gopher_quality_max_words", 50, 49)


def test_mean_word_length_leaves_marks_out():
    words = Words("abcd ef . , ! " * 3)
    assert make_rule("gopher_quality").measurements(words)["mean_word_length"] == 3.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("of to " * 40, "gopher_quality_min_mean_word_length"),
        (
            "extraordinarily unquestionable the incomprehensible internationalization to " * 20,
            "gopher_quality_max_mean_word_length",
        ),
        (SENTENCE * 6 + "# " * 30, "gopher_quality_max_hash_fraction"),
        ((SENTENCE + "... ") * 3 + "… … … " * 3 + SENTENCE * 3, "gopher_quality_max_ellipsis_fraction"),
        (f"- {SENTENCE}\n" * 6, "gopher_quality_max_bullet_line_fraction"),
        (f"{SENTENCE} more...\n" * 4 + f"{SENTENCE}\n" * 6, "gopher_quality_max_ellipsis_line_fraction"),
        ("the house and 12 34 " * 20, "gopher_quality_min_alphabetic_token_fraction"),
        ("casa blanca grande " * 20, "gopher_quality_min_stop_words"),
        ("The To Of And " + "house " * 60, "gopher_quality_min_stop_words"),
    ],
)
def test_each_rule_names_the_setting_that_rejects(text, reason):
    found = rejection(text)
    assert found is not None
    assert found.reason == reason
    side, _, _ = reason.removeprefix("gopher_quality_").partition("_")
    assert found.value < found.limit if side == "min" else found.value > found.limit


def test_a_bound_of_none_is_off():
    off = {name: None for name in GopherQualitySettings.model_fields if name.startswith(("min_", "max_"))}
    assert rejection("# # # ...", **off) is None


def test_stop_words_may_be_replaced():
    assert rejection("casa y de la blanca " * 20, stop_words=["la", "de"]) is None


def test_an_empty_text_can_be_measured():
    assert set(make_rule("gopher_quality").measurements(Words("")).values()) == {0.0}
