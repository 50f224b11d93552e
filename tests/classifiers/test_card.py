import re
from dataclasses import replace

import pytest

from classifiers import metrics
from classifiers.card import card, pages
from classifiers.robustness import recorded
from tests.classifiers.helpers import small_labels


@pytest.fixture
def told(trained, monkeypatch):
    """A classifier that says how robust it is, its labels and its cross-validated scores."""
    monkeypatch.setattr(metrics, "RESAMPLES", 50)
    classifier, unseen = trained
    return recorded(classifier, small_labels(), unseen, 12), small_labels(), unseen


def tables(text):
    """The cells of every row of every table."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]


def test_a_card_has_its_plots_and_is_the_same_every_time(told):
    classifier, labels, unseen = told
    made = pages(classifier.about, labels, unseen)
    assert set(made) == {"README.md", "reliability.svg", "scores.svg", "styles.svg", "languages.svg"}
    text = made["README.md"].decode()
    assert set(re.findall(r"\(([a-z]+\.svg)\)", text)) == set(made) - {"README.md"}
    assert pages(classifier.about, labels, unseen) == made


def test_every_table_of_a_card_is_whole_and_holds_the_recorded_figures(told):
    classifier, labels, _ = told
    text = card(classifier.about, labels)
    rows = tables(text)
    assert len(rows) > 50
    assert not re.search(r"\bnan\b|None|\{", text.split("## Rubric")[0])
    flipped = classifier.about["robustness"]["styles"][0]["flipped"]
    assert f"{flipped['value']:.1%} [{flipped['low']:.1%}, {flipped['high']:.1%}]" in text
    kinds = {row[0].strip(): row[1].strip() for row in rows if row[0].strip() in {"k0", "k1", "k2"}}
    assert kinds == {"k0": "40", "k1": "40", "k2": "40"}


def test_a_source_s_name_cannot_break_out_of_its_cell(told):
    classifier, labels, unseen = told
    hostile = "a | b\n\n# <script>alert(1)</script> [x](javascript:0) `"
    labels = replace(labels, sources=(hostile,) * 120)
    about = dict(classifier.about) | {"cross_validation": {"folds": 3} | unseen.report(labels)}
    text = card(about, labels)
    assert "<script>" not in text
    assert "[x](" not in text
    (row,) = [cells for cells in tables(text) if "script" in cells[0]]
    assert len(row) == 8
    assert "\n# " not in text.split("# Educational-value classifier")[1]


def test_a_card_without_robustness_leaves_its_section_out(trained):
    text = card(trained[0].about, small_labels())
    assert "## Robustness" not in text
    assert "styles.svg" not in text


def test_the_command_in_the_card_names_every_setting_that_is_not_the_default(told):
    classifier, labels, _ = told
    text = card(classifier.about, labels)
    encoder = classifier.recipe.encoder
    wanted = f"--encoder {encoder} --layers 1 --layers 2 --static-dimensions 8 --folds 3"
    assert f"classifiers train --labels LABELS --out DIRECTORY {wanted}\n" in text
