"""The benchmark of classifiers teaches no one what is tested, and times each by itself."""

import json
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.classifiers import main
from benchmarks.classifiers_ours import default_unseen, screen
from benchmarks.classifiers_peers import Embedded, FastText, Trial, Words, load_fasttext, ridge, taught, unseen
from benchmarks.classifiers_speed import Contender, Speed, measure
from classifiers import heads
from classifiers.calibration import fit_calibration
from classifiers.labels import folds, gather, read_labels
from classifiers.training import prepare, train
from classifiers.windows import Window
from common.errors import InputError
from tests.classifiers.cascades import small_cascade
from tests.classifiers.helpers import grading, small_labels, text_of_grade


@pytest.fixture
def small_fasttext(monkeypatch):
    pytest.importorskip("fasttext")
    monkeypatch.setattr(FastText, "buckets", 1_000)
    monkeypatch.setattr(FastText, "settings", ((25, 0.5),))


def trial(change=()):
    further = gather(grading(number) for number in range(200, 260))
    made = Trial.of(small_labels(), further, lambda labels: folds(labels, 5))
    made.labels.scores[list(change)] = 5 - made.labels.scores[list(change)]
    return made


def peers():
    vectors = np.random.default_rng(0).normal(size=(180, 6)).astype(np.float32) + trial().labels.scores[:, None]
    ours = [Embedded(name, name, vectors.astype(np.float32), ("x", "x"), Window()) for name in ("ridge", "svr")]
    return [Words(), FastText("two", graded=False), FastText("six", graded=True), *ours]


def test_nothing_that_is_near_a_tested_window_is_learned_from_not_even_along_a_chain():
    words = text_of_grade(3, 999, 60).split()
    near = [" ".join(words[start : start + 40]) for start in (0, 10, 20)]  # the first and the last share 20 of 40 words
    tested = gather([*(grading(n) for n in range(60)), {"id": "a", "text": near[0], "score": 3}])
    further = gather({"id": name, "text": text, "score": 3} for name, text in zip("bc", near[1:], strict=True))
    made = Trial.of(tested, further, lambda labels: folds(labels, 5))
    place = made.labels.ids.index
    assert made.groups[place("a")] == made.groups[place("b")] == made.groups[place("c")]
    number = int(made.fold[place("a")])
    for fold in made.turns:
        learned = set(made.learned_from(fold).tolist())
        assert learned.isdisjoint(np.flatnonzero(made.fold == fold).tolist())
        assert ({place("b"), place("c")} <= learned) == (fold != number)


def test_a_fold_is_scored_without_its_grades_by_every_peer(small_fasttext):
    asked, learned = np.flatnonzero(trial().fold == 2), trial().learned_from(2)
    for peer in peers():
        honest, _ = taught(peer, trial(), learned, asked)
        changed, _ = taught(peer, trial(asked), learned, asked)
        assert honest.tolist() == changed.tolist(), peer.name
        assert np.corrcoef(honest, trial().tested.scores[asked])[0, 1] > 0.5, peer.name


def test_calibration_of_a_fold_does_not_see_it():
    raw = trial().tested.scores + np.random.default_rng(1).normal(size=120)
    scores, chances = trial().calibrated(raw)
    inside = trial().fold == 1
    wanted = fit_calibration(raw[~inside], trial().tested.scores[~inside])
    assert scores[inside].tolist() == wanted.score(raw[inside]).tolist()
    assert chances[inside, 2].tolist() == wanted.probability(raw[inside], 3).tolist()


def test_the_setting_that_ranks_best_is_chosen_and_the_tested_fold_has_no_say():
    class Sign(Words):
        settings = (-1, 1)

        def read(self, texts, learned):
            return trial().labels.scores

        def fit(self, rows, grades, setting):
            return setting

        def predict(self, model, rows):
            return model * rows

    _, chosen = unseen(Sign(), trial())
    assert chosen == dict.fromkeys(range(5), 1)


def test_saved_peers_score_texts_as_they_did(tmp_path, small_fasttext):
    labels = trial().labels
    Words().save(tmp_path, labels, 1.0)
    FastText("six", graded=True).save(tmp_path, labels, (5, 0.5))
    rows = Words().read(labels.texts, np.arange(180))
    words = Words().predict(Words().fit(rows, labels.scores, 1.0), rows)
    assert Words.load(tmp_path)(labels.texts) == pytest.approx(words)
    six = FastText("six", graded=True)
    lines = six.read(labels.texts, np.arange(180))
    grades = six.predict(six.fit(lines, labels.scores, (5, 0.5)), lines)
    assert load_fasttext(tmp_path)(labels.texts) == pytest.approx(grades)


def test_the_ridge_of_the_grid_is_the_head_ridge_at_its_own_penalty():
    vectors = np.random.default_rng(0).normal(size=(180, 6)).astype(np.float32)
    grades = trial().labels.scores
    ours, theirs = ridge(vectors, grades, 3.0), heads.fit("ridge", [vectors], grades)
    for name, array in theirs.items():
        assert ours[name] == pytest.approx(array, abs=1e-5), name


def test_the_default_has_to_know_every_window(trained):
    classifier, unseen = trained
    assert default_unseen(classifier, small_labels()).fold.tolist() == unseen.fold.tolist()
    with pytest.raises(InputError, match="trained on 120 of these 180 windows"):
        default_unseen(classifier, trial().labels)


def test_a_cascade_takes_the_full_score_where_it_asks_and_its_own_elsewhere():
    cascade = small_cascade(2500)
    tested = [text_of_grade(n % 6, n) for n in range(100_000, 100_050)]
    others = [text_of_grade(n % 6, n) for n in range(110_000, 112_000)]
    found = screen(cascade, tested, others)
    assert 0 < found.asked.sum() < 50
    combined = found.with_full(np.full(50, 9.0))
    assert (combined[found.asked] == 9).all()
    own = cascade.score(tested)[~found.asked]
    assert cascade.calibration.score(combined[~found.asked]) == pytest.approx(own, abs=1e-4)


def heavy(path):
    held = np.ones(int(path.name) * 125_000)

    def score(texts):
        end = time.process_time() + len(texts) * 0.002
        while time.process_time() < end:
            pass
        return [held[0]] * len(texts)

    return score


def light(path):
    return lambda texts: [0.0] * len(texts)


def test_each_is_timed_in_a_process_of_its_own(tmp_path):
    contenders = [Contender("heavy", heavy, tmp_path / "300"), Contender("light", light, tmp_path)]
    found = measure(contenders, ["text"] * 40, 2)
    assert len(found["heavy"].documents_per_second) == 2
    assert max(found["heavy"].documents_per_second) <= 500
    assert min(found["light"].documents_per_second) > 5000
    assert 250 < found["heavy"].peak_mb - found["light"].peak_mb < 350


def in_this_process(contenders, texts, repeats, advance):
    """What ``measure`` does, without seconds of importing torch for each contender; all must survive the way there."""
    found = {}
    for one in pickle.loads(pickle.dumps(contenders)):
        scores = one.load(one.path)(texts)
        assert np.isfinite(scores).all() and len(scores) == len(texts), one.name
        assert np.ptp(scores) > 0, one.name
        found[one.name] = Speed((100.0, 110.0), 30.0)
    return found


def test_the_command_measures_every_system_and_writes_the_page(
    trained, tmp_path, labels_file, small_fasttext, monkeypatch, capsys
):
    """Everything once, on a small world, with a classifier that has a first stage."""
    monkeypatch.setattr("benchmarks.classifiers.measure", in_this_process)
    monkeypatch.setattr("classifiers.metrics.RESAMPLES", 40)
    further = tmp_path / "further.jsonl"
    further.write_text("".join(json.dumps(grading(number)) + "\n" for number in range(200, 260)))
    labels = read_labels([labels_file, further])
    classifier, _ = train(prepare(trained[0].recipe, labels), labels)
    replace(classifier, cascade=small_cascade(2500)).save(tmp_path / "ours")
    pool = tmp_path / "pool.jsonl"
    texts = [text_of_grade(number % 6, 300 + number) for number in range(500)]
    pool.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)))
    words = f"--labels {labels_file} --extend {further} --pool {pool} --classifier {tmp_path / 'ours'}"
    words += " --windows 20 --repeats 2"
    words += f" --page {tmp_path / 'page.md'}"
    main(words.split())
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [row["key"] for row in rows] == ["peer"] * 6 + ["default", "cascade"]
    for row in rows:
        assert row["auc"]["low"] <= row["auc"]["value"] <= row["auc"]["high"] <= 1
        assert row["documents_per_second"]["repeats"] == 2
        assert row["peak_mb"] == 30
        assert (row["documents"], row["further"], row["windows"]) == (120, 60, 20)
        assert (row["default_minus_this"] is None) == (row["key"] == "default")
    page = (tmp_path / "page.md").read_text()
    assert page.count("\n| TF-IDF + ridge |") == 2
    assert f"{rows[0]['auc']['value']:.3f} [{rows[0]['auc']['low']:.3f}" in page
    assert str(tmp_path) not in page
    assert (tmp_path / "page.svg").read_bytes().count(b"<svg") == 1
