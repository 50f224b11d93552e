from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError
from filters.decisions import select

COUNT = 8000


class Documents:
    """A pool of documents of ten tokens."""

    tokens = np.full(COUNT, 10)

    def __len__(self):
        return COUNT

    def ids(self):
        return SimpleNamespace(of=lambda rows: rows.astype(str))


def selected(scores, **rule):
    job = SimpleNamespace(**{"budget_tokens": None, "min_score": None} | rule)
    return select(Documents(), np.ones(COUNT, bool), scores.astype(np.float32), job)


@pytest.mark.parametrize("rule", [{"budget_tokens": 16000}, {"min_score": 3.0}])
def test_a_job_with_scores_of_few_steps_is_refused_and_one_with_fine_scores_is_not(rule):
    fine = np.random.default_rng(0).uniform(0, 5, COUNT)
    assert 0 < selected(fine, **rule).kept.sum() < COUNT
    with pytest.raises(InputError, match="use a classifier whose scores are finer"):
        selected(np.round(fine * 32) / 32, **rule)
