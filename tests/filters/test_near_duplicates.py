"""Near-duplicates: every document that is dropped is alike one that stays, wherever the files are cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import near_duplicates
from filters.job import MinHash
from filters.minhash import KEYS, MARKS, Signer, estimates
from filters.near_duplicates import first_alike

LEAST = 0.75
WORDS = [f"{start}{end}" for start in ("stone", "river", "rain", "owl", "glass") for end in ("", "s", "wards", "like")]


def text_of(seed, words=60):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def edited(text, seed, edits):
    generator, words = np.random.default_rng(seed), text.split()
    for place in generator.integers(0, len(words), edits):
        words[place] = f"other{chr(97 + place)}"
    return " ".join(words)


EDITS = ((0, 0), (1, 1), (2, 1), (3, 2), (4, 5), (5, 0))  # seed and number of edits: some alike the first, some not
TEXTS = [edited(text_of(base), seed, edits) for base in range(6) for seed, edits in EDITS]
SIGNER = Signer(MinHash())
MINIMA = [SIGNER.minima(text) for text in TEXTS]
SIGNED = np.array([SIGNER.keys(minima) for minima in MINIMA]), np.array([SIGNER.marks(minima) for minima in MINIMA])
SHARE_A_BUCKET = (SIGNED[0][:, None] == SIGNED[0][None]).any(axis=2)
SIMILARITY = estimates(112)[(SIGNED[1][:, None] == SIGNED[1][None]).sum(axis=2)]
ALIKE = SHARE_A_BUCKET & (SIMILARITY >= LEAST)
ORDERS = st.lists(st.sampled_from(range(len(TEXTS))), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def find(tmp_path_factory):
    """Near-duplicates of numbered documents, cut into files at some places."""
    base, fresh = tmp_path_factory.mktemp("signed"), itertools.count()

    def found(order, cuts=(), chosen=None, signed=SIGNED):
        files = []
        for low, high in itertools.pairwise(sorted({0, len(order), *cuts})):
            numbers = np.array(order[low:high])
            files.append(base / str(next(fresh)))
            files[-1].mkdir()
            np.save(files[-1] / KEYS, np.ascontiguousarray(signed[0][numbers].T))
            np.save(files[-1] / MARKS, signed[1][numbers])
        return first_alike(files, np.ones(len(order), dtype=bool) if chosen is None else np.array(chosen), LEAST)

    return found


def by_definition(order):
    """One after the other: each is alike one of those that stay, the most similar of them, or stays itself."""
    first, stay = [], []
    for place, number in enumerate(order):
        alike = [other for other in stay if ALIKE[number, order[other]]]
        first.append(max(alike, key=lambda other: (SIMILARITY[number, order[other]], -other), default=place))
        if not alike:
            stay.append(place)
    return first


def test_the_texts_of_these_tests_hold_pairs_of_every_kind():
    off_diagonal = ~np.eye(len(TEXTS), dtype=bool)
    chains = (ALIKE.astype(int) @ ALIKE > 0) & ~ALIKE  # alike one that is alike a third, but not alike that one
    assert ALIKE[off_diagonal].any() and (SHARE_A_BUCKET & ~ALIKE).any() and chains.any()


@settings(max_examples=50)
@given(order=ORDERS)
def test_the_buckets_find_what_comparing_one_by_one_finds(find, order):
    first, similarity = find(order)
    assert first.tolist() == by_definition(order)
    for place, leader in enumerate(first):
        expected = np.nan if leader == place else SIMILARITY[order[place], order[leader]]
        assert np.array_equal(similarity[place], np.float32(expected), equal_nan=True)


@settings(max_examples=50)
@given(order=ORDERS)
def test_whatever_is_named_has_stayed_and_no_two_that_stay_are_alike(find, order):
    first, _ = find(order)
    assert (first[first] == first).all()
    stay = [order[place] for place in np.flatnonzero(first == np.arange(len(order)))]
    assert not (ALIKE[np.ix_(stay, stay)] & ~np.eye(len(stay), dtype=bool)).any()


@settings(max_examples=50)
@given(order=ORDERS, cuts=st.lists(st.integers(0, 30), max_size=5))
def test_where_the_files_are_cut_does_not_matter(find, order, cuts):
    whole, cut = find(order), find(order, [place for place in cuts if place < len(order)])
    assert whole[0].tolist() == cut[0].tolist() and whole[1].tobytes() == cut[1].tobytes()


@settings(max_examples=50)
@given(numbers=st.lists(st.sampled_from(range(0, len(TEXTS), len(EDITS))), max_size=12), order=st.randoms())
def test_the_same_documents_in_another_order_make_the_same_clusters_of_which_the_first_stays(find, numbers, order):
    order.shuffle(numbers)
    if numbers:
        assert find(numbers)[0].tolist() == [numbers.index(number) for number in numbers]


def test_documents_that_take_no_part_point_to_themselves_and_drop_nobody(find):
    first, similarity = find([0, 0, 0, 6, 6], chosen=[False, True, True, True, False])
    assert first.tolist() == [0, 1, 1, 3, 4]
    assert np.flatnonzero(~np.isnan(similarity)).tolist() == [2]
    assert find([0, 0], chosen=[True, False])[0].tolist() == [0, 1]
    assert find([0, 0], chosen=[False, False])[0].tolist() == [0, 1]


def test_a_template_that_a_thousand_pages_share_costs_a_bounded_number_of_comparisons(find, monkeypatch):
    """They agree on one bucket and on nothing else; copies of them agree on all."""
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 2**63, (1000, 14), dtype=np.uint64)
    keys[:, 3] = 7
    signed = keys, generator.integers(0, 256, (1000, 112)).astype(np.uint8)
    compared = []
    count = np.count_nonzero
    monkeypatch.setattr(
        near_duplicates.np, "count_nonzero", lambda equal, axis: compared.append(len(equal)) or count(equal, axis=axis)
    )
    first, _ = find([*range(1000), 999], signed=signed)
    assert first.tolist() == [*range(1000), 999]
    assert max(compared) <= near_duplicates._MAX_COMPARED + 2
