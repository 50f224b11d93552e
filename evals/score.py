"""Score finished runs on held-out documents and keep the items."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.documents import read_rows
from common.errors import InputError
from common.files import MANIFEST, content_key, lock, remove_unfinished
from evals.likelihood import Scorer
from evals.results import RunResult, SourceUse, curve_schema, item_schema, read_results, write_results
from evals.runs import (
    HeldOut,
    TrainedRun,
    described,
    loss_curve,
    model_folder,
    open_checkpoints,
    open_held_out,
    open_run,
    same_name,
    trained_sources,
    trained_tokens,
)
from evals.settings import RunSettings

VERSION = 1
"""Part of every key. Raise it when the same run and documents would give other numbers."""
PROMPTS = (
    "Plants need light because",
    "The water in a river comes from",
    "Question: Why does ice float on water?\nAnswer:",
    'def average(numbers):\n    """Return the mean of a list of numbers."""\n',
)
"""What each model is asked to continue, to be read side by side; no measure is taken from it."""


@dataclass(frozen=True)
class Job:
    """One run to score."""

    run: TrainedRun
    held_out: list[HeldOut]
    key: str
    is_done: bool


def plan(
    runs: list[Path], out: Path, settings: RunSettings, data_dir: Path | None = None, checkpoints: bool = False
) -> list[Job]:
    """Look at the runs and their held-out documents, before anything heavy is loaded.

    Args:
        runs: run directories.
        out: results folder; runs that it holds already with the same key are done.
        data_dir: data folder with the held-out documents; default: the one that each run was trained on.
        checkpoints: whether the earlier checkpoints that each run kept are scored too.
    Raises:
        InputError: if no run is named, a run is not finished or has no held-out documents.
    """
    if not runs:
        raise InputError("name at least one run directory")
    opened = [open_run(folder) for folder in runs]
    same_name(opened)
    if checkpoints:
        opened = [each for run in opened for each in (run, *open_checkpoints(run))]
    done = read_results(out) if _has_results(out) else {}
    jobs = []
    for run in opened:
        held_out = open_held_out(data_dir or run.data)
        scoring = settings.resolved(run.context_length)
        key = content_key(VERSION, run.model_digest, [[h.source, h.sha256] for h in held_out], scoring, PROMPTS)
        jobs.append(Job(run, held_out, key, is_done=run.name in done and done[run.name].key == key))
    return jobs


def shown(job: Job) -> dict[str, Any]:
    """What scoring a run would do, as a row for people."""
    return {
        "run": job.run.name,
        "sources": ", ".join(source.source for source in job.held_out),
        "documents": sum(source.documents for source in job.held_out),
        "context_length": job.run.context_length,
        "done": job.is_done,
    }


def score(
    jobs: list[Job],
    out: Path,
    settings: RunSettings,
    progress: Callable[[str, int], AbstractContextManager[Any]],
) -> None:
    """Score every job that is not done and add it to ``out``; each is published as soon as it is finished.

    Args:
        jobs: from :func:`plan`.
        out: results folder. Other runs in it stay; a run of the same name is replaced.
        settings: see :class:`RunSettings`.
        progress: is called with a name and a number of tokens; gives a context whose value has ``update(tokens)``.
    """
    if all(job.is_done for job in jobs):
        return
    workshop = out.parent / f".scoring-{out.name}"
    with lock(workshop):
        try:
            remove_unfinished(out.parent, out.name)
            for job in jobs:
                if not job.is_done:
                    result = _score_run(job, settings, progress, workshop)
                    present = read_results(out) if _has_results(out) else {}
                    write_results(out, [*(run for run in present.values() if run.name != result.name), result])
        finally:
            shutil.rmtree(workshop)


def _score_run(
    job: Job, settings: RunSettings, progress: Callable[[str, int], AbstractContextManager[Any]], workshop: Path
) -> RunResult:
    import pyarrow as pa

    run = job.run
    scoring = settings.resolved(run.context_length)
    with model_folder(run, workshop) as folder:
        scorer = Scorer(folder, settings.device)
    owners, names, texts = [], [], []
    for source in job.held_out:
        rows = sorted(read_rows(str(source.path), ("id", "text")), key=lambda row: str(row["id"]))
        for row in rows[: settings.max_documents]:
            owners.append(source.source)
            names.append(str(row["id"]))
            texts.append(str(row["text"]))
    encoded = scorer.encode(texts)
    tokens = [len(ids) for ids in encoded]
    with progress(run.name, sum(tokens)) as bar:
        values = scorer.log_probabilities(
            encoded, run.context_length, scoring["stride"], settings.batch_tokens, bar.update
        )
    items = {
        "source": owners,
        "document": names,
        "bytes": [len(text.encode("utf-8")) for text in texts],
        "tokens": tokens,
        "log_probability": values.tolist(),
    }
    return RunResult(
        name=run.name,
        key=job.key,
        settings=described(run.settings),
        data_name=Path(str(run.settings.get("data", ""))).name,
        model_digest=run.model_digest,
        scoring=scoring | {"device": scorer.device},
        held_out={source.source: source.sha256 for source in job.held_out},
        trained=_trained(run),
        samples=[] if run.checkpoint_of else _samples(scorer, settings),
        items=pa.Table.from_pydict(items, schema=item_schema()),
        curve=pa.Table.from_pylist([] if run.checkpoint_of else loss_curve(run), schema=curve_schema()),
        parameters=run.manifest.get("parameters"),
        checkpoint_of=run.checkpoint_of,
    )


def _samples(scorer: Scorer, settings: RunSettings) -> list[dict[str, str]]:
    return [{"prompt": text, "text": scorer.write_on(text, settings.sample_tokens)} for text in PROMPTS]


def _trained(run: TrainedRun) -> dict[str, SourceUse]:
    counts = trained_tokens(run)
    return {
        source: SourceUse(counts.get(source, 0), windows * run.context_length, content)
        for source, (windows, content) in trained_sources(run).items()
    }


def _has_results(out: Path) -> bool:
    if out.exists() and not (out / MANIFEST).is_file():
        raise InputError(f"{out} exists and is not a results folder; give --out another name")
    return out.exists()
