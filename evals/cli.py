"""The command ``evals``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common import command
from evals.settings import CompareSettings, RunSettings, TaskSettings

app = App(
    name="evals",
    help="Measure trained models on held-out text and compare what they were trained on.\n\n"
    "Example: evals run runs/web runs/web_only --out results; evals compare results; "
    "evals report results --out comparison.html",
)

DEFAULTS = RunSettings()
ASKED = TaskSettings()
COMPARED = CompareSettings()
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def run(
    *runs: Path,
    out: Path,
    data: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = (),
    checkpoints: Flag = False,
    settings: Annotated[RunSettings, Parameter(name="*")] = DEFAULTS,
    tasks: Annotated[TaskSettings, Parameter(name="*")] = ASKED,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Score runs on the held-out documents of every source and, with --tasks, on the paper's benchmarks.

    Every document and every choice of an item is kept with its log-probability. What RESULTS holds already is not
    scored again; other runs in it stay. A killed command goes on with the task that it was at.

    Example: evals run runs/web runs/web_only --out results --tasks all --limit 100 --data evals

    Parameters
    ----------
    runs
        Run directories of train.
    out
        Results folder to write or to add to.
    data
        Folder with held-out documents (SOURCE/held_out.parquet) or with eval files (TASK.jsonl, plain, .gz or .zst);
        may be given twice. Default: the data that each run was trained on, and the hub's data sets.
    checkpoints
        Score the earlier checkpoints that each run kept too: for curves, and for means over the last ones.
    dry_run
        Say what would be scored, and stop.
    json
        Print one JSON document.
    """
    from evals import score, suite
    from evals.results import read_results
    from evals.tables import summary

    jobs = score.plan(list(runs), out, settings, data, checkpoints=checkpoints, asked=tasks)
    if dry_run:
        rows = [score.shown(job) for job in jobs]
        command.emit({"out": str(out), "runs": rows}, command.table(rows), json)
        return
    for job in jobs:
        if job.is_done:
            command.note(f"{job.run.name} is in {out} already, scored in the same way: nothing to do")
    score.score(jobs, out, settings, lambda name, count, unit: command.progress(count, unit, f"score {name}"))
    scored = read_results(out)
    rows = summary([scored[job.run.name] for job in jobs])
    answers = [
        row for job in jobs for row in suite.rows(scored[job.run.name], [each.task.name for each in job.questions])
    ]
    text = "\n\n".join(command.table(each) for each in (rows, answers) if each)
    command.emit({"out": str(out), "runs": rows, "tasks": answers}, text, json)


@app.command
def compare(
    *results: Path,
    settings: Annotated[CompareSettings, Parameter(name="*")] = COMPARED,
    json: Flag = False,
) -> None:
    """Say of variants whether they are better, worse, equivalent or not distinguishable, and how sure that is.

    Runs that differ only in the seed are one variant. With three seeds or more of both, a pair of variants gets a
    verdict on the recipe; with fewer only an interval over items, which is about these trained models.
    Scores are the probability of the right answer on each task (higher is better) and bits per byte of each source of
    held-out documents (lower is better).

    Example: evals compare results --baseline web_only

    Parameters
    ----------
    results
        Results folders of evals run.
    json
        Print one JSON document.
    """
    from evals.compare import compare as compare_runs
    from evals.results import read_all
    from evals.tables import as_json, as_text

    comparison = compare_runs(read_all(list(results)), settings)
    command.emit(as_json(comparison), as_text(comparison), json)


@app.command
def report(
    *results: Path,
    out: Path,
    runs: Path | None = None,
    settings: Annotated[CompareSettings, Parameter(name="*")] = COMPARED,
    json: Flag = False,
) -> None:
    """Write one HTML page about the variants: verdicts, what they were trained on, curves, the paper's table, samples.

    The page stands alone and opens offline.

    Example: evals report results --out comparison.html --runs runs

    Parameters
    ----------
    results
        Results folders of evals run.
    out
        The page.
    runs
        Folder that holds the run directories, to link to them.
    json
        Print one JSON document.
    """
    from evals.compare import compare as compare_runs
    from evals.report import page, run_links
    from evals.results import read_all

    read = read_all(list(results))
    comparison = compare_runs(read, settings)
    page(comparison, run_links(read, runs, out) if runs else None).write(out)
    names = [variant.name for variant in comparison.variants]
    command.emit({"page": str(out), "variants": names}, f"{out}: {', '.join(names)}", json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)
