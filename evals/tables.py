"""Results and comparisons as tables for people and plain data for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common import command
from evals.comparison import MEAN, Comparison, Difference
from evals.results import RunResult
from evals.statistics import FEW_ITEMS, bits_per_byte
from evals.units import BITS, GOLD, Metric


def summary(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row a run: what it is, and bits per byte of the held-out documents of each source."""
    rows = []
    for run in runs:
        row = {
            "run": run.name,
            "mixture": run.mixture,
            "seed": run.seed,
            "trained_tokens": sum(use.tokens for use in run.trained.values()),
            "documents": run.items.num_rows,
        }
        for source in sorted(run.held_out):
            column = run.scores(source)
            row[f"{source} bits/byte"] = float(bits_per_byte(column.log_probability, column.n_bytes))
        rows.append(row)
    return rows


def shown(value: float, low: float, high: float, signed: bool = False) -> str:
    """A value and its interval, as every table prints it."""
    sign = "+" if signed else ""
    return f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"


def line(name: str, metric: Metric) -> str:
    """How a line is called on a page."""
    return f"all {metric.of}s, mean" if name == MEAN else name


def in_words(difference: Difference) -> str:
    """What a difference says about two trained models, and no more."""
    if difference.items < FEW_ITEMS:
        return "too few to tell"
    if not difference.is_clear:
        return "not told apart"
    higher, lower = difference.first, difference.second
    if difference.difference < 0:
        higher, lower = lower, higher
    return f"{higher} higher" if difference.metric == GOLD.name else f"{lower} lower"


def measure_rows(comparison: Comparison, metric: Metric) -> list[dict[str, Any]]:
    """One row a line, one column a variant; a task without signal says so."""
    rows = []
    for name in comparison.names(metric):
        measures = [comparison.measure(variant.name, name, metric) for variant in comparison.variants]
        row = {metric.of: line(name, metric), metric.items: measures[0].items}
        row |= {m.variant: shown(m.value, m.low, m.high) for m in measures}
        if metric is GOLD:
            row["signal"] = None if name == MEAN else "yes" if comparison.has_signal(name) else "none"
        rows.append(row)
    return rows


def verdict_rows(comparison: Comparison, metric: Metric) -> list[dict[str, Any]]:
    """One row a pair of variants and line of which the seeds allow a verdict."""
    clean = {(d.name, d.first, d.second): d for d in comparison.clean}
    rows = []
    for d in comparison.differences:
        if d.metric == metric.name and d.verdict:
            row = {
                metric.of: line(d.name, metric),
                "first": d.first,
                "second": d.second,
                "first is": d.verdict.word,
                "first - second": shown(d.difference, d.verdict.low, d.verdict.high, signed=True),
                "p": d.verdict.p,
                "p equivalent": d.verdict.p_equivalent,
                "detectable": d.verdict.detectable,
            }
            if metric is not BITS and comparison.settings.contamination:
                found = clean.get((d.name, d.first, d.second))
                row["on clean items"] = found.verdict.word if found and found.verdict else None
                row["clean items"] = found.items if found else None
            rows.append(row)
    return rows


def difference_rows(comparison: Comparison, metric: Metric) -> list[dict[str, Any]]:
    """One row a pair of variants and line of which the seeds allow no verdict."""
    clean = {(d.name, d.first, d.second): d for d in comparison.clean}
    rows = []
    for d in comparison.differences:
        if d.metric == metric.name and not d.verdict and comparison.has_signal(d.name):
            row = {
                metric.of: line(d.name, metric),
                metric.items: d.items,
                "first - second": f"{d.first} - {d.second}",
                "difference": shown(d.difference, d.low, d.high, signed=True),
                f"over these {metric.items}": in_words(d),
            }
            if metric is not BITS and comparison.settings.contamination:
                found = clean.get((d.name, d.first, d.second))
                row["on clean items"] = in_words(found) if found else None
                row["clean items"] = found.items if found else None
            rows.append(row)
    return rows


def seed_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a variant with several seeds and line: how far its runs lie apart."""
    return [
        {
            "score": metric.name,
            "of": line(m.name, metric),
            "variant": m.variant,
            "seeds": len(m.by_seed),
            "mean": m.value,
            "deviation": m.seed_deviation,
            "lowest": min(m.by_seed),
            "highest": max(m.by_seed),
        }
        for metric in comparison.metrics()
        for m in comparison.measures
        if m.metric == metric.name and len(m.by_seed) > 1
    ]


def as_text(comparison: Comparison) -> str:
    """The comparison for a terminal: verdicts first."""
    parts = []
    for metric in comparison.metrics():
        direction = "higher" if metric.higher_is_better else "lower"
        margin = comparison.settings.margin(metric.name)
        parts.append(f"== {metric.title}: {direction} is better")
        if rows := verdict_rows(comparison, metric):
            parts += [
                f"Verdicts on the recipes [95% over seeds]; p for all lines together; margin {margin:g}",
                command.table(rows),
            ]
        parts += [f"Means over runs [95% over {metric.items}]", command.table(measure_rows(comparison, metric))]
        if rows := difference_rows(comparison, metric):
            parts += [
                f"Differences between these trained models [95% over {metric.items}]; no verdict on the recipes",
                command.table(rows),
            ]
    if seeds := seed_rows(comparison):
        parts += ["== Between seeds", command.table(seeds)]
    return "\n\n".join([*parts, *comparison.notes])


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "settings": comparison.settings.model_dump(mode="json"),
        "variants": [
            {"variant": v.name, "runs": [run.name for run in v.runs], "seeds": len(v.runs), "tokens": v.tokens}
            for v in comparison.variants
        ],
        "measures": [asdict(m) | {"seed_deviation": m.seed_deviation} for m in comparison.measures],
        "differences": [_finite(asdict(d)) for d in comparison.differences],
        "clean": [_finite(asdict(d)) for d in comparison.clean],
        "signals": [asdict(s) | {"is_there": s.is_there} for s in comparison.signals],
        "accuracy": [
            {"task": task, "variant": variant, "accuracy": value}
            for (task, variant), value in comparison.accuracy.items()
        ],
        "curves": [asdict(point) for point in comparison.curves],
        "notes": comparison.notes,
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """An interval without end has no number in JSON."""
    if values["verdict"]:
        values["verdict"] = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in values["verdict"].items()
        }
    return values
