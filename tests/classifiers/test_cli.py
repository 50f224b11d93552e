import json
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from classifiers.cli import main
from tests.classifiers.helpers import grading, text_of_grade


def run(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def directory(tmp_path_factory, labels_file, tiny_encoder):
    """A classifier directory made by the command."""
    out = tmp_path_factory.mktemp("made") / "classifier"
    words = [
        "train",
        "--labels",
        labels_file,
        "--out",
        out,
        "--encoder",
        tiny_encoder,
        "--layers",
        "1",
        "--layers",
        "2",
    ]
    assert main([str(w) for w in [*words, "--static-dimensions", "8", "--folds", "3", "--head", "ridge"]]) == 0
    return out


@pytest.fixture
def documents(tmp_path):
    rows = [{"id": f"n{n}", "text": text_of_grade(n % 6, 900 + n, words=20 + n)} for n in range(50)]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "documents.jsonl"


def test_the_figures_in_the_card_are_those_that_evaluate_prints(directory, labels_file, capsys):
    status, out, _ = run(
        capsys, "evaluate", "--labels", labels_file, "--classifier", directory, "--folds", "3", "--json"
    )
    found = json.loads(out)
    assert status == 0
    recorded = json.loads((directory / "classifier.json").read_text())["cross_validation"]
    assert {key: found[key] for key in recorded} == recorded
    auc = found["thresholds"]["3"]["auc"]
    assert auc["value"] > 0.8
    card = (directory / "README.md").read_text()
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in card


def test_evaluate_uses_only_documents_that_are_new_to_the_classifier(directory, tmp_path, capsys):
    rows = [grading(number) for number in (*range(10), *range(300, 340))]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("evaluate", "--labels", tmp_path / "l.jsonl", "--classifier", directory)
    status, out, _ = run(capsys, *words, "--json")
    found = json.loads(out)
    assert (status, found["documents"], found["in_training_set"]) == (0, 40, 10)
    status, out, _ = run(capsys, *words)
    assert out.splitlines()[2].split()[0] == "40"


def test_evaluate_on_its_own_training_set_is_refused_in_one_line(directory, labels_file, capsys):
    status, out, err = run(capsys, "evaluate", "--labels", labels_file, "--classifier", directory)
    assert (status, out) == (2, "")
    assert "trained on all 120" in err
    assert err.strip().count("\n") == 0


def test_a_recipe_is_not_repeated_with_other_unlabelled_texts(directory, labels_file, documents, capsys):
    words = ("evaluate", "--labels", labels_file, "--classifier", directory, "--folds", "2", "--unlabelled", documents)
    status, _, err = run(capsys, *words)
    assert status == 2
    assert "the unlabelled texts are not those the classifier was made with" in err


def test_scores_come_in_the_order_of_the_input_and_as_the_same_bytes(directory, documents, tmp_path, capsys):
    words = ("score", "--input", documents, "--classifier", directory, "--out")
    status, out, _ = run(capsys, *words, tmp_path / "one.parquet", "--json")
    assert (status, json.loads(out)["documents"]) == (0, 50)
    run(capsys, *words, tmp_path / "two.parquet", "--threads", "3")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    table = pq.read_table(tmp_path / "one.parquet")
    chances = [f"probability_{t}" for t in range(1, 6)]
    assert table.column_names == ["id", "score", *chances, "share_seen", "characters_per_token"]
    assert {str(table.schema.field(name).type) for name in table.column_names[1:]} == {"float"}
    assert table["id"].to_pylist() == [f"n{n}" for n in range(50)]


def test_a_tuned_classifier_is_trained_by_one_more_option(labels_file, tiny_encoder, tmp_path, capsys):
    words = ["train", "--labels", labels_file, "--out", tmp_path / "c", "--encoder", tiny_encoder]
    words += ["--layers", "1", "--layers", "2", "--static-dimensions", "8", "--folds", "2", "--fine-tune.epochs", "2"]
    status, out, _ = run(capsys, *words, "--fine-tune.rank", "2", "--json")
    assert status == 0
    recipe = json.loads((tmp_path / "c" / "classifier.json").read_text())["recipe"]
    assert (recipe["fine_tune"]["epochs"], recipe["fine_tune"]["layers"]) == (2, 1)
    assert json.loads(out)["thresholds"]["3"]["auc"]["value"] > 0.7


def test_a_dry_run_writes_nothing(documents, labels_file, tmp_path, capsys):
    status, out, _ = run(capsys, "train", "--labels", labels_file, "--out", tmp_path / "c", "--dry-run", "--json")
    assert (status, json.loads(out)["documents"], (tmp_path / "c").exists()) == (0, 120, False)
    status, out, _ = run(capsys, "score", "--input", documents, "--out", tmp_path / "s.parquet", "--dry-run", "--json")
    assert (status, json.loads(out)["documents"], (tmp_path / "s.parquet").exists()) == (0, 50, False)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train", "--labels", "missing.jsonl", "--out", "c"], "missing.jsonl does not exist"),
        (["train", "--labels", "LABELS", "--out", "c", "--head", "rige"], "rige"),
        (["train", "--labels", "LABELS", "--out", "c", "--haed", "ridge"], "--head"),
        (["train", "--labels", "LABELS", "--out", "c", "--encoder", "./nowhere"], "./nowhere does not exist"),
        (["evaluate", "--labels", "LABELS", "--classifier", "nowhere"], "nowhere is not a classifier directory"),
        (["evaluate", "--labels", "DOCUMENTS"], "no field 'score'"),
        (["score", "--input", "DOCUMENTS", "--out", "s.csv"], "must end in .parquet, got s.csv"),
        (["score", "--input", "EMPTY", "--out", "s.parquet"], "holds no documents"),
        (["score", "--input", "NUMBERS", "--out", "s.parquet"], "document 7: text must be a string, got int"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words, complaint, labels_file, documents, tmp_path, monkeypatch, capsys
):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "numbers.jsonl").write_text('{"id": 7, "text": 8}\n')
    places = {"LABELS": labels_file, "DOCUMENTS": documents}
    places |= {"EMPTY": tmp_path / "empty.jsonl", "NUMBERS": tmp_path / "numbers.jsonl"}
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    status, out, err = run(capsys, *(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_help_is_there_at_once_and_needs_no_torch():
    code = (
        "import sys; from classifiers.cli import main; main(['train', '--help']); print(*sys.modules, file=sys.stderr)"
    )
    begun = time.process_time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--fine-tune.epochs" in done.stdout
    assert not {"torch", "sklearn", "pyarrow", "transformers"} & set(done.stderr.split())
    assert time.process_time() - begun < 5
