import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.first_stage import COLUMNS, WORDS, FirstStage
from classifiers.first_stage_teaching import teach
from common.errors import InputError, IntegrityError
from tests.classifiers.cascades import embed, full_raw, small_cascade, texts


@pytest.fixture(scope="module")
def stage():
    return small_cascade().first_stage


def test_the_student_ranks_texts_it_has_not_seen_as_the_full_model_does(stage):
    unseen = texts(300, 90_000)
    assert np.corrcoef(stage.estimate(unseen), full_raw(unseen))[0, 1] > 0.9


@given(found=st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_an_estimate_is_finite_and_does_not_depend_on_the_others(stage, found):
    together = stage.estimate(found)
    assert np.isfinite(together).all()
    assert together.tolist() == [float(stage.estimate([text])[0]) for text in found]


def test_what_lies_behind_the_window_does_not_matter(stage):
    text = " ".join(texts(60))
    assert len(text) > 2 * stage.characters
    assert stage.estimate([text]) == stage.estimate([text[: stage.characters] + "energy " * 500])


def test_the_same_texts_teach_the_same_student_and_its_arrays_bring_it_back(stage):
    taught = texts(400)
    again = teach(taught, full_raw(taught), 1500, embed).arrays()
    for name, array in stage.arrays().items():
        assert array.dtype == again[name].dtype and (array == again[name]).all(), name
    restored = FirstStage.from_arrays(stage.arrays())
    assert (restored.estimate(texts(50)) == stage.estimate(texts(50))).all()


def test_its_arrays_take_less_than_two_megabytes_with_all_its_words(stage):
    arrays = {name: array for name, array in stage.arrays().items() if name not in {"vectors", "words", "word_weights"}}
    assert sum(array.nbytes for array in arrays.values()) + (WORDS + 1) * (COLUMNS + 2 + 8) < 2_000_000


def test_words_that_never_taught_it_together_are_known_by_what_the_full_model_makes_of_them():
    """Texts of one rare word each: what the company of a word cannot tell, its vector can."""
    draws = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bcdfghklmn" for b in "aeiou" for c in "bcdfghklmn"]
    worth = dict(zip(words, draws.normal(size=len(words)), strict=True))
    found = [" ".join(draws.choice(words, 30)) for _ in range(300)]
    raw = np.array([np.mean([worth[word] for word in text.split()]) for text in found])

    def correlation(vectors):
        student = teach(found[:200], raw[:200], 1500, vectors)
        return np.corrcoef(student.estimate(found[200:]), raw[200:])[0, 1]

    known = correlation(lambda rows: np.array([[worth.get(word, 0)] for word in rows], np.float32))
    assert known > 0.9 > correlation(lambda rows: np.zeros((len(rows), 1), np.float32))


def test_arrays_that_do_not_fit_are_refused(stage):
    arrays = stage.arrays()
    with pytest.raises(IntegrityError, match="shapes"):
        FirstStage.from_arrays(arrays | {"vectors": arrays["vectors"][1:]})
    with pytest.raises(IntegrityError, match="does not hold"):
        FirstStage.from_arrays({name: array for name, array in arrays.items() if name != "mean"})


def test_too_few_texts_are_refused():
    with pytest.raises(InputError, match="at least 100 texts to learn from, got 3"):
        teach(texts(3), np.zeros(3), 1500, embed)


def test_two_thousand_documents_take_less_than_a_second_of_the_processor(stage):
    """A floor that a busy machine keeps; benchmarks/cascade.py measures the figure."""
    window = [" ".join(texts(8, first))[:1500] for first in range(0, 1600, 8)]
    stage.estimate(window[:10])
    start = time.process_time()
    stage.estimate(window)
    assert len(window) / (time.process_time() - start) > 1000
