"""The plots of a model card, as SVG: the same figures give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from classifiers.metrics import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

INK, SOFT, ACCENT, SECOND = "#1c2430", "#b8bfc7", "#1a6b72", "#c2703d"


def plot(draw: Callable[[Figure], None], width: float, height: float) -> bytes:
    """An SVG picture; width and height in inches."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    look: Any = {
        "svg.hashsalt": "edusieve",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "axes.labelcolor": INK,
    }
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        canvas = FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.BytesIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def draw_reliability(figure: Figure, truth: NDArray[np.float64], probabilities: NDArray[np.float32]) -> None:
    """For each grade: stated probability against the share that reached it, in ten bins of equal size."""
    panels = figure.subplots(1, len(THRESHOLDS), sharex=True, sharey=True)
    for threshold, axes in zip(THRESHOLDS, panels, strict=True):
        positive = truth >= threshold
        points = reliability(positive, probabilities[:, threshold - 1].astype(np.float64))
        stated, seen, counts = (np.array(column) for column in zip(*points, strict=True))
        spread = 1.96 * np.sqrt(np.maximum(stated * (1 - stated), 0) / counts)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1)
        axes.errorbar(stated, seen, yerr=spread, fmt="o", markersize=3.5, color=ACCENT, ecolor=SOFT, linewidth=1)
        axes.set_title(f"grade ≥ {threshold}", fontsize=9)
        axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    panels[0].set_ylabel("share that reached it")
    figure.supxlabel("stated probability", fontsize=9)


def draw_scores(axes: Axes, truth: NDArray[np.float64], scores: NDArray[np.float32]) -> None:
    """Boxes of the scores of every grade, on the line where they would be right."""
    grades = np.floor(truth + 0.5).astype(int)
    present = sorted(set(grades.tolist()))
    axes.plot([0, 5], [0, 5], color=SOFT, linewidth=1, zorder=0)
    axes.boxplot(
        [scores[grades == grade] for grade in present],
        positions=present,
        tick_labels=[str(grade) for grade in present],
        widths=0.55,
        showfliers=False,
        medianprops={"color": ACCENT, "linewidth": 2},
    )
    axes.set(xlabel="grade", ylabel="score of documents it had not seen", ylim=(-0.1, 5.1), xlim=(-0.6, 5.6))


def draw_styles(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """For each style how far a score moves: the mean, and what 95% of the texts stay below."""
    names = [str(row["style"]).replace("_", " ") for row in rows]
    places = np.arange(len(rows))[::-1]
    for key, color, label in (
        ("p95_absolute_change", SOFT, "95% of the texts move less"),
        ("mean_absolute_change", ACCENT, "mean"),
    ):
        axes.barh(places, [row[key]["value"] for row in rows], color=color, label=label, height=0.62)
    axes.set_yticks(places, names)
    axes.set_xlabel("change of the score, without its sign")
    axes.legend(frameon=False, loc="best")


def draw_languages(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """For each language the mean score of lessons and of chatter."""
    places = np.arange(len(rows))[::-1]
    lessons, chatter = ([row[name] for row in rows] for name in ("lessons", "chatter"))
    axes.hlines(places, chatter, lessons, color=SOFT, linewidth=2, zorder=0)
    axes.plot(lessons, places, "o", color=ACCENT, label="three lessons")
    axes.plot(chatter, places, "s", color=SECOND, label="three texts that teach nothing")
    axes.set_yticks(places, [str(row["language"]) for row in rows])
    axes.set(xlabel="mean score", xlim=(0, 5))
    axes.legend(frameon=False, loc="best")
