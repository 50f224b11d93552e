"""Words: one tokenisation, equal to spaCy's where English is written, and repeats counted as datatrove counts them."""

import string
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import english
from filters.english import TERMINAL_PUNCTUATION, kinds_of, split
from filters.words import Words, duplicates

FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "dd", "e"]), max_size=60)
ENGLISH_LIKE = st.text(alphabet=string.ascii_letters + string.digits + " .,;:!?'\"()-/&%$#…’“”—\n", max_size=200)


@pytest.fixture(scope="module")
def spacy_tokens():
    spacy = pytest.importorskip("spacy")
    tokenizer = spacy.blank("en").tokenizer
    return lambda text: [token.text for token in tokenizer(text) if not token.is_space]


@pytest.mark.parametrize(
    "text",
    [
        "Don't panic, Mr. Dent: it's 5p.m. and they'll've gone.",
        "She said “we cannot go”—and he didn’t (I'm told).",
        "See http://example.com/a-b?c=d, www.example.org/x_y or write to jane.doe@example.co.uk.",
        "It cost $5.50 (US$4), i.e. 10km at 60km/h; a 20% rise... or so…",
        "The U.S.A. and the E.U. met in St. Louis, Mo., on Jan. 5th, 2004.",
        "A well-known mother-in-law, and/or x=y, a<b, 3*4, 1-2, C++ and #hashtag @name",
        'He asked, "Why?" -- "Because!" :-) she replied... [1] {2} (3).',
        "lower.Upper end,begin 5+ 10% °C. -5 ~7 snake_case",
        "Gonna, gotta, let's, y'all, c'mon, o'clock, ma'am",
        "• first\n- second\n1. third\n© 2004 Foo™",
    ],
)
def test_english_is_split_as_spacy_splits_it(text, spacy_tokens):
    assert Words(text).tokens == spacy_tokens(text)


@given(ENGLISH_LIKE)
def test_splitting_loses_and_invents_no_character(text):
    tokens, kinds = split(text)
    assert "".join(tokens) == "".join(text.split())
    assert len(kinds) == len(tokens)
    assert kinds_of(text) == kinds


@given(st.text(max_size=100))
def test_any_unicode_text_is_split_without_loss(text):
    assert "".join(Words(text).tokens) == "".join(text.split())


@given(ENGLISH_LIKE)
def test_what_was_split_before_changes_nothing(text):
    english.forget()
    cold = split(text)
    assert split(text) == cold


def test_the_memory_of_chunks_stays_bounded(monkeypatch):
    english.forget()
    monkeypatch.setattr(english, "_REMEMBERED_CHUNKS", 10)
    for number in range(100):
        split(f"word{number} {'x' * 100}{number}")
        assert len(english._memory) <= 10


@pytest.mark.parametrize("character", [")", ".", "a.", "-a", "'", "@", "http://", "1,", "a@b."])
def test_a_chunk_of_many_characters_takes_linear_time(character):
    start = time.process_time()
    Words(character * (200_000 // len(character))).tokens  # noqa: B018
    assert time.process_time() - start < 5


def test_each_kind_of_token_is_told_from_the_others():
    text = "Word . , • $ 42 x2 ... ½"
    assert split(text) == (["Word", ".", ",", "•", "$", "42", "x2", "...", "½"], "aepqsnapn")


def test_sentences_end_in_every_script():
    assert {".", "?", "!", "。", "؟", "।"} <= TERMINAL_PUNCTUATION
    assert not {",", ";", ":", "…", '"', "a"} & TERMINAL_PUNCTUATION


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("one", 1),
        ("One. Two! Three?", 3),
        ("One.) Two", 2),
        ('He said "no." Then left.', 2),
        ("Mr. Smith went.", 1),
        ("line\nline\n\nline", 3),
        ("Wait... what", 1),
        ("A.\n.", 2),
    ],
)
def test_sentences_are_counted_line_by_line(text, sentences):
    assert Words(text).sentences == sentences


def test_the_three_meanings_of_a_line_are_kept_apart():
    words = Words("a\n\n \nb\u2028c\n")
    assert words.lines == ["a", "", " ", "b", "c"]
    assert words.line_runs == ["a", " ", "b\u2028c", ""]
    assert words.filled_lines == ["a", "b\u2028c"]
    assert words.paragraphs == ["a", " \nb\u2028c"]


@given(st.lists(st.sampled_from(["x", "yy", "", "zzz"])))
def test_duplicates_are_the_pieces_that_stood_before(pieces):
    repeated = [piece for place, piece in enumerate(pieces) if piece in pieces[:place]]
    assert duplicates(pieces) == (len(repeated), len("".join(repeated)))


@given(words=FEW_WORDS, n=st.integers(2, 6))
def test_the_top_n_gram_is_the_commonest_and_of_those_the_first(words, n):
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    gram, count = Counter(grams).most_common(1)[0] if grams else ("", 0)
    assert Words(" ".join(words)).top_n_gram_characters(n) == len(gram) * count


@given(words=FEW_WORDS, n=st.integers(2, 6))
def test_repeated_n_grams_are_stepped_over_whole(words, n):
    seen, characters, place = set(), 0, 0
    while place + n <= len(words):
        gram = tuple(words[place : place + n])
        if gram in seen:
            characters += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    assert Words(" ".join(words)).repeated_n_gram_characters(n) == characters


def test_lengths_may_be_asked_for_in_any_order():
    text = "the cat sat on the mat and the cat sat on the hat"
    ascending, descending = Words(text), Words(text)
    values = [ascending.repeated_n_gram_characters(n) for n in range(2, 8)]
    assert values == [descending.repeated_n_gram_characters(n) for n in range(7, 1, -1)][::-1]
    # "the cat" and "sat on"; "the cat sat"; and so on to five words; no six stand twice
    assert values == [6 + 5, 9, 11, 14, 0, 0]
