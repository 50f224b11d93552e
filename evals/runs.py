"""What ``train`` left in a run directory, as far as evaluation needs it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.errors import InputError, IntegrityError, SettingsError
from common.files import MANIFEST, check_files, content_key, read_json, read_manifest
from common.settings import read_yaml

HELD_OUT = "held_out.parquet"
WEIGHTS = "weights.safetensors"
"""Of a checkpoint: float32, under the names that Hugging Face gives them."""
NOT_COMPARED = ("data", "out", "checkpoint")
"""Settings that name places or say when to save; what was trained on is known by the content of the shards."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: what was trained, on what, and where its export lies."""

    name: str
    folder: Path
    settings: Mapping[str, Any]
    model_digest: str
    context_length: int
    export: Path
    """the Hugging Face model and its tokenizer; of a checkpoint, those of its run: all but the weights are the same"""
    checkpoint_of: str | None = None
    """name of the run, if this is a checkpoint of it"""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What was written about the model."""
        return read_manifest(self.folder if self.checkpoint_of else self.export)

    @property
    def data(self) -> Path:
        """The data folder that it was trained on."""
        if not isinstance(self.settings.get("data"), str):
            raise InputError(f"{self.folder}/settings.yaml does not name its data folder; name it with --data")
        return Path(self.settings["data"])


@dataclass(frozen=True)
class HeldOut:
    """The held-out documents of one source."""

    source: str
    path: Path
    sha256: str
    documents: int


def open_run(folder: Path) -> TrainedRun:
    """Look at a run directory; its export is held against its manifest.

    Raises:
        InputError: if it is no finished run.
        IntegrityError: if a file of the export is not the one that was written.
    """
    if not folder.is_dir():
        raise InputError(f"the run {folder} does not exist")
    for needed in ("settings.yaml", "ledger.jsonl", "metrics.jsonl"):
        if not (folder / needed).is_file():
            raise InputError(f"{folder} has no {needed}: it is not a run directory of `train`")
    export = folder / "export"
    if not (export / MANIFEST).is_file():
        raise InputError(f"{folder} has no export/{MANIFEST}: the run is not finished; start the same `train` again")
    entries = read_manifest(export)["files"]
    check_files(export, entries)
    config = read_json(export / "config.json")
    settings = read_yaml(folder / "settings.yaml")
    return TrainedRun(
        name=folder.resolve().name,
        folder=folder,
        settings=settings,
        model_digest=content_key("model", sorted([e["path"], e["sha256"]] for e in entries)),
        context_length=min(int(settings.get("context_length", 1 << 30)), int(config["max_position_embeddings"])),
        export=export,
    )


def open_checkpoints(run: TrainedRun) -> list[TrainedRun]:
    """The checkpoints that a run kept from before its end, oldest first; their weights are held against the manifest.

    Raises:
        IntegrityError: if the weights are not those that were written.
    """
    found = []
    for folder in sorted((run.folder / "checkpoints").glob("step-*"), key=lambda path: int(path.name[5:])):
        manifest = read_manifest(folder)
        if manifest["step"] != run.manifest.get("step"):
            entries = [entry for entry in manifest["files"] if entry["path"] == WEIGHTS]
            check_files(folder, entries)
            digest = content_key("checkpoint", [entry["sha256"] for entry in entries])
            name = f"{run.name}@{manifest['step']}"
            found.append(replace(run, name=name, folder=folder, model_digest=digest, checkpoint_of=run.name))
    return found


@contextlib.contextmanager
def model_folder(run: TrainedRun, workshop: Path) -> Iterator[Path]:
    """A folder that Hugging Face loads the model of ``run`` from; of a checkpoint it is made in ``workshop``."""
    if run.checkpoint_of is None:
        yield run.export
        return
    with tempfile.TemporaryDirectory(dir=workshop) as name:
        folder = Path(name)
        for path in run.export.iterdir():
            if ".safetensors" not in path.name:  # nor the index of weights in several files
                (folder / path.name).symlink_to(path.resolve())
        (folder / "model.safetensors").symlink_to((run.folder / WEIGHTS).resolve())
        yield folder


def open_held_out(data_dir: Path) -> list[HeldOut]:
    """The held-out documents of every source in a data folder, by name.

    Raises:
        InputError: if there are none.
        IntegrityError: if a file is not the one that ``mixtures tokenize`` wrote.
    """
    if not data_dir.is_dir():
        raise InputError(f"the data folder {data_dir} does not exist; name it with --data")
    found = []
    for path in sorted(data_dir.glob(f"*/{HELD_OUT}")):
        manifest = read_manifest(path.parent)
        entries = [entry for entry in manifest["files"] if entry["path"] == HELD_OUT]
        if not entries:
            raise IntegrityError(f"{path} is not listed in the manifest beside it")
        check_files(path.parent, entries)
        if entries[0]["rows"]:
            found.append(HeldOut(path.parent.name, path, entries[0]["sha256"], entries[0]["rows"]))
    if not found:
        raise InputError(
            f"{data_dir} holds no held-out documents (*/{HELD_OUT}); "
            "make them with `mixtures tokenize … --held-out-fraction 0.05`"
        )
    return found


def trained_tokens(run: TrainedRun) -> dict[str, int]:
    """Tokens of each source that the run was trained on, by its ledger."""
    totals: dict[str, int] = {}
    for line in _last_of_each_step(run.folder / "ledger.jsonl"):
        for source, tokens in line["tokens"].items():
            totals[source] = totals.get(source, 0) + int(tokens)
    return totals


def loss_curve(run: TrainedRun) -> list[dict[str, Any]]:
    """``step, tokens, loss`` of every step."""
    path = run.folder / "metrics.jsonl"
    try:
        return [{name: line[name] for name in ("step", "tokens", "loss")} for line in _last_of_each_step(path)]
    except KeyError as error:
        raise InputError(f"{path}: a line has no {error.args[0]}") from error


def trained_sources(run: TrainedRun) -> dict[str, tuple[int, str]]:
    """Windows of an epoch and content hash of each source that the run was trained on, as its export records them."""
    sources = run.manifest.get("sources")
    if not isinstance(sources, dict):
        raise InputError(f"{run.folder}: {MANIFEST} does not name the sources that were trained on")
    return {name: (int(source["windows"]), str(source["content_hash"])) for name, source in sources.items()}


def described(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide what is trained, as one flat mapping with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if name in NOT_COMPARED:
            continue
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": deeper for inner, deeper in described(value).items()}
        else:
            flat[name] = value
    return flat


def same_name(runs: list[TrainedRun]) -> None:
    """Refuse two runs of one name: results are told apart by it."""
    seen: dict[str, Path] = {}
    for run in runs:
        if run.name in seen and seen[run.name].resolve() != run.folder.resolve():
            raise SettingsError(f"{seen[run.name]} and {run.folder} have the same name {run.name!r}; rename one folder")
        seen[run.name] = run.folder


def _last_of_each_step(path: Path) -> list[dict[str, Any]]:
    """The lines of a step log in order; a resumed run writes some steps again, and the last line counts."""
    steps: dict[int, dict[str, Any]] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            steps[int(line["step"])] = line
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not an object with a step: {error}") from error
    return [steps[step] for step in sorted(steps)]
