"""How often a plan is right: plans from small samples of a real crawl, against the run over all of it.

    python -m benchmarks.plan --crawl 'crawl/pages-0*.warc.gz' --work FOLDER

The job runs once. Then it is planned with several seeds from each fraction, and every figure of a plan is compared with
that run: whether it lies in the 95% interval, how far off it is, and how wide the interval is. Prediction does not
depend on who scores: to be quick, documents are scored by their mean length of words; ``--classifier`` takes a
real one, whose scores are then computed anew for every sample. Prints tables, and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.command import table
from filters import cascading, educational, stages
from filters.job import Job
from filters.outcome import outcome_rows, taken
from filters.plan import make_plans
from filters.plan_settings import Planning


class WordLength:
    """A scorer that costs nothing: the mean length of words, 3 to 8 letters as 0 to 5."""

    digest = "mean length of words"
    cascade = None

    def warm_up(self) -> None:
        """Nothing to load."""

    def score(self, texts: Sequence[str], advance: Callable[[int], object] | None = None) -> Any:
        """float32[n]."""
        lengths = [sum(map(len, words)) / len(words) if (words := text.split()) else 0 for text in texts]
        return np.clip(np.array(lengths, np.float32) - 3, 0, 5)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--work", required=True, type=Path, help="folder for the corpus; used again if it is there")
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.05, 0.1, 0.2], help="of the bytes, sampled")
    parser.add_argument("--seeds", type=int, default=8, help="plans from each fraction")
    parser.add_argument("--budget", type=int, default=1_000_000, help="tokens")
    parser.add_argument("--classifier", help="default, or a classifier directory, instead of the quick scorer")
    options = parser.parse_args(arguments)
    if options.classifier is None:
        for module in (educational, cascading):
            module.load_scorer = lambda classifier: WordLength()  # type: ignore[assignment]

    job = Job.parse(
        {
            "input": options.crawl,
            "output": str(options.work),
            "budget_tokens": options.budget,
            "classifier": options.classifier or "default",
        }
    )
    manifest = stages.run(job)
    spent = taken(options.work, manifest)
    every: dict[float, dict[str, list[dict[str, Any]]]] = {}
    for fraction in options.fractions:
        figures: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for seed in range(options.seeds):
            make_plans(job, Planning(sample_fraction=fraction, seed=seed))
            for row in outcome_rows(options.work, manifest, spent):
                if row["inside"] is not None:
                    figures[row["figure"]].append(row)
        every[fraction] = figures
        print(f"\n{fraction:.0%} of the bytes, {options.seeds} seeds\n{table(summary(figures))}")
    totals = [overall(fraction, figures) for fraction, figures in every.items()]
    print(f"\n{table(totals)}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(json.dumps({"commit": commit.stdout.strip(), "machine": platform.machine(), "totals": totals}))


def summary(figures: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row a figure."""
    rows = []
    for name, plans in figures.items():
        found = plans[0]["found"]
        scale = abs(found) or 1.0
        errors = [abs(plan["predicted"] - found) / scale for plan in plans]
        widths = [(plan["high"] - plan["low"]) / scale for plan in plans]
        rows.append({"figure": name, "found": found, "inside": sum(plan["inside"] for plan in plans)})
        rows[-1] |= {"plans": len(plans), "error": statistics.median(errors), "width": statistics.median(widths)}
    return rows


def overall(fraction: float, figures: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Share of figures inside their intervals, what a machine took and the rest apart."""
    row: dict[str, Any] = {"fraction": fraction}
    for kind, chosen in (("counts", False), ("core_hours", True)):
        plans = [plan for name, rows in figures.items() for plan in rows if name.startswith("core_hours") == chosen]
        row |= {f"{kind}_inside": sum(plan["inside"] for plan in plans), f"{kind}_told": len(plans)}
    return row


if __name__ == "__main__":
    main()
