"""The rules that hold the rooms apart and the commands quick."""

import ast
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ALLOWED = {
    "common": set(),
    "classifiers": {"common"},
    "filters": {"common", "classifiers"},
    "mixtures": {"common"},
    "train": {"common", "mixtures"},
    "evals": {"common"},
    "demo": {"common"},
}
COMMANDS = {
    "classifiers": ["suggest", "annotate", "train", "cascade", "distill", "evaluate", "robustness", "score", "compare"],
    "filters": ["run", "plan", "why", "replay", "report"],
    "mixtures": ["tokenize", "show", "verify"],
    "train": ["plan", "verify", "generate"],
    "evals": ["run", "compare", "report"],
}
MAX_HELP_S = 0.7
MAX_LINES = 400


def modules(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_only_downwards(package: str) -> None:
    for path in modules(package):
        arrows = {name for name in imported(path) if name in ALLOWED and name != package}
        assert arrows <= ALLOWED[package], f"{path.name} imports {arrows - ALLOWED[package]}"


@pytest.mark.parametrize("package", ALLOWED)
def test_no_file_is_two_ideas_long(package: str) -> None:
    assert [p.name for p in modules(package) if len(p.read_text(encoding="utf-8").splitlines()) > MAX_LINES] == []


@pytest.mark.parametrize("package", ALLOWED)
def test_nothing_is_pickled_and_no_remote_code_is_trusted(package: str) -> None:
    for path in modules(package):
        assert not {"pickle", "dill", "joblib", "cloudpickle"} & set(imported(path)), path
        assert "trust_remote_code=True" not in path.read_text(encoding="utf-8"), path


def help_page(command: str, *words: str) -> tuple[str, float]:
    """The help page and the CPU seconds it took: unlike the clock, they do not depend on who shares the machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [Path(sys.executable).parent / command, *words, "--help"], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_page_is_quick_and_lists_its_commands(command: str) -> None:
    pages, seconds = zip(*(help_page(command) for _ in range(3)), strict=True)
    assert [name for name in COMMANDS[command] if name not in pages[0]] == []
    assert statistics.median(seconds) < MAX_HELP_S


@pytest.mark.parametrize(("command", "name"), [(c, n) for c, names in COMMANDS.items() for n in names])
def test_every_command_explains_itself(command: str, name: str) -> None:
    page, _ = help_page(command, name)
    assert f"Usage: {command} {name}" in page
    assert len(page.split()) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_page_loads_a_heavy_library(command: str) -> None:
    program = (
        f"import sys, {command}.cli as cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'datatrove', 'deepspeed', 'sklearn', 'pyarrow', 'matplotlib', 'pandas'}\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
