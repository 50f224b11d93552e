import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from cyclopts import App

from common import command
from common.command import emit, progress, run, table
from common.errors import InputError

app = App(name="sample", help="A command for these tests.")


@app.default
def main(*, count: int = 1, config: Path | None = None) -> int:
    """Answer with the count."""
    emit({"count": count}, f"{count}", as_json=True)
    return 0 if count else 1


@app.command
def fail(*, kind: str) -> None:
    """Fail."""
    raise InputError("cannot read a.txt:\n  it is not there") if kind == "family" else RuntimeError("a bug")


def test_a_result_goes_to_stdout_as_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--count", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == {"count": 3}


def test_a_command_that_says_no_exits_with_one() -> None:
    assert run(app, ["--count", "0"]) == 1


def test_an_error_of_the_family_is_one_line_and_exit_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["fail", "--kind", "family"]) == 2
    assert capsys.readouterr().err == "sample: cannot read a.txt: it is not there\n"


@app.command
def interrupted() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def test_an_interrupt_is_told_and_exits_as_a_shell_expects(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["interrupted"]) == 130
    assert capsys.readouterr().err == "sample: interrupted\n"


def test_an_error_outside_the_family_is_a_bug_and_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        run(app, ["fail", "--kind", "other"])


def test_a_misspelt_option_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--coutn", "3"]) == 2
    assert "--coutn. Did you mean --count?" in capsys.readouterr().err


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("count: 5\n")
    assert run(app, ["--config", str(path)]) == 0
    assert run(app, [f"--config={path}", "--count", "6"]) == 0
    assert [json.loads(part)["count"] for part in capsys.readouterr().out.replace("}\n", "}\0").split("\0")[:2]] == [
        5,
        6,
    ]


def test_a_misspelt_key_in_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("coutn: 5\n")
    assert run(app, ["--config", str(path)]) == 2
    assert "coutn" in capsys.readouterr().err


def test_a_table_aligns_words_left_and_numbers_right() -> None:
    rows = [{"name": "web", "tokens": 1234567}, {"name": "synthetic", "tokens": 8}]
    assert table(rows).splitlines() == [
        "name          tokens",
        "---------  ---------",
        "web        1,234,567",
        "synthetic          8",
    ]


def test_progress_in_a_log_is_a_line_now_and_then_and_nothing_of_short_work(capsys, monkeypatch):
    with progress(10, "doc", "short") as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(command, "LINE_S", 0.1)
    with progress(40, "doc", "long") as bar:
        for _ in range(40):
            bar.update()
            time.sleep(0.01)
    said = capsys.readouterr().err
    assert "\r" not in said and said.endswith("\n")
    lines = said.splitlines()
    assert 2 <= len(lines) <= 1 + 4 + 1 and all(line.startswith("long: ") for line in lines)
    assert "40.0/40.0" in lines[-1]


def test_a_fork_that_is_killed_while_it_draws_blocks_nobody_elses_bar():
    from tqdm import tqdm

    def die_drawing():
        tqdm.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    progress(1, "B", "bytes").close()
    child = multiprocessing.get_context("fork").Process(target=die_drawing)
    child.start()
    child.join()
    assert tqdm.get_lock().acquire(blocking=False)
    tqdm.get_lock().release()
