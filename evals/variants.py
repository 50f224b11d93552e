"""Runs by variant: what was trained alike but for the seed, and what else sets variants apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import SettingsError
from evals.results import RunResult
from evals.seeds import MIN_SEEDS

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
        return self.runs[0].tokens

    @property
    def has_seeds(self) -> bool:
        """Whether it has seeds enough for a verdict on the recipe."""
        return len(self.runs) >= MIN_SEEDS


def group(runs: Iterable[RunResult]) -> list[Variant]:
    """Runs by variant, each named after its mixture and, where that is not enough, by what sets it apart.

    Raises:
        SettingsError: if two runs of one variant are the same trained model.
    """
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(repr(sorted(_recipe(run).items())), []).append(run)
    listed = [tuple(sorted(members, key=lambda run: (str(run.seed), run.name))) for members in groups.values()]
    variants = []
    for members in listed:
        _check_distinct(members)
        alike = [other[0] for other in listed if other[0].mixture == members[0].mixture]
        apart = _apart(members[0], alike)
        variants.append(Variant(members[0].mixture + (f" ({', '.join(apart)})" if apart else ""), members))
    return sorted(variants, key=lambda variant: variant.name)


def uncontrolled(variants: Sequence[Variant]) -> list[str]:
    """Settings besides the mixture and its text in which the variants differ."""
    keys = _differing([_recipe(variant.runs[0]) for variant in variants])
    # "tokens" is what was asked for; what was trained on is told by itself
    return [key for key in keys if not key.startswith((*MAY_DIFFER, "tokens"))]


def _check_distinct(members: Sequence[RunResult]) -> None:
    seen: dict[str, str] = {}
    for run in members:
        if run.model_digest in seen:
            raise SettingsError(
                f"{seen[run.model_digest]} and {run.name} are the same weights: one trained model, not two seeds"
            )
        seen[run.model_digest] = run.name


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
