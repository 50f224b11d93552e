import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from classifiers import metrics
from classifiers.shortcuts import auc_within, out_of_fold, shortcuts

COUNT = 300


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 50)


def world(reads: bool, seed: int = 0):
    """Grades that depend on the source, and scores that read the grade or only know the source."""
    generator = np.random.default_rng(seed)
    source = generator.integers(0, 4, COUNT)
    truth = np.clip(source + generator.normal(0.5, 1.2, COUNT), 0, 5)
    scores = (truth if reads else source) + generator.normal(0, 0.3, COUNT)
    texts = ["word " * int(n) for n in generator.integers(10, 60, COUNT)]
    return texts, [f"s{n}" for n in source], scores, truth, np.arange(COUNT)


def row(found, name):
    return next(each for each in found["predicted_by"] if each["shortcut"] == name)


def test_a_classifier_that_only_knows_the_source_is_found_out():
    reader, knower = (shortcuts(*world(reads)) for reads in (True, False))
    assert row(knower, "source")["r2_score"] > 0.9
    assert row(reader, "source")["r2_score"] < 0.7
    assert knower["auc_within_sources"]["value"] == pytest.approx(0.5, abs=0.1)
    assert reader["auc_within_sources"]["value"] > 0.9
    assert knower["auc"]["value"] > 0.75  # the overall figure does not show it
    assert knower["r2_score_by_grade_and_source"] - knower["r2_score_by_grade"] > 0.3
    assert reader["r2_score_by_grade_and_source"] - reader["r2_score_by_grade"] < 0.02


def test_a_source_says_the_same_of_the_grade_whoever_scores():
    rows = [row(shortcuts(*world(reads)), "source") for reads in (True, False)]
    assert rows[0]["r2_grade"] == rows[1]["r2_grade"]
    assert rows[0]["auc"] == rows[1]["auc"]


def test_length_that_says_nothing_explains_nothing_and_length_that_decides_explains_all():
    texts, sources, _, truth, groups = world(True)
    blind = shortcuts(texts, sources, np.random.default_rng(3).normal(size=COUNT), truth, groups)
    assert row(blind, "length")["r2_score"] < 0.02
    lengths = np.log1p([len(text) for text in texts])
    counter = shortcuts(texts, sources, lengths, truth, groups)
    assert row(counter, "length")["r2_score"] > 0.99


def test_without_grades_what_needs_them_is_none():
    texts, sources, scores, _, groups = world(True)
    found = shortcuts(texts, sources, scores, None, groups)
    assert (found["auc"], found["auc_within_sources"], found["r2_score_by_grade"]) == (None, None, None)
    assert {each["r2_grade"] for each in found["predicted_by"]} == {None}


def test_one_source_with_one_text_has_no_pairs():
    assert auc_within(np.array([0, 1]), np.array([True, False]), np.array([1.0, 0.0])) is None


@given(seed=integers(0, 1000))
@settings(max_examples=20)
def test_within_one_source_the_auc_is_the_whole_one(seed):
    generator = np.random.default_rng(seed)
    positive, scores = generator.random(50) < 0.4, generator.normal(size=50).round(1)
    assert auc_within(np.zeros(50, np.int64), positive, scores) == pytest.approx(metrics.auc(positive, scores))


@given(seed=integers(0, 1000))
@settings(max_examples=20)
def test_a_document_has_no_part_in_its_own_prediction(seed):
    generator = np.random.default_rng(seed)
    columns, target, fold = generator.normal(size=(40, 3)), generator.normal(size=40), np.arange(40) % 4
    before = out_of_fold(columns, target, fold)
    changed = target.copy()
    changed[fold == 1] += 100
    after = out_of_fold(columns, changed, fold)
    assert after[fold == 1] == pytest.approx(before[fold == 1])
    assert not np.allclose(after[fold != 1], before[fold != 1])
