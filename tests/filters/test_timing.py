"""CPU seconds from a sample: right whatever of them is the cost of a unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.estimates import Estimate, exactly
from filters.timing import MOST_UNIT_SECONDS, UNIT_SECONDS, Timing


@given(
    each=st.floats(1e-6, 1),
    unit=st.floats(0, MOST_UNIT_SECONDS),
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 5_000), st.integers(1, 1_000), st.integers(1, 10**9)),
)
def test_the_truth_lies_inside_whatever_a_unit_costs(each, unit, sizes):
    units, documents, files, whole = sizes
    found = Timing(each * documents + unit * units, units, documents).projected(exactly(whole), files)
    assert found.low <= found.value <= found.high
    assert found.low * (1 - 1e-9) <= each * whole + unit * files <= found.high * (1 + 1e-9)


def test_small_units_do_not_make_a_large_job_dear():
    measured = Timing(seconds=8 * UNIT_SECONDS + 400 * 0.002, units=8, documents=400)
    found = measured.projected(exactly(1e9), 1000)
    assert found.value == pytest.approx(1e9 * 0.002, rel=0.001)
    assert found.high == pytest.approx(1e9 * 0.003, rel=0.001)  # were it all the documents'


def test_a_step_that_took_less_than_its_units_may_cost_costs_no_document():
    found = Timing(seconds=0.02, units=2, documents=10).projected(Estimate(50, 40, 60), 3)
    assert found.value == pytest.approx(3 * 0.01)  # a unit took 10 ms at most, whatever is usual
    assert (found.low, found.high) == pytest.approx((3 * 0.01, 60 * 0.002))
