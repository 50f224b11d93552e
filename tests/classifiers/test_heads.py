import numpy as np
import pytest

from classifiers import heads
from common.errors import IntegrityError


def world(count: int = 150, seed: int = 0):
    generator = np.random.default_rng(seed)
    left = generator.normal(3, 10, (count, 6)).astype(np.float32)
    right = generator.normal(0, 0.01, (count, 4)).astype(np.float32)
    signal = left[:, 0] / 10 + right[:, 1] * 100
    return [left, right], np.clip(np.round(signal + 2), 0, 5).astype(np.float64)


def taken(blocks, places):
    return [block[places] for block in blocks]


@pytest.mark.parametrize("name", heads.NAMES)
class TestEveryHead:
    def test_arrays_predict_what_scikit_learn_predicts(self, name):
        blocks, grades = world()
        arrays = heads.fit(name, blocks, grades)
        estimator = heads.make(name)
        rows = (np.hstack(blocks) - arrays["mean"]) / arrays["scale"]
        estimator.fit(rows, grades)
        new = (np.hstack(world(seed=1)[0]) - arrays["mean"]) / arrays["scale"]
        assert heads.predict(name, arrays, world(seed=1)[0]) == pytest.approx(estimator.predict(new), abs=5e-3)

    def test_it_learns_what_both_blocks_say(self, name):
        blocks, grades = world(400)
        arrays = heads.fit(name, taken(blocks, slice(0, 300)), grades[:300])
        found = heads.predict(name, arrays, taken(blocks, slice(300, 400)))
        assert np.corrcoef(found, grades[300:])[0, 1] > 0.7

    def test_a_score_does_not_depend_on_its_neighbours(self, name):
        blocks, grades = world()
        arrays = heads.fit(name, blocks, grades)
        alone = [heads.predict(name, arrays, taken(blocks, [i]))[0] for i in range(10)]
        assert alone == pytest.approx(heads.predict(name, arrays, blocks)[:10], abs=1e-9)

    def test_the_same_seed_gives_the_same_bytes(self, name):
        blocks, grades = world()
        first, second = (heads.fit(name, blocks, grades, seed=3) for _ in range(2))
        assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}

    def test_its_arrays_are_plain_numbers(self, name):
        arrays = heads.fit(name, *world())
        assert {array.dtype.str for array in arrays.values()} <= {"<f4", "<f2", "<i4"}

    def test_arrays_that_are_not_its_own_are_refused(self, name):
        arrays = heads.fit(name, *world())
        heads.check(name, arrays)
        for key in arrays:
            with pytest.raises(IntegrityError, match=f"not those of the head {name}"):
                heads.check(name, {other: array for other, array in arrays.items() if other != key})
        broken = {key: array if array.dtype == np.int32 else array * np.nan for key, array in arrays.items()}
        with pytest.raises(IntegrityError, match="no finite score"):
            heads.check(name, broken)

    def test_no_rows_give_no_scores(self, name):
        blocks, grades = world()
        assert heads.predict(name, heads.fit(name, blocks, grades), taken(blocks, slice(0, 0))).shape == (0,)

    def test_a_column_that_never_varied_cannot_blow_up(self, name):
        blocks, grades = world()
        still = [*blocks, np.full((len(grades), 2), 7, np.float32)]
        arrays = heads.fit(name, still, grades)
        assert np.isfinite(heads.predict(name, arrays, [*blocks, np.full((len(grades), 2), 7.01, np.float32)])).all()


def test_blocks_of_any_scale_weigh_alike():
    blocks, grades = world()
    arrays = heads.fit("ridge", blocks, grades)
    larger = heads.fit("ridge", [blocks[0] * 1000, blocks[1]], grades)
    assert larger["coefficients"] == pytest.approx(arrays["coefficients"], rel=1e-3, abs=1e-4)


def test_a_grade_that_nobody_reached_is_unlikely():
    blocks, grades = world()
    arrays = heads.fit("logistic", blocks, np.minimum(grades, 2))
    assert heads.predict("logistic", arrays, blocks).max() < 2.01
