import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.drift import MIN_DOCUMENTS, by_source, ks, psi

samples = st.lists(st.floats(0, 5, width=32), min_size=1, max_size=60).map(np.array)


def test_psi_is_the_sum_over_the_deciles_of_the_reference():
    p = np.full(10, 100.5 / 1005)
    q = np.repeat([100.5, 0.5], 5) / 505
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert psi(np.arange(1000.0), np.arange(500.0)) == pytest.approx(expected, rel=1e-12)


@given(reference=samples, other=samples)
def test_psi_is_finite_never_negative_and_zero_for_the_same_scores(reference, other):
    assert 0 <= psi(reference, other) < math.inf
    assert psi(reference, reference) == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scipy's p-value of tiny samples
@given(left=samples, right=samples)
def test_ks_is_the_statistic_that_scipy_gives(left, right):
    from scipy.stats import ks_2samp

    assert ks(left, right) == pytest.approx(ks_2samp(left, right, method="asymp").statistic, abs=1e-12)


def test_a_source_that_moved_stands_out_and_small_ones_are_put_together():
    generator = np.random.default_rng(0)
    names = ("steady", "moved", "tiny", "small")
    source = np.repeat(np.arange(4), [300, MIN_DOCUMENTS, 3, MIN_DOCUMENTS - 1])
    champion = generator.uniform(0, 4, len(source)).astype(np.float32)
    challenger = champion + np.float32(0.8) * (source == 1)
    rows = by_source(names, source, (champion, challenger), (champion >= 3, challenger >= 3))
    assert [(r.source, r.documents) for r in rows] == [
        ("all documents", 502),
        ("steady", 300),
        ("moved", 100),
        ("other sources (2)", 102),
    ]
    assert [r.psi > 0.1 for r in rows[1:]] == [False, True, False]
    assert (rows[1].ks, rows[1].changed, rows[3].changed) == (0, 0, 0)
    assert rows[2].challenger_mean - rows[2].champion_mean == pytest.approx(0.8, abs=2e-4)
    assert rows[2].changed == rows[2].challenger_kept - rows[2].champion_kept == rows[0].changed > 0


def test_a_pool_that_names_no_sources_has_one_row():
    scores = np.linspace(0, 5, 30, dtype=np.float32)
    rows = by_source(("(not named)",), np.zeros(30, np.int64), (scores, scores), (scores > 1, scores > 1))
    assert [r.source for r in rows] == ["all documents"]
