"""Score finished runs on held-out documents and keep the items."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.documents import read_rows
from common.errors import InputError, SettingsError
from common.files import MANIFEST, content_key, lock, remove_unfinished
from evals import suite
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
from evals.settings import RunSettings, TaskSettings
from evals.tasks import has_items

VERSION = 1
"""Part of every key. Raise it when the same run and documents would give other numbers."""
PROMPTS = (
    "Plants need light because",
    "The water in a river comes from",
    "Question: Why does ice float on water?\nAnswer:",
    'def average(numbers):\n    """Return the mean of a list of numbers."""\n',
)
"""What each model is asked to continue, to be read side by side; no measure is taken from it."""

_KIND = {False: "held-out documents", True: "eval files"}


@dataclass(frozen=True)
class Job:
    """One run to score."""

    run: TrainedRun
    held_out: list[HeldOut]
    key: str
    is_scored: bool
    questions: list[suite.Question]
    items: Path | None
    """folder with the eval files of the questions"""

    @property
    def is_done(self) -> bool:
        """Whether the results folder holds all of it."""
        return self.is_scored and all(question.is_done for question in self.questions)


def plan(
    runs: list[Path],
    out: Path,
    settings: RunSettings,
    data: Sequence[Path] = (),
    *,
    checkpoints: bool = False,
    asked: TaskSettings | None = None,
) -> list[Job]:
    """Look at the runs and their held-out documents, before anything heavy is loaded.

    Args:
        runs: run directories.
        out: results folder; runs that it holds already with the same key are done.
        data: folders with held-out documents or eval files; default: what each run was trained on, and the hub.
        checkpoints: whether the earlier checkpoints that each run kept are scored too.
        asked: benchmarks, besides the held-out documents.
    Raises:
        InputError: if no run is named, a run is not finished or has no held-out documents, or a task no eval file.
    """
    if not runs:
        raise InputError("name at least one run directory")
    opened = [open_run(folder) for folder in runs]
    same_name(opened)
    if checkpoints:
        opened = [each for run in opened for each in (run, *open_checkpoints(run))]
    done = read_results(out) if _has_results(out) else {}
    documents, items = _folders(data)
    jobs = []
    for run in opened:
        held_out = open_held_out(documents or run.data)
        scoring = settings.resolved(run.context_length)
        key = content_key(VERSION, run.model_digest, [[h.source, h.sha256] for h in held_out], scoring, PROMPTS)
        old = done.get(run.name)
        questions = suite.plan(run, old, settings, asked or TaskSettings(), items)
        jobs.append(Job(run, held_out, key, old is not None and old.key == key, questions, items))
    return jobs


def shown(job: Job) -> dict[str, Any]:
    """What scoring a run would do, as a row for people."""
    return {
        "run": job.run.name,
        "sources": ", ".join(source.source for source in job.held_out),
        "documents": sum(source.documents for source in job.held_out),
        "tasks": len(job.questions),
        "context_length": job.run.context_length,
        "done": job.is_done,
    }


def score(
    jobs: list[Job],
    out: Path,
    settings: RunSettings,
    progress: Callable[[str, int | None, str], AbstractContextManager[Any]],
) -> None:
    """Score every job that is not done and add it to ``out``; each task is published as soon as it is answered.

    Args:
        jobs: from :func:`plan`.
        out: results folder. Other runs in it stay; a run of the same name is replaced.
        settings: see :class:`RunSettings`.
        progress: is called with a name, a number and its unit; gives a context whose value has ``update(number)``.
    """
    if all(job.is_done for job in jobs):
        return
    workshop = out.parent / f".scoring-{out.name}"
    with lock(workshop):
        try:
            remove_unfinished(out.parent, out.name)
            for job in jobs:
                if not job.is_done:
                    with model_folder(job.run, workshop) as folder:
                        scorer = Scorer(folder, settings.device)
                    _finish(job, out, settings, scorer, progress)
        finally:
            shutil.rmtree(workshop)


def _finish(
    job: Job,
    out: Path,
    settings: RunSettings,
    scorer: Scorer,
    progress: Callable[[str, int | None, str], AbstractContextManager[Any]],
) -> None:
    """Score what is not done of a job, and publish after every task."""
    present = read_results(out) if _has_results(out) else {}
    others = [run for run in present.values() if run.name != job.run.name]
    old = present.get(job.run.name)
    if job.is_scored and old is not None:
        result = old
    else:
        result = suite.kept(_score_run(job, settings, scorer, progress), old)
        write_results(out, [*others, result])
    for question in job.questions:
        if not question.is_done:
            result = suite.answer(question, result, scorer, job.items, progress)
            write_results(out, [*others, result])


def _score_run(
    job: Job,
    settings: RunSettings,
    scorer: Scorer,
    progress: Callable[[str, int | None, str], AbstractContextManager[Any]],
) -> RunResult:
    import pyarrow as pa

    run = job.run
    scoring = settings.resolved(run.context_length)
    trained = _trained(run)  # before the long work: it may be refused
    owners, names, texts = [], [], []
    for source in job.held_out:
        rows = sorted(read_rows(str(source.path), ("id", "text")), key=lambda row: str(row["id"]))
        for row in rows[: settings.max_documents]:
            owners.append(source.source)
            names.append(str(row["id"]))
            texts.append(str(row["text"]))
    encoded = scorer.encode(texts)
    tokens = [len(ids) for ids in encoded]
    with progress(run.name, sum(tokens), " tokens") as bar:
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
        trained=trained,
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


def _folders(data: Sequence[Path]) -> tuple[Path | None, Path | None]:
    """The folder with held-out documents and the one with eval files, of those that were named."""
    kinds: dict[bool, Path] = {}
    for folder in data:
        if not folder.is_dir():
            raise InputError(f"the data folder {folder} does not exist; name it with --data")
        is_items = has_items(folder)
        if is_items in kinds:
            raise SettingsError(
                f"--data {kinds[is_items]} and {folder} are both folders of {_KIND[is_items]}; name one"
            )
        kinds[is_items] = folder
    return kinds.get(False), kinds.get(True)


def _has_results(out: Path) -> bool:
    if out.exists() and not (out / MANIFEST).is_file():
        raise InputError(f"{out} exists and is not a results folder; give --out another name")
    return out.exists()
