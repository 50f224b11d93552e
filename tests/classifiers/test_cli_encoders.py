"""From a transformer to a static encoder, a classifier on it, and scores of whole documents, by commands alone."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from classifiers import EducationalClassifier
from classifiers.cli import main
from tests.classifiers.helpers import text_of_grade


def run(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    ends_well = " ".join(text_of_grade(grade, 7, words=300) for grade in (0, 5))
    rows = [{"id": "long", "text": ends_well}, *({"id": f"d{n}", "text": text_of_grade(n, n)} for n in range(6))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def static(tmp_path_factory, tiny_encoder, documents):
    out = tmp_path_factory.mktemp("distilled") / "static"
    words = ["distill", "--encoder", tiny_encoder, "--out", out, "--dimensions", "8", "--layers", "1"]
    assert main([str(word) for word in [*words, "--unlabelled", documents]]) == 0
    return out


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, static, labels_file):
    out = tmp_path_factory.mktemp("made") / "classifier"
    words = ["train", "--labels", labels_file, "--out", out, "--preset", "static", "--encoder", static, "--folds", "3"]
    assert main([str(word) for word in words]) == 0
    return out


def test_model2vec_gives_the_vectors_that_a_classifier_on_the_distilled_folder_reads(static, classifier):
    model2vec = pytest.importorskip("model2vec")
    texts = [text_of_grade(n % 6, 40 + n) for n in range(12)]
    loaded = EducationalClassifier.load(classifier)
    expected = model2vec.StaticModel.from_pretrained(str(static)).encode(texts)
    encoder = loaded._encoder
    assert expected.shape == (12, 8)
    assert loaded.features(encoder.tokenize(texts))["pooled"] == pytest.approx(expected, abs=1e-5)


def test_a_classifier_on_the_distilled_encoder_follows_the_grades(classifier):
    recipe = json.loads((classifier / "classifier.json").read_text())["recipe"]
    assert (recipe["head"], recipe["layers"], recipe["static_dimensions"]) == ("svr", [0], 0)
    scores = EducationalClassifier.load(classifier).score([text_of_grade(n % 6, 900 + n) for n in range(60)])
    assert np.corrcoef(scores, np.arange(60) % 6)[0, 1] > 0.5


def test_phi_1_is_trained_by_its_name(tiny_encoder, labels_file, tmp_path, capsys):
    words = ("train", "--labels", labels_file, "--out", tmp_path / "c", "--encoder", tiny_encoder, "--folds", "2")
    status, out, _ = run(capsys, *words, "--preset", "phi_1", "--json")
    assert (status, json.loads(out)["documents"]) == (0, 120)
    described = json.loads((tmp_path / "c" / "classifier.json").read_text())
    assert described["parts"] == [{"head": "forest", "reads": ["pooled"], "weight": 1.0}]
    assert EducationalClassifier.load(tmp_path / "c").score([text_of_grade(5, 1)])[0] > 2


def test_whole_documents_are_scored_by_one_option_and_the_file_says_so(classifier, documents, tmp_path, capsys):
    words = ("score", "--input", documents, "--classifier", classifier, "--json", "--out")
    found = {}
    for policy in ("head", "all"):
        status, out, _ = run(capsys, *words, tmp_path / f"{policy}.parquet", "--window.policy", policy)
        assert (status, json.loads(out)["window"]["policy"]) == (0, policy)
        found[policy] = pq.read_table(tmp_path / f"{policy}.parquet")
        written = found[policy].schema.metadata
        assert json.loads(written[b"window"]) == json.loads(out)["window"]
        assert written[b"classifier"].decode() == json.loads(out)["classifier"]
    head, whole = (found[policy]["score"].to_numpy() for policy in ("head", "all"))
    assert whole[0] > head[0] + 0.3  # its second half teaches
    assert np.abs(whole[1:] - head[1:]).max() == 0  # one window each
    assert found["all"]["share_seen"].to_pylist() == [1.0] * 7
    assert found["head"]["share_seen"][0].as_py() < 0.6


def test_a_dry_run_of_distill_writes_nothing(tiny_encoder, tmp_path, capsys):
    words = ("distill", "--encoder", tiny_encoder, "--out", tmp_path / "s", "--dimensions", "4", "--dry-run", "--json")
    status, out, _ = run(capsys, *words)
    assert (status, json.loads(out)["dimensions"], list(tmp_path.iterdir())) == (0, 4, [])


def test_the_same_distillation_gives_the_same_bytes(static, tiny_encoder, documents, tmp_path, capsys):
    words = ("distill", "--encoder", tiny_encoder, "--out", tmp_path / "s", "--dimensions", "8", "--layers", "1")
    assert run(capsys, *words, "--unlabelled", documents)[0] == 0
    assert {f.name: f.read_bytes() for f in (tmp_path / "s").iterdir()} == {
        f.name: f.read_bytes() for f in static.iterdir()
    }
    assert run(capsys, *words)[0] == 0  # by rank: other weights, in the place of the first
    assert (tmp_path / "s" / "model.safetensors").read_bytes() != (static / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["distill", "--encoder", "TINY", "--out", "s", "--dimensions", "17"], "dimensions (17) must be at most the"),
        (["distill", "--encoder", "STATIC", "--out", "s"], "is a static encoder already"),
        (["distill", "--encoder", "TINY", "--out", "."], "is not a static encoder; name a new one"),
        (["train", "--labels", "LABELS", "--out", "c", "--encoder", "STATIC"], "--preset static"),
        (["train", "--labels", "LABELS", "--out", "c", "--encoder", "STATIC", "--layers", "0"], "static_dimensions 0"),
        (["train", "--labels", "LABELS", "--out", "c", "--preset", "phi_2"], "phi_2"),
        (["score", "--input", "LABELS", "--out", "s.parquet", "--window.policy", "tail"], "tail"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words, complaint, tiny_encoder, static, labels_file, tmp_path, monkeypatch, capsys
):
    (tmp_path / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(tmp_path)
    places = {"TINY": tiny_encoder, "STATIC": static, "LABELS": labels_file}
    status, out, err = run(capsys, *(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("classifiers: ")
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]
