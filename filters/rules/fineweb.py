"""FineWeb's rules (Penedo et al. 2024, "The FineWeb Datasets", section 3.6), as datatrove applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from common.settings import Settings
from filters.english import TERMINAL_PUNCTUATION
from filters.rules.base import Rule
from filters.words import Words, duplicates


class FineWebSettings(Settings):
    """Bounds on list-like and repeated lines; None turns one off. Lines of white space do not count."""

    min_lines: NonNegativeInt | None = Field(1, description="an empty text is rejected")
    min_punctuated_line_fraction: NonNegativeFloat | None = Field(0.12, description="lines that end a sentence")
    max_short_line_fraction: NonNegativeFloat | None = Field(0.67, description="lines of at most short_line_characters")
    max_duplicate_line_character_fraction: NonNegativeFloat | None = Field(
        0.01, description="characters in lines that stood before"
    )
    max_newlines_per_token: NonNegativeFloat | None = Field(0.3, description="newlines a token: lists have many")
    short_line_characters: NonNegativeInt = Field(30, description="longest line that counts as short")


class FineWeb(Rule[FineWebSettings]):
    """Is this prose, or a list, a menu, a table?"""

    name = "fineweb"
    settings_type = FineWebSettings

    def measures(self) -> Mapping[str, Callable[[Words], float]]:
        short = self.settings.short_line_characters
        return {
            "lines": lambda words: len(words.filled_lines),
            "punctuated_line_fraction": _punctuated_line_fraction,
            "short_line_fraction": lambda words: _share(
                sum(len(line) <= short for line in words.filled_lines), len(words.filled_lines)
            ),
            "duplicate_line_character_fraction": _duplicate_line_character_fraction,
            "newlines_per_token": lambda words: _share(words.text.count("\n"), len(words.tokens)),
        }


def _punctuated_line_fraction(words: Words) -> float:
    ends = sum(line[-1] in TERMINAL_PUNCTUATION for line in words.filled_lines)
    return _share(ends, len(words.filled_lines))


def _duplicate_line_character_fraction(words: Words) -> float:
    return _share(duplicates(words.filled_lines)[1], len(words.text) - words.text.count("\n"))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
