"""What work took is kept beside it."""

import subprocess
import sys
import time

import pytest

from filters.spending import record_spending, seconds_of, spent_on, timed


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


BURN = """import time
while time.process_time() < 0.2:
    pass"""


def test_cpu_seconds_of_the_work_and_of_children_that_ended_in_it_are_kept(tmp_path):
    with timed(tmp_path):
        burn(0.1)
        subprocess.run([sys.executable, "-S", "-c", BURN], check=True)  # to fork this process may cost more than it
        time.sleep(0.2)  # waiting costs nothing
    assert 0.29 <= seconds_of([tmp_path]) < 0.45


def test_a_corpus_is_told_what_it_took_and_no_other_is(tmp_path):
    made = {"scan": [tmp_path / "a", tmp_path / "b"], "write": [tmp_path / "c"]}
    for folder in (*made["scan"], *made["write"]):
        folder.mkdir()
        with timed(folder):
            (folder / "result").write_bytes(bytes(1000))
    record_spending(tmp_path, "key", made)
    spent = spent_on(tmp_path, "key")
    assert spent["cpu_seconds"].keys() == made.keys()
    assert spent["cpu_seconds"]["scan"] == pytest.approx(seconds_of(made["scan"]))
    assert 3000 < spent["bytes"] < 3300
    assert spent_on(tmp_path, "another") is None
