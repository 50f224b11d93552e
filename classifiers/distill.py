"""A static encoder distilled from a transformer, offline and in under a minute.

Every token of the vocabulary goes through the transformer alone; the results are reduced by principal components and
weighted by rarity (Minish Lab's model2vec; the weighting is the smooth inverse frequency of Arora et al. 2017). Token
frequencies are counted on the texts at hand, so no list of words has to be shipped. model2vec's own ``distill`` extra
is not used: it downgrades transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from classifiers.encoders import StaticEncoder, Tokens, TransformerEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOOTHING = 1e-3
"""a of a / (a + p): a token of this share of the text counts half."""


def distill(
    encoder: TransformerEncoder,
    documents: Sequence[Tokens],
    dimensions: int,
    advance: Callable[[int], object] | None = None,
) -> StaticEncoder:
    """Distil ``encoder`` into a table of token vectors.

    Args:
        encoder: the transformer.
        documents: token ids of the texts that frequencies are counted on.
        dimensions: principal components that are kept, at most the encoder's dimensions.
        advance: called with the number of tokens done, for a progress bar.
    Returns:
        An encoder with ``dimensions`` columns; the tokenizer's marks have zero vectors.
    """
    size = encoder.tokenizer.get_vocab_size()
    marks = encoder.tokenize([""])[0]
    middle = len(marks) // 2
    alone = [[*marks[:middle], token, *marks[middle:]] for token in range(size)]
    vectors = principal_components(encoder.embed(alone, advance=advance).mean(axis=1), dimensions)
    vectors *= rarity(documents, size)[:, None].astype(np.float32)
    vectors[sorted(set(marks))] = 0
    return StaticEncoder.from_vectors(vectors)


def rarity(documents: Sequence[Tokens], size: int) -> NDArray[np.float64]:
    """Weight a / (a + p) of every token, with p its share of all tokens (add-one smoothed)."""
    counts = np.ones(size)
    for tokens in documents:
        np.add.at(counts, np.asarray(tokens, np.int64), 1)
    shares = counts / counts.sum()
    return np.asarray(SMOOTHING / (SMOOTHING + shares))


def principal_components(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """``vectors`` on their first principal axes; the sign of an axis is fixed, so the result is the same every time."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    chosen = axes[:, ::-1][:, :dimensions]
    chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    return np.asarray(centred @ chosen, np.float32)
