"""The ``executor:`` of a job file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator

from common.settings import Settings

_OURS = {
    *("array", "cpus-per-task", "dependency", "error", "export", "job-name", "mem", "mem-per-cpu", "nodes", "output"),
    *("parsable", "partition", "time", "wait", "wrap"),
}
_SBATCH_NAME = r"^[a-z][a-z0-9-]*$"
_ONE_LINE = r"^[^\r\n]*$"


class Local(Settings):
    """Processes of this machine."""

    kind: Literal["local"] = Field(default="local", description="processes of this machine")
    workers: PositiveInt = Field(default=1, description="processes at a time")


class Ray(Settings):
    """Tasks of a Ray cluster. Its nodes share the job's folders and have edusieve installed."""

    kind: Literal["ray"] = Field(description="tasks of a Ray cluster")
    address: str = Field(
        default="auto", description="of the cluster; auto: the one of this machine or of RAY_ADDRESS; local: begin one"
    )
    workers: PositiveInt | None = Field(default=None, description="units at a time; null: as many as have room")
    cpus: PositiveInt = Field(default=1, description="processors that a unit reserves")
    memory_gb: PositiveFloat = Field(default=2, description="memory that a unit reserves, GiB")


class Slurm(Settings):
    """Array jobs of a Slurm cluster. Its nodes share the job's folders and have edusieve installed."""

    kind: Literal["slurm"] = Field(description="array jobs of a Slurm cluster")
    partition: str = Field(pattern=r"^[\w.,-]+$", description="where the jobs run")
    time: str = Field(
        pattern=r"^(\d+-)?\d+(:\d\d){0,2}$", description="limit of an array task: minutes, H:MM:SS or D-HH:MM:SS"
    )
    workers: PositiveInt | None = Field(default=None, description="array tasks at a time; null: as many as have room")
    cpus: PositiveInt = Field(default=1, description="processors of an array task")
    memory_gb: PositiveFloat = Field(default=2, description="memory of an array task, GiB")
    units_per_task: PositiveInt = Field(default=1, description="units (input files) that an array task does in turn")
    max_array_size: PositiveInt = Field(default=1001, description="MaxArraySize of the cluster; more tasks, more jobs")
    sbatch: dict[Annotated[str, Field(pattern=_SBATCH_NAME)], Annotated[str, Field(pattern=_ONE_LINE)] | int] = Field(
        default={}, description="further options of sbatch, such as {account: web, qos: normal}"
    )
    environment: str | None = Field(
        default=None,
        pattern=_ONE_LINE,
        description="shell command that makes edusieve's environment active on a node; null: that of this process",
    )

    @field_validator("sbatch")
    @classmethod
    def _leaves_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(_OURS & value.keys()):
            raise ValueError(f"--{taken[0]} is set by edusieve, from its own keys; leave it out")
        return value


def _with_kind(value: Any) -> Any:
    return {"kind": "local", **value} if isinstance(value, dict) else value


Executor = Annotated[
    Annotated[Local | Ray | Slurm, Field(discriminator="kind")],
    BeforeValidator(_with_kind),
]
"""Who does the work. It takes no part in the result."""
