"""Our own two in the benchmark: the default, by what its cross-validation said, and the cascade of the classifier.

What a frozen encoder makes of the windows is the dear part of a run, so it is kept (``--cache``), by encoder, window
and texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifiers.cascade_settings import Promise
from classifiers.encoders import load_encoder
from classifiers.labels import Labels
from classifiers.model import EducationalClassifier
from classifiers.model_files import folder_digest, resolve
from classifiers.out_of_fold import OutOfFold, kept
from classifiers.recipe import layer_name
from classifiers.windows import Window, head
from common.command import progress
from common.errors import InputError
from common.files import content_key, publish_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.cascade import Cascade

    Places = NDArray[np.int64]
    Scores = NDArray[np.float64]
    Vectors = NDArray[np.float32]

KEEP = 0.1
"""Share of the tokens that the cascade is asked to keep."""


def embedded(
    reference: str, window: Window, layers: Sequence[int], texts: Sequence[str], cache: Path
) -> dict[str, Vectors]:
    """Means over the tokens of some layers of an encoder, float32[n, d] each; those in ``cache`` are not made anew."""
    key = content_key(folder_digest(resolve(reference)), window.model_dump(mode="json"), list(texts))
    files = {layer: cache / f"{key}-{layer_name(layer)}.npy" for layer in layers}
    missing = [layer for layer, file in files.items() if not file.exists()]
    if missing:
        encoder = load_encoder(reference, window.tokens, missing)
        tokens = encoder.tokenize([head(text, window) for text in texts])
        with progress(len(texts), " texts", "embed") as bar:
            vectors = encoder.embed(tokens, advance=bar.update)
        for place, layer in enumerate(missing):
            with publish_file(files[layer]) as temporary, temporary.open("wb") as stream:
                np.save(stream, vectors[:, place])
    return {layer_name(layer): np.load(file, allow_pickle=False) for layer, file in files.items()}


def default_unseen(classifier: EducationalClassifier, labels: Labels) -> OutOfFold:
    """What the cross-validation of the default's own training said of the labels.

    Raises:
        InputError: if it was not trained on all of them.
    """
    found, unseen = kept(classifier, labels)
    if len(found) < len(labels):
        raise InputError(
            f"the classifier was trained on {len(found)} of these {len(labels)} windows: name the tables that it was "
            "trained on, or --classifier with one that was trained on these"
        )
    return unseen


@dataclass(frozen=True)
class Screened:
    """What the first stage of a cascade makes of the tested windows."""

    asked: NDArray[np.bool_]  # those that the full model has to see
    raw: Scores  # the first stage's guess at the full model's raw score

    def with_full(self, raw: Scores) -> Scores:
        """Raw scores of the cascade: the full model's where it is asked."""
        return np.where(self.asked, raw, self.raw)


def screen(cascade: Cascade, tested: Sequence[str], others: Sequence[str]) -> Screened:
    """Screen windows among ``others``, documents of a job, that keeps a tenth of all tokens with the usual promise."""
    from common.tokenizer import load_tokenizer

    texts = [*others, *tested]
    tokenizer = load_tokenizer()
    tokens = np.array([tokenizer.count(text) for text in texts], np.int64)
    first, budget = cascade.score(texts), int(KEEP * tokens.sum())
    threshold = cascade.expected_threshold(first, np.full(len(texts), np.nan, np.float32), tokens, budget)
    undecided = cascade.band(first, tokens, threshold, budget, Promise()).undecided
    calibration = cascade.calibration
    raw = np.interp(first[len(others) :], calibration.scores, calibration.knots)
    return Screened(undecided[len(others) :], np.asarray(raw, np.float64))
