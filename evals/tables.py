"""Results and comparisons as tables for people and plain data for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common import command
from evals.compare import Comparison, Difference
from evals.results import RunResult
from evals.statistics import FEW_DOCUMENTS, bits_per_byte


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


def in_words(difference: Difference) -> str:
    """What a difference says about two trained models, and no more."""
    if difference.documents < FEW_DOCUMENTS:
        return "too few documents"
    if not difference.is_clear:
        return "not told apart"
    better = difference.first if difference.difference < 0 else difference.second
    return f"{better} lower"


def measure_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a variant, one column a source."""
    return [
        {"variant": variant.name, "seeds": len(variant.runs)}
        | {
            source: shown(m.bits_per_byte, m.low, m.high)
            for source in comparison.sources
            for m in [comparison.measure(variant.name, source)]
        }
        for variant in comparison.variants
    ]


def difference_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a source and pair of variants."""
    return [
        {
            "source": d.source,
            "documents": d.documents,
            "first - second": f"{d.first} - {d.second}",
            "bits/byte": shown(d.difference, d.low, d.high, signed=True),
            "over these documents": in_words(d),
        }
        for d in comparison.differences
    ]


def seed_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a variant with several seeds and source: how far its runs lie apart."""
    return [
        {
            "variant": m.variant,
            "source": m.source,
            "seeds": len(m.by_seed),
            "mean": float(np.mean(m.by_seed)),
            "deviation": m.seed_deviation,
            "lowest": min(m.by_seed),
            "highest": max(m.by_seed),
        }
        for m in comparison.measures
        if len(m.by_seed) > 1
    ]


def as_text(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    parts = [
        "Bits per byte of held-out documents, lower is better [95% over documents]",
        command.table(measure_rows(comparison)),
    ]
    if comparison.differences:
        parts += ["Differences over the same documents [95%]", command.table(difference_rows(comparison))]
    if seeds := seed_rows(comparison):
        parts += ["Between seeds", command.table(seeds)]
    return "\n\n".join([*parts, *comparison.notes])


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "variants": [
            {"variant": v.name, "runs": [run.name for run in v.runs], "seeds": len(v.runs), "tokens": v.tokens}
            for v in comparison.variants
        ],
        "bits_per_byte": [asdict(m) | {"seed_deviation": m.seed_deviation} for m in comparison.measures],
        "differences": [asdict(d) for d in comparison.differences],
        "notes": comparison.notes,
    }
