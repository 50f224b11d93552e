"""The model card: written by ``classifiers train``, never typed.

Every figure in it is what ``classifiers evaluate --out-of-fold`` prints for the same labels; the command stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from classifiers.plots import draw_languages, draw_reliability, draw_scores, draw_styles, plot
from classifiers.recipe import Recipe
from classifiers.robustness_report import blocks, headline, percent, shown, worst_style
from classifiers.rubric import RUBRIC

if TYPE_CHECKING:
    from classifiers.labels import Labels
    from classifiers.out_of_fold import OutOfFold

CARD = "README.md"
GRADE = "3"
"""The grade whose decision stands in front."""


def pages(about: Mapping[str, Any], labels: Labels, unseen: OutOfFold) -> dict[str, bytes]:
    """The card and its plots, by file name. Robustness has its section where ``about`` holds it."""
    found = about.get("robustness")
    plots = {
        "reliability.svg": plot(
            lambda figure: draw_reliability(figure, labels.scores, unseen.probabilities), width=9, height=2.3
        ),
        "scores.svg": plot(
            lambda figure: draw_scores(figure.subplots(), labels.scores, unseen.scores), width=5.5, height=3
        ),
    }
    if found:
        plots |= {
            "styles.svg": plot(lambda figure: draw_styles(figure.subplots(), found["styles"]), width=7, height=2.8),
            "languages.svg": plot(
                lambda figure: draw_languages(figure.subplots(), found["languages"]), width=7, height=2.6
            ),
        }
    return {CARD: card(about, labels).encode()} | plots


def card(about: Mapping[str, Any], labels: Labels) -> str:
    """The card as Markdown."""
    figures, recipe = about["cross_validation"], about["recipe"]
    found = about.get("robustness")
    return "\n\n".join(
        [
            HEADER,
            _glance(about),
            "![Scores of documents by their grade](scores.svg)",
            "```\nclassifiers score --input documents.jsonl.gz --out scores.parquet --classifier THIS_DIRECTORY\n```",
            _labels(about, labels),
            _figures(figures),
            _by_name("kind", "By kind of text", figures["kinds"]),
            _by_name("source", "By source", figures["sources"]),
            CALIBRATION,
            *(_robustness(found) if found else []),
            LIMITS,
            _making(recipe, figures["folds"]),
            f"## Rubric\n\nsha256 `{about['rubric_sha256']}`\n\n{RUBRIC}",
        ]
    )


HEADER = """---
license: apache-2.0
language: en
pipeline_tag: text-classification
---
# Educational-value classifier

Scores a text by how much it helps someone teach or learn, 0 to 5, with the probability of reaching each grade."""

CALIBRATION = """## Calibration

![Stated probability of each grade against the share that reached it](reliability.svg)

A stated chance of 0.7 should come true for 7 documents in 10. Ten bins of equal size; bars: where 95% of the bins of a
perfect classifier would lie. The score is the sum of the five probabilities, the expected grade; nothing is rounded.
Whether the classifier is calibrated on each kind and each source, their bias tells."""

LIMITS = """## Limits

- English web text. It measures teaching value as one rubric sees it: not truth, not safety, not the quality of the
  writing. The grades are a language model's reading of each window.
- Kinds and sources with few labels have wide intervals above; believe the interval.
- The best F1 is the best of all cuts on these very documents and therefore optimistic; the F1 of P ≥ ½ is not."""


def _glance(about: Mapping[str, Any]) -> str:
    figures, data, recipe = about["cross_validation"], about["labels"], about["recipe"]
    at, window, found = figures["thresholds"][GRADE], recipe["window"], about.get("robustness")
    layers = ", ".join(map(str, recipe["layers"]))
    tuned = "fine-tuned" if recipe["fine_tune"] else "not fine-tuned"
    best, half, error = shown(at["best_f1"]), shown(at["f1"]), shown(figures["mean_absolute_error"])
    chance = f"{at['calibration_error']:.3f}, of which chance alone makes {at['calibration_error_by_chance']:.3f}"
    rows = {
        "finds grade ≥ 3": f"AUC {shown(at['auc'])}, F1 {best} at the best cut, {half} at P ≥ ½",
        "orders documents": f"Spearman {shown(figures['spearman'])}",
        "agrees with the graders": f"quadratic κ {shown(figures['quadratic_kappa'])}, mean absolute error {error}",
        "states chances": f"calibration error at ≥ 3 {chance}",
        "learned from": f"{data['documents']:,} documents, {data['gradings']:,} gradings",
        "reads": f"{window['characters']:,} characters a window, at most {window['tokens']} tokens; policy "
        f"`{window['policy']}`",
        "is made of": f"`{recipe['encoder']}`, layers {layers}, {tuned}; {recipe['static_dimensions']} static columns; "
        f"head `{recipe['head']}`",
    }
    if found:
        flips = percent(worst_style(found)["flipped"])
        rows["minds a text's dress"] = f"{flips} of the decisions at ≥ 3 flip in the worst style"
    lead = (
        f"All figures are of documents that the model which scored them had not seen ({figures['folds']} folds; "
        "near-duplicates and gradings of one document never stand on both sides). Brackets: 95% bootstrap intervals."
    )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), "", lead])


def _labels(about: Mapping[str, Any], labels: Labels) -> str:
    counts = np.bincount(np.floor(labels.scores + 0.5).astype(int), minlength=6)
    cells = {"grade": "documents"} | {str(grade): f"{count:,}" for grade, count in enumerate(counts)}
    sources = len({source for source in labels.sources if source})
    return (
        "## Labels\n\n"
        f"{_table([cells])}\n\n"
        f"Gradings of one window are averaged. {sources} sources and {len({k for k in labels.kinds if k})} kinds are "
        f"named. Digest of the labels: `{about['labels']['digest'][:16]}…`."
    )


def _figures(figures: Mapping[str, Any]) -> str:
    rows = []
    for threshold in THRESHOLDS:
        at = figures["thresholds"][str(threshold)]
        row = {"grade at least": threshold, "documents": at["positives"], "AUC": shown(at["auc"])}
        row |= {"best F1": shown(at["best_f1"]), "F1 of P ≥ ½": shown(at["f1"])}
        row |= {"precision": shown(at["precision"]), "recall": shown(at["recall"])}
        error, chance = at["calibration_error"], at["calibration_error_by_chance"]
        rows.append(row | {"calibration error (by chance)": f"{error:.3f} ({chance:.3f})"})
    return f"## Figures\n\n{_table(rows)}"


def _by_name(column: str, title: str, found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        {
            column: row["name"],
            "documents": row["documents"],
            "grade ≥ 3": row["positives"],
            "mean grade": f"{row['mean_grade']:.2f}",
            "AUC at ≥ 3": shown(row["auc"]),
            "F1 of P ≥ ½": shown(row["f1"]),
            "mean absolute error": shown(row["mean_absolute_error"], 2),
            "bias": shown(row["bias"], 2, sign=True),
        }
        for row in found
    ]
    return f"### {title}\n\n{_table(rows)}"


def _robustness(found: Mapping[str, Any]) -> list[str]:
    pictures = {
        0: "![How far each style moves a score](styles.svg)\n\n",
        2: "![Mean scores of lessons and chatter by language](languages.svg)\n\n",
    }
    parts = [
        f"### {block.title}\n\n{pictures.get(place, '')}{_table(block.rows)}\n\n{block.says}"
        for place, block in enumerate(blocks(found))
    ]
    return [f"## Robustness\n\n{headline(found)}", *parts]


def _making(recipe: Mapping[str, Any], folds: int) -> str:
    options = " ".join(_options(Recipe.parse(recipe, where="the recipe").model_dump(mode="json"), _defaults()))
    return (
        "## Making it again\n\n```\n"
        f"classifiers train --labels LABELS --out DIRECTORY{' ' if options else ''}{options}\n"
        "classifiers evaluate --labels LABELS --classifier THIS_DIRECTORY --out-of-fold\n"
        f"classifiers robustness --labels LABELS --classifier THIS_DIRECTORY --folds {folds}\n```\n\n"
        "The first makes this directory and this card from the same labels, to the byte; the others print its figures."
    )


def _defaults() -> dict[str, Any]:
    return Recipe().model_dump(mode="json")


def _options(values: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = "--") -> list[str]:
    """The settings that differ from the defaults, as they are given on the command line."""
    words: list[str] = []
    for name, value in values.items():
        option, usual = prefix + name.replace("_", "-"), defaults.get(name)
        if isinstance(value, Mapping):
            words += _options(value, usual if isinstance(usual, Mapping) else {}, f"{option}.")
        elif value != usual:
            words += [f"{option} {each}" for each in (value if isinstance(value, list | tuple) else [value])]
    return words


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table. Names of kinds and sources are somebody's text and may not break out of a cell."""

    def line(cells: Sequence[Any]) -> str:
        return f"| {' | '.join(_cell(cell) for cell in cells)} |"

    header = list(rows[0])
    return "\n".join([line(header), "|" + "---|" * len(header), *(line(list(row.values())) for row in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("](", "]\\(")
    return "".join(f"\\{sign}" if sign in "|<>`*_" else sign for sign in text)
