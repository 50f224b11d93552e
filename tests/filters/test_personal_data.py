"""Personal data is found where it stands, and nothing else is touched."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.personal_data import PLACEHOLDERS, mask
from tests.conftest import REPOSITORY

CASES = (REPOSITORY / "tests/filters/personal_data.txt").read_text(encoding="utf-8").splitlines()
CASES = [line for line in CASES if line and not line.startswith("# ")]


def masked_as_marked(line):
    pieces = re.split("[«»]", mask(re.sub("[«»]", "", line))[0])
    expected = re.escape(re.sub("«.*?»", "\0", line)).replace("\0", "(?:" + "|".join(PLACEHOLDERS.values()) + ")")
    return re.fullmatch(expected, pieces[0]) is not None


def test_every_case_is_masked_where_it_is_marked_and_nowhere_else():
    assert sum(line.count("«") for line in CASES) >= 200
    assert sum("«" not in line for line in CASES) >= 200
    assert [line for line in CASES if not masked_as_marked(line)] == []


def test_counts_are_by_kind_and_only_the_kinds_asked_for_are_masked():
    text = "ann@site.org, +49 30 901820"
    assert mask(text) == ("<EMAIL>, <PHONE>", {"email": 1, "ip": 0, "phone": 1, "iban": 0, "card": 0})
    assert mask(text, ["phone"]) == ("ann@site.org, <PHONE>", {"phone": 1})


@pytest.mark.parametrize("line", [line for line in CASES if "«" not in line][::7])
def test_a_text_without_any_is_the_same_object(line):
    assert mask(line)[0] is line


@settings(max_examples=60)
@given(lines=st.lists(st.sampled_from(CASES), max_size=6))
def test_masking_again_changes_nothing(lines):
    once = mask(re.sub("[«»]", "", "\n".join(lines)))[0]
    assert mask(once)[0] == once


@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "(", "@", "a@", "a.", "+1-", "1.", ":2000", "2001:", "DE89", "call ", "[at] "]
)
def test_a_hostile_text_costs_time_in_proportion(piece):
    start = time.process_time()
    mask(piece * (300_000 // len(piece)))
    assert time.process_time() - start < 5
