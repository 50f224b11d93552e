"""The classifier that ships, with the real encoder."""

import json

import numpy as np
import pytest

from classifiers import EducationalClassifier
from classifiers.cli import main
from classifiers.labels import folds, read_labels
from classifiers.model import DEFAULT_DIRECTORY
from tests.conftest import shared

LESSON = (
    "Photosynthesis is the process by which plants turn light into chemical energy. First, chlorophyll in the leaf "
    "absorbs light, which splits water into oxygen and hydrogen. Then the plant uses that energy to build sugar from "
    "carbon dioxide. This is why plants need light, water and air: without any one of them the chain of reactions "
    "stops. For example, a plant in a dark room uses up its sugar and turns pale, because it cannot make chlorophyll."
)
SPAM = "Hot deals! Buy cheap watches now, free shipping, click here to order. Add to cart. Login. Sale ends today!!!"
NEWS = "The council met on Tuesday and voted to move the bus stop. A spokesman said work would begin in the spring."


@pytest.fixture(scope="module")
def default():
    return EducationalClassifier.load(None)


def test_it_is_at_most_six_megabytes():
    assert sum(file.stat().st_size for file in DEFAULT_DIRECTORY.iterdir()) <= 6_000_000


def test_it_puts_a_lesson_above_news_above_spam(default):
    lesson, news, spam = default.score([LESSON, NEWS, SPAM])
    assert lesson > 2.5
    assert lesson > news > spam
    assert spam < 0.7


def test_its_scores_do_not_depend_on_the_batch_beyond_the_sixth_digit(default):
    texts = [LESSON[n:] for n in range(0, 300, 20)]
    assert default.score(texts[3:4])[0] == pytest.approx(default.score(texts)[3], abs=2e-5)


def test_it_cannot_be_measured_on_the_labels_it_was_trained_on(capsys):
    path = shared("labels/labels.jsonl.gz")
    assert main(["evaluate", "--labels", str(path)]) == 2
    assert "trained on all 1139 of these documents" in capsys.readouterr().err


def test_its_card_reports_the_required_quality():
    figures = json.loads((DEFAULT_DIRECTORY / "classifier.json").read_text())["cross_validation"]
    assert figures["documents"] == 4261
    assert figures["thresholds"]["3"]["auc"]["value"] >= 0.92


def test_it_scores_real_documents_near_their_grades(default):
    """It has seen these: a check that the whole path from text to score is wired as in training, not of its quality."""
    labels = read_labels(shared("labels/labels.jsonl.gz"))
    some = labels.take(np.flatnonzero(folds(labels, 40) == 0))
    scores = default.score(some.texts)
    assert np.corrcoef(scores, some.scores)[0, 1] > 0.85
    assert np.abs(scores - some.scores).mean() < 0.6
