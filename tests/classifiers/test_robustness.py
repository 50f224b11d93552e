import json
from dataclasses import replace

import numpy as np
import pytest

from classifiers import metrics
from classifiers.cli import main
from classifiers.robustness import Texts, draw, of_labels, of_pool, robustness, robustness_out_of_fold
from classifiers.styles import STYLES
from tests.classifiers.helpers import grading, small_labels, text_of_grade


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 50)


@pytest.fixture(scope="module")
def directory(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("robustness") / "classifier"
    trained[0].save(path)
    return path


@pytest.fixture
def documents(tmp_path):
    rows = [{"id": n, "text": text_of_grade(n % 6, 700 + n), "source": f"s{n % 2}"} for n in range(40)]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_drawn_sample_has_each_grade_in_its_share_and_no_place_twice():
    labels = small_labels()
    places = draw(labels, 30)
    assert len(set(places.tolist())) == 30
    counts = np.bincount(labels.scores[places].astype(int), minlength=6)
    assert counts.min() >= 4
    assert counts.max() <= 6
    assert sorted(draw(labels, 1000).tolist()) == list(range(120))


def test_which_documents_of_a_pool_are_drawn_does_not_depend_on_their_order(documents, tmp_path):
    lines = documents.read_text().splitlines()
    (tmp_path / "turned.jsonl").write_text("\n".join(reversed(lines)))
    forth, back = of_pool(str(documents), 10), of_pool(str(tmp_path / "turned.jsonl"), 10)
    assert forth.texts == back.texts
    assert len(forth) == 10
    assert forth.truth is None


def test_a_classifier_that_only_counts_capital_letters_is_found_to_mind_the_case(trained):
    class Capitals:
        description = trained[0].description

        def measure(self, texts, *_):
            share = np.array([sum(c.isupper() for c in text) / len(text) for text in texts], np.float32)
            chances = np.repeat(share[:, None], 5, axis=1)
            return replace(trained[0].measure(texts), scores=5 * share, probabilities=chances)

    labels = small_labels(24)
    found = robustness(Capitals(), of_labels(labels))
    rows = {row["style"]: row for row in found["styles"]}
    assert rows["upper"]["flipped"]["value"] == 1.0
    assert rows["upper"]["raised"] == 24
    assert rows["lower"]["mean_absolute_change"]["value"] == 0  # the small world has no capitals
    assert rows["one_line"]["flipped"]["value"] == 0
    assert list(rows) == [*(style.name for style in STYLES), "whole_window"]


def test_out_of_fold_every_text_is_scored_by_the_model_that_left_it_out(trained):
    classifier, unseen = trained
    labels = small_labels()
    found = robustness_out_of_fold(classifier, labels, unseen, 12)
    assert found["documents"] == 12
    assert found["shortcuts"]["documents"] == 120
    texts = of_labels(labels.take(draw(labels, 12)))
    whole = next(row for row in found["styles"] if row["style"] == "whole_window")
    # texts of the small world are shorter than two thirds of a window: whole and plain are the same text
    assert whole["mean_absolute_change"]["value"] == 0
    own = unseen.scores[draw(labels, 12)]
    by_judges = [unseen.judges[unseen.fold[i]].score([labels.texts[i]])[0] for i in draw(labels, 12)]
    assert by_judges == pytest.approx(own, abs=1e-3)
    assert found["kept"] == int((unseen.probabilities[draw(labels, 12), 2] >= 0.5).sum())
    assert isinstance(texts, Texts)


def test_the_command_measures_a_pool_and_writes_a_page(directory, documents, tmp_path, capsys):
    words = ["robustness", "--pool", documents, "--classifier", directory, "--windows", "10", "--json"]
    assert main([str(word) for word in [*words, "--page", tmp_path / "page.html"]]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["graded"]) == (10, False)
    assert found["shortcuts"]["sources"] == 2
    assert {row["auc"] for row in found["styles"]} == {None}
    page = (tmp_path / "page.html").read_text()
    assert "UPPER CASE" in page
    assert page.count("<img") == 2


def test_the_command_measures_new_labels_and_prints_tables(directory, tmp_path, capsys):
    rows = [grading(number) for number in (*range(10), *range(300, 330))]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["robustness", "--labels", str(tmp_path / "l.jsonl"), "--classifier", str(directory)]) == 0
    out = capsys.readouterr().out
    assert "of 30 texts" in out
    assert "AUC gain" in out
    assert "characters per token" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "name --labels or --pool, one of them; got neither"),
        (["--labels", "LABELS", "--pool", "POOL"], "got both"),
        (["--pool", "POOL", "--folds", "3"], "--folds 3 trains on grades: name --labels"),
        (["--pool", "POOL", "--windows", "1"], "--windows must be at least 2, got 1"),
        (["--labels", "LABELS"], "trained on all 120"),
        (["--pool", "POOL", "--page", "page.txt"], "must be a file that ends in .html"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, complaint, directory, documents, labels_file, capsys):
    places = {"LABELS": str(labels_file), "POOL": str(documents)}
    words = ["robustness", "--classifier", str(directory), *(places.get(word, word) for word in words)]
    assert main(words) == 2
    err = capsys.readouterr().err.strip()
    assert complaint in err
    assert "\n" not in err
