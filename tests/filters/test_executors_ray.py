"""A real Ray cluster on this machine."""

import secrets
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from common.errors import SettingsError
from filters.executors import units
from filters.executors.settings import Ray
from tests.conftest import REPOSITORY
from tests.filters.executor_contract import *  # noqa: F403 (the tests of the contract)
from tests.filters.executor_contract import die_once, logged, note_down, published, run

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is missing: pip install 'edusieve[ray]'")


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def cluster(monkeypatch_module):
    """A cluster of two processors, begun as its users begin one, and the settings that find it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    program, address = Path(sys.executable).parent / "ray", f"127.0.0.1:{port}"
    options = [f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false"]
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(REPOSITORY),  # workers import this working copy
        "RAY_agent_register_timeout_ms": "300000",  # a busy machine is no bug
    }
    monkeypatch_module.setattr(units, "_PATIENCE_S", 0.0)
    for name, value in environment.items():
        monkeypatch_module.setenv(name, value)  # before ray is imported, which looks there once
    command = [program, "start", "--head", "--block", *options]
    head = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    said = list(iter_until(head.stdout, "block forever"))
    if "block forever" not in said[-1]:
        pytest.fail(f"ray start: {''.join(said)}")
    yield Ray(kind="ray", address=address, memory_gb=0.25)
    import ray

    ray.shutdown()
    head.terminate()
    head.wait(timeout=60)


def iter_until(lines, last):
    """The lines up to the one that holds ``last``."""
    for line in lines:
        yield line
        if last in line:
            return


@pytest.fixture
def executor(cluster):
    return cluster


def test_a_worker_that_is_killed_once_costs_its_unit_another_attempt(tmp_path, executor):
    run(tmp_path, "ab", die_once, executor)
    assert published(tmp_path) == {"key-a", "key-b"}
    assert sorted(logged(tmp_path)) == ["a", "b"]


def test_a_request_that_no_node_can_meet_is_refused(tmp_path, executor):
    wide = executor.model_copy(update={"cpus": 3})
    with pytest.raises(SettingsError, match=r"cpus 3 and memory_gb 0\.25, and no node .* the largest has 2 and"):
        run(tmp_path, "a", note_down, wide)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nobody_listens_is_refused_at_once(form, monkeypatch):
    from filters.executors.ray import _connect

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as taken:  # bound and not listening: nobody else can be given the port
        taken.bind(("127.0.0.1", 0))
        address = form.format(taken.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(SettingsError, match=f"cannot reach a Ray cluster at '{address}'.*ray start --head"):
            _connect(address)
    assert time.monotonic() - began < 5
