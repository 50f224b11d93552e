import pytest
from hypothesis import given
from hypothesis.strategies import integers, text
from pydantic import ValidationError

from classifiers.windows import Window, cut, share_seen


def test_the_head_window_is_the_first_characters_and_no_more():
    assert cut("abcdef", Window(characters=4)) == "abcd"
    assert cut("abc", Window(characters=4)) == "abc"


@pytest.mark.parametrize(("length", "share"), [(0, 1.0), (3, 1.0), (4, 1.0), (5, 0.8), (16, 0.25)])
def test_the_share_seen_is_what_was_cut_out_of_the_whole(length, share):
    assert share_seen("x" * length, Window(characters=4)) == share


@given(value=text(), characters=integers(1, 50))
def test_a_window_is_a_prefix_and_agrees_with_its_share(value, characters):
    window = Window(characters=characters)
    assert value.startswith(cut(value, window))
    assert len(cut(value, window)) == round(share_seen(value, window) * len(value))


def test_a_lone_surrogate_becomes_a_question_mark():
    assert cut("a\ud800b", Window()) == "a?b"


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValidationError, match="'head'"):
        Window(policy="tail")
