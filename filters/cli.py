"""The command ``filters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from common import command
from filters.plan_settings import Planning

if TYPE_CHECKING:
    from filters.job import Job

app = App(
    name="filters",
    help="Turn a raw crawl into a corpus of an exact token budget, by educational value.\n\n"
    "Example: filters run job.yaml; filters why corpora/web http://example.org/page",
)

_SHOWN_COPIES = 10
PLANNING_DEFAULTS = Planning()
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def run(
    job: Path,
    *,
    output: str | None = None,
    budget_tokens: int | None = None,
    workers: int | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Make the corpus that a job file describes. A finished job does nothing; a killed one goes on where it was.

    Example: filters run job.yaml --budget-tokens 1_000_000 --workers 2

    A job file needs three lines: input: crawl/*.warc.gz, output: corpora/web, budget_tokens: 95_000_000_000.

    Parameters
    ----------
    job
        The job, a YAML file; docs/filters.md names every key.
    output
        Corpus directory, instead of the job's.
    budget_tokens
        Tokens to keep at most, instead of the job's budget_tokens or budgets.
    workers
        Processes at a time, instead of the job's. The corpus does not depend on it.
    dry_run
        Say what would be read, what is done already, and stop.
    json
        Print one JSON document.
    """
    from filters import stages
    from filters.outcome import outcome_text
    from filters.report import funnel_rows

    described = _described(job, output, budget_tokens, workers)
    if dry_run:
        preview = stages.preview(described)
        command.emit(preview, command.table([preview]), json)
        return
    manifests = stages.run_all(described)
    texts = []
    for place, manifest in manifests.items():
        planned = outcome_text(Path(described.places()[place]), manifest)
        texts.append(f"{command.table(funnel_rows(manifest))}\n\n{_summary(manifest, place)}{planned}")
    command.emit({"corpora": manifests} if described.budgets else manifests[described.output], "\n\n".join(texts), json)


@app.command
def plan(
    job: Path,
    *,
    planning: Annotated[Planning, Parameter(name="*")] = PLANNING_DEFAULTS,
    output: str | None = None,
    budget_tokens: int | None = None,
    workers: int | None = None,
    json: Flag = False,
) -> None:
    """Predict what a job will keep, take and cost, from a random sample that goes through its own steps.

    Example: filters plan job.yaml --workers 64 --price-core-hour 0.04 --price-tb-month 20

    Every figure comes with a 95% interval. The plan is kept as OUTPUT/plan.json, and filters run sets it beside what
    it found. Hours are CPU hours of this machine.

    Parameters
    ----------
    job
        The job, a YAML file.
    output
        Corpus directory, instead of the job's.
    budget_tokens
        Tokens to keep at most, instead of the job's budget_tokens or budgets.
    workers
        Processes at a time, instead of the job's: the hours on the clock are for so many cores.
    json
        Print one JSON document.
    """
    from filters.outcome import plan_text
    from filters.plan import make_plans

    described = _described(job, output, budget_tokens, workers)
    plans = make_plans(described, planning)
    text = "\n\n".join(f"{folder}\n{plan_text(made)}" for folder, made in plans.items())
    command.emit({"plans": plans} if described.budgets else plans[described.output], text, json)


@app.command
def why(corpus: Path, name: str, *, json: Flag = False) -> None:
    """Say why a document was kept or dropped: the decision and every measurement.

    Example: filters why corpora/web http://example.org/page

    Parameters
    ----------
    corpus
        A corpus directory.
    name
        Id or URL of a document that the job read, kept or dropped.
    json
        Print one JSON document.
    """
    from filters.provenance import explain

    found = explain(corpus, name)
    command.emit({"documents": [one.as_values() for one in found]}, "\n\n".join(map(_explained, found)), json)


@app.command
def replay(
    corpus: Path,
    name: str,
    *,
    input_: Annotated[tuple[str, ...], Parameter(name="--input", negative=())] = (),
    classifier: str = "default",
    json: Flag = False,
) -> int:
    """Make a document anew from the bytes of the crawl and compare: text, measurements, score, decision.

    Exit status 0 if all is the same, 1 if something differs; the first difference is named.

    Example: filters replay corpora/web http://example.org/page

    Parameters
    ----------
    corpus
        A corpus directory.
    name
        Id or URL of a document that the job read, kept or dropped.
    input_
        Where the input lies now, as in the job: file, folder, glob or URL. Without it: where it lay.
    classifier
        The classifier of the job: default, or a directory.
    json
        Print one JSON document.
    """
    from filters.replay import replay as made_anew

    found = made_anew(corpus, name, input_, classifier)
    command.emit({"documents": [one.as_values() for one in found]}, "\n\n".join(map(_replayed, found)), json)
    return int(any(one.difference for one in found))


@app.command
def report(corpus: Path, *, json: Flag = False) -> None:
    """Write report.html of a corpus again, with the throughput of every step, and print funnel and throughput.

    Example: filters report corpora/web

    Seconds are CPU seconds; filters run leaves them out, so that the same job makes the same page on any machine.

    Parameters
    ----------
    corpus
        A corpus directory.
    json
        Print one JSON document.
    """
    from filters.corpus import renew_report
    from filters.report import funnel_rows
    from filters.throughput import throughput_rows

    manifest = renew_report(corpus)
    rows, speeds = funnel_rows(manifest), throughput_rows(corpus)
    tables = [command.table(shown) for shown in (rows, speeds) if shown]
    command.emit({"funnel": rows, "throughput": speeds}, "\n\n".join([*tables, _summary(manifest, corpus)]), json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)


def _described(path: Path, output: str | None, budget_tokens: int | None, workers: int | None) -> Job:
    from common.settings import read_yaml
    from filters.job import Job

    values: dict[str, Any] = read_yaml(path)
    if output is not None:
        values["output"] = output
    if budget_tokens is not None:
        values = {**values, "budget_tokens": budget_tokens, "budgets": None}
    if workers is not None:
        executor = values.get("executor")
        values["executor"] = {**(executor if isinstance(executor, dict) else {}), "workers": workers}
    return Job.parse(values, where=str(path))


def _summary(manifest: Mapping[str, Any], corpus: Path | str) -> str:
    counts = manifest["counts"]
    goal = f" of {manifest['budget_tokens']:,}" if manifest["budget_tokens"] else ""
    return (
        f"kept {counts['kept']:,} of {counts['read']:,} documents, {manifest['kept_tokens']:,}{goal} tokens, "
        f"scores from {manifest['threshold']:.4f}\n{_quotas(manifest)}{_cascade(manifest['cascade'])}"
        f"corpus {corpus}, page {corpus}/report.html"
    )


def _quotas(manifest: Mapping[str, Any]) -> str:
    short = f"{manifest['unfilled_tokens']:,} tokens short of the budget\n" if manifest["unfilled_tokens"] else ""
    return short + (f"\n{command.table(manifest['quotas'])}\n" if manifest["quotas"] else "")


def _cascade(cascade: Mapping[str, Any] | None) -> str:
    if cascade is None:
        return ""
    audit = cascade["audit"]
    return f"the full model scored {cascade['full_fraction']:.1%} of the documents" + (
        f"; audit: {audit['error_fraction']:.2%} of the kept tokens decided otherwise by the first stage, at most "
        f"{audit['high']:.2%}\n"
        if audit
        else "\n"
    )


def _explained(explanation: Any) -> str:
    from filters.clusters import stayed

    row = explanation.row
    known = {name: value for name, value in row.items() if name not in {"text", *explanation.decided_by}}
    lines = [f"{name}: {_plain(value)}" for name, value in known.items() if value is not None]
    text = " ".join((row["text"] or "").split())[:200]
    measured = command.table(explanation.measured_rows()) if explanation.measurements else "nothing to measure"
    if explanation.copies:
        lines.append(f"cluster: {stayed(row)} stays for {len(explanation.copies):,}, the least similar first:")
        lines += [
            f"  {copy['similarity']:.3f}  {copy['reason']}  {copy['id']}" for copy in explanation.copies[:_SHOWN_COPIES]
        ]
    return "\n".join([explanation.decision, *lines, f"text: {text}", "", measured])


def _replayed(one: Any) -> str:
    first = one.difference
    answer = "the same again" if first is None else f"differs first in {first.what}: {first.then} then, {first.now} now"
    rows = [
        {"made again": check.what, "then": check.then, "now": check.now, "same": check.same} for check in one.checks
    ]
    return "\n".join(
        [f"{answer}: {one.document}", f"from {one.place}", *([one.basis] if one.basis else []), "", command.table(rows)]
    )


def _plain(value: Any) -> Any:
    """Counts by name in words: ``email 2, phone 1``."""
    return ", ".join(f"{name} {count}" for name, count in value.items() if count) if isinstance(value, dict) else value
