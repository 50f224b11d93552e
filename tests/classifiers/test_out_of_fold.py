"""A classifier keeps what its cross-validation said of every document, and gives it back for any of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from classifiers import EducationalClassifier
from classifiers.cli import main
from classifiers.labels import gather
from classifiers.model import training_set
from classifiers.out_of_fold import OutOfFold, kept
from common.errors import InputError
from tests.classifiers.helpers import grading, small_labels


def test_documents_in_any_order_get_their_scores_back_and_new_ones_none(trained, tmp_path):
    classifier, unseen = trained
    classifier.save(tmp_path / "it")
    asked = np.random.default_rng(0).permutation(120)[:50].tolist()
    mixed = gather(grading(number) for number in [*range(500, 510), *asked])
    labels, found = kept(EducationalClassifier.load(tmp_path / "it"), mixed)
    where = [small_labels().ids.index(identity) for identity in labels.ids]
    assert sorted(labels.ids) == sorted(f"d{number}" for number in asked)
    for name in ("raw", "scores", "probabilities", "fold"):
        assert getattr(found, name).tolist() == getattr(unseen, name)[where].tolist(), name


def test_a_text_that_stands_twice_is_found():
    labels = gather([grading(0), {**grading(1), "id": "x"}, {**grading(1), "id": "y"}])
    unseen = OutOfFold(*(np.arange(3, dtype=kind) for kind in ("f8", "f4")), np.zeros((3, 5), "f4"), np.arange(3))
    marks, arrays = training_set(labels)["texts"], unseen.arrays(labels)
    assert len(marks) == len(arrays["out_of_fold/raw"]) == 2


def test_the_command_gives_the_figures_of_the_card_without_training(trained, tmp_path, labels_file, capsys):
    trained[0].save(tmp_path / "it")
    words = ["evaluate", "--labels", str(labels_file), "--classifier", str(tmp_path / "it"), "--out-of-fold"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = json.loads((tmp_path / "it" / "classifier.json").read_text())["cross_validation"]
    assert found["in_training_set"] == 120
    assert {name: found[name] for name in wanted if name != "folds"} == {n: wanted[n] for n in wanted if n != "folds"}
    assert main([*words, "--folds", "5"]) == 2
    assert "name one of them" in capsys.readouterr().err


def test_a_classifier_without_them_and_documents_without_them_are_refused(trained):
    classifier, _ = trained
    with pytest.raises(InputError, match="trained on none of these 3 texts"):
        kept(classifier, gather(grading(number) for number in range(500, 503)))
    bare = replace(classifier, training_set=training_set(small_labels()))
    with pytest.raises(InputError, match="keeps no scores of its cross-validation: use --folds"):
        kept(bare, small_labels())
