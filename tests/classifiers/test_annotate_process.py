"""Annotation as a process: killed, interrupted, and beside another."""

import json
import signal
import subprocess
import threading
import time
from collections import Counter

from classifiers.cli import main
from tests.classifiers.annotate_kills import COMMAND, kill_and_count
from tests.classifiers.chat_server import chat_server, graded


def test_two_runs_into_one_table_are_refused(tmp_path, capsys):
    gate = threading.Event()

    def behave(asked):
        gate.wait(10)
        return graded(asked)

    with chat_server(behave) as server:
        where = ["--input", str(tmp_path / "documents.jsonl"), "--out", str(tmp_path / "labels.jsonl")]
        (tmp_path / "documents.jsonl").write_text('{"id": "a", "text": "Cells divide."}\n')
        other = subprocess.Popen([*COMMAND, *where, "--base-url", server.url, "--model", "judge"], stderr=-3, stdout=-3)
        while not server.asked:
            time.sleep(0.01)
        code = main(["annotate", *where, "--base-url", server.url, "--model", "judge"])
        gate.set()
        assert other.wait(20) == 0
    assert code == 2 and "another process is annotating" in capsys.readouterr().err


def test_an_interrupt_lets_requests_in_flight_come_back(tmp_path):
    documents = [{"id": str(i), "text": f"Text number {i}."} for i in range(500)]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    where = ["--input", str(tmp_path / "documents.jsonl"), "--out", str(tmp_path / "labels.jsonl")]
    with chat_server(lambda asked: graded(asked, wait_s=0.1)) as server:
        process = subprocess.Popen([*COMMAND, *where, "--base-url", server.url, "--model", "judge"], stderr=-1)
        while len(server.asked) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        seen = len(server.asked)
    assert process.returncode == 130 and b"interrupted" in said
    events = Counter(
        json.loads(line)["event"] for line in (tmp_path / "labels.journal.ndjson").read_text().splitlines()
    )
    assert events == {"sent": seen, "grade": seen}
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_run_that_is_killed_again_and_again_grades_and_pays_once(tmp_path):
    counts = kill_and_count(tmp_path, kills=6, windows=150)
    assert counts["labels"] == counts["labels_with_the_servers_grade"] == counts["windows_labelled_once"] == 150
    assert (counts["gradings_in_journal"], counts["gradings_counted_twice"]) == (150, 0)
    assert counts["same_bytes_as_unbroken"]
    assert counts["paid_usd"] == counts["windows_times_price_usd"]
    assert counts["killed_while_running"] >= 4
    assert counts["in_flight_at_a_kill"] <= counts["in_flight_bound"]
    assert counts["asked_again_without_a_trace"] == 0
