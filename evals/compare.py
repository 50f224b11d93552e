"""Variants side by side: what is better, worse, equivalent or not distinguishable, and what cannot be said.

Runs whose settings differ only in the seed are one variant. With three seeds or more of both, a pair of variants gets a
verdict on the recipe, from the spread between seeds (``evals.seeds``). With fewer there is only an interval over
documents or items, which says how sure a difference between *these trained models* is, and is no verdict.

All pairs and lines of a metric are one family: the mean over tasks (or sources) holds half of its level, the single
ones the other half. Tasks on which the models show no signal are neither in the mean nor in the family.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from evals.clean import Contamination, read_contamination
from evals.comparison import MEAN, Comparison, CurvePoint, Difference, Measure, Signal, Verdict
from evals.notes import check_comparable, notes
from evals.results import RunResult
from evals.seeds import Welch, holm, judge, shares, welch
from evals.settings import CompareSettings
from evals.statistics import interval, resampled_ratio
from evals.units import METRICS, Metric, Unit, held_out_units, task_units
from evals.variants import Variant, group

DEFAULTS = CompareSettings()

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Line:
    """One line of a metric: scores of all runs, draws over items of each variant."""

    metric: Metric
    name: str
    items: int
    scores: Floats
    """float64[runs]"""
    draws: Floats
    """float64[variants, resamples]"""
    is_counted: bool = True

    @property
    def is_mean(self) -> bool:
        return self.name == MEAN


def compare(runs: Sequence[RunResult], settings: CompareSettings = DEFAULTS) -> Comparison:
    """Compare runs on the held-out documents and the tasks that they share.

    Args:
        runs: finished runs, and earlier checkpoints of them.
        settings: see :class:`CompareSettings`.
    Raises:
        SettingsError: if there is no run, the runs were not scored on the same items in the same way, a run has fewer
            checkpoints than are to be averaged, or no variant is called like the baseline.
    """
    check_comparable(runs)
    contamination = read_contamination(settings.contamination) if settings.contamination else None
    finals = [run for run in runs if run.checkpoint_of is None]
    chains = _chains(runs, finals, settings.average)
    variants = group(finals)
    order = [run.name for variant in variants for run in variant.runs]
    places = {run.name: place for place, run in enumerate(runs)}
    last = [[places[run.name] for run in chains[name][: settings.average]] for name in order]
    members = _members(variants)

    everywhere = held_out_units(runs), task_units(runs)
    held_out, tasks = ([unit.merged(last) for unit in units] for units in everywhere)
    signals = _signals(tasks)
    weak = {signal.task for signal in signals if not signal.is_there}
    lines = _lines([*tasks, *held_out], members, weak)
    clean = _clean_units(tasks, contamination) if contamination else []
    measures = [measure for line in lines for measure in _measures(line, variants, members)]
    return Comparison(
        settings,
        variants,
        measures,
        differences=_differences(lines, variants, members, settings),
        clean=_differences(_lines(clean, members, weak), variants, members, settings),
        signals=signals,
        accuracy=_accuracy(variants, tasks, members),
        curves=_curves([*everywhere[0], *everywhere[1]], variants, chains, places, weak),
        notes=notes(variants, measures, signals, tasks, contamination),
    )


def _accuracy(
    variants: Sequence[Variant], tasks: Sequence[Unit], members: Sequence[Sequence[int]]
) -> dict[tuple[str, str], float]:
    """By task and variant: as the harness scored the answers, or else from the choices."""
    import pyarrow.compute as pc

    found = {
        (unit.name, variant.name): float(unit.accuracy[list(rows)].mean())
        for unit in tasks
        for variant, rows in zip(variants, members, strict=True)
        if unit.accuracy is not None
    }
    for variant in variants:
        scores: dict[str, list[float]] = {}
        for run in variant.runs:
            if run.answers is None:
                continue
            for task in run.tasks:
                mean = pc.mean(run.answers.filter(pc.field("task") == task)["score"]).as_py()
                if mean is not None:
                    scores.setdefault(task, []).append(mean)
        found |= {(task, variant.name): float(np.mean(values)) for task, values in scores.items()}
    return found


def _members(variants: Sequence[Variant]) -> list[list[int]]:
    """Rows of each variant where its runs stand one after the other."""
    ends = np.cumsum([len(variant.runs) for variant in variants])
    return [list(range(end - len(v.runs), end)) for end, v in zip(ends.tolist(), variants, strict=True)]


def _chains(runs: Sequence[RunResult], finals: Sequence[RunResult], least: int) -> dict[str, list[RunResult]]:
    """Each finished run and its earlier checkpoints, newest first."""
    chains = {run.name: [run] for run in finals}
    for run in sorted(runs, key=lambda run: -run.tokens):
        if run.checkpoint_of is not None:
            if run.checkpoint_of not in chains:
                raise SettingsError(f"{run.name}: the run that it is a checkpoint of is not among the results")
            chains[run.checkpoint_of].append(run)
    for name, chain in chains.items():
        if len(chain) < least:
            raise SettingsError(
                f"average {least}: of {name} there are {len(chain)} checkpoints with its last; "
                "score more with `evals run … --checkpoints`"
            )
    return chains


def _signals(tasks: Sequence[Unit]) -> list[Signal]:
    """A one-sided t-test over items of the mean gain of all runs over chance, Holm over tasks."""
    from scipy.special import stdtr

    gains = {unit.name: (unit.amounts - unit.chance).mean(axis=0) for unit in tasks if unit.chance is not None}
    p_values = []
    for gain in gains.values():
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        p_values.append(float(stdtr(len(gain) - 1, -gain.mean() / error)) if error > 0 else 1.0)
    corrected: Floats = holm(np.array(p_values), np.ones(len(p_values))) if p_values else np.empty(0)
    return [
        Signal(name, len(gain), float(gain.mean()), float(p))
        for (name, gain), p in zip(gains.items(), corrected, strict=True)
    ]


def _lines(units: Sequence[Unit], members: Sequence[Sequence[int]], weak: set[str]) -> list[_Line]:
    """A line a unit; before those of a metric their mean, if there are two or more."""
    lines: list[_Line] = []
    for metric in METRICS:
        mine = []
        for unit in units:
            if unit.metric is metric:
                draws = resampled_ratio(unit.merged(members).amounts, unit.sizes, stream=unit.name)
                mine.append(_Line(metric, unit.name, len(unit.items), unit.scores, draws, unit.name not in weak))
        counted = [line for line in mine if line.is_counted]
        if len(counted) > 1:
            scores, draws = (np.mean([getattr(line, name) for line in counted], axis=0) for name in ("scores", "draws"))
            mine.insert(0, _Line(metric, MEAN, sum(line.items for line in counted), scores, draws))
        lines += mine
    return lines


def _measures(line: _Line, variants: Sequence[Variant], members: Sequence[Sequence[int]]) -> Iterable[Measure]:
    for number, (variant, rows) in enumerate(zip(variants, members, strict=True)):
        by_seed = line.scores[list(rows)]
        limits = interval(line.draws[number])
        yield Measure(
            line.metric.name,
            line.name,
            variant.name,
            line.items,
            float(by_seed.mean()),
            *limits,
            tuple(by_seed.tolist()),
        )


def _differences(
    lines: Sequence[_Line], variants: Sequence[Variant], members: Sequence[Sequence[int]], settings: CompareSettings
) -> list[Difference]:
    """Every pair on every line; a family of verdicts a metric."""
    pairs = _pairs(variants, settings.baseline)
    result: list[Difference] = []
    for metric in METRICS:
        mine = [line for line in lines if line.metric is metric]
        found = {(line.name, pair): _over_items(line, variants, members, pair) for line in mine for pair in pairs}
        seeded = [pair for pair in pairs if variants[pair[0]].has_seeds and variants[pair[1]].has_seeds]
        judged = [(line, pair) for line in mine if line.is_counted for pair in seeded]
        if judged:
            tests = [welch(*(line.scores[members[side]] for side in pair)) for line, pair in judged]
            margin = settings.margin(metric.name)
            is_mean = np.array([line.is_mean for line, _ in judged])
            for (line, pair), verdict in zip(judged, _verdicts(tests, is_mean, metric, margin), strict=True):
                found[line.name, pair] = replace(found[line.name, pair], verdict=verdict)
        result += found.values()
    return result


def _pairs(variants: Sequence[Variant], baseline: str | None) -> list[tuple[int, int]]:
    names = [variant.name for variant in variants]
    if baseline is None:
        return list(itertools.combinations(range(len(names)), 2))
    if baseline not in names:
        raise SettingsError(f"no variant is called {baseline!r}, the baseline; there are {', '.join(names)}")
    return [(place, names.index(baseline)) for place, name in enumerate(names) if name != baseline]


def _over_items(
    line: _Line, variants: Sequence[Variant], members: Sequence[Sequence[int]], pair: tuple[int, int]
) -> Difference:
    first, second = pair
    difference = line.scores[list(members[first])].mean() - line.scores[list(members[second])].mean()
    limits = interval(line.draws[first] - line.draws[second])
    names = variants[first].name, variants[second].name
    return Difference(line.metric.name, line.name, *names, line.items, float(difference), *limits)


def _verdicts(tests: Sequence[Welch], is_mean: NDArray[np.bool_], metric: Metric, margin: float) -> Iterable[Verdict]:
    family = Welch(*(np.stack([getattr(test, name) for test in tests]) for name in ("difference", "error", "freedom")))
    low, high = family.interval()
    judged = judge(family, shares(is_mean), margin, metric.higher_is_better)
    numbers = low, high, judged.p_different, judged.p_equivalent, judged.detectable
    for word, *values in zip(judged.words.tolist(), *(column.tolist() for column in numbers), strict=True):
        yield Verdict(word, *values)


def _clean_units(tasks: Sequence[Unit], contamination: Contamination) -> list[Unit]:
    """The tasks that were looked for, with their clean items."""
    units = []
    for unit in tasks:
        keep = contamination.clean(unit.name, unit.items)
        if keep is not None and keep.any():
            units.append(unit.only(keep))
    return units


def _curves(
    units: Sequence[Unit],
    variants: Sequence[Variant],
    chains: Mapping[str, Sequence[RunResult]],
    places: Mapping[str, int],
    weak: set[str],
) -> list[CurvePoint]:
    """Scores by tokens, where runs have earlier checkpoints; the mean over units as in the lines."""
    points: list[CurvePoint] = []
    if all(len(chain) == 1 for chain in chains.values()):
        return points
    for metric in METRICS:
        named = [(unit.name, unit.scores) for unit in units if unit.metric is metric and unit.name not in weak]
        if len(named) > 1:
            named.insert(0, (MEAN, np.mean([scores for _, scores in named], axis=0)))
        for name, scores in named:
            for variant in variants:
                at: dict[int, list[float]] = {}
                for run in variant.runs:
                    for each in reversed(chains[run.name]):
                        at.setdefault(each.tokens, []).append(float(scores[places[each.name]]))
                points += [CurvePoint(metric.name, name, variant.name, t, tuple(at[t])) for t in sorted(at)]
    return points
