"""Robustness for people: the same tables on the terminal, on a page and in the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.plots import draw_languages, draw_styles
from common.command import table
from common.page import Page

Row = Mapping[str, Any]
DASH = "–"


@dataclass(frozen=True)
class Block:
    """A table with what it says."""

    title: str
    says: str
    rows: Sequence[Row]


def blocks(found: Mapping[str, Any]) -> list[Block]:
    """What :func:`classifiers.robustness.robustness` found, as tables.

    The first is about styles, the second about shortcuts, the third about languages.
    """
    return [_styles(found), _shortcuts(found["shortcuts"]), _languages(found)]


def summary(found: Mapping[str, Any]) -> str:
    """Everything for the terminal."""
    return "\n\n".join(f"{block.title}\n\n{table(block.rows)}\n\n{block.says}" for block in blocks(found))


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Publish the page."""
    styles, shortcuts, languages = blocks(found)
    page = Page("Robustness of the educational-value classifier", headline(found))
    for block in (styles, shortcuts, languages):
        page.heading(block.title)
        page.paragraph(block.says)
        if block is styles:
            page.figure(lambda axes: draw_styles(axes, found["styles"]), "How far a style moves a score.")
        if block is languages:
            page.figure(lambda axes: draw_languages(axes, found["languages"]), "Lessons and chatter by language.")
        page.table(list(block.rows[0]), [list(row.values()) for row in block.rows])
    page.write(path)


def headline(found: Mapping[str, Any]) -> str:
    """The worst style in a sentence."""
    worst = worst_style(found)
    return (
        f"Of {found['documents']:,} texts, a change of dress alone flips the decision at grade 3 for "
        f"{worst['flipped']['value']:.1%} in the worst case ({worst['says']}) and moves the score by "
        f"{worst['mean_absolute_change']['value']:.2f} on average."
    )


def worst_style(found: Mapping[str, Any]) -> Row:
    """The style that flips most decisions; the reading of a whole window is none."""
    styles: Sequence[Row] = found["styles"][:-1]
    return max(styles, key=lambda row: (row["flipped"]["value"], row["mean_absolute_change"]["value"]))


def shown(figure: Mapping[str, float] | None, digits: int = 3, sign: bool = False) -> str:
    """A figure with its interval."""
    if figure is None:
        return DASH
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{figure['value']:{form}} [{figure['low']:{form}}, {figure['high']:{form}}]"


def percent(figure: Mapping[str, float]) -> str:
    """A share with its interval."""
    return f"{figure['value']:.1%} [{figure['low']:.1%}, {figure['high']:.1%}]"


def _styles(found: Mapping[str, Any]) -> Block:
    rows = [
        {
            "style": row["says"],
            "mean change": shown(row["mean_change"], 2, sign=True),
            "mean |change|": shown(row["mean_absolute_change"], 2),
            "95% below": f"{row['p95_absolute_change']['value']:.2f}",
            "decisions flipped": percent(row["flipped"]),
            "to kept / dropped": f"{row['raised']} / {row['lowered']}",
        }
        | (
            {"AUC gain": shown(row["auc"] and row["auc"]["gain"], sign=True)}
            | {"best F1 gain": shown(row["best_f1"] and row["best_f1"]["gain"], sign=True)}
            if found["graded"]
            else {}
        )
        for row in found["styles"]
    ]
    says = (
        f"The first {found['base_characters']:,} characters of {found['documents']:,} texts, scored as they are and in "
        f"other dress; {found['kept']:,} are kept as they are. The decision is P(grade ≥ 3) ≥ ½; brackets are 95% "
        "bootstrap intervals, of gains paired on the same documents."
    )
    auc, best = (found["styles"][0][metric] for metric in ("auc", "best_f1"))
    before = f" As they are: AUC {auc['before']:.3f}, best F1 {best['before']:.3f}." if auc and best else ""
    return Block("Style", says + before, rows)


def _shortcuts(found: Mapping[str, Any]) -> Block:
    names = {"r2_grade": "variance of the grade", "r2_score": "variance of the score", "auc": "AUC at ≥ 3"}
    rows: list[Row] = [
        {"predicted from": row["shortcut"]} | {title: _number(row[name]) for name, title in names.items()}
        for row in found["predicted_by"]
    ]
    says = (
        f"What a ridge regression explains out of fold without reading, on {found['documents']:,} texts of "
        f"{found['sources']:,} sources."
    )
    if found["auc"] is None:
        return Block("Shortcuts", says, [{k: v for k, v in row.items() if v != DASH} for row in rows])
    says += (
        f" The classifier's AUC is {shown(found['auc'])}; among texts of the same source it is "
        f"{shown(found['auc_within_sources'])}. The grade explains {_number(found['r2_score_by_grade'])} of the "
        f"score's variance, grade and source together {_number(found['r2_score_by_grade_and_source'])}."
    )
    return Block("Shortcuts", says, rows)


def _languages(found: Mapping[str, Any]) -> Block:
    rows = [
        {
            "language": row["language"],
            "lessons": _number(row["lessons"]),
            "chatter": _number(row["chatter"]),
            "AUC": _number(row["auc"]),
            "characters per token": _number(row["characters_per_token"]),
        }
        for row in found["languages"]
    ]
    foreign = max(row["characters_per_token"] for row in found["languages"][1:])
    says = (
        "Mean scores of three lessons and of three texts that teach nothing, the same in every language. Of the texts "
        f"above, 99% have at least {found['characters_per_token']:.2f} characters per token; the other languages have "
        f"at most {foreign:.2f}. Where the column characters_per_token of `classifiers score` is that low, the encoder "
        "does not know the language, or the text is code or a table, and its score says little."
    )
    return Block("Languages", says, rows)


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"
