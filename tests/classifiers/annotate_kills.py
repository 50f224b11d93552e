"""The experiment of the kills: annotate, SIGKILL at a random moment, start again; then count what the server saw."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.classifiers.chat_server import chat_server, grade_of, graded

CONCURRENCY = 8
PRICE_IN, PRICE_OUT = 2.0, 8.0
COMMAND = [sys.executable, "-c", "import sys; from classifiers.cli import main; sys.exit(main())", "annotate"]


def kill_and_count(folder: Path, kills: int, windows: int, seed: int = 0, delay_s: float = 0.03) -> dict:
    """Kill a run ``kills`` times, let it finish, and hold labels, cost and journal against what the server saw."""
    chance = random.Random(seed)
    documents = [{"id": f"d{i}", "text": f"Document number {i} explains {i * i}."} for i in range(windows)]
    source = folder / "documents.jsonl"
    source.write_text("".join(json.dumps(document) + "\n" for document in documents))
    killed = 0
    with chat_server(lambda asked: graded(asked, wait_s=delay_s * chance.uniform(0.3, 1.7))) as server:
        for turn in range(kills):
            run = subprocess.Popen(_arguments(source, folder / "killed.jsonl", server), stderr=subprocess.DEVNULL)
            left = windows - len(server.texts)
            target = len(server.asked) + chance.randint(0, max(1, left // (kills - turn)))
            while len(server.asked) < target and run.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))
            killed += run.poll() is None
            run.kill()
            run.wait()
        last = subprocess.run(_arguments(source, folder / "killed.jsonl", server), capture_output=True, check=True)
        seen, requests = server.texts, len(server.asked)
        subprocess.run(_arguments(source, folder / "unbroken.jsonl", server), capture_output=True, check=True)
    result = json.loads(last.stdout)
    events = [json.loads(line) for line in (folder / "killed.journal.ndjson").read_text().splitlines()]
    grades = Counter(event["key"] for event in events if event["event"] == "grade")
    sent = Counter(event["window"] for event in events if event["event"] == "sent")
    rows = [json.loads(line) for line in (folder / "killed.jsonl").read_text().splitlines()]
    price = (1000 * PRICE_IN + 20 * PRICE_OUT) / 1e6
    return {
        "kills": kills,
        "killed_while_running": killed,
        "windows": windows,
        "labels": len(rows),
        "labels_with_the_servers_grade": sum(row["score"] == grade_of(row["text"]) for row in rows),
        "windows_labelled_once": sum(n == 1 for n in Counter(row["id"] for row in rows).values()),
        "gradings_in_journal": sum(grades.values()),
        "gradings_counted_twice": sum(n > 1 for n in grades.values()),
        "same_bytes_as_unbroken": (folder / "killed.jsonl").read_bytes() == (folder / "unbroken.jsonl").read_bytes(),
        "paid_usd": result["cost"]["paid_usd"],
        "windows_times_price_usd": round(windows * price, 6),
        "requests_the_server_saw": requests,
        "requests_in_journal": result["cost"]["requests"],
        "in_flight_at_a_kill": result["cost"]["unanswered"],
        "in_flight_bound": kills * CONCURRENCY,
        "windows_asked_again": sum(n > 1 for n in seen.values()),
        "asked_again_without_a_trace": sum(seen[text] > sent[_sha256(text)] for text in seen),
        "maybe_paid_usd_at_most": result["cost"]["maybe_paid_usd_at_most"],
    }


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _arguments(source, out, server) -> list[str]:
    prices = ["--price-in", str(PRICE_IN), "--price-out", str(PRICE_OUT)]
    where = ["--input", str(source), "--out", str(out), "--base-url", server.url, "--model", "judge"]
    return [*COMMAND, *where, *prices, "--concurrency", str(CONCURRENCY), "--json"]
