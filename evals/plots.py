"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evals.comparison import Comparison
from evals.tables import line
from evals.units import Metric
from evals.variants import Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_POINTS = 400
WIDTH = 6.0
"""Of a figure, in inches: on a phone its letters are still 8 pixels high."""
COLOURS = ("#1a6b72", "#c2571a", "#5b4a9e", "#8a8a1f", "#b03060", "#3a76c4", "#4f7d3a", "#7a5230")
MARKERS = "osD^vP*X"
GREY = "#b4bac2"


def scores(axes: Axes, comparison: Comparison, metric: Metric) -> None:
    """Scores of every variant on every line, with their intervals; a task without signal is grey."""
    names = comparison.names(metric)
    step = 1 / (len(comparison.variants) + 1)
    for number, variant in enumerate(comparison.variants):
        for place, name in enumerate(names):
            measure = comparison.measure(variant.name, name, metric)
            axes.errorbar(
                [measure.value],
                [place + (number + 1) * step - 0.5],
                xerr=[[max(0.0, measure.value - measure.low)], [max(0.0, measure.high - measure.value)]],
                fmt=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)] if comparison.has_signal(name) else GREY,
                capsize=3,
            )
        # the colour of the variant, whatever its first task is
        axes.plot([], [], MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)], label=variant.name)
    axes.set_yticks(range(len(names)), [line(name, metric) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    for place in range(1, len(names)):
        axes.axhline(place - 0.5, color="#d9dde2", linewidth=0.8)
    axes.set_xlabel(metric.title.lower())
    _legend(axes)


def curve(axes: Axes, comparison: Comparison, metric: Metric, name: str) -> None:
    """A score over checkpoints: a thick line a variant through the mean, a thin one each seed."""
    for number, variant in enumerate(comparison.variants):
        points = [p for p in comparison.curves if (p.metric, p.name, p.variant) == (metric.name, name, variant.name)]
        colour = COLOURS[number % len(COLOURS)]
        tokens = [point.tokens for point in points]
        seeds = max((len(point.by_seed) for point in points), default=0)
        for seed in range(seeds if seeds > 1 else 0):
            mine = [(p.tokens, p.by_seed[seed]) for p in points if len(p.by_seed) == seeds]
            axes.plot(*zip(*mine, strict=True), color=colour, linewidth=0.6, alpha=0.5)
        means = [float(np.mean(point.by_seed)) for point in points]
        axes.plot(tokens, means, color=colour, marker=MARKERS[number % len(MARKERS)], label=variant.name)
    _tokens(axes)
    axes.set_ylabel(metric.title.lower().removesuffix(" of held-out documents").replace(" of the ", "\nof the "))
    _legend(axes)


def loss(axes: Axes, variants: Sequence[Variant]) -> None:
    """Training loss of every run."""
    for number, variant in enumerate(variants):
        for run in variant.runs:
            tokens, values = smooth(run.curve["tokens"].to_numpy(), run.curve["loss"].to_numpy())
            axes.plot(
                tokens,
                values,
                color=COLOURS[number % len(COLOURS)],
                linewidth=1.2,
                label=variant.name if run is variant.runs[0] else None,
            )
    _tokens(axes)
    axes.set_ylabel("loss, nats a token")
    _legend(axes)


def smooth(tokens: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most ``CURVE_POINTS`` points: means of neighbouring steps where there are more; nothing is left out."""
    parts = min(CURVE_POINTS, len(values))
    if parts == 0:
        return tokens, values
    cuts = np.array_split(np.arange(len(values)), parts)
    return np.array([tokens[cut[-1]] for cut in cuts]), np.array([values[cut].mean() for cut in cuts])


def _tokens(axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("tokens")


def _legend(axes: Axes) -> None:
    """Above the plot, where it hides nothing and takes no width from a narrow screen."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
