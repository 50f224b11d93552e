"""A mixture as a YAML file: which sources, in which exact proportion and when, and how often a window may be seen.

``recipes/`` holds the mixtures of phi-1.5 (Li et al. 2023, arXiv 2309.05463): ``phi_1_5``, ``web_only``, ``web``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PositiveInt, field_validator, model_validator

from common.errors import SettingsError
from common.settings import Settings
from mixtures.blend import Blend, exact_weight

RECIPES = Path(__file__).parent / "recipes"
GOOD_REPEATS = 4
"""Up to four epochs repeated text is worth almost as much as new text (Muennighoff et al. 2023, arXiv 2305.16264)."""

_Written = PlainSerializer(str, return_type=str)
Share = Annotated[Fraction, BeforeValidator(exact_weight), _Written]


def _share_or_zero(value: Any) -> Fraction:
    return Fraction(0) if str(value).strip() == "0" else exact_weight(value)


class RecipeSource(Settings):
    """One source of a mixture."""

    weight: Annotated[Fraction, BeforeValidator(_share_or_zero), _Written] = Field(
        description="share of the windows from the start, exact: 4/5 or 0.2; 0 for a source that comes in later"
    )
    max_repeats: PositiveInt | None = Field(
        None, description="how often one window may be seen at most; a longer run is refused; none: no limit"
    )


class RecipeStage(Settings):
    """Weights that hold from a token of the run on."""

    from_tokens: PositiveInt = Field(
        description="predicted tokens before it; the weights hold from the first window that begins there or later"
    )
    weights: dict[str, Share] = Field(
        min_length=1, description="share of each source, exact; they sum to one; a source left out is not drawn"
    )


class Recipe(Settings):
    """A named mixture of sources. At every moment the weights sum to exactly one."""

    description: str = Field("", description="one line for people")
    sources: dict[str, RecipeSource] = Field(min_length=1, description="the sources by name, a folder of shards each")
    schedule: tuple[RecipeStage, ...] = Field(
        (), description="later weights, in the order of their tokens; none: never"
    )
    shift_epochs: bool = Field(
        False, description="cut every epoch of a source into windows at another place, so that contexts differ"
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _weights_alone(cls, value: Any) -> Any:
        """``web: 4/5`` as ``web: {weight: 4/5}``."""
        if not isinstance(value, dict):
            return value
        return {name: {"weight": one} if isinstance(one, str | int | float) else one for name, one in value.items()}

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> Recipe:
        for where, weights in [
            ("", self.weights),
            *((f"from {s.from_tokens:,} tokens: ", s.weights) for s in self.schedule),
        ]:
            if unknown := weights.keys() - self.sources.keys():
                raise ValueError(f"{where}{min(unknown)} is none of the sources {', '.join(self.sources)}")
            if (total := sum(weights.values())) != 1:
                listed = " + ".join(f"{name} {weight}" for name, weight in weights.items())
                raise ValueError(f"{where}weights must sum to exactly 1, got {listed} = {total}")
        return self

    @model_validator(mode="after")
    def _stages_in_order_and_every_source_drawn(self) -> Recipe:
        tokens = [stage.from_tokens for stage in self.schedule]
        if tokens != sorted(set(tokens)):
            raise ValueError(f"the stages of the schedule must follow one another, got from_tokens {tokens}")
        drawn = self.weights.keys() | {name for stage in self.schedule for name in stage.weights}
        if idle := self.sources.keys() - drawn:
            raise ValueError(f"{min(idle)} has weight 0 and no stage of the schedule draws it: leave it out")
        return self

    @property
    def weights(self) -> dict[str, Fraction]:
        """Share of each source that is drawn from the start."""
        return {name: source.weight for name, source in self.sources.items() if source.weight}

    def stages(self, context_length: int) -> list[tuple[int, dict[str, Fraction]]]:
        """The later weights, each with the window from which they hold."""
        return [(-(-stage.from_tokens // context_length), stage.weights) for stage in self.schedule]


@dataclass(frozen=True)
class Use:
    """What a run takes from one source."""

    source: str
    tokens: int
    windows: int
    available_windows: int
    max_repeats: int | None

    @property
    def epochs(self) -> float:
        """Passes over the source."""
        return self.windows / self.available_windows

    @property
    def repeats(self) -> int:
        """How often the window that is seen most is seen; those seen least are seen at most once less."""
        return -(-self.windows // self.available_windows)

    @property
    def warning(self) -> str | None:
        """One line for the person at the terminal, if there are more than four passes."""
        if self.repeats <= GOOD_REPEATS:
            return None
        return (
            f"warning: {self.source} is seen {self.epochs:.1f} times; over {GOOD_REPEATS} repeated text is worth "
            "clearly less than new text (Muennighoff et al. 2023)"
        )


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped mixture by name, or one from a YAML file.

    Raises:
        SettingsError: if there is no such mixture, a key is unknown, or the weights do not sum to one.
        InputError: if the file cannot be read.
    """
    name = str(name_or_path)
    shipped = recipe_names()
    if name in shipped:
        return Recipe.load(RECIPES / f"{name}.yaml")
    if not name.endswith((".yaml", ".yml")):
        raise SettingsError(
            f"there is no mixture {name!r}: give one of {', '.join(shipped)}, or a file that ends in .yaml"
        )
    return Recipe.load(name)


def recipe_names() -> list[str]:
    """The mixtures that ship."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def planned_use(recipe: Recipe, blend: Blend, windows: int, context_length: int) -> list[Use]:
    """What a run over the first ``windows`` slots takes from each source.

    Raises:
        SettingsError: if a window would be seen more often than the recipe allows.
    """
    uses = [
        Use(name, count * context_length, count, blend.windows[name], recipe.sources[name].max_repeats)
        for name, count in blend.counts(0, windows).items()
    ]
    for use in uses:
        if use.max_repeats is not None and use.repeats > use.max_repeats:
            longest = _longest(blend, use.source, use.max_repeats, windows)
            raise SettingsError(
                f"{use.source} would be seen {use.epochs:.1f} times, the mixture allows max_repeats "
                f"{use.max_repeats}; train on at most {longest * context_length:,} tokens, add text, or raise "
                f"max_repeats in the mixture's YAML file"
            )
    return uses


def _longest(blend: Blend, source: str, repeats: int, windows: int) -> int:
    """The most slots, fewer than ``windows``, that draw no window of ``source`` more than ``repeats`` times."""
    low, high = 0, windows
    while high - low > 1:
        middle = (low + high) // 2
        if blend.counts(0, middle)[source] <= repeats * blend.windows[source]:
            low = middle
        else:
            high = middle
    return low
