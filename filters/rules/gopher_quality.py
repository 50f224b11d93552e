"""Gopher's quality rules (Rae et al. 2021, "Scaling Language Models", appendix A1.1), as datatrove applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from common.settings import Settings
from filters.rules.base import Rule
from filters.words import Words


class GopherQualitySettings(Settings):
    """Bounds on length, word length, symbols, list-like lines and stop words; None turns one off."""

    min_words: NonNegativeInt | None = Field(50, description="words, without tokens made of symbols alone")
    max_words: NonNegativeInt | None = Field(100_000, description="words, without tokens made of symbols alone")
    min_mean_word_length: NonNegativeFloat | None = Field(3, description="characters a word")
    max_mean_word_length: NonNegativeFloat | None = Field(10, description="characters a word")
    max_hash_fraction: NonNegativeFloat | None = Field(0.1, description="hash signs a token")
    max_ellipsis_fraction: NonNegativeFloat | None = Field(0.1, description="ellipses a token")
    max_bullet_line_fraction: NonNegativeFloat | None = Field(0.9, description="share of lines that start with • or -")
    max_ellipsis_line_fraction: NonNegativeFloat | None = Field(0.3, description="share of lines that end in …")
    min_alphabetic_token_fraction: NonNegativeFloat | None = Field(0.8, description="share of tokens with a letter")
    min_stop_words: NonNegativeInt | None = Field(2, description="different words of stop_words in the text")
    stop_words: tuple[str, ...] = Field(
        ("the", "be", "to", "of", "and", "that", "have", "with"), description="compared in lower case as written"
    )


class GopherQuality(Rule[GopherQualitySettings]):
    """Is this running English text of a reasonable length?"""

    name = "gopher_quality"
    settings_type = GopherQualitySettings

    def measures(self) -> Mapping[str, Callable[[Words], float]]:
        stop_words = frozenset(self.settings.stop_words)
        return {
            "words": lambda words: words.words,
            "mean_word_length": lambda words: _share(words.word_characters, words.words),
            "hash_fraction": lambda words: _share(words.text.count("#"), len(words.tokens)),
            "ellipsis_fraction": lambda words: _share(
                words.text.count("...") + words.text.count("…"), len(words.tokens)
            ),
            "bullet_line_fraction": _bullet_line_fraction,
            "ellipsis_line_fraction": _ellipsis_line_fraction,
            "alphabetic_token_fraction": lambda words: _share(words.alphabetic_tokens, len(words.tokens)),
            "stop_words": lambda words: len(stop_words.intersection(words.tokens)),
        }


def _bullet_line_fraction(words: Words) -> float:
    return _share(sum(line.lstrip().startswith(("•", "-")) for line in words.lines), len(words.lines))


def _ellipsis_line_fraction(words: Words) -> float:
    return _share(sum(line.rstrip().endswith(("...", "…")) for line in words.lines), len(words.lines))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
