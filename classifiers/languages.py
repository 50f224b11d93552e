"""Does the classifier tell lessons from chatter in languages it was not taught, and can one tell that it cannot?

``languages.yaml`` holds three short lessons and three texts that teach nothing, in English and the same ones in eight
other languages. What a text costs in tokens says whether the encoder knows its language: a word of a known one is one
piece or two, a foreign word falls to shreds. So *characters per token* is a sign that costs nothing, for the tokens are
there anyway. Code and tables fall to shreds as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.metrics import auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from classifiers.model import EducationalClassifier

PARAGRAPHS = Path(__file__).parent / "languages.yaml"


def paragraphs() -> dict[str, dict[str, list[str]]]:
    """Texts by language, each ``{lessons: […], chatter: […]}``; English first."""
    import yaml

    found: dict[str, dict[str, list[str]]] = yaml.safe_load(PARAGRAPHS.read_text(encoding="utf-8"))
    return found


def characters_per_token(cuts: Sequence[Sequence[str]], tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Characters that are no spaces for each token, float32[documents].

    Args:
        cuts: windows of each document.
        tokens: token ids of every window, document after document.
    """
    pieces = iter(tokens)
    return np.array(
        [
            sum(len("".join(window.split())) for window in windows) / max(1, sum(len(next(pieces)) for _ in windows))
            for windows in cuts
        ],
        np.float32,
    )


def languages(classifier: EducationalClassifier) -> list[dict[str, Any]]:
    """For each language the mean score of lessons and of chatter, and how surely they are told apart.

    Returns:
        A row a language: ``language, lessons, chatter, auc`` (a lesson above a text of chatter), and the mean
        ``characters_per_token``.
    """
    texts = paragraphs()
    flat = [text for kinds in texts.values() for text in (*kinds["lessons"], *kinds["chatter"])]
    measured = classifier.measure(flat)
    rows, start = [], 0
    for language, kinds in texts.items():
        taught = np.repeat([True, False], [len(kinds["lessons"]), len(kinds["chatter"])])
        inside = slice(start, start + len(taught))
        scores = measured.scores[inside].astype(np.float64)
        rows.append(
            {
                "language": language,
                "lessons": round(float(scores[taught].mean()), 3),
                "chatter": round(float(scores[~taught].mean()), 3),
                "auc": auc(taught, scores),
                "characters_per_token": round(float(measured.characters_per_token[inside].mean()), 2),
            }
        )
        start += len(taught)
    return rows
