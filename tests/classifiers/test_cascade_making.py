import json
from dataclasses import replace

import numpy as np
import pytest

from classifiers.cascade_making import MIN_CALIBRATION, gather
from classifiers.cascade_settings import Making
from classifiers.cli import main
from classifiers.model import EducationalClassifier, training_set
from classifiers.score_cache import BLOCK_TEXTS, score_each
from common.errors import InputError
from tests.classifiers.helpers import small_labels, text_of_grade


def write(path, count, first=0, words=20):
    rows = [{"id": f"n{n}", "text": text_of_grade(n % 6, n, words=words + n % 9)} for n in range(first, first + count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def directory(trained, tmp_path_factory):
    classifier, _ = trained
    out = tmp_path_factory.mktemp("full") / "classifier"
    classifier.save(out, {"README.md": b"# Educational-value classifier\n\n## Limits\n\nMany.\n"})
    return out


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return write(tmp_path_factory.mktemp("documents") / "documents.jsonl", 1300, 5000)


@pytest.fixture(scope="module")
def made(directory, documents):
    """The same classifier with a cascade, made by the command."""
    out = directory.parent / "cascade"
    words = ["cascade", "--classifier", directory, "--unlabelled", documents, "--out", out]
    assert main([str(word) for word in words]) == 0
    return out


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_command_adds_a_first_stage_and_leaves_the_scores_as_they_are(directory, made):
    full, cascade = EducationalClassifier.load(directory), EducationalClassifier.load(made)
    texts = [text_of_grade(n % 6, n) for n in range(200)]
    assert (full.score(texts) == cascade.score(texts)).all()
    assert full.cascade is None and full.digest == cascade.digest
    assert np.corrcoef(cascade.cascade.score(texts), full.score(texts))[0, 1] > 0.8
    figures = json.loads((made / "classifier.json").read_text())["cascade"]
    assert figures["teaching_windows"] + figures["calibration_documents"] == 1300
    assert cascade.cascade.sample.shape == (2, figures["calibration_documents"])
    for row in figures["keep"]:
        assert row["error_fraction"] <= 0.05


def test_the_card_says_what_was_measured(made):
    card = (made / "README.md").read_text()
    assert card.index("## Cascade") < card.index("## Limits\n\nMany.")
    figures = json.loads((made / "classifier.json").read_text())["cascade"]
    assert f"{figures['calibration_documents']:,} other documents" in card
    assert f"| {figures['keep'][1]['full_fraction']:.1%} |" in card


def test_made_again_in_place_the_directory_is_the_same_to_the_byte(made, documents):
    before = files(made)
    assert main(["cascade", "--classifier", str(made), "--unlabelled", str(documents), "--out", str(made)]) == 0
    assert files(made) == before


def test_a_dry_run_writes_nothing(directory, documents, tmp_path, capsys):
    words = ["cascade", "--classifier", directory, "--unlabelled", documents, "--out", tmp_path / "c"]
    assert main([*map(str, words), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["teaching"] + plan["calibration"] == 1300
    assert not (tmp_path / "c").exists()


def test_what_taught_either_model_does_not_calibrate(directory, documents, tmp_path):
    classifier = EducationalClassifier.load(directory)
    more = write(tmp_path / "more.jsonl", 900, 5600)  # 700 of them stand in both files
    texts = gather(classifier, [str(documents)], [str(more)], Making())
    assert len(texts.calibration) == 900 and len(texts.teaching) == 600
    assert not set(texts.calibration) & set(texts.teaching)
    known = replace(classifier, training_set=training_set(replace(small_labels(6), texts=tuple(texts.calibration[:6]))))
    assert set(gather(known, [str(documents)], [str(more)], Making()).calibration) == set(texts.calibration[6:])


def test_the_order_of_the_files_does_not_matter_and_limits_are_kept(directory, documents, tmp_path):
    classifier = EducationalClassifier.load(directory)
    backwards = tmp_path / "backwards.jsonl"
    backwards.write_text("".join(line + "\n" for line in reversed(documents.read_text().splitlines())))
    settings = Making(teaching_windows=300, calibration_documents=600)
    texts = gather(classifier, [str(documents)], [], settings)
    assert (len(texts.teaching), len(texts.calibration)) == (300, 600)
    assert gather(classifier, [str(backwards)], [], settings) == texts


def test_later_windows_of_a_long_text_teach_too(directory, documents, tmp_path):
    long = " ".join(text_of_grade(3, n) for n in range(60))
    (tmp_path / "long.jsonl").write_text(json.dumps({"id": "long", "text": long}))
    classifier = EducationalClassifier.load(directory)
    short = write(tmp_path / "short.jsonl", 200)
    texts = gather(classifier, [str(short), str(tmp_path / "long.jsonl")], [str(documents)], Making())
    assert texts.teaching[-3:] == [long[:1500], long[1500:3000], long[3000:4500]]


def test_too_few_documents_to_calibrate_with_are_refused_in_one_line(directory, tmp_path, capsys):
    few = write(tmp_path / "few.jsonl", 300)
    words = ["cascade", "--classifier", directory, "--unlabelled", few, "--out", tmp_path / "c"]
    assert main([str(word) for word in words]) == 2
    assert f"at least {MIN_CALIBRATION} documents to calibrate with" in capsys.readouterr().err
    with pytest.raises(InputError, match="at least 100 texts to learn from"):
        both = str(write(tmp_path / "both.jsonl", 600))
        gather(EducationalClassifier.load(directory), [both], [both], Making())


def test_what_was_scored_before_a_kill_is_not_scored_again(directory, documents, tmp_path, monkeypatch):
    classifier = EducationalClassifier.load(directory)
    found = [text_of_grade(n % 6, n) for n in range(300)]
    whole = score_each(classifier, found)
    calls = []
    original = EducationalClassifier.raw_scores

    def counted(self, texts, *rest):
        calls.append(texts[0])
        if len(calls) == 200:
            raise KeyboardInterrupt
        return original(self, texts, *rest)

    monkeypatch.setattr(EducationalClassifier, "raw_scores", counted)
    with pytest.raises(KeyboardInterrupt):
        score_each(classifier, found, tmp_path / "cache")
    again = score_each(classifier, [*found[50:], *found], tmp_path / "cache", threads=3)
    assert (again == np.concatenate([whole[50:], whole])).all()
    # what was at work when the 200th failed may have ended
    assert len(calls) - (200 + 300 - BLOCK_TEXTS) in (0, 1) and len(set(calls)) == 300
