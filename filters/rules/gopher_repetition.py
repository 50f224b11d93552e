"""Gopher's repetition rules (Rae et al. 2021, appendix A1.1, table A1), as datatrove applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from common.settings import Settings
from filters.rules.base import Rule
from filters.words import Words, duplicates

_TOP = (2, 3, 4)
_REPEATED = (5, 6, 7, 8, 9, 10)


class GopherRepetitionSettings(Settings):
    """Bounds on what a text repeats of itself; None turns one off. "Character" fractions are of the whole text."""

    min_characters: NonNegativeInt | None = Field(1, description="an empty text is rejected")
    max_duplicate_paragraph_fraction: NonNegativeFloat | None = Field(0.3, description="paragraphs that stood before")
    max_duplicate_paragraph_character_fraction: NonNegativeFloat | None = Field(0.2, description="their characters")
    max_duplicate_line_fraction: NonNegativeFloat | None = Field(0.3, description="lines that stood before")
    max_duplicate_line_character_fraction: NonNegativeFloat | None = Field(0.2, description="their characters")
    max_top_2_gram_character_fraction: NonNegativeFloat | None = Field(0.2, description="the commonest word pair")
    max_top_3_gram_character_fraction: NonNegativeFloat | None = Field(0.18, description="the commonest 3 words")
    max_top_4_gram_character_fraction: NonNegativeFloat | None = Field(0.16, description="the commonest 4 words")
    max_repeated_5_gram_character_fraction: NonNegativeFloat | None = Field(0.15, description="5 words seen before")
    max_repeated_6_gram_character_fraction: NonNegativeFloat | None = Field(0.14, description="6 words seen before")
    max_repeated_7_gram_character_fraction: NonNegativeFloat | None = Field(0.13, description="7 words seen before")
    max_repeated_8_gram_character_fraction: NonNegativeFloat | None = Field(0.12, description="8 words seen before")
    max_repeated_9_gram_character_fraction: NonNegativeFloat | None = Field(0.11, description="9 words seen before")
    max_repeated_10_gram_character_fraction: NonNegativeFloat | None = Field(0.1, description="10 words seen before")


class GopherRepetition(Rule[GopherRepetitionSettings]):
    """Does this text repeat itself?"""

    name = "gopher_repetition"
    settings_type = GopherRepetitionSettings

    def measures(self) -> Mapping[str, Callable[[Words], float]]:
        return _MEASURES


def _characters(words: Words) -> float:
    return len(words.text)


def _duplicate_paragraphs(words: Words) -> float:
    return duplicates(words.paragraphs)[0] / len(words.paragraphs)


def _duplicate_paragraph_characters(words: Words) -> float:
    return _of_text(duplicates(words.paragraphs)[1], words)


def _duplicate_lines(words: Words) -> float:
    return duplicates(words.line_runs)[0] / len(words.line_runs)


def _duplicate_line_characters(words: Words) -> float:
    return _of_text(duplicates(words.line_runs)[1], words)


def _top_n_gram(n: int, words: Words) -> float:
    return _of_text(words.top_n_gram_characters(n), words)


def _repeated_n_gram(n: int, words: Words) -> float:
    return _of_text(words.repeated_n_gram_characters(n), words)


def _of_text(characters: int, words: Words) -> float:
    return characters / len(words.text) if words.text else 0.0


_MEASURES: Mapping[str, Callable[[Words], float]] = {
    "characters": _characters,
    "duplicate_paragraph_fraction": _duplicate_paragraphs,
    "duplicate_paragraph_character_fraction": _duplicate_paragraph_characters,
    "duplicate_line_fraction": _duplicate_lines,
    "duplicate_line_character_fraction": _duplicate_line_characters,
    **{f"top_{n}_gram_character_fraction": partial(_top_n_gram, n) for n in _TOP},
    **{f"repeated_{n}_gram_character_fraction": partial(_repeated_n_gram, n) for n in _REPEATED},
}
