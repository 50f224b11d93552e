"""A comparison for people: tables for the terminal, and a page with texts that would be gained and lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.compare import Comparison
from classifiers.paired import FEW_DOCUMENTS, GRADE, TITLES, Interval
from classifiers.pool import draw, fetch
from common.command import table
from common.page import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HISTOGRAM_BINS = 50
MAX_SOURCE_CHARACTERS = 60
KEPT_TITLES = {
    "pool": "the whole pool",
    "champion": "champion keeps",
    "challenger": "challenger keeps",
    "both": "both keep",
    "gained": "gained: challenger only",
    "lost": "lost: champion only",
}


def verdict(found: Comparison) -> str:
    """The answer as a sentence."""
    gate, metric = found.gate, TITLES[found.gate.primary]
    beyond = f" by more than the margin of {gate.margin:g}" if gate.margin else ""
    meaning = {
        "worse": f"The challenger is worse in {metric}{beyond}",
        "better": f"The challenger is better in {metric}",
        "not worse": f"The challenger is not worse in {metric}{beyond}",
        "not distinguishable": f"The labels cannot tell whether the challenger is worse in {metric}{beyond}",
    }[gate.verdict]
    return f"{meaning}: gain {_signed(gate.gain)}."


def notes(found: Comparison) -> list[str]:
    """What weakens the answer."""
    evidence, lines = found.job.evidence, []
    if found.job.same:
        lines.append("Both are the same classifier: their digests are equal.")
    scarce = min(evidence["positives"], evidence["documents"] - evidence["positives"])
    if scarce < FEW_DOCUMENTS:
        lines.append(
            f"Only {scarce:,} of {evidence['documents']:,} labels stand on one side of grade {GRADE}: with fewer than "
            f"{FEW_DOCUMENTS} the intervals are too narrow."
        )
    return lines


def summary(found: Comparison) -> str:
    """Tables for the terminal, the answer last."""
    figures = [
        {
            "metric": TITLES[name],
            "champion": _interval(pair.champion) if pair else "-",
            "challenger": _interval(pair.challenger) if pair else "-",
            "gain": _signed(pair.gain) if pair else "-",
        }
        for name, pair in found.figures.items()
    ]
    drift = [dict(zip(_DRIFT_HEADER, row, strict=True)) for row in _drift_rows(found)]
    blocks = [table(_kept_rows(found)), table(drift), table(figures)]
    return "\n\n".join([*blocks, "\n".join([_evidence(found), *notes(found), verdict(found)])])


def write_page(found: Comparison, path: Path) -> None:
    """Publish the page. The same inputs give the same bytes, wherever they lie."""
    job, kept = found.job, found.kept
    page = Page("Champion and challenger", verdict(found))
    page.facts(
        [
            ("the gate", "passed" if found.gate.passed else "not passed"),
            ("documents in the pool", len(found.pool)),
            ("overlap in tokens", kept.overlap("tokens")),
            ("documents gained", kept.amounts["gained"].documents),
            ("documents lost", kept.amounts["lost"].documents),
            ("labels new to both", job.evidence["documents"]),
        ]
    )
    for line in notes(found):
        page.paragraph(line)
    page.heading("On the same labels")
    _figures(page, found)
    page.heading("What would be kept")
    page.paragraph(f"Each keeps {job.settings}. Overlap: {_overlap(found)}.")
    rows = _kept_rows(found)
    page.table(list(rows[0]), [list(row.values()) for row in rows])
    page.heading("Scores")
    _histogram(page, found)
    page.heading("Drift by source")
    page.paragraph(
        "PSI: below 0.1 stable, above 0.25 a shift, by custom. KS: largest distance of the two distributions. Another "
        "scale of scores alone gives drift; it changes what a fixed threshold keeps, and nothing at a share of tokens.",
        small=True,
    )
    page.table(_DRIFT_HEADER, _drift_rows(found))
    differing = {"Gained": kept.gained, "Lost": kept.lost}
    places = {title: draw(found.pool, mask, job.settings.samples) for title, mask in differing.items()}
    texts = fetch(job.pool, found.pool, [place for listed in places.values() for place in listed])
    for title, listed in places.items():
        total = kept.amounts[title.lower()].documents
        page.heading(title)
        page.paragraph(f"{len(listed):,} of {total:,} documents, drawn at random." if total else "None.", small=True)
        for place in listed:
            page.sample(_sample_title(found, place, texts[place]), texts[place]["text"])
    page.heading("What was compared")
    page.table(("", "digest"), [("champion", job.champion.digest), ("challenger", job.challenger.digest)])
    page.write(path)


def _figures(page: Page, found: Comparison) -> None:
    page.paragraph(_evidence(found))
    rows = [
        (
            TITLES[name],
            *((_interval(pair.champion), _interval(pair.challenger), _signed(pair.gain)) if pair else (None,) * 3),
            "decides" if name == found.gate.primary else "",
        )
        for name, pair in found.figures.items()
    ]
    page.table(("metric", "champion", "challenger", "gain", ""), rows)
    limit = f"−{found.gate.margin:g}" if found.gate.margin else "0"
    page.paragraph(
        "Brackets: 95% bootstrap intervals over groups of near-duplicates; the gain is paired, and above zero where "
        f"the challenger is better. The gate fails when the gain's interval lies below {limit}.",
        small=True,
    )


def _histogram(page: Page, found: Comparison) -> None:
    edges = np.linspace(0, 5, HISTOGRAM_BINS + 1)
    styles = (("champion", "#8a939c"), ("challenger", "#1a6b72"))

    def plot(axes: Axes) -> None:
        for (name, color), scores, lowest in zip(styles, found.pool.scores, found.kept.thresholds, strict=True):
            axes.stairs(np.histogram(scores, edges)[0], edges, color=color, label=name, linewidth=1.4)
            if lowest is not None:
                axes.axvline(lowest, color=color, linewidth=1, linestyle="--")
        axes.set(xlim=(0, 5), xlabel="educational score", ylabel="documents")
        axes.legend(frameon=False)

    page.figure(plot, "Scores of the pool. Dashed: the lowest score that each keeps.")


def _kept_rows(found: Comparison) -> list[dict[str, Any]]:
    total = found.kept.amounts["pool"].tokens
    lowest = dict(zip(("champion", "challenger"), found.kept.thresholds, strict=True))
    return [
        {
            "": title,
            "documents": found.kept.amounts[name].documents,
            "tokens": found.kept.amounts[name].tokens,
            "% of tokens": round(100 * found.kept.amounts[name].tokens / max(total, 1), 2),
            "lowest score": lowest.get(name),
        }
        for name, title in KEPT_TITLES.items()
    ]


_DRIFT_HEADER = (
    "source",
    "documents",
    "PSI",
    "KS",
    "mean, champion",
    "mean, challenger",
    "kept, champion",
    "kept, challenger",
    "changed",
)


def _drift_rows(found: Comparison) -> list[tuple[Any, ...]]:
    return [
        (
            _short(row.source),
            row.documents,
            row.psi,
            row.ks,
            row.champion_mean,
            row.challenger_mean,
            row.champion_kept,
            row.challenger_kept,
            row.changed,
        )
        for row in found.drift
    ]


def _evidence(found: Comparison) -> str:
    evidence = found.job.evidence
    return (
        f"Measured on {evidence['documents']:,} labels in {evidence['groups']:,} groups, {evidence['positives']:,} "
        f"with a grade of at least {GRADE}; {evidence['left_out']:,} more were left out because one of the two was "
        "trained on them or on a near-duplicate."
    )


def _overlap(found: Comparison) -> str:
    shares = [(unit, found.kept.overlap(unit)) for unit in ("documents", "tokens")]
    return ", ".join(f"{share:.1%} of the {unit}" if share is not None else f"no {unit}" for unit, share in shares)


def _sample_title(found: Comparison, place: int, row: dict[str, Any]) -> str:
    ours, theirs = (float(scores[place]) for scores in found.pool.scores)
    source = _short(found.pool.names[found.pool.source[place]])
    return f"{ours:.3f} → {theirs:.3f} · {found.pool.tokens[place]:,} tokens · {source} · {_short(str(row['id']))}"


def _interval(figure: Interval) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _signed(figure: Interval) -> str:
    return f"{figure.value:+.4f} [{figure.low:+.4f}, {figure.high:+.4f}]"


def _short(text: str) -> str:
    """One line of the terminal or the page: a source or an id can be anything."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= MAX_SOURCE_CHARACTERS else line[: MAX_SOURCE_CHARACTERS - 1] + "…"
