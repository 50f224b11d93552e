"""C4's rules (Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2), as datatrove applies them.

They first remove lines that look like clutter, and then reject what is left if it is too short, holds code, or is
place-holder text. The list of bad words is not part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pydantic import Field, NonNegativeInt

from common.settings import Settings
from filters.rules.base import Rule
from filters.words import Words

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_TERMINAL = (".", "?", "!", '"', "'")
_POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


class C4Settings(Settings):
    """Which lines are removed, and bounds on what is left; None turns a bound off."""

    max_lorem_ipsum_lines: NonNegativeInt | None = Field(0, description='lines with "lorem ipsum"')
    max_curly_bracket_lines: NonNegativeInt | None = Field(0, description='lines with "{": code, not prose')
    min_sentences: NonNegativeInt | None = Field(5, description="sentences in the lines that are left")
    require_terminal_punctuation: bool = Field(
        False,
        description="remove lines that do not end in . ? ! or a quote; off, as in FineWeb's recipe: it would take "
        "headings, lists and formulas out of teaching text",
    )
    min_words_per_line: NonNegativeInt | None = Field(3, description="remove shorter lines")
    max_word_length: NonNegativeInt | None = Field(1000, description="remove lines with a word of more characters")
    remove_citations: bool = Field(True, description="remove [1], [edit] and [citation needed] inside lines")
    remove_javascript_lines: bool = Field(True, description="remove lines that mention javascript")
    remove_policy_lines: bool = Field(True, description="remove lines about cookies, privacy and terms of use")


class C4(Rule[C4Settings]):
    """Remove clutter lines; is there still prose?"""

    name = "c4"
    settings_type = C4Settings

    def measures(self) -> Mapping[str, Callable[[Words], float]]:
        return _MEASURES

    def clean(self, words: Words) -> Words:
        kept = [line for line in map(self._clean_line, words.lines) if line is not None]
        text = "\n".join(kept).strip()
        return words if text == words.text else Words(text)

    def _clean_line(self, line: str) -> str | None:
        """The line as it is kept, or None."""
        settings = self.settings
        line = line.strip()
        pieces = line.split()
        longest = settings.max_word_length
        if longest is not None and len(line) > longest and max(map(len, pieces)) > longest:
            return None
        if settings.remove_citations and "[" in line:
            line = _CITATION.sub("", line)
        return line if self._stays(line, len(pieces)) else None

    def _stays(self, line: str, pieces: int) -> bool:
        """The order of the tests is datatrove's, and it matters: a line that rejects the document must stay."""
        settings = self.settings
        if settings.require_terminal_punctuation and (not line.endswith(_TERMINAL) or line.endswith("...")):
            return False
        if pieces < (settings.min_words_per_line or 0):
            return False
        lowered = line.lower()
        if settings.max_lorem_ipsum_lines is not None and "lorem ipsum" in lowered:
            return True
        if settings.remove_javascript_lines and "javascript" in lowered:
            return False
        if settings.max_curly_bracket_lines is not None and "{" in line:
            return True
        return not (settings.remove_policy_lines and any(policy in lowered for policy in _POLICIES))


def _lorem_ipsum_lines(words: Words) -> float:
    return sum("lorem ipsum" in line.lower() for line in words.lines)


def _curly_bracket_lines(words: Words) -> float:
    return sum("{" in line for line in words.lines)


def _sentences(words: Words) -> float:
    return words.sentences


_MEASURES: Mapping[str, Callable[[Words], float]] = {
    "lorem_ipsum_lines": _lorem_ipsum_lines,
    "curly_bracket_lines": _curly_bracket_lines,
    "sentences": _sentences,
}
