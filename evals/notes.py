"""What must be said beside the numbers of a comparison, and what cannot be compared at all."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import SettingsError
from evals.clean import Contamination
from evals.comparison import MEAN, Measure, Signal
from evals.results import RunResult
from evals.seeds import MIN_SEEDS
from evals.statistics import FEW_ITEMS
from evals.units import Unit
from evals.variants import Variant, uncontrolled


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Refuse runs that were not scored on the same documents in the same way.

    Raises:
        SettingsError: naming two of them.
    """
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
        for task in sorted(run.tasks.keys() & first.tasks.keys()):
            for key in ("requests", "context_length", "max_tokens"):
                if run.tasks[task].get(key) != first.tasks[task].get(key):
                    raise SettingsError(
                        f"{first.name} and {run.name} were not asked {task} alike ({key} differs): `evals run` again"
                    )


def notes(
    variants: Sequence[Variant],
    measures: Sequence[Measure],
    signals: Sequence[Signal],
    tasks: Sequence[Unit],
    contamination: Contamination | None,
) -> list[str]:
    """Sentences, the gravest first."""
    said = []
    seeds = ", ".join(f"{v.name} has {len(v.runs)}" for v in variants)
    if len(variants) > 1 and not all(variant.has_seeds for variant in variants):
        said.append(
            f"No verdict on {'the recipes' if not any(v.has_seeds for v in variants) else 'some recipes'} is given: "
            f"that takes at least {MIN_SEEDS} seeds of each ({seeds}). The intervals say how sure a difference between "
            "these trained models is over items like these; another seed of the same recipe can move it by more."
        )
    weak = [signal.task for signal in signals if not signal.is_there]
    if weak:
        said.append(
            f"No signal: on {', '.join(weak)} these models do no better than if the right answers were dealt out by "
            "lot. They are left out of the mean and get no verdict."
        )
    if contamination:
        unknown = [unit.name for unit in tasks if contamination.clean(unit.name, unit.items) is None]
        if unknown:
            said.append(f"Decontamination did not look for {', '.join(unknown)}: no clean items are known of it.")
    for source in sorted(variants[0].runs[0].held_out):
        without = [v.name for v in variants if not v.runs[0].trained.get(source)]
        if 0 < len(without) < len(variants):
            said.append(
                f"{', '.join(without)} saw no text of {source}: that the others predict its held-out documents better "
                "is to be expected, and says little about the worth of the text."
            )
    if differing := uncontrolled(variants):
        said.append(f"Not a controlled comparison: the variants differ also in {', '.join(differing)}.")
    if len({v.tokens for v in variants}) > 1:
        listed = ", ".join(f"{v.name} {v.tokens:,}" for v in variants)
        said.append(f"The variants were not trained on equally many tokens: {listed}.")
    few = dict.fromkeys(f"{m.name} {m.items}" for m in measures if m.items < FEW_ITEMS and m.name != MEAN)
    if few:
        said.append(
            f"Few documents or items ({', '.join(few)}): with fewer than {FEW_ITEMS} the intervals over them are too "
            "narrow."
        )
    return said
