"""The page of the benchmark of classifiers: tables as Markdown, and a plot of quality against speed as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.plots import ACCENT, INK, SECOND, SOFT, plot
from common.files import publish_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Row = Mapping[str, Any]

FIGURES = {
    "auc": "AUC at ≥ 3",
    "best_f1": "best F1 at ≥ 3",
    "f1": "F1 of P(≥ 3) ≥ ½",
    "spearman": "Spearman",
    "quadratic_kappa": "quadratic κ",
}
GAINS = ("auc", "best_f1", "spearman")
PLOTTED = ("auc", "best_f1", "spearman")
MARKS = "so^vDP"


def figures(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The table of figures, with 95% intervals."""
    return [
        {"system": row["system"]}
        | {title: _interval(row[name]) for name, title in FIGURES.items()}
        | {"documents/s/core": _speed(row["documents_per_second"]), "peak MB": f"{row['peak_mb']:,}"}
        for row in rows
    ]


def gains(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The default minus every other, with paired 95% intervals; a star where the interval excludes zero."""
    return [
        {"default minus": row["system"]} | {FIGURES[name]: _gain(row["default_minus_this"][name]) for name in GAINS}
        for row in rows
        if row["default_minus_this"]
    ]


def write(path: Path, rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Publish the page, and the plot beside it.

    Args:
        path: the page, ``.md``.
        rows: one a system.
        run: ``{command, commit, machine, cpu, load, documents, positives, further, windows, asked}``.
    """
    picture = path.with_suffix(".svg")
    with publish_file(picture) as temporary:
        temporary.write_bytes(plot(lambda figure: _draw(figure, rows), 9, 4.2))
    chosen = "\n".join(f"  - {row['system']}: {_settings(row['settings'])}" for row in rows if row["settings"])
    cascade = ""
    if run["asked"] is not None:
        cascade = f"""
The cascade keeps a tenth of the tokens of a job, with at most 5% of the kept tokens decided otherwise at confidence
0.95; here it sent {run["asked"]:.0%} of the tested windows to the full model. Its first stage learned from a full model
that has seen these labels, so its quality is an upper limit.
"""
    text = f"""# Classifiers head to head

Published ways of finding educational text, and ours, taught on the same graded windows in the same folds and timed on
the same core. This page is written by the command:

```
$ {run["command"]}
```

![Quality against speed]({picture.name})

{_markdown(figures(rows))}

Brackets: 95% bootstrap intervals over groups of near-duplicates; of speed, the slowest and the fastest turn of
{rows[0]["documents_per_second"]["repeats"]}.

## The default against each

Figures of the default minus those of the other on the same {run["documents"]:,} documents. A star marks a paired
95% interval that excludes zero; above zero the default is better.

{_markdown(gains(rows))}

## How it is measured

- **Tested**: {run["documents"]:,} graded windows, {run["positives"]:,} of them at 3 or above, in five folds that
  near-duplicates and gradings of one document never straddle. **Learned from**: the other folds and
  {run["further"]:,} further graded windows, in the same folds.
- **Calibration** is the same for all: a fold's scores by a curve fitted to the other folds' (docs/classifiers.md).
- **Settings**: the published ones and a small grid beside them; in every fold what does best on a fifth of the windows
  that may be learned from. Chosen, fold by fold:
{chosen}
- **fastText** follows DCLM: words and pairs of words, else its own defaults. Once with two classes, at 3; once with
  the six grades, whose mean by chance is the score.
- **Frozen encoder**: `{run["encoder"]}`, the same windows and tokens for all. FineWeb-Edu's linear head, phi-1's
  forest; **static** is a table distilled from it, with a support vector machine.
- **Speed**: {run["windows"]} of the tested windows, CPU time from text to score with the model loaded, one thread;
  every system in a process of its own, in turns. Memory is the most that process held.
{cascade}
{run["cpu"]}, {run["load"]}; commit {run["commit"]}; {", ".join(f"{name} {v}" for name, v in run["versions"].items())}.
"""
    with publish_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _draw(figure: Figure, rows: Sequence[Row]) -> None:
    panels = figure.subplots(1, len(PLOTTED))
    marks = iter(MARKS * len(rows))
    look = [
        {"marker": "*", "markersize": 11, "color": {"default": ACCENT, "cascade": SECOND}[row["key"]]}
        if row["key"] in ("default", "cascade")
        else {"marker": next(marks), "markersize": 5, "color": INK}
        for row in rows
    ]
    for axes, name in zip(panels, PLOTTED, strict=True):
        for row, style in zip(rows, look, strict=True):
            x, y = row["documents_per_second"], row[name]
            axes.errorbar(
                x["median"],
                y["value"],
                xerr=[[x["median"] - x["low"]], [x["high"] - x["median"]]],
                yerr=[[y["value"] - y["low"]], [y["high"] - y["value"]]],
                ecolor=SOFT,
                linewidth=1,
                linestyle="none",
                label=row["system"],
                **style,
            )
        axes.set(xscale="log", title=FIGURES[name])
    panels[len(panels) // 2].set_xlabel("documents a second, one core")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    names = list(rows[0]) if rows else []
    lines = [names, ["---"] * len(names), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(figure: Mapping[str, float] | None) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]" if figure else "-"


def _speed(figure: Mapping[str, float]) -> str:
    return f"{figure['median']:,.0f} [{figure['low']:,.0f}, {figure['high']:,.0f}]"


def _settings(chosen: Sequence[Any]) -> str:
    return f"always {chosen[0]}" if len(set(chosen)) == 1 else ", ".join(map(str, chosen))


def _gain(figure: Mapping[str, float] | None) -> str:
    if not figure:
        return "-"
    star = " *" if figure["low"] > 0 or figure["high"] < 0 else ""
    return f"{figure['value']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}]{star}"
