"""C4's rules: which lines go, and what rejects the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rules import judge, make_rule
from filters.verdict import Rejection
from filters.words import Words

PROSE = "This is a whole sentence. So is this one!\nHere is a third? And a fourth. And a fifth."
LINES = st.lists(
    st.sampled_from(
        [
            "A line that ends well.",
            "no end here",
            "Too short.",
            "We use cookies on this site.",
            "Please enable JavaScript to go on.",
            "Lorem ipsum dolor sit amet.",
            "if (a) { return b; } and so on.",
            "A fact with a source.[1][citation needed]",
            "",
            "   Indented and fine, she said.   ",
        ]
    )
)


def clean(text, **settings):
    return make_rule("c4", settings).clean(Words(text)).text


def verdict(text, **settings):
    return judge([make_rule("c4", settings)], Words(text))


def test_prose_is_kept_as_it_is():
    words, rejection = verdict(PROSE)
    assert rejection is None
    assert words.text == PROSE


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("Read more.", {"min_words_per_line": 2}),
        ("Please enable JavaScript to see this.", {"remove_javascript_lines": False}),
        ("By using this you accept our Privacy Policy.", {"remove_policy_lines": False}),
        (f"One word of {'x' * 1001} characters.", {"max_word_length": None}),
    ],
)
def test_each_kind_of_clutter_line_goes_unless_its_setting_says_otherwise(line, setting):
    text = f"{PROSE}\n{line}\n{PROSE}"
    assert clean(text) == f"{PROSE}\n{PROSE}"
    assert clean(text, **setting) == text


@pytest.mark.parametrize("line", ["A heading, a list item or a formula", "Read more about it..."])
def test_lines_without_a_full_stop_go_only_when_asked(line):
    text = f"{PROSE}\n{line}\n{PROSE}"
    assert clean(text) == text
    assert clean(text, require_terminal_punctuation=True) == f"{PROSE}\n{PROSE}"


def test_citations_are_cut_out_of_lines():
    text = "The sky is blue[12] and high[] above us[edit].[citation needed]"
    assert clean(text) == "The sky is blue and high above us."
    both = text + "\n" + text
    assert clean(both, remove_citations=False) == both
    assert clean(both, remove_citations=False, require_terminal_punctuation=True) == "", "a bracket ends no sentence"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Lorem Ipsum dolor sit amet.", "c4_max_lorem_ipsum_lines"),
        ("function f() { return 1; } is code.", "c4_max_curly_bracket_lines"),
        ("We use cookies { and braces }.", "c4_max_curly_bracket_lines"),
        ("Lorem ipsum needs javascript.", "c4_max_lorem_ipsum_lines"),
    ],
)
def test_place_holders_and_code_reject_the_page(line, reason):
    words, rejection = verdict(f"{PROSE}\n{line}")
    assert rejection == Rejection(reason, 1, 0)
    assert line in words.text


def test_code_in_a_line_that_goes_anyway_rejects_nothing():
    text = f"{PROSE}\nfunction f() {{ return 1; }}"
    assert verdict(text, require_terminal_punctuation=True)[1] is None


def test_five_sentences_are_kept_and_four_are_not():
    assert verdict(PROSE)[1] is None
    assert verdict(PROSE.removesuffix(" And a fifth."))[1] == Rejection("c4_min_sentences", 4, 5)
    assert verdict(PROSE, min_sentences=6)[1] == Rejection("c4_min_sentences", 5, 6)
    assert verdict("", min_sentences=None)[1] is None


@given(LINES)
def test_cleaning_twice_changes_no_more_than_once(lines):
    once = clean("\n".join(lines))
    assert clean(once) == once


@given(LINES, st.booleans())
def test_a_kept_page_has_no_clutter(lines, punctuated):
    words, rejection = verdict("\n".join(lines), require_terminal_punctuation=punctuated)
    if rejection is None:
        assert not punctuated or all(line.endswith((".", "?", "!", '"', "'")) for line in words.text.splitlines())
        assert not {"{", "[1]"} & set(words.text.split())
        assert words.sentences >= 5
