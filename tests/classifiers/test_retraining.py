import json

import numpy as np
import pytest

from classifiers import retraining
from classifiers.cli import main
from classifiers.labels import read_labels
from classifiers.metrics import auc
from classifiers.recipe import Recipe
from classifiers.training import prepare, train
from common.errors import InputError
from tests.classifiers.helpers import grading, text_of_grade


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def old(tmp_path):
    return write(tmp_path / "old.jsonl", [grading(n, annotator="a") for n in range(60)])


@pytest.fixture
def new(tmp_path):
    return write(tmp_path / "new.jsonl", [grading(n, annotator="a") for n in range(60, 150)])


def extended(tiny_encoder, old, new):
    labels, extension = retraining.read([old], [new])
    recipe = Recipe(encoder=str(tiny_encoder), layers=(1,), static_dimensions=8, folds=3, head="ridge")
    ingredients = prepare(recipe, labels)
    classifier, unseen = train(ingredients, labels)
    return retraining.with_gain(classifier, ingredients, extension, unseen), extension, unseen


def test_figures_with_the_new_labels_are_the_cross_validated_ones_on_the_old_windows(tiny_encoder, old, new):
    classifier, extension, unseen = extended(tiny_encoder, old, new)
    places = extension.places
    assert [extension.labels.texts[i] for i in places] == list(extension.old.texts)
    found = classifier.about["extension"]["gain"]["auc"]
    assert found["with"]["value"] == round(auc(extension.old.scores >= 3, unseen.scores[places].astype(float)), 4)
    assert found["gain"]["value"] == pytest.approx(found["with"]["value"] - found["without"]["value"], abs=2e-4)


def test_figures_without_the_new_labels_do_not_depend_on_their_grades(tiny_encoder, old, new, tmp_path):
    rows = [grading(n, score=min(5, n % 6 + 0.4)) for n in range(60, 150)]  # the same rounded grades: the same folds
    other = write(tmp_path / "other.jsonl", rows)
    honest, changed = (extended(tiny_encoder, old, more)[0].about["extension"]["gain"] for more in (new, other))
    errors = [found["mean_absolute_error"] for found in (honest, changed)]
    assert errors[0]["without"] == errors[1]["without"]
    assert errors[0]["with"]["value"] != errors[1]["with"]["value"]


def test_a_window_graded_again_counts_with_its_mean_and_a_repeated_row_once(old, tmp_path):
    more = write(
        tmp_path / "more.jsonl",
        [grading(4, annotator="a"), grading(5, annotator="a"), grading(5, annotator="b", score=2), grading(70)],
    )
    labels, extension = retraining.read([old], [more])
    by_id = dict(zip(labels.ids, zip(labels.scores, labels.gradings, strict=True), strict=True))
    assert (by_id["d4"], by_id["d5"], by_id["d70"]) == ((4, 1), (3.5, 2), (4, 1))
    assert (len(extension.old), len(extension.new), len(labels)) == (60, 2, 61)
    assert extension.old.scores[extension.old.ids.index("d5")] == 5


def test_rows_of_the_test_split_are_not_learned(old, tmp_path):
    more = write(tmp_path / "more.jsonl", [grading(61), grading(62, split="test")])
    labels, _ = retraining.read([old], [more])
    assert ("d61" in labels.ids, "d62" in labels.ids) == (True, False)


def test_new_tables_without_a_new_grading_are_refused(old):
    with pytest.raises(InputError, match="no grading that is not in"):
        retraining.read([old], [old])


def test_a_lost_old_window_is_refused_with_the_numbers_and_the_remedy(trained, tmp_path):
    rows = [grading(n) for n in range(120)]  # what the small classifier was trained on
    trained[0].save(tmp_path / "c")
    retraining.read([write(tmp_path / "all.jsonl", rows)], replaces=tmp_path / "c")
    with pytest.raises(InputError, match=r"trained on 120 windows, and 2 of them are not in .* name every table"):
        retraining.read([write(tmp_path / "less.jsonl", rows[2:])], replaces=tmp_path / "c")


def test_old_windows_that_cannot_be_held_out_have_no_gain(tiny_encoder, new, tmp_path):
    text = text_of_grade(4, 1)
    copies = write(tmp_path / "copies.jsonl", [{"id": f"c{n}", "text": text + " a" * n, "score": 4} for n in range(5)])
    classifier, _, _ = extended(tiny_encoder, copies, new)
    assert set(classifier.about["extension"]["gain"].values()) == {None}


def test_retraining_from_the_command_line(tiny_encoder, old, new, tmp_path, capsys):
    recipe = [
        "--encoder",
        str(tiny_encoder),
        "--layers",
        "1",
        "--static-dimensions",
        "8",
        "--folds",
        "3",
        "--head",
        "ridge",
    ]
    assert main(["train", "--labels", old, "--out", str(tmp_path / "a"), *recipe]) == 0
    words = ["train", "--labels", old, "--extend", new, "--out", str(tmp_path / "b"), *recipe]
    words += ["--replaces", str(tmp_path / "a")]
    capsys.readouterr()
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 150
    assert not (tmp_path / "b").exists()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert f"classifiers compare {tmp_path / 'a'} {tmp_path / 'b'}" in out
    recorded = json.loads((tmp_path / "b" / "classifier.json").read_text())
    digests = [recorded["extension"][name]["digest"] for name in ("old", "new")]
    assert digests == [read_labels(old).digest, read_labels(new).digest]
    assert recorded["labels"]["digest"] == read_labels([old, new]).digest
    pair = recorded["extension"]["gain"]["auc"]
    assert f"{pair['with']['value']:.3f} [{pair['with']['low']:.3f}, {pair['with']['high']:.3f}]" in out
    assert main(["train", "--labels", new, "--out", str(tmp_path / "b"), *recipe, *words[-2:]]) == 2
    assert "60 of them are not in" in capsys.readouterr().err
    assert np.array_equal(json.loads((tmp_path / "b" / "classifier.json").read_text())["files"], recorded["files"])
