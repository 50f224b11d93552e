"""Kill `filters run` with -9 at random moments, run it again to the end, and compare every byte with an unbroken run.

    python -m benchmarks.filters_kills --kills 300 --seed 1

Two jobs over the same small crawl take turns: one with a plain classifier, a budget and exact duplicates; one with a
cascade and its audit, near-duplicates, eval items to look for, and two budgets. A run is the real command in a fork of
this process, which has loaded all it needs, so it takes a second. Each time a new output is begun with one or two
workers. At a moment drawn from the length of an unbroken run the process that leads or one of its workers is killed.
What it leaves is run again with a worker count drawn anew: every third time that run is killed as well (that counts
too), until one goes to its end. Then

- every file of the output has the bytes of the unbroken run's, none is missing and none is left over,
- nothing half-done is left, and every process that a killed one had begun is gone,
- the killed job's exit status is that of a kill, or 2 with one line if a worker was killed.

Of the unbroken runs each record of the crawl is asked to be a row exactly once. A kill that finds the job finished does
not count. Prints the kills by stage and by victim, and last one JSON row; exit status 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import hashlib
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.command import table
from filters import cascading, educational
from filters.stages import STAGES
from tests.filters.crawls import SENTENCES, CascadeScorer, FakeScorer, prose, write_crawl

FILES, PAGES = 3, 8
RECORDS = FILES * (PAGES + 4)
"""Rows of the crawl: its good pages, and four of each file that are refused or copies."""
SEVERAL = (700, 1500)
"""Budgets of the second job, in tokens."""
PATIENCE_S = 60
"""For a run to end, or for processes to die."""
SCORERS = {"plain": FakeScorer(), "cascade": CascadeScorer(noise=1)}
FORK = multiprocessing.get_context("fork")

Bytes = Mapping[str, str]


@dataclass
class Unbroken:
    """A run that nothing befell: its files by name, and how long it takes with one worker and with two."""

    files: Bytes
    seconds: dict[int, float]
    wrong: list[str]


@dataclass
class Tally:
    """What was killed, and what did not hold."""

    killed: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # job, victim, stage
    ended: int = 0
    other_workers: int = 0
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_and_compare(Path(folder), options.kills, options.seed)
    kills = sum(tally.killed.values())
    print(table(by_stage(tally)))
    print(f"\n{kills} kills, {tally.ended} runs to the end, {len(tally.wrong)} wrong", *tally.wrong, sep="\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    head = {"benchmark": "filters_kills", "commit": commit.stdout.strip(), "machine": platform.machine()}
    found = {"killed": kills, "ended": tally.ended, "with_other_workers": tally.other_workers, "wrong": tally.wrong}
    took = {"seconds": round(time.monotonic() - start, 1), "by_stage": by_stage(tally)}
    print(json.dumps(head | vars(options) | found | took))
    return 1 if tally.wrong or kills < options.kills else 0


def by_stage(tally: Tally) -> list[dict[str, Any]]:
    """Kills at every stage, of each job and victim."""
    columns = [(job, victim) for job in SCORERS for victim in ("leader", "worker")]
    stages = [stage for stage in ("begin", *STAGES, "publish") if any(key[2] == stage for key in tally.killed)]
    return [
        {"killed at": stage}
        | {f"{job}, {victim}": tally.killed[job, victim, stage] for job, victim in columns}
        | {"all": sum(count for key, count in tally.killed.items() if key[2] == stage)}
        for stage in stages
    ]


def kill_and_compare(folder: Path, kills: int, seed: int) -> Tally:
    """Kill so many runs, end each, and compare; the first that is wrong is the last."""
    write_crawl(folder / "crawl", FILES, PAGES)
    items = [{"text": prose("river 3").partition(".")[0]}, {"text": SENTENCES[1], "answer": "a word that is nowhere"}]
    (folder / "evals.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    expected = {job: unbroken(folder, job) for job in SCORERS}
    killer = Killer(folder, random.Random(seed))
    killer.tally.wrong += [line for found in expected.values() for line in found.wrong]
    for turn in range(10 * kills):
        if sum(killer.tally.killed.values()) >= kills or killer.tally.wrong:
            break
        job, output = list(SCORERS)[turn % len(SCORERS)], folder / f"output{turn}"
        killer.turn(job, output, expected[job])
        shutil.rmtree(output)
    return killer.tally


class Killer:
    """Kills runs, and counts."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder, self._chance, self.tally = folder, chance, Tally()

    def turn(self, job: str, output: Path, expected: Unbroken) -> None:
        """Begin an output, kill, go on, and compare what comes of it."""
        workers = self._chance.choice((1, 2))
        kill = True
        while kill:
            process = start(self._folder, job, output, workers)
            process.join(self._chance.uniform(0, expected.seconds[workers]))
            if wrong := self._kill(process, job, output):
                self.tally.wrong.append(f"{output.name}, {job}: {wrong}")
            kill = self._chance.random() < 1 / 3
            before, workers = workers, self._chance.choice((1, 2))
            self.tally.other_workers += workers != before
        process = start(self._folder, job, output, workers)
        wrongs = difference(output, ended(process), expected.files)
        self.tally.ended += 1
        self.tally.wrong += [f"{output.name}, {job}: {wrong}" for wrong in wrongs]

    def _kill(self, process: Any, job: str, output: Path) -> str | None:
        """Kill the leader or a worker, and wait until all of them are gone; returns what is wrong with their end."""
        family, stage = descendants(process.pid), stage_of(output)
        workers = [child for child in family if parent_of(child) == process.pid]
        at_worker = bool(workers) and self._chance.random() < 0.5
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self._chance.choice(workers) if at_worker else process.pid, signal.SIGKILL)
        status = ended(process)
        if status == 0:  # all was done
            return None
        self.tally.killed[job, "worker" if at_worker else "leader", stage] += 1
        if status != (2 if at_worker else -signal.SIGKILL):
            return f"killed at {stage}, it ends with {status}"
        end = time.monotonic() + PATIENCE_S
        while any(Path(f"/proc/{child}").exists() for child in family):
            if time.monotonic() > end:
                return f"killed at {stage}, a process of it lives on"
            time.sleep(0.001)
        return None


def unbroken(folder: Path, job: str) -> Unbroken:
    """Run a job to the end with either number of workers, here first, so that all there is to load is loaded."""
    seconds, found, wrong = {}, [], []
    if _run(_write_job(folder, job, folder / f"{job} here", 1), job) != 0:
        wrong.append(f"{job}: it does not run here")
    for workers in (1, 2):
        output = folder / f"{job} by {workers}"
        begin = time.monotonic()
        process = start(folder, job, output, workers)
        status = ended(process)
        seconds[workers] = time.monotonic() - begin
        found.append(files_of(output))
        wrong += [f"{job}, unbroken: {line}" for line in difference(output, status, found[0])]
        corpora = [path.parent for path in output.rglob("manifest.json") if ".work" not in path.parts]
        wrong += [f"{job}, unbroken: {line}" for corpus in corpora for line in rows_wrong(corpus)]
    return Unbroken(found[0], seconds, wrong)


def difference(output: Path, status: int | None, expected: Bytes) -> list[str]:
    """What is not as in the unbroken run."""
    found = files_of(output)
    wrong = [f"{name} differs" for name in sorted(expected.keys() | found) if expected.get(name) != found.get(name)]
    wrong += [f"{path.name} is left" for path in output.rglob(".unfinished-*")]
    return wrong + ([] if status == 0 else [f"the last run ends with {status}"])


def stage_of(output: Path) -> str:
    """What a run is doing: the stage with work under way, else the last one that has left anything."""
    work = output / ".work"
    under_way = [stage for stage in STAGES if any((work / stage).glob(".unfinished-*"))]
    if under_way:
        return under_way[-1]
    begun = [stage for stage in STAGES if (work / stage).is_dir()]
    if begun[-1:] == ["write"]:
        return "publish"
    return begun[-1] if begun else "begin"


def descendants(pid: int) -> list[int]:
    """Processes that a process began, and those that they began, while they live."""
    found = collections.deque([pid])
    family: list[int] = []
    while found:
        leader = found.popleft()
        for path in Path(f"/proc/{leader}/task").glob("*/children"):
            try:
                children = [int(child) for child in path.read_text().split()]
            except OSError:  # it has ended
                continue
            found += children
            family += children
    return family


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def files_of(output: Path) -> dict[str, str]:
    """Digests of the files of an output, but for its work."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def rows_wrong(corpus: Path) -> list[str]:
    """Records of the crawl that are not exactly one row of a corpus, kept or dropped."""
    import pyarrow.parquet as pq

    rows: Counter[tuple[str, int]] = Counter()
    for part in corpus.rglob("part-*.parquet"):
        columns = pq.read_table(part, columns=["source_file", "source_offset"]).to_pydict()
        rows.update(zip(columns["source_file"], columns["source_offset"], strict=True))
    doubled = [f"{name} at {offset} is {count} rows" for (name, offset), count in rows.items() if count > 1]
    return doubled + ([f"{len(rows)} rows of {RECORDS} records"] if len(rows) != RECORDS else [])


def _write_job(folder: Path, job: str, output: Path, workers: int) -> Path:
    """The job file: JSON is YAML."""
    settings: dict[str, Any] = {"budget_tokens": 2000, "deduplicate": {"minhash": False}}
    if job == "cascade":
        promise = {"error_fraction": 0.7, "confidence": 0.6, "audit_fraction": 0.1}  # few documents bear no real one
        evals = {"evals": str(folder / "evals.jsonl"), "verbatim": "document", "partial": "span"}
        settings = {"budgets": SEVERAL, "cascade": promise, "decontaminate": evals}
    paths = {"input": str(folder / "crawl"), "output": str(output), "executor": {"workers": workers}}
    path = folder / "job.yaml"
    path.write_text(json.dumps(paths | settings))
    return path


def start(folder: Path, job: str, output: Path, workers: int) -> Any:
    """A process that runs a job."""
    settings = _write_job(folder, job, output, workers)
    process = FORK.Process(target=_run_in_child, args=(settings, job))
    process.start()
    return process


def ended(process: Any) -> int | None:
    """Its exit status; None if it had to be ended, since it hung."""
    process.join(PATIENCE_S)
    status: int | None = process.exitcode
    process.kill()
    process.join()
    return status


def _run_in_child(settings: Path, job: str) -> None:
    faulthandler.dump_traceback_later(PATIENCE_S / 2)  # should it hang, say where
    sys.exit(_run(settings, job))


def _run(settings: Path, job: str) -> int:
    """The command, with a scorer that takes no time and no model."""
    from filters.cli import main as command

    for module in (educational, cascading):
        module.load_scorer = lambda classifier: SCORERS[job]  # type: ignore[attr-defined]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return command(["run", str(settings)])


if __name__ == "__main__":
    sys.exit(main())
