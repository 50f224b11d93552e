"""Signatures: they estimate the Jaccard similarity, and depend on nothing but the words."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.job import MinHash
from filters.minhash import KEYS, MARKS, Signer, estimates, shingles, sign_file
from tests.filters.crawls import prose

SIGNER = Signer(MinHash())
VOCABULARY = st.sampled_from(["stone", "river", "valley", "rain", "wheat", "owl", "glass", "candle", "bridge", "iron"])
SENTENCE = st.lists(VOCABULARY, min_size=1, max_size=80).map(" ".join)


def jaccard(one, other, words=5):
    """By the definition, on strings."""

    def runs(text):
        plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        found = re.findall(r"[^\W_]+", re.sub(r"\d+(?:[.,]\d+)?", "0", plain))
        length = min(words, len(found))
        return {tuple(found[place : place + length]) for place in range(len(found) - length + 1)}

    ours, theirs = runs(one), runs(other)
    return len(ours & theirs) / len(ours | theirs)


def estimate(one, other, signer=SIGNER):
    marks = [signer.marks(signer.minima(text)) for text in (one, other)]
    return estimates(len(marks[0]))[np.count_nonzero(marks[0] == marks[1])]


@given(SENTENCE, SENTENCE)
def test_the_sets_of_shingles_have_the_jaccard_similarity_of_the_runs_of_words(one, other):
    ours, theirs = (set(shingles(text, 5).tolist()) for text in (one, other))
    assert len(ours & theirs) / len(ours | theirs) == jaccard(one, other)


@given(SENTENCE, SENTENCE)
def test_the_estimate_is_symmetric_and_one_only_for_the_same_shingles(one, other):
    assert estimate(one, other) == estimate(other, one)
    assert (estimate(one, other) == 1) == (jaccard(one, other) == 1)


def test_two_shingles_whose_hashes_end_alike_do_not_look_the_same():
    one, other = "stone owl stone stone", "glass owl stone owl"
    assert (shingles(one, 5)[0] - shingles(other, 5)[0]) % 256 == 0
    assert estimate(one, other) < 0.1


@pytest.mark.parametrize("replaced", [0, 4, 10, 20, 40])
def test_many_hashes_estimate_the_similarity_to_three_standard_errors(replaced):
    signer = Signer(MinHash(buckets=500, hashes=8))
    words = [f"word{'abcdefghij'[n % 10]}{chr(97 + n // 10 % 26)}{chr(97 + n // 260)}" for n in range(600)]
    changed = [f"x{word}" if n % 100 < replaced and n % 2 else word for n, word in enumerate(words)]
    true = jaccard(" ".join(words), " ".join(changed))
    error = (true * (1 - true) / 4000) ** 0.5
    assert abs(estimate(" ".join(words), " ".join(changed), signer) - true) <= 3 * error + 1e-9


@pytest.mark.parametrize(
    "other",
    [
        "the “Café” of 1,250 Chairs — it’s OPEN",
        "The cafe of 7 chairs;\n\nit's open!",
        "the cafe\u0301 of 3.5 chairs: it's (open)",
    ],
)
def test_case_accents_punctuation_breaks_and_numbers_do_not_count(other):
    assert np.array_equal(SIGNER.minima("The café, of 12 chairs. It's open"), SIGNER.minima(other))


def test_texts_without_spaces_are_compared_by_characters():
    one = "雨落在山上穿过古老石头的裂缝流下来直到春天"
    ours, theirs = (set(shingles(text, 5).tolist()) for text in (one, one[:-2]))
    assert (len(ours & theirs), len(ours | theirs)) == (15, 17)


def test_short_and_wordless_texts_are_alike_only_if_equal():
    texts = ["", "★ ★ ★", "★ ★", "…", "rain", "rain falls", "rain falls on old stone"]
    signatures = {SIGNER.minima(text).tobytes() for text in texts}
    assert len(signatures) == len(texts)
    assert estimate("★ ★ ★", "★ ★ ★") == 1


@given(st.integers(1, 3000))
def test_a_long_text_has_the_minima_of_its_parts(length):
    found = np.random.default_rng(length).integers(0, 2**63, length, dtype=np.uint64)

    def of(part):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("filters.minhash.shingles", lambda text, words: part)
            return SIGNER.minima("")

    cut = length // 2
    parts = [part for part in (found[:cut], found[cut:]) if len(part)]
    assert np.array_equal(of(found), np.minimum.reduce([of(part) for part in parts]))


def test_a_key_is_equal_exactly_where_all_minima_of_its_bucket_are():
    one = SIGNER.minima(prose("hill"))
    for place in range(len(one)):
        other = one.copy()
        other[place] += np.uint64(1)
        assert np.flatnonzero(SIGNER.keys(one) != SIGNER.keys(other)).tolist() == [place // 8]


def test_a_signed_file_holds_the_signatures_of_those_that_were_not_refused(tmp_path):
    texts = [prose("hill"), "refused", None, prose("lake"), ""]
    reasons = [None, "language", "not_html", None, None]
    path = tmp_path / "documents.parquet"
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string()), "reason": reasons}), path, row_group_size=2)
    seen = []
    sign_file({"documents": str(path), "count": 3, "settings": {}}, tmp_path, seen.append)
    kept = [SIGNER.minima(text) for text in (texts[0], texts[3], texts[4])]
    assert np.array_equal(np.load(tmp_path / KEYS).T, [SIGNER.keys(minima) for minima in kept])
    assert np.array_equal(np.load(tmp_path / MARKS), [SIGNER.marks(minima) for minima in kept])
    assert seen == [1, 2, 3]


def test_signatures_stay_what_they_were():
    """They are kept on disk: another version of numpy must give the same."""
    minima = SIGNER.minima("Rain that falls on the hills in spring finds its way down.")
    assert (int(SIGNER.keys(minima)[0]), SIGNER.marks(minima)[:4].tolist()) == (11817488589819886476, [86, 71, 105, 19])
