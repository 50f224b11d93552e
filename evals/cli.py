"""The command ``evals``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common import command
from evals.settings import RunSettings

app = App(
    name="evals",
    help="Measure trained models on held-out text and compare what they were trained on.\n\n"
    "Example: evals run runs/web runs/web_only --out results; evals compare results; "
    "evals report results --out comparison.html",
)

DEFAULTS = RunSettings()
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def run(
    *runs: Path,
    out: Path,
    data: Path | None = None,
    settings: Annotated[RunSettings, Parameter(name="*")] = DEFAULTS,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Score runs on the held-out documents of every source: one row a document, with its log-probability.

    A run that RESULTS holds already is not scored again; other runs in it stay.

    Example: evals run runs/web runs/web_only --out results

    Parameters
    ----------
    runs
        Run directories of train.
    out
        Results folder to write or to add to.
    data
        Data folder with the held-out documents; default: the one that each run was trained on.
    dry_run
        Say what would be scored, and stop.
    json
        Print one JSON document.
    """
    from evals import score
    from evals.results import read_results
    from evals.tables import summary

    jobs = score.plan(list(runs), out, settings, data)
    if dry_run:
        rows = [score.shown(job) for job in jobs]
        command.emit({"out": str(out), "runs": rows}, command.table(rows), json)
        return
    for job in jobs:
        if job.is_done:
            command.note(f"{job.run.name} is in {out} already, scored in the same way: nothing to do")
    score.score(jobs, out, settings, lambda name, tokens: command.progress(tokens, " tokens", f"score {name}"))
    scored = read_results(out)
    rows = summary([scored[job.run.name] for job in jobs])
    command.emit({"out": str(out), "runs": rows}, command.table(rows), json)


@app.command
def compare(*results: Path, json: Flag = False) -> None:
    """Compare variants: bits per byte on each source, with intervals over documents.

    Lower is better. Runs that differ only in the seed are one variant.

    Example: evals compare results

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

    comparison = compare_runs(read_all(list(results)))
    command.emit(as_json(comparison), as_text(comparison), json)


@app.command
def report(*results: Path, out: Path, json: Flag = False) -> None:
    """Write one HTML page that compares the variants: what they were trained on, curves, bits per byte, samples.

    The page stands alone and opens offline.

    Example: evals report results --out comparison.html

    Parameters
    ----------
    results
        Results folders of evals run.
    out
        The page.
    json
        Print one JSON document.
    """
    from evals.compare import compare as compare_runs
    from evals.report import page
    from evals.results import read_all

    comparison = compare_runs(read_all(list(results)))
    page(comparison).write(out)
    names = [variant.name for variant in comparison.variants]
    command.emit({"page": str(out), "variants": names}, f"{out}: {', '.join(names)}", json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)
