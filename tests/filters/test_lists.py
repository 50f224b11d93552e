"""Lists that are looked up: the same answers as a set and as ``in``, whatever they hold."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from filters.lists import ListFile, SortedLines, any_of

entries = st.lists(st.text(alphabet="ab.é-", min_size=1, max_size=12), max_size=200)


@given(known=entries, asked=entries)
def test_sorted_lines_answer_as_a_set_does(known, asked):
    lines = SortedLines.of(known)
    for entry in (*known, *asked, "", "a\nb"):
        assert (entry.encode() in lines) == (entry in set(known))


def test_every_line_of_many_blocks_is_found_and_no_part_of_one():
    known = [f"{number:05}.example" for number in range(3_000)]
    lines = SortedLines.of(reversed(known))
    assert all(line.encode() in lines for line in known)
    assert not any(line[1:].encode() in lines or line[:-1].encode() in lines for line in known)


def test_no_lines_are_false_and_hold_nothing():
    assert not SortedLines(b"") and b"" not in SortedLines(b"")


@given(
    words=st.lists(st.text(alphabet="ab(+|", min_size=1, max_size=5), max_size=12), text=st.text("ab(+|", max_size=40)
)
def test_any_of_finds_a_word_where_one_stands_and_only_words(words, text):
    pattern = any_of(words)
    assert bool(pattern.search(text)) == any(word in text for word in words)
    assert set(pattern.findall(text)) <= set(words)


def test_a_list_has_remarks_and_empty_lines_and_any_case(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("\ufeffSpam.Example\n\n# a remark\n  b.example \r\n", encoding="utf-8")
    assert ListFile(file=str(file)).read() == ["spam.example", "b.example"]


def test_a_list_that_changed_since_is_refused(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("a.example\n")
    listed = ListFile(file=str(file)).resolved()
    assert listed.sha256 == hashlib.sha256(b"a.example\n").hexdigest()
    assert listed.read() == ["a.example"]
    file.write_text("b.example\n")
    with pytest.raises(InputError, match=r"list\.txt has changed"):
        listed.read()


def test_a_list_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.txt: No such file"):
        ListFile(file=str(tmp_path / "none.txt")).resolved()
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"list\.txt is not UTF-8"):
        ListFile(file=str(tmp_path / "list.txt")).read()
