"""A real Slurm cluster of one node: ``python -m tests.slurm.cluster FOLDER`` holds one until it is interrupted.

It needs root and Debian's packages: apt-get install slurmctld slurmd slurm-client munge. Nothing outside of FOLDER is
written but /run/munge, and nothing is left running.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel")
_CONFIGURATION = """\
ClusterName=edusieve
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
MpiDefault=none
ReturnToService=2
KillWait=5
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """What a cluster lacks here, in words."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {absent[0]}: apt-get install slurmctld slurmd slurm-client munge"
    return None if os.getuid() == 0 else "Slurm's daemons need root"


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """A cluster with a partition ``main`` of two processors; gives its slurm.conf."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as two:
        ports = [one.getsockname()[1], two.getsockname()[1]]
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=host, ports=ports))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    munged = [
        *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"),
        *(f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"),
    ]
    with ExitStack() as daemons:
        for command in (munged, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-N", host]):
            daemon = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            daemons.callback(_end, daemon)
            time.sleep(1)
        _await_node(environment, folder)
        yield configuration


def _await_node(environment: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        said = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        if said.stdout.strip() == "idle":
            return
        time.sleep(1)
    logs = "\n".join(path.read_text()[-1500:] for path in sorted(folder.glob("*.log")))
    raise TimeoutError(f"Slurm did not begin: {said.stdout} {said.stderr}\n{logs}")


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    with running(Path(sys.argv[1]).resolve()) as found:
        sys.stdout.write(f"export SLURM_CONF={found}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()
