"""Which language a text is in, without a network: py3langid, whose model lies in its wheel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

CHARACTERS = 1000
"""How much of a text is looked at: on real pages more changes no answer, and the cost stays bounded."""


def identify(text: str) -> tuple[str, float]:
    """Language code (ISO 639-1, or 639-3 where there is none) and its probability among the languages known.

    Looks at the first 1,000 characters. A text without letters has no language: ``("und", 0.0)``.
    """
    head = " ".join(text[:CHARACTERS].split())
    if not any(map(str.isalpha, head)):
        return "und", 0.0
    language, probability = _identifier().classify(head)
    return str(language), float(probability)


def known_languages() -> frozenset[str]:
    """Codes that :func:`identify` can answer."""
    return frozenset(map(str, _identifier().nb_classes))


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
