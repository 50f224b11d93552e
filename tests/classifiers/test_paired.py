import numpy as np
import pytest

from classifiers.labels import gather
from classifiers.metrics import report
from classifiers.paired import Interval, Paired, gate, new_to_both, paired_figures
from common.errors import InputError
from tests.classifiers.helpers import grading


class Trained:
    """Knows the labels with these ids."""

    def __init__(self, *ids):
        self.ids = ids

    def knows(self, labels):
        return np.isin(labels.ids, self.ids)


def graded_world(documents=300, noise=1.0, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, documents).astype(float)
    return truth, truth + generator.normal(0, noise, documents), generator


def pair(low, high):
    return Paired(Interval(0.9, 0.8, 1), Interval(0.9, 0.8, 1), Interval((low + high) / 2, low, high))


def test_figures_of_each_are_those_that_evaluate_prints():
    truth, scores, _ = graded_world()
    groups = np.arange(len(truth)) // 2
    figures = paired_figures(truth, scores, scores, groups)
    printed = report(scores, truth, np.zeros((len(truth), 5)), groups)
    expected = [printed["thresholds"]["3"][n] for n in ("auc", "best_f1")]
    expected += [printed[n] for n in ("spearman", "mean_absolute_error")]
    assert [vars(p.champion) for p in figures.values()] == expected
    assert {(p.gain.value, p.gain.low, p.gain.high) for p in figures.values()} == {(0, 0, 0)}


def test_gains_are_above_zero_where_the_challenger_is_better_also_for_an_error():
    truth, worse, generator = graded_world(noise=2)
    better = truth + generator.normal(0, 0.3, len(truth))
    for name, found in paired_figures(truth, worse, better, np.arange(len(truth))).items():
        assert found.gain.low > 0, name
        change = found.challenger.value - found.champion.value
        sign = -1 if name == "mean_absolute_error" else 1
        assert found.gain.value == pytest.approx(sign * change, abs=2e-4)


def test_what_both_share_falls_out_of_the_interval_of_the_gain():
    truth, champion, generator = graded_world()
    challenger = champion + generator.normal(0, 0.05, len(truth))
    found = paired_figures(truth, champion, challenger, np.arange(len(truth)))["auc"]
    assert found.gain.high - found.gain.low < (found.champion.high - found.champion.low) / 4


def test_copies_in_one_group_do_not_narrow_an_interval():
    truth, champion, generator = graded_world(60)
    challenger = truth + generator.normal(0, 1, len(truth))
    once = paired_figures(truth, champion, challenger, np.arange(60))["spearman"].gain
    copied = [np.repeat(values, 5) for values in (truth, champion, challenger, np.arange(60))]
    grouped = paired_figures(*copied)["spearman"].gain
    assert (grouped.high - grouped.low) == pytest.approx(once.high - once.low, rel=0.25)
    fooled = paired_figures(*copied[:3], np.arange(300))["spearman"].gain
    assert fooled.high - fooled.low < 0.7 * (once.high - once.low)


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (-0.03, -0.0001, 0.0, "worse"),
        (-0.03, 0.0, 0.0, "not distinguishable"),
        (-0.03, -0.0101, 0.01, "worse"),
        (-0.03, -0.01, 0.01, "not distinguishable"),
        (-0.01, -0.002, 0.01, "not worse"),
        (0.0, 0.0, 0.0, "not worse"),
        (0.0001, 0.02, 0.0, "better"),
    ],
)
def test_the_challenger_is_worse_only_if_the_whole_interval_lies_below_the_margin(low, high, margin, verdict):
    found = gate({"auc": pair(low, high)}, "auc", margin)
    assert (found.verdict, found.passed) == (verdict, verdict != "worse")


def test_a_primary_metric_without_documents_of_one_class_is_refused():
    truth = np.zeros(40)
    scores = np.linspace(0, 1, 40)
    figures = paired_figures(truth, scores, scores, np.arange(40))
    assert figures["auc"] is None
    with pytest.raises(InputError, match=r"AUC at ≥ 3 is undefined.*--primary"):
        gate(figures, "auc", 0)
    assert gate(figures, "mean_absolute_error", 0).verdict == "not worse"


def test_labels_of_either_training_and_their_near_duplicates_are_left_out():
    rows = [grading(number) for number in range(6)]
    rows.append({"id": "copy of d0", "text": rows[0]["text"] + " and more", "score": 0})
    left = new_to_both(gather(rows), Trained("d0", "d1"), Trained("d1", "d5"))
    assert left.ids == ("d2", "d3", "d4")


def test_without_a_new_label_the_message_counts_and_says_what_to_do():
    labels = gather(grading(number) for number in range(4))
    with pytest.raises(
        InputError, match=r"none of the 4 labels .* champion was trained on 1, the challenger on 3.*kept"
    ):
        new_to_both(labels, Trained("d0"), Trained("d1", "d2", "d3"))
