"""A real Slurm. Outside the default suite: python -m pytest tests/slurm (as root, with Slurm installed)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import EduSieveError, SettingsError
from filters.executors import slurm
from filters.executors.settings import Slurm
from tests.conftest import REPOSITORY
from tests.filters.executor_contract import *  # noqa: F403 (the tests of the contract)
from tests.filters.executor_contract import die, logged, note_down, published, run
from tests.slurm.cluster import missing, running

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, running(tmp_path_factory.mktemp("slurm")) as configuration:
        patch.setenv("SLURM_CONF", str(configuration))
        patch.setenv("PYTHONPATH", str(REPOSITORY))  # workers import this working copy
        patch.setattr(slurm, "_QUEUE_POLL_S", 1.0)
        yield


@pytest.fixture
def executor():
    return Slurm(kind="slurm", partition="main", time="10", memory_gb=1, units_per_task=2)


def sleep(values, folder, advance):
    time.sleep(600)


def jobs():
    listed = subprocess.run(["squeue", "--noheader", "--format=%F %T"], capture_output=True, text=True, check=True)
    return listed.stdout.split("\n")[:-1]


def test_more_tasks_than_an_array_may_hold_become_more_arrays(tmp_path, executor):
    run(tmp_path, "abcdefg", note_down, executor.model_copy(update={"max_array_size": 2, "workers": 2}))
    assert sorted(logged(tmp_path)) == list("abcdefg")


def test_units_that_share_a_task_share_a_process(tmp_path, executor):
    run(tmp_path, "abcd", note_down, executor)
    processes = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert len(processes) == 4 and len(set(processes)) == 2


def test_a_task_whose_time_expires_is_named_and_the_others_are_kept(tmp_path, executor):
    one_each = executor.model_copy(update={"units_per_task": 1, "time": "1"})
    with pytest.raises(EduSieveError, match=r"1 of 1 units .* were not finished: Slurm says TIMEOUT 1, logs in /"):
        run(tmp_path, "a", sleep, one_each)
    run(tmp_path, "ab", note_down, one_each)
    assert published(tmp_path) == {"key-a", "key-b"}


def test_what_killed_the_worker_is_in_the_logs_that_are_named(tmp_path, executor):
    with pytest.raises(EduSieveError, match=r"Slurm says FAILED 1, logs in (\S+);") as caught:
        run(tmp_path, "a", die, executor)
    (log,) = Path(str(caught.value).partition("logs in ")[2].partition(";")[0]).iterdir()
    assert "launch_pickled_pipeline" in log.read_text()


def test_a_killed_coordinator_leaves_jobs_that_its_rerun_ends(tmp_path, executor):
    program = (
        "import pathlib, sys; from filters.executors.settings import Slurm; "
        "from tests.slurm.test_slurm import run, sleep; "
        f"run(pathlib.Path(sys.argv[1]), 'abc', sleep, Slurm(**{executor.model_dump()!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], cwd=REPOSITORY)
    end = time.monotonic() + 120
    while not any("RUNNING" in job for job in jobs()) and time.monotonic() < end:
        time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = set(jobs())
    assert any("RUNNING" in job for job in left)
    run(tmp_path, "abc", note_down, executor)
    assert published(tmp_path) == {"key-a", "key-b", "key-c"}
    assert not set(jobs()) & left


def test_a_refused_job_says_what_was_asked(tmp_path, executor, capfd):
    with pytest.raises(SettingsError, match=r"Slurm refuses \(see above\): sbatch"):
        run(tmp_path, "a", note_down, executor.model_copy(update={"partition": "nowhere"}))
    assert "invalid partition" in capfd.readouterr().err
