from types import SimpleNamespace

import numpy as np
import pytest

from classifiers import EducationalClassifier
from classifiers.languages import characters_per_token, languages, paragraphs


class ByLength:
    """Scores a text by its length."""

    def measure(self, texts):
        scores = np.array([len(text) / 100 for text in texts], np.float32)
        return SimpleNamespace(scores=scores, characters_per_token=scores)


def test_every_language_has_the_same_number_of_texts_and_english_comes_first():
    texts = paragraphs()
    assert next(iter(texts)) == "English"
    assert len(texts) == 9
    assert {tuple(map(len, (kinds["lessons"], kinds["chatter"]))) for kinds in texts.values()} == {(3, 3)}
    flat = [text for kinds in texts.values() for listed in kinds.values() for text in listed]
    assert len(set(flat)) == len(flat) == 54


def test_the_rows_hold_the_means_of_each_language_s_own_texts():
    for row, kinds in zip(languages(ByLength()), paragraphs().values(), strict=True):
        for kind in ("lessons", "chatter"):
            assert row[kind] == pytest.approx(np.mean([len(text) / 100 for text in kinds[kind]]), abs=1e-3)
    assert languages(ByLength())[0]["auc"] == 1.0  # the English lessons are all longer


def test_characters_per_token_counts_each_document_s_own_windows_and_no_spaces():
    found = characters_per_token([["ab c", "def"], ["gh \n"], [""]], [[1, 2], [3], [4, 5], []])
    assert found.tolist() == [2.0, 1.0, 0.0]


def test_the_default_tells_lessons_apart_in_english_and_shows_which_languages_it_does_not_know():
    rows = {row["language"]: row for row in languages(EducationalClassifier.load(None))}
    assert rows["English"]["auc"] == 1.0
    assert rows["English"]["lessons"] > 2 > 1 > rows["English"]["chatter"]
    others = [row["characters_per_token"] for name, row in rows.items() if name != "English"]
    assert rows["English"]["characters_per_token"] > 3 > 2.5 > max(others)
