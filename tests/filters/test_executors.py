"""Units: each done once, errors heard, nothing half-done published."""

import os
from pathlib import Path

import pytest

from common.errors import InputError
from filters.executors import Unit, run_units
from filters.job import Executor


def note_down(values, folder, advance):
    (folder / "result.txt").write_text(values["word"])
    with Path(values["log"]).open("a") as log:
        log.write(f"{values['word']} {os.getpid()}\n")
    advance(1)


def fail(values, folder, advance):
    (folder / "half.txt").write_text("half")
    if values["word"] == "b":
        raise InputError("b is not a word")


def units(tmp_path, words):
    return [Unit(f"key-{word}", {"word": word, "log": str(tmp_path / "log")}, 1) for word in words]


def run(tmp_path, words, work=note_down, workers=2):
    run_units(tmp_path / "stage", units(tmp_path, words), work, Executor(workers=workers), what="words", measure="word")


def logged(tmp_path):
    return [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()]


def test_every_unit_is_done_once_and_finished_ones_are_not_done_again(tmp_path):
    run(tmp_path, "abca")
    assert sorted(logged(tmp_path)) == ["a", "b", "c"]
    run(tmp_path, "abcd")
    assert sorted(logged(tmp_path)) == ["a", "b", "c", "d"]
    assert {path.name for path in (tmp_path / "stage").iterdir()} == {"key-a", "key-b", "key-c", "key-d"}
    assert (tmp_path / "stage" / "key-d" / "result.txt").read_text() == "d"


def test_no_unit_is_done_in_this_process(tmp_path):
    run(tmp_path, "a", workers=1)
    assert str(os.getpid()) not in (tmp_path / "log").read_text()


def test_the_error_of_a_unit_is_raised_here_and_its_folder_is_not_published(tmp_path, capfd):
    with pytest.raises(InputError, match="b is not a word"):
        run(tmp_path, "b", work=fail)
    assert list((tmp_path / "stage").iterdir()) == []
    assert "Traceback" not in capfd.readouterr().err
