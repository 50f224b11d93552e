import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.styles import BASE_SHARE, STYLES, base

TEXT = (
    'The river Rhine rises in the Swiss Alps. It flows north, and "the Rhine" is a border. It\'s 1,230 km - long.\n'
    "\nShips carry coal and grain from Basel to the sea. First they pass the falls, then the locks..."
)
prose = st.text(alphabet="abc XYZ.,'\"!\n-fi[]*|", max_size=400)


def words(text):
    """What is said: the letters, whatever marks stand around them, but for ligatures and case."""
    return re.findall(r"[a-z0-9]+", text.replace("ﬁ", "fi").replace("ﬂ", "fl").lower())


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_style_changes_the_text_and_keeps_all_its_words_in_order(style):
    dressed = style.wear(TEXT)
    assert dressed != TEXT
    rest = iter(words(dressed))
    assert all(word in rest for word in words(TEXT))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@given(text=prose)
def test_no_style_fails_on_any_text_or_adds_more_than_a_window_has_room_for(style, text):
    dressed = style.wear(text)
    assert style.wear(text) == dressed
    assert len(dressed) <= 2 * len(text) + 500


def test_what_navigation_footer_and_padding_add_fits_into_the_default_window():
    plain = base("word " * 1000, 1500)
    assert len(plain) <= BASE_SHARE * 1500
    added = {style.name: style.wear(plain) for style in STYLES}
    assert max(len(added[name]) for name in ("navigation", "footer", "padded")) <= 1500


@given(text=prose, characters=st.integers(1, 300))
def test_a_base_is_a_beginning_that_fits_and_divides_no_word_unless_it_is_the_first(text, characters):
    found = base(text, characters)
    assert text.startswith(found)
    assert len(found) <= max(BASE_SHARE * characters, 0)
    following = text[len(found) :]
    assert not following or following[0].isspace() or not re.search(r"\s", found)
