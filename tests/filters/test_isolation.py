"""A document may cost its own verdict, never its worker."""

import os
import signal
import subprocess
import sys
import time

import pytest

from filters.isolation import CrashedError, FailedError, Isolated, TooMuchMemoryError, TooSlowError


def behave(how):
    if how == "spin":
        while True:
            pass
    if how == "eat":
        return len(bytearray(1 << 30))
    if how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "leave":
        os._exit(3)
    if how == "raise":
        raise ValueError("a bad page")
    if how == "pid":
        return os.getpid()
    return how.upper()


@pytest.fixture
def isolated():
    with Isolated(behave, seconds=0.3, memory_bytes=300 << 20) as guard:
        yield guard


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("spin", TooSlowError, "^$"),
        ("eat", TooMuchMemoryError, "^$"),
        ("crash", CrashedError, "killed by SIGKILL"),
        ("leave", CrashedError, "exit status 3"),
        ("raise", FailedError, "^ValueError: a bad page$"),
    ],
)
def test_a_call_that_fails_says_how_and_the_next_one_works(isolated, how, error, message):
    with pytest.raises(error, match=message):
        isolated(how)
    assert isolated("fine") == "FINE"


def test_good_calls_and_plain_errors_share_one_child(isolated):
    child = isolated("pid")
    with pytest.raises(FailedError, match="a bad page"):
        isolated("raise")
    assert isolated("pid") == child != os.getpid()


def test_the_limit_is_of_one_call_and_not_of_all(isolated):
    end = time.process_time() + 0.6
    while time.process_time() < end:
        assert isolated("fine") == "FINE"
        sum(range(100_000))


def test_the_child_dies_with_its_parent():
    program = (
        "import os, signal\n"
        "from filters.isolation import Isolated\n"
        "from tests.filters.test_isolation import behave\n"
        "guard = Isolated(behave, 100, 1 << 30)\n"
        "print(guard('pid'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    child = int(done.stdout)
    end = time.monotonic() + 5
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(child)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_cpu_seconds_of_calls_add_up_over_the_children_that_made_them():
    def work(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    with Isolated(work, 30, 1 << 30) as isolated:
        isolated(0.1)
        isolated(0.1)
        assert 0.2 <= isolated.cpu_seconds < 0.28
        isolated.close()  # another child begins
        isolated(0.1)
        assert 0.3 <= isolated.cpu_seconds < 0.4
