"""What every executor promises. A test module imports these tests and gives a fixture ``executor``.

Workers may be processes of another machine, so nothing here is patched: they import what they do, and they score with
a real classifier.
"""

import os
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from common.errors import EduSieveError, InputError
from filters import stages
from filters.executors import Unit, run_units
from filters.job import Job
from tests.filters.crawls import write_crawl


def note_down(values, folder, advance):
    (folder / "result.txt").write_text(values["word"])
    with Path(values["log"]).open("a") as log:
        log.write(f"{values['word']} {os.getpid()}\n")
    advance(1)


def fail(values, folder, advance):
    (folder / "half.txt").write_text("half")
    if values["word"] == "b":
        raise InputError("b is not a word")


def stumble(values, folder, advance):
    (folder / "half.txt").write_text("half")
    raise ZeroDivisionError("a bug")


def die(values, folder, advance):
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(values, folder, advance):
    died = Path(f"{values['log']}-{values['word']}-died")
    if not died.exists():
        died.touch()
        die(values, folder, advance)
    note_down(values, folder, advance)


def run(folder, words, work, executor):
    units = [Unit(f"key-{word}", {"word": word, "log": str(folder / "log")}, 1) for word in words]
    run_units(folder / "stage", units, work, executor, what="words", measure="word")


def logged(folder):
    return [line.split()[0] for line in (folder / "log").read_text().splitlines()]


def published(folder):
    return {path.name for path in (folder / "stage").iterdir()}


def test_every_unit_is_done_once_and_finished_ones_are_not_done_again(tmp_path, executor, monkeypatch):
    monkeypatch.chdir(tmp_path)  # relative folders are those of the coordinator, wherever a worker stands
    run(Path(), "abca", note_down, executor)
    assert sorted(logged(tmp_path)) == ["a", "b", "c"]
    run(tmp_path, "abcd", note_down, executor)
    assert sorted(logged(tmp_path)) == ["a", "b", "c", "d"]
    assert published(tmp_path) == {"key-a", "key-b", "key-c", "key-d"}
    assert (tmp_path / "stage" / "key-d" / "result.txt").read_text() == "d"
    assert str(os.getpid()) not in (tmp_path / "log").read_text()


def test_the_error_of_a_unit_is_raised_here_and_its_folder_is_not_published(tmp_path, executor, capfd):
    with pytest.raises(InputError, match=r"^b is not a word$"):
        run(tmp_path, "b", fail, executor)
    assert published(tmp_path) == set()
    assert "Traceback" not in capfd.readouterr().err


def test_a_bug_in_a_unit_is_raised_here_with_its_name(tmp_path, executor):
    with pytest.raises(Exception, match="a bug") as caught:
        run(tmp_path, "b", stumble, executor)
    assert not isinstance(caught.value, EduSieveError)


def test_a_killed_worker_is_noticed_and_a_rerun_ends_what_it_was_at(tmp_path, executor):
    with pytest.raises(EduSieveError, match=r"a worker was killed|1 of 1 units of the stage words were not finished"):
        run(tmp_path, "a", die, executor)
    assert published(tmp_path) == set()
    run(tmp_path, "a", note_down, executor)
    assert (tmp_path / "stage" / "key-a" / "result.txt").read_text() == "a"


def make_classifier(folder):
    """Train a small classifier on a vocabulary of words, in a second."""
    import numpy as np
    from tokenizers import Tokenizer, models, pre_tokenizers

    from classifiers.recipe import Recipe
    from classifiers.static import write_static
    from classifiers.training import prepare, train
    from tests.classifiers.helpers import VOCABULARY, small_labels

    words = ["[UNK]", *VOCABULARY, "river", "water", "people", "world"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vectors = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    write_static(folder / "encoder", vectors, tokenizer, {})
    labels = small_labels(60)
    recipe = Recipe(encoder=str(folder / "encoder"), layers=(0,), static_dimensions=0, folds=3)
    classifier, _ = train(prepare(recipe, labels), labels)
    classifier.save(folder / "classifier")
    return folder / "classifier"


def make_corpus(output, crawl, classifier, executor):
    values = {
        "input": str(crawl),
        "output": str(output),
        "classifier": str(classifier),
        "min_score": 0,
        "rules": ["gopher_quality"],
    }
    return stages.run(Job.parse({**values, "executor": executor.model_dump()}))


def corpus_bytes(output):
    found = [*output.glob("*.parquet"), *output.glob("*.json"), *output.glob("*.html"), *output.glob("dropped/*")]
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


def test_a_job_has_the_bytes_that_local_processes_give_it(tmp_path, executor):
    from filters.executors.settings import Local

    classifier, crawl = make_classifier(tmp_path), write_crawl(tmp_path / "crawl", files=2, pages_each=4)
    make_corpus(tmp_path / "local", crawl, classifier, Local(workers=1))
    manifest = make_corpus(tmp_path / "other", crawl, classifier, executor)
    assert manifest["counts"]["read"] == 16 and manifest["counts"]["kept"] > 0
    assert len(pq.read_table(tmp_path / "other" / "part-00000.parquet")) > 0
    assert corpus_bytes(tmp_path / "other") == corpus_bytes(tmp_path / "local")
    assert not list((tmp_path / "other").rglob(".unfinished-*"))
