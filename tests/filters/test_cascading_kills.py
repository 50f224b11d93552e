"""A job with a cascade, killed with -9 at every turn of its scoring and at random moments: the bytes stay the same."""

import itertools
import multiprocessing
import os
import random
import signal
import time

import pytest

from filters import cascading, educational, stages
from filters.job import Job
from tests.filters.crawls import CascadeScorer, write_crawl
from tests.filters.test_cascading import WIDE, corpus_bytes

KILLS = 10
FORK = multiprocessing.get_context("fork")


class SlowScorer(CascadeScorer):
    """Slow enough to be killed at work."""

    def score(self, texts, advance=None):
        time.sleep(0.004 * len(texts) if len(texts) < 100 else 0)
        return super().score(texts, advance)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return write_crawl(tmp_path_factory.mktemp("crawl"))


@pytest.fixture(scope="module", autouse=True)
def scorer():
    made = SlowScorer(noise=1)
    with pytest.MonkeyPatch.context() as patch:
        for module in (educational, cascading):
            patch.setattr(module, "load_scorer", lambda classifier: made)
        yield made


def job_of(output, crawl, workers):
    settings = {"budget_tokens": 2500, "cascade": {**WIDE, "audit_fraction": 0.01}, "deduplicate": {"minhash": False}}
    return Job.parse({"input": str(crawl), "output": str(output), "executor": {"workers": workers}, **settings})


def start(output, crawl, workers, last_turn=None):
    """A process that runs the job; it kills itself at a turn: before or after scores are read."""
    process = FORK.Process(target=run, args=(job_of(output, crawl, workers), last_turn))
    process.start()
    return process


def run(job, last_turn):
    turns, read = itertools.count(), cascading.Store.read

    def turn():
        if next(turns) == last_turn:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(store, wanted, what):
        turn()
        found = read(store, wanted, what)
        turn()
        return found

    cascading.Store.read = watched
    stages.run(job)


def ended(process):
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def unbroken(crawl, tmp_path_factory):
    """The bytes of a job that nothing befalls, and the seconds it takes."""
    folder = tmp_path_factory.mktemp("unbroken")
    manifest = stages.run(job_of(folder / "here", crawl, workers=1))  # loads what the processes to come need
    assert manifest["cascade"]["rounds"] >= 2 and manifest["cascade"]["audit"]["documents"]
    begin = time.monotonic()
    assert ended(start(folder / "process", crawl, workers=2)) == 0
    seconds = time.monotonic() - begin
    assert corpus_bytes(folder / "process") == corpus_bytes(folder / "here")
    return corpus_bytes(folder / "here"), seconds


def test_killed_before_and_after_each_round_and_the_audit_it_ends_with_the_same_bytes(tmp_path, crawl, unbroken):
    for turn in itertools.count():
        process = start(tmp_path / "out", crawl, workers=1 + turn % 2, last_turn=turn)
        if ended(process) == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        assert not (tmp_path / "out" / "manifest.json").exists()
    assert turn >= 2 * (1 + 2 + 1)  # the first stage, two rounds, the audit
    assert corpus_bytes(tmp_path / "out") == unbroken[0]


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path, crawl, unbroken):
    expected, seconds = unbroken
    moments, killed, outputs = random.Random(5), 0, [tmp_path / "out0"]
    for attempt in range(KILLS):
        process = start(outputs[-1], crawl, workers=1 + attempt % 2)
        process.join(moments.uniform(0, seconds))
        if process.is_alive():
            process.kill()
            killed += 1
        else:  # it is whole: another one
            outputs.append(tmp_path / f"out{len(outputs)}")
        process.join()
    assert killed >= KILLS // 3
    for output in outputs:
        assert ended(start(output, crawl, workers=2)) == 0
        assert corpus_bytes(output) == expected
        assert not list(output.rglob(".unfinished-*"))
