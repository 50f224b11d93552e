"""The model card: written by ``classifiers train``, never typed.

Every figure in it is what ``classifiers evaluate --folds`` prints for the same labels; the command stands in the card.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from classifiers.metrics import reliability
from classifiers.rubric import RUBRIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from classifiers.labels import Labels
    from classifiers.training import OutOfFold

CARD = "README.md"


def pages(about: Mapping[str, Any], labels: Labels, unseen: OutOfFold) -> dict[str, bytes]:
    """The card and its plots, by file name."""
    return {
        CARD: card(about, labels, unseen).encode(),
        "reliability.svg": plot(lambda axes: _draw_reliability(axes, labels, unseen)),
        "scores.svg": plot(lambda axes: _draw_scores(axes, labels, unseen)),
    }


def card(about: Mapping[str, Any], labels: Labels, unseen: OutOfFold) -> str:
    """The card as Markdown."""
    recipe, figures, data = about["recipe"], about["cross_validation"], about["labels"]
    counts = np.bincount(np.floor(labels.scores + 0.5).astype(int), minlength=6)
    kinds = "\n".join(_kind_rows(labels, unseen))
    return f"""---
license: apache-2.0
language: en
pipeline_tag: text-classification
---
# Educational-value classifier

Scores a text by how much it helps someone teach or learn, 0 to 5, with the probability of reaching each grade.

- Encoder: `{recipe["encoder"]}`; its weights are not in this directory, `classifier.json` holds their sha256.
- Window: `{recipe["window"]["policy"]}`, the first {recipe["window"]["characters"]:,} characters \
(at most {recipe["window"]["tokens"]} of the encoder's tokens).
- Layers read: {", ".join(map(str, recipe["layers"]))}; layers above are not computed.
- Head: `{recipe["head"]}`; static features: {recipe["static_dimensions"]} columns. Scores are calibrated (isotonic).

## Labels

{data["documents"]:,} documents with {data["gradings"]:,} gradings, averaged. Documents by grade 0 … 5: \
{", ".join(f"{n:,}" for n in counts)}.
Graded by the rubric below or by one that its labels name; the grades are a language model's reading of each window.

## Figures

Cross-validated over {figures["folds"]} folds; near-duplicates and gradings of one document never stand on both sides.
Brackets: 95% bootstrap interval. This command prints them again:

```
classifiers evaluate --labels LABELS --folds {figures["folds"]} --classifier THIS_DIRECTORY
```

| | value |
|---|---|
| Spearman | {_figure(figures["spearman"])} |
| quadratic κ | {_figure(figures["quadratic_kappa"])} |
| mean absolute error | {_figure(figures["mean_absolute_error"])} |

| grade at least | documents | AUC | best F1 | F1 of P ≥ ½ | precision | recall | calibration error |
|---|---|---|---|---|---|---|---|
{chr(10).join(_threshold_row(t, figures["thresholds"][str(t)]) for t in THRESHOLDS)}

By kind of text:

| kind | documents | mean grade | mean score | mean absolute error |
|---|---|---|---|---|
{kinds}

![Reliability of P(grade ≥ 3)](reliability.svg)
![Scores by grade](scores.svg)

## Limits

English web text, by the beginning of each document only. It measures teaching value as one rubric sees it: not truth,
not safety, not the quality of the writing. Rare kinds of text have few labels (table above). The best F1 is the best
of all cuts on these documents and therefore optimistic.

## Rubric

{RUBRIC}"""


def plot(draw: Callable[[Axes], None]) -> bytes:
    """A plot as SVG, with the same bytes every time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "edusieve", "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6, 3.4), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = io.BytesIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def _draw_reliability(axes: Axes, labels: Labels, unseen: OutOfFold) -> None:
    points = reliability(labels.scores >= 3, np.asarray(unseen.probabilities[:, 2], np.float64))
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    axes.plot([stated for stated, _, _ in points], [seen for _, seen, _ in points], "o-", color="#1a6b72")
    axes.set(xlabel="stated P(grade ≥ 3)", ylabel="share of documents with grade ≥ 3", xlim=(0, 1), ylim=(0, 1))


def _draw_scores(axes: Axes, labels: Labels, unseen: OutOfFold) -> None:
    grades = np.floor(labels.scores + 0.5).astype(int)
    present = sorted(set(grades.tolist()))
    axes.boxplot([unseen.scores[grades == g] for g in present], tick_labels=[str(g) for g in present], showfliers=False)
    axes.set(xlabel="grade", ylabel="cross-validated score", ylim=(0, 5))


def _figure(value: Mapping[str, float] | None) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else "–"


def _threshold_row(threshold: int, at: Mapping[str, Any]) -> str:
    cells = [_figure(at[name]) for name in ("auc", "best_f1", "f1", "precision", "recall")]
    return f"| {threshold} | {at['positives']} | {' | '.join(cells)} | {at['calibration_error']:.3f} |"


def _kind_rows(labels: Labels, unseen: OutOfFold) -> list[str]:
    kinds = np.array([kind or "not named" for kind in labels.kinds])
    rows = []
    for kind in sorted(set(kinds.tolist())):
        inside = kinds == kind
        grades, scores = labels.scores[inside], unseen.scores[inside]
        error = np.abs(grades - scores).mean()
        rows.append(f"| {kind} | {inside.sum()} | {grades.mean():.2f} | {scores.mean():.2f} | {error:.2f} |")
    return rows
