"""Exact duplicates: the first stays, whatever the others are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from filters.duplicates import first_copies


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40))
def test_every_document_points_to_the_first_with_its_hash(pairs):
    hashes = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    expected, seen = [], {}
    for place, pair in enumerate(pairs):
        expected.append(seen.setdefault(pair, place))
    assert first_copies(hashes).tolist() == expected
