"""What is handed to Slurm, as text; tests/slurm runs it on a real one."""

import stat
import sys
from pathlib import Path

import pytest

from common.errors import SettingsError
from filters.executors import slurm
from filters.executors.settings import Slurm
from tests.filters.executor_contract import note_down, run

SBATCH = """#!/bin/sh
for last; do :; done
n=$(ls "$0".d | wc -l)
cp "$last" "$0.d/$n"
echo "$@" > "$0.d/$n.args"
echo "Submitted batch job $((100 + n))"
"""


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """A stand-in for Slurm's commands that notes what it is given, and says that every job failed."""
    folder = tmp_path / "bin"
    (folder / "sbatch.d").mkdir(parents=True)
    scripts = {
        "sbatch": SBATCH,
        "scancel": "#!/bin/sh\n",
        "squeue": '#!/bin/sh\nls "$(dirname "$0")/sbatch.d" | grep -q args && echo "100 NODE_FAIL" || true\n',
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "_QUEUE_POLL_S", 0.0)
    monkeypatch.setattr("filters.executors.units._PATIENCE_S", 0.0)
    return folder / "sbatch.d"


def launch(tmp_path, words, **settings):
    run(tmp_path, words, note_down, Slurm(**{"kind": "slurm", "partition": "cpu", "time": "1-12:00:00"} | settings))


def scripts(folder):
    return [path.read_text() for path in sorted(folder.iterdir()) if path.suffix == ""]


def test_the_script_asks_for_what_the_job_file_says(tmp_path, submitted):
    with pytest.raises(Exception, match=r"3 of 3 units .* were not finished: Slurm says NODE_FAIL 1, logs in /"):
        launch(tmp_path, "abc", cpus=2, memory_gb=1.5, workers=2, sbatch={"account": "web", "nice": 0})
    (script,) = scripts(submitted)
    options = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {
        *("partition=cpu", "time=1-12:00:00", "cpus-per-task=2", "mem=1536M", "nodes=1", "array=0-2%2", "requeue"),
        *("account=web", "nice=0"),
    } <= options
    assert not any(option.startswith(("mem-per-cpu", "qos", "mail")) for option in options)
    (name,) = (option for option in options if option.startswith("job-name="))
    assert name.startswith("job-name=edusieve-stage-")
    assert f'export PATH={Path(sys.executable).parent}:"$PATH"' in script
    assert "srun" in script and "launch_pickled_pipeline" in script and "executor.pik" in script


def test_arrays_are_cut_to_what_the_cluster_takes_and_wait_for_each_other(tmp_path, submitted):
    with pytest.raises(Exception, match="5 of 5 units"):
        launch(tmp_path, "abcde", max_array_size=2, units_per_task=1)
    assert [line for script in scripts(submitted) for line in script.splitlines() if "--array" in line] == [
        "#SBATCH --array=0-1"
    ] * 3
    arguments = [path.read_text().split()[:-1] for path in sorted(submitted.glob("*.args"))]
    assert [words[0] for words in arguments] == [f"--export=ALL,RUN_OFFSET={number}" for number in range(3)]
    assert all("--dependency=afterany:" in words[1] for words in arguments[1:])


def test_units_may_share_a_task(tmp_path, submitted):
    with pytest.raises(Exception, match="5 of 5 units"):
        launch(tmp_path, "abcde", units_per_task=2, environment="module load edusieve")
    (script,) = scripts(submitted)
    assert "#SBATCH --array=0-2\n" in script and "\nmodule load edusieve\n" in script


def test_without_slurm_the_job_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"executor\.kind slurm: there is no sbatch here"):
        launch(tmp_path, "a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time": "soon"}, "'time': String should match pattern"),
        ({"partition": "cpu\n#SBATCH --uid=0"}, "'partition'"),
        ({"sbatch": {"array": "0-9"}}, "'sbatch': --array is set by edusieve, from its own keys; leave it out"),
        ({"sbatch": {"mem": "8G"}}, "'sbatch': --mem is set by edusieve"),
        ({"sbatch": {"account": "web\nrm"}}, "'sbatch.account"),
        ({"sbatch": {"--account": "web"}}, "'sbatch.--account"),
        ({"environment": "a\nb"}, "'environment'"),
        ({"memory_gb": 0}, "'memory_gb': Input should be greater than 0"),
    ],
)
def test_what_would_spoil_a_script_is_refused_by_name(settings, message):
    with pytest.raises(SettingsError) as error:
        Slurm.parse({"kind": "slurm", "partition": "cpu", "time": "10"} | settings)
    assert message in str(error.value)
