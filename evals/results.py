"""A results folder: everything that ``compare`` and ``report`` need, without the runs.

``items.parquet`` has one row a run and held-out document; ``choices.parquet`` one a run, task item and choice;
``answers.parquet`` one a run and task item; ``curves.parquet`` one a run and step; the manifest describes each run:
settings, model digest, tokens by source, how it was scored and asked, what it writes. A checkpoint that was scored
stands beside its run as a run of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError, IntegrityError, SettingsError
from common.files import MANIFEST, check_files, file_entries, publish_folder, read_manifest, write_json

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "eval_results"
ITEMS = "items.parquet"
CHOICES = "choices.parquet"
ANSWERS = "answers.parquet"
CURVES = "curves.parquet"


@dataclass(frozen=True)
class SourceUse:
    """What a run was trained on of one source."""

    tokens: int
    epoch_tokens: int
    """predicted tokens of one pass"""
    content: str
    """content hash of the shards"""

    @property
    def epochs(self) -> float:
        """Passes over the source."""
        return self.tokens / self.epoch_tokens

    @property
    def repeats(self) -> int:
        """How often the text that was seen most was seen."""
        return -(-self.tokens // self.epoch_tokens)


@dataclass(frozen=True)
class RunResult:
    """One scored run."""

    name: str
    key: str
    settings: Mapping[str, Any]
    data_name: str
    """name of the data folder, for people"""
    model_digest: str
    scoring: Mapping[str, Any]
    held_out: Mapping[str, str]
    """sha256 of the held-out documents of each source"""
    trained: Mapping[str, SourceUse]
    samples: Sequence[Mapping[str, str]]
    """``prompt`` and the ``text`` that the model wrote"""
    items: pa.Table
    """``source, document, bytes, tokens, log_probability``"""
    curve: pa.Table
    """``step, tokens, loss``"""
    choices: pa.Table | None = None
    """``task, item, choice, log_probability, bytes, is_gold``; an item is its number in the eval file, from 0.
    None if no task was asked"""
    answers: pa.Table | None = None
    """``task, item, groups, score, written``: one row an item; score and written text are null where there is none"""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """how each task was asked, and its metrics"""
    parameters: int | None = None
    """of the model"""
    checkpoint_of: str | None = None
    """name of the run that this is an earlier checkpoint of"""

    @property
    def mixture(self) -> str:
        """Name of the mixture."""
        return Path(str(self.settings.get("mixture", self.name))).stem

    @property
    def seed(self) -> Any:
        """Seed of the run."""
        return self.settings.get("seed")

    @property
    def tokens(self) -> int:
        """Tokens that it was trained on."""
        return sum(use.tokens for use in self.trained.values())

    def scores(self, source: str) -> Scores:
        """The items of ``source``."""
        import pyarrow.compute as pc

        mine = self.items.filter(pc.field("source") == source)
        return Scores(mine["bytes"].to_numpy(), mine["log_probability"].to_numpy())


@dataclass(frozen=True)
class Scores:
    """The items of one source, in the order of the documents' ids."""

    n_bytes: NDArray[np.int64]
    log_probability: NDArray[np.float64]


def item_schema() -> pa.Schema:
    """Columns of ``items.parquet`` of one run."""
    import pyarrow as pa

    return pa.schema(
        [
            ("source", pa.string()),
            ("document", pa.string()),
            ("bytes", pa.int64()),
            ("tokens", pa.int64()),
            ("log_probability", pa.float64()),
        ]
    )


def choice_schema() -> pa.Schema:
    """Columns of ``choices.parquet`` of one run."""
    import pyarrow as pa

    return pa.schema(
        [
            ("task", pa.string()),
            ("item", pa.string()),
            ("choice", pa.int64()),
            ("log_probability", pa.float64()),
            ("bytes", pa.int64()),
            ("is_gold", pa.bool_()),
        ]
    )


def answer_schema() -> pa.Schema:
    """Columns of ``answers.parquet`` of one run."""
    import pyarrow as pa

    return pa.schema(
        [
            ("task", pa.string()),
            ("item", pa.string()),
            ("groups", pa.list_(pa.field("element", pa.string()))),  # the name that Parquet gives it
            ("score", pa.float64()),
            ("written", pa.string()),
        ]
    )


def curve_schema() -> pa.Schema:
    """Columns of ``curves.parquet`` of one run."""
    import pyarrow as pa

    return pa.schema([("step", pa.int64()), ("tokens", pa.int64()), ("loss", pa.float64())])


def write_results(folder: Path, runs: Iterable[RunResult]) -> None:
    """Publish a results folder with ``runs``, by name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(runs, key=lambda run: run.name)
    with publish_folder(folder) as temporary:
        rows = {}
        columns = {
            ITEMS: [run.items for run in ordered],
            CHOICES: [run.choices if run.choices is not None else choice_schema().empty_table() for run in ordered],
            ANSWERS: [run.answers if run.answers is not None else answer_schema().empty_table() for run in ordered],
            CURVES: [run.curve for run in ordered],
        }
        for name, tables in columns.items():
            owner = [run.name for run, table in zip(ordered, tables, strict=True) for _ in range(table.num_rows)]
            table = pa.concat_tables(tables).combine_chunks().add_column(0, "run", pa.array(owner, pa.string()))
            pq.write_table(table, temporary / name, compression="zstd")
            rows[name] = table.num_rows
        manifest = {
            "kind": KIND,
            "runs": {run.name: _description(run) for run in ordered},
            "files": file_entries(temporary, rows),
        }
        write_json(temporary / MANIFEST, manifest)


def read_results(folder: Path) -> dict[str, RunResult]:
    """The runs of a results folder by name.

    Raises:
        InputError: if it is none.
        IntegrityError: if a file is not the one that the manifest lists.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: make it with `evals run RUN --out {folder}`")
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise InputError(f"{folder} is not a results folder: its manifest says {manifest.get('kind')}")
    check_files(folder, manifest["files"])
    tables = [pq.read_table(folder / name) for name in (ITEMS, CURVES, CHOICES, ANSWERS)]
    runs = {}
    for name, about in manifest["runs"].items():
        trained = {source: SourceUse(**use) for source, use in about["trained"].items()}
        items, curve, choices, answers = (table.filter(pc.field("run") == name).drop_columns("run") for table in tables)
        if items.num_rows == 0:
            raise IntegrityError(f"{folder}: {ITEMS} has no row of the run {name}")
        about |= {"trained": trained, "choices": choices if choices.num_rows else None}
        about |= {"answers": answers if answers.num_rows else None}
        runs[name] = RunResult(name=name, **about, items=items, curve=curve)
    return runs


def read_all(folders: Sequence[Path]) -> list[RunResult]:
    """The runs of several results folders, by name.

    Raises:
        InputError: if none is named or one cannot be read.
        SettingsError: if two different results have the same name.
    """
    if not folders:
        raise InputError("name at least one results folder")
    found: dict[str, RunResult] = {}
    for folder in folders:
        for name, run in read_results(folder).items():
            if name in found and found[name].key != run.key:
                raise SettingsError(f"two different results are called {name!r}; rename one run's folder and run again")
            found[name] = run
    return [found[name] for name in sorted(found)]


def _description(run: RunResult) -> dict[str, Any]:
    return {
        "key": run.key,
        "settings": dict(run.settings),
        "data_name": run.data_name,
        "model_digest": run.model_digest,
        "scoring": dict(run.scoring),
        "held_out": dict(run.held_out),
        "trained": {source: asdict(use) for source, use in run.trained.items()},
        "samples": [dict(sample) for sample in run.samples],
        "parameters": run.parameters,
        "checkpoint_of": run.checkpoint_of,
        "tasks": {name: dict(task) for name, task in run.tasks.items()},
    }
