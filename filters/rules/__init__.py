"""The published quality rules, on one shared tokenisation of each document.

A job names rule sets and may override their bounds; the order is the order of application::

    rules = [make_rule("gopher_quality"), make_rule("c4", {"min_sentences": 3})]
    words, rejection = judge(rules, Words(text))      # words.text: what is kept (C4 removes lines)
    measurements(rules, Words(text))                  # every measured value, for `filters why`

Each rule set is a :class:`~filters.rules.base.Rule`: ``clean(words) -> Words``, then ``rejection(words)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import SettingsError
from filters.rules.base import Rule
from filters.rules.c4 import C4
from filters.rules.fineweb import FineWeb
from filters.rules.gopher_quality import GopherQuality
from filters.rules.gopher_repetition import GopherRepetition
from filters.verdict import Rejection
from filters.words import Words

RULES: Mapping[str, type[Rule[Any]]] = {rule.name: rule for rule in (GopherRepetition, GopherQuality, C4, FineWeb)}
"""Rule sets by name, in the order in which datatrove's FineWeb recipe applies them."""


def make_rule(name: str, overrides: Mapping[str, Any] | None = None) -> Rule[Any]:
    """A rule set with its published bounds, or with some of them replaced.

    Raises:
        SettingsError: if there is no such rule set, or a bound is unknown or out of range.
    """
    if name not in RULES:
        raise SettingsError(f"unknown rule set '{name}' (known: {', '.join(RULES)}, url)")
    rule = RULES[name]
    return rule(rule.settings_type.parse(overrides or {}, where=f"rules.{name}"))


def judge(rules: Sequence[Rule[Any]], words: Words) -> tuple[Words, Rejection | None]:
    """Apply rule sets in order: the text as it stands after the last one, and why it is rejected, if it is."""
    for rule in rules:
        words = rule.clean(words)
        rejection = rule.rejection(words)
        if rejection is not None:
            return words, rejection
    return words, None


def measurements(rules: Sequence[Rule[Any]], words: Words) -> dict[str, float]:
    """Every measure of every rule set, whether or not it rejects; keys are ``<rule set>_<measure>``."""
    values: dict[str, float] = {}
    for rule in rules:
        words = rule.clean(words)
        values |= {f"{rule.name}_{measure}": value for measure, value in rule.measurements(words).items()}
    return values


__all__ = ["RULES", "Rule", "judge", "make_rule", "measurements"]
