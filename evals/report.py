"""The page of an ablation: verdicts, what was trained on, curves, the paper's numbers, what the models write."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.page import Page
from evals import paper, plots
from evals.clean import FILES
from evals.comparison import MEAN, Comparison, Difference
from evals.results import RunResult
from evals.seeds import MIN_SEEDS
from evals.tables import difference_rows, line, measure_rows, seed_rows, shown, verdict_rows
from evals.units import GOLD, Metric
from evals.variants import Variant

GOOD_REPEATS = 4
"""Up to four passes repeated text is worth almost as much as new text (Muennighoff et al. 2023, arXiv 2305.16264)."""


def page(comparison: Comparison, links: Mapping[str, Path] | None = None) -> Page:
    """The page that compares the variants; it stands alone.

    Args:
        comparison: what it says.
        links: run directories by name of the run, relative to the page.
    """
    runs = [run for variant in comparison.variants for run in variant.runs]
    names = [variant.name for variant in comparison.variants]
    result = Page(
        f"Trained on {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f"Trained on {names[0]}",
        "What text is worth to models that differ in nothing else.",
    )
    result.facts(
        [
            ("variants", len(names)),
            ("trained models", len(runs)),
            ("tokens a model", max(v.tokens for v in comparison.variants)),
            *_counts(comparison).items(),
        ]
    )
    for variant in comparison.variants:
        result.paragraph(f"{variant.name}: {_mixture_in_words(variant.runs[0])}.")
    for sentence in headline(comparison):
        result.paragraph(sentence)
    for note in comparison.notes[:1]:
        result.paragraph(note)
    for metric in comparison.metrics():
        _scores(result, comparison, metric)
    if seeds := seed_rows(comparison):
        result.heading("Between seeds")
        _table(result, seeds)
    if comparison.notes[1:]:
        result.heading("Read with care")
    for note in comparison.notes[1:]:
        result.paragraph(note, small=True)
    _trained_on(result, comparison.variants)
    _loss(result, comparison.variants)
    _paper(result, comparison)
    _samples(result, comparison.variants)
    _measured(result, runs, links or {})
    return result


def _counts(comparison: Comparison) -> dict[str, int]:
    """Tasks and sources of all metrics."""
    counts: dict[str, int] = {}
    for metric in comparison.metrics():
        names = [name for name in comparison.names(metric) if name != MEAN]
        counts[f"{metric.of}s"] = counts.get(f"{metric.of}s", 0) + len(names)
    return counts


def run_links(runs: Sequence[RunResult], folder: Path, out: Path) -> dict[str, Path]:
    """Where the run directories in ``folder`` lie, as seen from the page ``out``.

    Raises:
        InputError: if none of the runs lies there.
    """
    beside = out.resolve().parent
    found = {
        run.name: Path(os.path.relpath((folder / run.name).resolve(), beside))
        for run in runs
        if (folder / run.name).is_dir()
    }
    if not found:
        raise InputError(f"{folder} holds none of the runs {', '.join(run.name for run in runs)}")
    return found


def headline(comparison: Comparison) -> list[str]:
    """The verdicts on the first line of each metric, as sentences."""
    sentences = []
    for metric in comparison.metrics():
        first = next(iter(comparison.names(metric)))
        for d in comparison.differences:
            if (d.metric, d.name) == (metric.name, first) and d.verdict:
                sentences.append(_sentence(d, line(first, metric), metric))
    return sentences


def _sentence(d: Difference, where: str, metric: Metric) -> str:
    assert d.verdict
    word = {"better": "better than", "worse": "worse than", "equivalent": "equivalent to"}.get(
        d.verdict.word, "not distinguishable from"
    )
    return (
        f"{d.first} is {word} {d.second} by {metric.title.lower()} ({where}): "
        f"{shown(d.difference, d.verdict.low, d.verdict.high, signed=True)}."
    )


def _mixture_in_words(run: RunResult) -> str:
    total = run.tokens
    return ", ".join(f"{use.tokens / total:.0%} {source}" for source, use in run.trained.items() if total)


def _scores(result: Page, comparison: Comparison, metric: Metric) -> None:
    direction = "Higher" if metric.higher_is_better else "Lower"
    result.heading(metric.title)
    if rows := verdict_rows(comparison, metric):
        result.heading("Verdicts on the recipes", 3)
        result.paragraph(
            "The seed is what is replicated: Welch's interval (95%, of the line by itself) over trained models. p is "
            "that there is no difference, corrected for all lines of the table together: where all recipes are equal, "
            "at most one such table in twenty calls any better or worse. Equivalent: proven to differ by less than "
            f"{comparison.settings.margin(metric.name):g}, the margin. Detectable: the difference that would be found "
            "four times in five.",
            small=True,
        )
        _table(result, rows)
    names = comparison.names(metric)
    result.figure(
        lambda axes: plots.scores(axes, comparison, metric),
        f"{metric.title}, means over runs with 95% intervals over {metric.items}. {direction} is better."
        + (" Grey: no signal." if not all(map(comparison.has_signal, names)) else ""),
        width=plots.WIDTH,
        height=1.1 + 0.26 * (len(comparison.variants) + 1) * len(names),
    )
    weak = [number for number, name in enumerate(names) if not comparison.has_signal(name)]
    _table(result, measure_rows(comparison, metric), weak)
    if rows := difference_rows(comparison, metric):
        result.heading("Differences between these trained models", 3)
        result.paragraph(
            f"No verdict on the recipes: that takes {MIN_SEEDS} seeds of both. The {metric.items} are resampled in "
            "pairs, so that what makes some harder than others falls out.",
            small=True,
        )
        _table(result, rows)
    for name in dict.fromkeys(point.name for point in comparison.curves if point.metric == metric.name):
        result.figure(
            lambda axes, name=name: plots.curve(axes, comparison, metric, name),  # type: ignore[misc]
            f"{metric.title} over checkpoints, {line(name, metric)}. Thick: mean over seeds; thin: each seed.",
            width=plots.WIDTH,
            height=2.4,
        )


def _trained_on(result: Page, variants: Sequence[Variant]) -> None:
    result.heading("What the models were trained on")
    rows: list[list[Any]] = []
    for variant in variants:
        run = variant.runs[0]
        for source, use in run.trained.items():
            share = f"{use.tokens / run.tokens:.2%}" if run.tokens else None
            rows.append([variant.name, source, use.tokens, share, use.epoch_tokens, use.epochs, use.repeats])
    result.table(["variant", "source", "tokens", "share", "tokens of one epoch", "epochs", "repeats"], rows)
    worn = sorted({f"{row[1]} in {row[0]}" for row in rows if row[6] is not None and row[6] > GOOD_REPEATS})
    if worn:
        result.paragraph(
            f"Seen more than {GOOD_REPEATS} times: {', '.join(worn)}. Text that is repeated so often is worth clearly "
            "less than new text (Muennighoff et al. 2023).",
        )


def _loss(result: Page, variants: Sequence[Variant]) -> None:
    result.heading("Training loss")
    result.figure(
        lambda axes: plots.loss(axes, variants),
        "Loss on each model's own training text, in nats a token. Different mixtures are differently hard, so that "
        "curves of different variants do not rank them.",
        width=plots.WIDTH,
    )


def _paper(result: Page, comparison: Comparison) -> None:
    result.heading("Beside the paper")
    variants = comparison.variants
    measured = {task for task, _ in comparison.accuracy}
    tasks = [(task, name) for name in paper.ACCURACY for task in sorted(measured) if FILES.get(task, task) == name]
    if tasks:
        result.paragraph(
            "Accuracy, or exact match where the answer is written. Models and prompts differ, so that the columns set "
            "the scale and are no ranking.",
            small=True,
        )
        result.table(
            ["task", *(variant.name for variant in variants), *paper.MODELS],
            [
                [task, *(comparison.accuracy.get((task, v.name)) for v in variants), *paper.ACCURACY[name]]
                for task, name in tasks
            ],
            [number for number, (task, _) in enumerate(tasks) if not comparison.has_signal(task)],
        )
    rows = [_compute(v.name, v.runs[0].parameters, v.tokens, _unique(v.runs[0]), None) for v in variants]
    rows += [_compute(row[0], paper.PARAMETERS, *row[1:]) for row in paper.COMPUTE]
    result.table(["model", "parameters", "tokens", "unique tokens", "GPU-hours", "training FLOPs, 6·N·D"], rows)


def _compute(name: str, parameters: int | None, tokens: int | None, *others: Any) -> list[Any]:
    return [name, parameters, tokens, *others, paper.training_flops(parameters, tokens)]


def _unique(run: RunResult) -> int:
    return sum(min(use.tokens, use.epoch_tokens) for use in run.trained.values())


def _samples(result: Page, variants: Sequence[Variant]) -> None:
    firsts = [(variant.name, variant.runs[0]) for variant in variants]
    prompts = [sample["prompt"] for sample in firsts[0][1].samples]
    if not prompts:
        return
    result.heading("What they write")
    result.paragraph("The most likely continuation, of one model a variant. To be read, not measured.", small=True)
    for prompt in prompts:
        result.heading(" ".join(prompt.split()), 3)
        result.beside(
            (name, prompt + sample["text"])
            for name, run in firsts
            for sample in run.samples
            if sample["prompt"] == prompt
        )


def _measured(result: Page, runs: Sequence[RunResult], links: Mapping[str, Path]) -> None:
    result.heading("How it was measured")
    result.paragraph(
        f"{GOLD.title}: each choice of an item gets exp(log-probability per byte), normalised over its choices. Of "
        "held-out text each document is scored by itself, after an end-of-text token; one longer than the context is "
        "read in windows that overlap, each predicting only what no earlier window has predicted. Intervals over items "
        "or documents come from 2,000 resamples."
    )
    keys = ["model", "tokens", "seed", "precision"]
    rows = [
        [
            run.name,
            run.mixture,
            *(run.settings.get(key) for key in keys),
            run.scoring["context_length"],
            run.scoring["stride"],
            run.scoring["device"],
            run.model_digest[:12],
        ]
        for run in runs
    ]
    result.table(["run", "mixture", *keys, "context", "stride", "scored on", "weights"], rows)
    if links:
        result.paragraph("The runs themselves: settings, ledger, metrics and exported models.")
        result.links(sorted(links.items()))


def _table(result: Page, rows: Sequence[dict[str, Any]], soft: Collection[int] = ()) -> None:
    """Measured numbers with four decimals everywhere, as on the terminal."""
    cells = [[f"{value:.4f}" if isinstance(value, float) else value for value in row.values()] for row in rows]
    result.table(list(rows[0]), cells, soft)
