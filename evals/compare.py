"""Variants side by side: what each trained model predicts better, and how much that says about its recipe.

Runs whose settings differ only in the seed are one variant. Intervals are over documents: they say how sure a
difference between *these trained models* is. Another seed of the same recipe can differ by more (DESIGN §9), so that
this comparison gives no verdict on a recipe, and says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import SettingsError
from evals.results import RunResult
from evals.statistics import FEW_DOCUMENTS, bits_per_byte, interval, resampled_bits_per_byte

MIN_SEEDS = 3
"""Fewer trained models of a recipe say nothing about how much the recipe varies by itself."""
MAY_DIFFER = ("mixture", "data.")
"""What a controlled comparison varies: the mixture, or the text of its sources."""


@dataclass(frozen=True)
class Variant:
    """Runs that differ in nothing but the seed."""

    name: str
    runs: tuple[RunResult, ...]

    @property
    def tokens(self) -> int:
        """Tokens that a run of it was trained on."""
        return sum(use.tokens for use in self.runs[0].trained.values())


@dataclass(frozen=True)
class Measure:
    """Bits per byte of a variant on the held-out documents of a source; the mean over its runs."""

    variant: str
    source: str
    documents: int
    bits_per_byte: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def seed_deviation(self) -> float | None:
        """Standard deviation between seeds; none for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Difference:
    """First minus second variant over the same documents; below zero the first predicts them better."""

    source: str
    first: str
    second: str
    documents: int
    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval over documents leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """All that is said about a set of runs."""

    variants: list[Variant]
    measures: list[Measure]
    differences: list[Difference]
    notes: list[str]

    @property
    def sources(self) -> list[str]:
        """Sources with held-out documents."""
        return sorted({measure.source for measure in self.measures})

    def measure(self, variant: str, source: str) -> Measure:
        """One cell of the table."""
        return next(m for m in self.measures if (m.variant, m.source) == (variant, source))


def compare(runs: Sequence[RunResult]) -> Comparison:
    """Compare runs on the held-out documents that they share.

    Raises:
        SettingsError: if there is no run, or the runs were not scored on the same documents in the same way.
    """
    _check_comparable(runs)
    variants = group(runs)
    measures: list[Measure] = []
    differences: list[Difference] = []
    for source in sorted(runs[0].held_out):
        n_bytes = runs[0].scores(source).n_bytes
        by_run = {run.name: run.scores(source).log_probability for run in runs}
        # a document's mean over seeds, so that the bootstrap is over documents and nothing else
        means = np.stack([np.mean([by_run[run.name] for run in v.runs], axis=0) for v in variants])
        values, draws = bits_per_byte(means, n_bytes), resampled_bits_per_byte(means, n_bytes)
        for number, variant in enumerate(variants):
            by_seed = tuple(float(bits_per_byte(by_run[run.name], n_bytes)) for run in variant.runs)
            limits = interval(draws[number])
            measures.append(Measure(variant.name, source, len(n_bytes), float(values[number]), *limits, by_seed))
        for a, b in itertools.combinations(range(len(variants)), 2):
            limits = interval(draws[a] - draws[b])
            names = variants[a].name, variants[b].name
            differences.append(Difference(source, *names, len(n_bytes), float(values[a] - values[b]), *limits))
    return Comparison(variants, measures, differences, _notes(variants, measures))


def group(runs: Iterable[RunResult]) -> list[Variant]:
    """Runs by variant, each named after its mixture and, where that is not enough, by what sets it apart."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(repr(sorted(_recipe(run).items())), []).append(run)
    listed = [tuple(sorted(members, key=lambda run: (str(run.seed), run.name))) for members in groups.values()]
    variants = []
    for members in listed:
        alike = [other[0] for other in listed if other[0].mixture == members[0].mixture]
        apart = _apart(members[0], alike)
        variants.append(Variant(members[0].mixture + (f" ({', '.join(apart)})" if apart else ""), members))
    return sorted(variants, key=lambda variant: variant.name)


def _notes(variants: Sequence[Variant], measures: Sequence[Measure]) -> list[str]:
    notes = []
    seeds = ", ".join(f"{v.name} has {len(v.runs)}" for v in variants)
    if len(variants) > 1 and min(len(v.runs) for v in variants) < MIN_SEEDS:
        notes.append(
            f"No verdict on the recipes is given: that takes at least {MIN_SEEDS} seeds of each ({seeds}). The "
            "intervals say how sure a difference between these trained models is over documents like these; another "
            "seed of the same recipe can move it by more."
        )
    elif len(variants) > 1:
        notes.append(
            f"No verdict on the recipes is given yet: the table shows means over seeds ({seeds}) and the standard "
            "deviation between them. A difference that is not well above that deviation is no evidence."
        )
    for source in sorted({m.source for m in measures}):
        without = [v.name for v in variants if not v.runs[0].trained.get(source)]
        if 0 < len(without) < len(variants):
            notes.append(
                f"{', '.join(without)} saw no text of {source}: that the others predict its held-out documents better "
                "is to be expected, and says little about the worth of the text."
            )
    recipes = [_recipe(v.runs[0]) for v in variants]
    # "tokens" is what was asked for; what was trained on is told below
    differing = [key for key in _differing(recipes) if not key.startswith((*MAY_DIFFER, "tokens"))]
    if differing:
        notes.append(f"Not a controlled comparison: the variants differ also in {', '.join(differing)}.")
    if len({v.tokens for v in variants}) > 1:
        listed = ", ".join(f"{v.name} {v.tokens:,}" for v in variants)
        notes.append(f"The variants were not trained on equally many tokens: {listed}.")
    few = sorted({f"{m.source} {m.documents}" for m in measures if m.documents < FEW_DOCUMENTS})
    if few:
        notes.append(
            f"Few held-out documents ({', '.join(few)}): with fewer than {FEW_DOCUMENTS} the intervals are too narrow."
        )
    return notes


def _check_comparable(runs: Sequence[RunResult]) -> None:
    if not runs:
        raise SettingsError("there is no run to compare")
    first = runs[0]
    for run in runs[1:]:
        if dict(run.held_out) != dict(first.held_out):
            raise SettingsError(
                f"{first.name} and {run.name} were scored on different held-out documents; "
                "score them with the same --data"
            )
        for key in ("stride", "max_documents", "context_length"):
            if run.scoring[key] != first.scoring[key]:
                raise SettingsError(
                    f"{first.name} was scored with {key} {first.scoring[key]}, {run.name} with {run.scoring[key]}; "
                    "score them alike"
                )


def _recipe(run: RunResult) -> dict[str, Any]:
    """Everything but the seed that decides what was trained: the settings and the text."""
    texts = {f"data.{source}": use.content for source, use in run.trained.items()}
    return {key: value for key, value in run.settings.items() if key != "seed"} | texts


def _apart(run: RunResult, alike: Sequence[RunResult]) -> list[str]:
    """What tells ``run`` from the other variants of its mixture, in words."""
    keys = _differing([_recipe(other) for other in alike])
    words = [f"{key} {_recipe(run).get(key)}" for key in keys if not key.startswith("data.")]
    if any(key.startswith("data.") for key in keys):
        if len({other.data_name for other in alike}) == len(alike):
            words.append(run.data_name)
        else:
            words += [f"{key} {_recipe(run).get(key)!s:.8}" for key in keys if key.startswith("data.")]
    return words


def _differing(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted({key for one in recipes for key in one})
    return [key for key in keys if len({repr(one.get(key)) for one in recipes}) > 1]
