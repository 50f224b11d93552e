"""Checkpoints that are whole or absent, and do not care how many processes wrote them.

``checkpoints/step-N/`` holds the float32 weights and both Adam moments by parameter name (safetensors, never pickle),
the run's ledger and metrics as they stood after step N, and a manifest with the sha256 of each file, written last. The
folder appears under its name only when it is complete. On resume the newest one whose files are what its manifest
lists is taken, and the ledger and metrics of the run are set back to it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import EduSieveError, InputError
from common.files import MANIFEST, check_files, file_entries, publish_file, publish_folder, read_manifest, write_json

if TYPE_CHECKING:
    import torch

KIND = "training_checkpoint"
FOLDER = "checkpoints"
TENSORS = ("weights", "exp_avg", "exp_avg_sq")
RUN_FILES = ("ledger.jsonl", "metrics.jsonl")

Named = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps that were done."""
        return int(self.manifest["step"])

    def tensors(self, name: str) -> Named:
        """The tensors of one of ``TENSORS``, by parameter name."""
        from safetensors.torch import load_file

        return dict(load_file(self.path / f"{name}.safetensors"))


def publish(
    run: Path,
    facts: Mapping[str, Any],
    groups: Iterable[tuple[str, Named]],
    keep: int,
    keep_every_steps: int | None = None,
) -> Path:
    """Publish the checkpoint of step ``facts["step"]``, and remove older ones that need not stay.

    Args:
        run: the run directory, whose ledger and metrics are copied.
        facts: what goes into the manifest; must hold ``step``.
        groups: ``(name, tensors)`` for each of ``TENSORS``; an iterator, so that only one group is in memory.
        keep: how many of the newest stay.
        keep_every_steps: those of a multiple of this step stay too.
    """
    from safetensors.torch import save_file

    final = run / FOLDER / f"step-{facts['step']}"
    rows: dict[str, int] = {}
    with publish_folder(final) as folder:
        for name, tensors in groups:
            save_file(tensors, folder / f"{name}.safetensors")
            rows[f"{name}.safetensors"] = len(tensors)
        for name in RUN_FILES:
            shutil.copyfile(run / name, folder / name)
            rows[name] = int(facts["step"])
        write_json(folder / MANIFEST, {"kind": KIND, **facts, "files": file_entries(folder, rows)})
    for step, old in list(_folders(run))[keep:]:
        if not keep_every_steps or step % keep_every_steps:
            shutil.rmtree(old)
    return final


def newest_valid(run: Path, report: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole; ``report`` is told about each damaged one that is passed over."""
    for step, folder in _folders(run):
        try:
            return load(folder)
        except EduSieveError as error:
            report(f"checkpoint of step {step:,} is damaged and passed over: {error}")
    return None


def load(folder: Path) -> Checkpoint:
    """The checkpoint in ``folder``, all of its files checked.

    Raises:
        InputError: if it has no manifest, or one of another kind.
        IntegrityError: if a file is not what the manifest lists.
    """
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND or not isinstance(manifest.get("files"), list):
        raise InputError(f"{folder / MANIFEST} is not the manifest of a checkpoint")
    expected = {f"{name}.safetensors" for name in TENSORS} | set(RUN_FILES)
    missing = expected - {str(item.get("path")) for item in manifest["files"]}
    if missing:
        raise InputError(f"{folder / MANIFEST} does not list {min(missing)}")
    check_files(folder, manifest["files"])
    return Checkpoint(folder, manifest)


def rewind(run: Path, checkpoint: Checkpoint | None) -> None:
    """Set the run's ledger and metrics back to what they were at ``checkpoint``, or to nothing."""
    for name in RUN_FILES:
        with publish_file(run / name) as temporary:
            if checkpoint:
                shutil.copyfile(checkpoint.path / name, temporary)
            else:
                temporary.touch()


def _folders(run: Path) -> Iterator[tuple[int, Path]]:
    """Checkpoints by step, newest first."""
    found = [
        (int(match[1]), path)
        for path in (run / FOLDER).glob("step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name))
    ]
    yield from sorted(found, reverse=True)
