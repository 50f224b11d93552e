import json

import numpy as np
import pytest

from classifiers.cli import main
from tests.classifiers.helpers import grading, text_of_grade


@pytest.fixture(scope="module")
def directory(tmp_path_factory, trained):
    path = tmp_path_factory.mktemp("made") / "classifier"
    trained[0].save(path)
    return str(path)


@pytest.fixture
def pool(tmp_path):
    fresh = [{"id": f"n{n}", "text": text_of_grade(n % 6, 900 + n), "source": f"s{n % 2}"} for n in range(80)]
    rows = [{"id": "blank", "text": " \n"}, {"id": "again", "text": grading(7)["text"].upper()}, *fresh]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "pool.jsonl"


def run(capsys, *words) -> tuple[int, str, str]:
    status = main(["suggest", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_suggested_documents_are_new_whole_rows_that_annotate_takes(directory, pool, tmp_path, capsys):
    from classifiers.assignment import Annotation, make_plan

    out = tmp_path / "next.jsonl"
    words = ("--pool", pool, "--out", out, "--count", 20, "--classifier", directory, "--json")
    status, printed, _ = run(capsys, *words)
    found, rows = json.loads(printed), read(out)
    assert (status, found["documents"], found["new"], found["suggested"]) == (0, 82, 80, 20)
    assert (found["random"], found["uncertain"]) == (4, 16)
    assert [row["reason"] for row in rows] == ["random"] * 4 + ["uncertain"] * 16
    assert {row["id"] for row in rows} <= {f"n{n}" for n in range(80)}
    assert all(0 < row["inclusion_probability"] <= 1 for row in rows)
    plan = make_plan(str(out), Annotation(base_url="http://localhost/v1", model=("m",)))
    assert [(e.id, e.text) for e in plan.extracts()] == [(row["id"], row["text"]) for row in rows]
    first = out.read_bytes()
    assert run(capsys, *words, "--threads", 2)[1] == printed
    assert out.read_bytes() == first


def test_probabilities_are_the_classifiers_own(directory, trained, pool, tmp_path, capsys):
    out = tmp_path / "next.jsonl"
    run(capsys, "--pool", pool, "--out", out, "--count", 30, "--classifier", directory, "--threshold", 4)
    rows = read(out)
    measures = trained[0].measure([row["text"] for row in rows])
    np.testing.assert_allclose([r["probability"] for r in rows], measures.probabilities[:, 3], atol=1e-4)
    np.testing.assert_allclose([r["score"] for r in rows], measures.scores, atol=1e-3)


def test_what_is_held_out_is_what_was_drawn_at_random(directory, pool, tmp_path, capsys):
    out = tmp_path / "next.jsonl"
    run(capsys, "--pool", pool, "--out", out, "--count", 20, "--classifier", directory, "--hold-out")
    assert {(row["reason"], row.get("split")) for row in read(out)} == {("random", "test"), ("uncertain", None)}


def test_near_duplicates_of_labels_are_left_out(directory, pool, tmp_path, capsys):
    labels = [{"id": f"l{n}", "text": text_of_grade(n % 6, 900 + n) + " more", "score": 1} for n in range(70)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    out = tmp_path / "next.jsonl"
    words = ("--pool", pool, "--out", out, "--count", 20, "--classifier", directory)
    assert run(capsys, *words, "--labels", tmp_path / "labels.jsonl")[0] == 0
    assert {row["id"] for row in read(out)} == {f"n{n}" for n in range(70, 80)}


def test_a_pool_without_anything_new_is_refused_and_nothing_is_written(directory, labels_file, tmp_path, capsys):
    out = tmp_path / "next.jsonl"
    status, printed, problem = run(capsys, "--pool", labels_file, "--out", out, "--count", 5, "--classifier", directory)
    assert (status, printed, out.exists()) == (2, "", False)
    assert "holds nothing new to grade: of 120 documents 120 are empty or were trained on" in problem


def test_a_dry_run_writes_nothing(directory, pool, tmp_path, capsys):
    words = ("--pool", pool, "--out", tmp_path / "next.jsonl", "--count", 5, "--classifier", directory, "--dry-run")
    status, printed, _ = run(capsys, *words, "--json")
    assert (status, json.loads(printed)["documents"], (tmp_path / "next.jsonl").exists()) == (0, 82, False)
    assert run(capsys, *words[:3], tmp_path / "next.csv", *words[4:])[0] == 2
