"""The benchmark of suggest hides the grades that it has not bought."""

import numpy as np

from benchmarks.suggest import STRATEGIES, World, bought
from tests.classifiers.helpers import small_labels

LEARNED, POOL, TEST = np.split(np.arange(120), [40, 90])


def world(change=()):
    labels = small_labels()
    features = np.random.default_rng(0).normal(size=(120, 6)) + labels.scores[:, None]
    labels.scores[list(change)] = 5 - labels.scores[list(change)]
    return World(labels, [features.astype(np.float32)])


def test_no_choice_knows_a_grade_before_it_is_bought():
    honest, changed = (w.doubt(LEARNED, POOL) for w in (world(), world([*POOL, *TEST])))
    assert (honest.chances.tolist(), honest.scores.tolist()) == (changed.chances.tolist(), changed.scores.tolist())
    for choose in STRATEGIES.values():
        chosen = choose(world().labels.take(POOL), honest, 10, 1)
        assert len(set(chosen)) == 10
        assert set(chosen) <= set(range(50))


def test_scores_of_the_test_documents_do_not_depend_on_their_grades():
    runs = [
        bought(w, STRATEGIES["suggest"], LEARNED, POOL, TEST, batch=10, seeds=[0, 1]) for w in (world(), world(TEST))
    ]
    assert runs[0].shape == (3, 30)
    assert runs[0].tolist() == runs[1].tolist()
    assert not np.array_equal(runs[0][0], runs[0][2])
