import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import lists, text

from classifiers import EducationalClassifier
from classifiers.labels import gather
from classifiers.windows import Policy, Pooling, Reading, Window, cut
from common.errors import EduSieveError, InputError, SettingsError
from tests.classifiers.helpers import grading, small_labels, text_of_grade

TEXTS = [text_of_grade(n % 6, 1000 + n) for n in range(30)]


@pytest.fixture
def folder(tmp_path, trained):
    trained[0].save(tmp_path / "c", {"README.md": b"# card\n"})
    return tmp_path / "c"


def edit(folder: Path, **changes) -> None:
    path = folder / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_saved_classifier_scores_as_before_to_the_last_bit(folder, trained):
    loaded = EducationalClassifier.load(folder)
    assert loaded.score(TEXTS).tobytes() == trained[0].score(TEXTS).tobytes()
    assert loaded.digest == trained[0].digest


def test_scores_are_float32_from_0_to_5_and_follow_the_grades(trained):
    scores = trained[0].score(TEXTS)
    assert (scores.dtype, scores.shape) == (np.float32, (30,))
    assert np.corrcoef(scores, np.arange(30) % 6)[0, 1] > 0.6


@given(texts=lists(text(max_size=300), max_size=5))
@settings(max_examples=15, deadline=None)
def test_any_text_has_a_score_on_the_scale(trained, texts):
    measured = trained[0].measure(texts)
    assert np.isfinite(measured.scores).all()
    assert ((measured.scores >= 0) & (measured.scores <= 5)).all()
    assert ((measured.probabilities >= 0) & (measured.probabilities <= 1)).all()
    assert measured.probabilities.shape == (len(texts), 5)


def test_only_the_window_is_read_and_the_share_says_so(trained):
    long = (text_of_grade(5, 1, words=400) + " ")[:1500]
    measured = trained[0].measure([long, long + text_of_grade(0, 2, words=400)[:1500]])
    assert measured.scores[0] == pytest.approx(measured.scores[1], abs=1e-5)
    assert measured.share_seen.tolist() == [1.0, 0.5]


def test_saving_twice_gives_the_same_bytes(tmp_path, trained):
    for name in ("a", "b"):
        trained[0].save(tmp_path / name)
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second


def test_a_changed_weight_is_another_digest(folder, trained):
    from dataclasses import replace

    other = replace(trained[0], heads=tuple({k: v * 2 for k, v in h.items()} for h in trained[0].heads))
    assert other.digest != trained[0].digest


def tamper_with_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def add_a_pickle(folder):
    (folder / "head.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")


def list_a_path_outside(folder):
    files = json.loads((folder / "classifier.json").read_text())["files"]
    edit(folder, files=[*files, {"path": "../other", "sha256": "0" * 64}])


def replace_weights_by_a_pickle(folder):
    from common.files import sha256_of

    (folder / "weights.safetensors").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    files = json.loads((folder / "classifier.json").read_text())["files"]
    for entry in files:
        entry["sha256"] = sha256_of(folder / entry["path"])
    edit(folder, files=files)


def reseal(folder):
    """List every file with its true sha256, as someone would who knows the format."""
    from common.files import sha256_of

    names = sorted(f.name for f in folder.iterdir() if f.name != "classifier.json")
    edit(folder, files=[{"path": name, "sha256": sha256_of(folder / name)} for name in names])


def list_a_pickle_with_its_sha256(folder):
    add_a_pickle(folder)
    reseal(folder)


def list_a_skops_file_of_an_extra_type(folder):
    import io
    import zipfile

    schema = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": "touch owned"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    (folder / "forest.skops").write_bytes(buffer.getvalue())
    reseal(folder)


def link_inside_the_directory(folder):
    (folder / "weights.safetensors").rename(folder / "other.safetensors")
    (folder / "weights.safetensors").symlink_to("other.safetensors")
    reseal(folder)


def link_the_description_itself(folder):
    shutil.move(folder / "classifier.json", folder.parent / "classifier.json")
    (folder / "classifier.json").symlink_to(folder.parent / "classifier.json")


def add_a_folder(folder):
    (folder / "more").mkdir()
    (folder / "more" / "__init__.py").write_text("open('owned', 'w')\n")


def link_to_a_file_outside(folder):
    shutil.move(folder / "weights.safetensors", folder.parent / "weights.safetensors")
    (folder / "weights.safetensors").symlink_to(folder.parent / "weights.safetensors")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (tamper_with_weights, "sha256 differs"),
        (add_a_pickle, r"head\.pkl is not listed"),
        (list_a_path_outside, r"'\.\./other', which lies outside"),
        (replace_weights_by_a_pickle, "is not a safetensors file"),
        (list_a_pickle_with_its_sha256, r"head\.pkl is none of \.safetensors"),
        (list_a_skops_file_of_an_extra_type, r"forest\.skops is none of \.safetensors"),
        (lambda f: (f / "forest.skops").write_bytes(b"PK"), r"forest\.skops is not listed"),
        (link_to_a_file_outside, r"weights\.safetensors is a link"),
        (link_inside_the_directory, r"weights\.safetensors is a link"),
        (link_the_description_itself, r"classifier\.json is a link"),
        (add_a_folder, "more is not listed"),
        (lambda f: (f / "README.md").unlink(), "listed in the manifest but missing"),
        (lambda f: edit(f, files=[]), "lists no files"),
        (lambda f: edit(f, digest="0" * 32), "the digest differs"),
        (lambda f: edit(f, encoder_sha256="0" * 64), "sha256 000000000000… was recorded"),
        (lambda f: edit(f, parts=[{"head": "pickle", "reads": ["static"]}]), "'parts.0.head'"),
        (lambda f: edit(f, parts=[{"head": "ridge", "reads": ["layer_9"]}]), "reads 'layer_9'"),
        (lambda f: edit(f, parts=[{"head": "forest", "reads": ["static"]}]), "not those of the head forest"),
        (lambda f: edit(f, kind="other"), "does not describe"),
        (lambda f: (f / "classifier.json").write_text("{"), "is not valid JSON"),
    ],
)
def test_a_directory_that_someone_changed_is_refused_in_one_line(folder, change, complaint):
    change(folder)
    with pytest.raises(EduSieveError, match=complaint) as caught:
        EducationalClassifier.load(folder)
    assert "\n" not in str(caught.value)
    assert not Path("owned").exists()


def test_a_folder_that_is_no_classifier_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no classifier\.json"):
        EducationalClassifier.load(tmp_path)


def test_nothing_but_a_classifier_is_replaced(tmp_path, trained):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="is not a classifier directory"):
        trained[0].save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_classifier_knows_what_it_was_trained_on_also_in_other_dress(trained):
    new = [grading(number) for number in range(500, 503)]
    renamed = [{**grading(1), "id": "other"}, {**grading(2), "id": "o2", "text": grading(2)["text"].upper() + " !"}]
    again = [{**grading(700), "id": "d3"}]
    unseen = trained[0].unseen(gather([*new, *renamed, *again, grading(4)]))
    assert sorted(unseen.ids) == ["d500", "d501", "d502"]


def test_figures_on_the_training_set_are_refused_with_the_remedy(trained):
    with pytest.raises(InputError, match=r"trained on all 120 of these documents.*--folds 5"):
        trained[0].unseen(small_labels())


LONG = " ".join(text_of_grade(n % 6, 50 + n, words=200) for n in range(4))  # a few thousand characters


def reading(classifier, **changes):
    return classifier.reading(Reading(**changes))


def test_a_short_document_scores_the_same_under_every_policy_and_pooling(trained):
    expected = trained[0].score(TEXTS).tobytes()
    for policy in get_args(Policy):
        for pooling in get_args(Pooling):
            assert reading(trained[0], policy=policy, pooling=pooling).score(TEXTS).tobytes() == expected


def test_a_long_document_scores_what_its_windows_score_pooled(trained):
    whole = reading(trained[0], policy="all")
    windows = cut(LONG, whole.description.window)
    assert len(windows) > 2
    parts = trained[0].raw_scores(windows)
    assert whole.raw_scores([LONG])[0] == pytest.approx(parts.mean(), abs=1e-4)
    assert reading(whole, pooling="max").raw_scores([LONG])[0] == pytest.approx(parts.max(), abs=1e-4)


def test_the_share_seen_grows_with_what_is_read(trained):
    shares = [reading(trained[0], policy=p).measure([LONG]).share_seen[0] for p in get_args(Policy)]
    assert shares[0] == pytest.approx(1500 / len(LONG))
    assert shares[1] == pytest.approx(min(1, 4500 / len(LONG)))
    assert shares[2] == 1


def test_reading_otherwise_is_another_digest_and_nothing_else_changes(trained):
    assert reading(trained[0]).digest == reading(trained[0], pooling="max").digest == trained[0].digest
    other = reading(trained[0], policy="all", max_windows=4)
    assert other.digest != trained[0].digest
    assert other.description.window == Window(policy="all", max_windows=4)


def test_progress_counts_documents_whatever_is_read(trained):
    done = []
    reading(trained[0], policy="all").measure([LONG, *TEXTS, LONG], advance=done.append)
    assert sum(done) == len(TEXTS) + 2
