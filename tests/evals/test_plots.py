import numpy as np

from evals.plots import CURVE_POINTS, smooth


def test_a_long_curve_is_averaged_and_nothing_is_left_out():
    loss = np.random.default_rng(0).random(4 * CURVE_POINTS)
    tokens, means = smooth(np.arange(len(loss)), loss)
    assert len(means) == CURVE_POINTS
    assert np.isclose(means.mean(), loss.mean())
    assert tokens[-1] == len(loss) - 1
    assert [column.tolist() for column in smooth(np.array([1, 2]), np.array([3.0, 4.0]))] == [[1, 2], [3.0, 4.0]]
    assert [len(column) for column in smooth(np.array([]), np.array([]))] == [0, 0]
