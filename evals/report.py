"""The page of an ablation: what was trained on, how the loss fell, what is predicted better, what the models write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.page import Page
from evals.compare import Comparison, Variant
from evals.results import RunResult
from evals.tables import difference_rows, measure_rows, seed_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD_REPEATS = 4
"""Up to four passes repeated text is worth almost as much as new text (Muennighoff et al. 2023, arXiv 2305.16264)."""
CURVE_POINTS = 400
WIDTH = 6.0
"""Of a figure, in inches: on a phone its letters are still 8 pixels high."""
COLOURS = ("#1a6b72", "#c2571a", "#5b4a9e", "#8a8a1f", "#b03060", "#3a76c4", "#4f7d3a", "#7a5230")
MARKERS = "osD^vP*X"


def page(comparison: Comparison) -> Page:
    """The page that compares the variants; it stands alone."""
    runs = [run for variant in comparison.variants for run in variant.runs]
    names = [variant.name for variant in comparison.variants]
    result = Page(
        f"Trained on {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f"Trained on {names[0]}",
        "How well models that were trained on different text predict text that was held out of all of it, in bits per "
        "byte: lower is better, and the tokenizer does not matter.",
    )
    documents = sum(m.documents for m in comparison.measures if m.variant == names[0])
    result.facts(
        [
            ("variants", len(names)),
            ("trained models", len(runs)),
            ("tokens a model", max(v.tokens for v in comparison.variants)),
            ("held-out documents", documents),
        ]
    )
    for variant in comparison.variants:
        result.paragraph(f"{variant.name}: {_mixture_in_words(variant.runs[0])}.")
    for note in comparison.notes[:1]:
        result.paragraph(note)
    _bits(result, comparison)
    if comparison.notes[1:]:
        result.heading("Read with care", 3)
    for note in comparison.notes[1:]:
        result.paragraph(note, small=True)
    _trained_on(result, runs)
    _loss(result, comparison.variants)
    _samples(result, comparison.variants)
    _measured(result, runs)
    return result


def _mixture_in_words(run: RunResult) -> str:
    total = sum(use.tokens for use in run.trained.values())
    return ", ".join(f"{use.tokens / total:.0%} {source}" for source, use in run.trained.items() if total)


def _bits(result: Page, comparison: Comparison) -> None:
    result.heading("Bits per byte")
    height = 1.1 + 0.26 * (len(comparison.variants) + 1) * len(comparison.sources)
    result.figure(
        lambda axes: _draw_bits(axes, comparison),
        "Bits per byte of the held-out documents of each source, with 95% intervals over documents. Lower is better.",
        width=WIDTH,
        height=height,
    )
    _table(result, measure_rows(comparison))
    if comparison.differences:
        result.heading("Differences over the same documents", 3)
        result.paragraph(
            "The documents are resampled in pairs, so that what makes some harder than others falls out. "
            "Below zero the first variant predicts them better.",
            small=True,
        )
        _table(result, difference_rows(comparison))
    if seeds := seed_rows(comparison):
        result.heading("Between seeds", 3)
        _table(result, seeds)


def _trained_on(result: Page, runs: Sequence[RunResult]) -> None:
    result.heading("What the models were trained on")
    rows: list[list[Any]] = []
    for run in runs:
        total = sum(use.tokens for use in run.trained.values())
        for source, use in run.trained.items():
            share = f"{use.tokens / total:.2%}" if total else None
            rows.append([run.name, source, use.tokens, share, use.epoch_tokens, use.epochs, use.repeats])
    result.table(["run", "source", "tokens", "share", "tokens of one epoch", "epochs", "repeats"], rows)
    worn = sorted({f"{row[1]} in {row[0]}" for row in rows if row[6] is not None and row[6] > GOOD_REPEATS})
    if worn:
        result.paragraph(
            f"Seen more than {GOOD_REPEATS} times: {', '.join(worn)}. Text that is repeated so often is worth clearly "
            "less than new text (Muennighoff et al. 2023).",
        )


def _loss(result: Page, variants: Sequence[Variant]) -> None:
    result.heading("Training loss")
    result.figure(
        lambda axes: _draw_loss(axes, variants),
        "Loss on each model's own training text, in nats a token. Different mixtures are differently hard, so that "
        "curves of different variants do not rank them.",
        width=WIDTH,
    )


def _samples(result: Page, variants: Sequence[Variant]) -> None:
    firsts = [(variant.name, variant.runs[0]) for variant in variants]
    prompts = [sample["prompt"] for sample in firsts[0][1].samples]
    if not prompts:
        return
    result.heading("What they write")
    result.paragraph("The most likely continuation, of one model a variant. To be read, not measured.", small=True)
    for prompt in prompts:
        result.heading(" ".join(prompt.split()), 3)
        for name, run in firsts:
            for sample in run.samples:
                if sample["prompt"] == prompt:
                    result.sample(name, prompt + sample["text"])


def _measured(result: Page, runs: Sequence[RunResult]) -> None:
    result.heading("How it was measured")
    result.paragraph(
        "Each document is scored by itself, after an end-of-text token. One longer than the context is read in "
        "windows that overlap, each predicting only what no earlier window has predicted. Sums are over all documents "
        "of a source; intervals come from 2,000 resamples of documents."
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


def _table(result: Page, rows: Sequence[dict[str, Any]]) -> None:
    """Measured numbers with four decimals everywhere, as on the terminal."""
    cells = [[f"{value:.4f}" if isinstance(value, float) else value for value in row.values()] for row in rows]
    result.table(list(rows[0]), cells)


def _draw_bits(axes: Axes, comparison: Comparison) -> None:
    step = 1 / (len(comparison.variants) + 1)
    for number, variant in enumerate(comparison.variants):
        measures = [comparison.measure(variant.name, source) for source in comparison.sources]
        values = [m.bits_per_byte for m in measures]
        axes.errorbar(
            values,
            [place + (number + 1) * step - 0.5 for place in range(len(measures))],
            xerr=[
                [m.bits_per_byte - m.low for m in measures],
                [m.high - m.bits_per_byte for m in measures],
            ],
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            capsize=3,
            label=variant.name,
        )
    axes.set_yticks(range(len(comparison.sources)), comparison.sources)
    axes.set_ylim(len(comparison.sources) - 0.5, -0.5)
    for place in range(1, len(comparison.sources)):
        axes.axhline(place - 0.5, color="#d9dde2", linewidth=0.8)
    axes.set_xlabel("bits per byte")
    _legend(axes)


def _draw_loss(axes: Axes, variants: Sequence[Variant]) -> None:
    from matplotlib.ticker import EngFormatter

    for number, variant in enumerate(variants):
        for run in variant.runs:
            tokens, loss = smooth(run.curve["tokens"].to_numpy(), run.curve["loss"].to_numpy())
            axes.plot(
                tokens,
                loss,
                color=COLOURS[number % len(COLOURS)],
                linewidth=1.2,
                label=variant.name if run is variant.runs[0] else None,
            )
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("tokens")
    axes.set_ylabel("loss, nats a token")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the plot, where it hides nothing and takes no width from a narrow screen."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)


def smooth(tokens: NDArray[np.int64], loss: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most ``CURVE_POINTS`` points: means of neighbouring steps where there are more; nothing is left out."""
    parts = min(CURVE_POINTS, len(loss))
    if parts == 0:
        return tokens, loss
    cuts = np.array_split(np.arange(len(loss)), parts)
    return np.array([tokens[cut[-1]] for cut in cuts]), np.array([loss[cut].mean() for cut in cuts])
