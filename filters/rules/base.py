"""What a rule set is: named measures of a text, and bounds on them that are settings.

A measure ``mean_word_length`` is bounded by the settings ``min_mean_word_length`` and ``max_mean_word_length``, where
the rule set has them; a bound is inclusive, and None turns it off. The bounds are tried in the order of the settings,
the first that a text violates rejects it, and the reason is the rule set's name and the setting's:
``gopher_quality_min_words``. So whoever reads a reason knows which setting to change, and to which value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Generic, TypeVar

from common.settings import Settings
from filters.verdict import Rejection
from filters.words import Words

SettingsT = TypeVar("SettingsT", bound=Settings)


class Rule(ABC, Generic[SettingsT]):
    """Base of the rule sets. A subclass names itself, its settings and its measures."""

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]]

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    @abstractmethod
    def measures(self) -> Mapping[str, Callable[[Words], float]]:
        """Every measure by name. All of them are defined for every text, the empty one included."""

    def clean(self, words: Words) -> Words:
        """The text to judge and to keep: C4's rules remove lines; the others change nothing."""
        return words

    def rejection(self, words: Words) -> Rejection | None:
        """The first bound that a cleaned text violates, or None if it is kept."""
        measures = self.measures()
        for field in type(self.settings).model_fields:
            side, _, measure = field.partition("_")
            limit = getattr(self.settings, field)
            if side not in ("min", "max") or measure not in measures or limit is None:
                continue
            value = measures[measure](words)
            if (value < limit) if side == "min" else (value > limit):
                return Rejection(f"{self.name}_{field}", float(value), float(limit))
        return None

    def measurements(self, words: Words) -> dict[str, float]:
        """Every measure of a cleaned text, for ``filters why``."""
        return {measure: float(function(words)) for measure, function in self.measures().items()}
