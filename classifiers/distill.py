"""A static encoder distilled from a transformer, offline and in under a minute.

Every token of the vocabulary goes through the transformer alone; the results are reduced by principal components and
weighted by rarity (Minish Lab's model2vec; the weighting is the smooth inverse frequency of Arora et al. 2017). Token
frequencies are counted on the texts at hand, or follow from a token's rank by Zipf's law as in model2vec. model2vec's
own ``distill`` extra is not used: it downgrades transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.encoders import TransformerEncoder, load_encoder
from classifiers.static import StaticEncoder, Tokens, check_static_target, write_static
from common.errors import SettingsError

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
    """Distil ``encoder`` into a table beside it; arguments as in :func:`token_vectors`."""
    return StaticEncoder.from_vectors(token_vectors(encoder, documents, dimensions, advance))


def distill_to(
    path: Path,
    encoder: TransformerEncoder,
    texts: Sequence[str],
    dimensions: int,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Distil ``encoder`` into a folder that is an encoder of its own, here and for model2vec.

    Args:
        path: the folder; one that holds another static encoder is replaced, anything else is refused.
        encoder: the transformer; the mean of the layers it reads is distilled.
        texts: to count how common tokens are; none: by rank.
        dimensions: columns.
        advance: called with the number of tokens done.
    Returns:
        ``{out, tokens, dimensions, megabytes}``.
    """
    check_static_target(path)
    documents = encoder.tokenize(texts) if texts else []
    vectors = token_vectors(encoder, documents, dimensions, advance)
    source = {"encoder": encoder.reference, "sha256": encoder.digest, "layers": list(encoder.layers)}
    write_static(path, vectors, encoder.tokenizer, {"distilled_from": source | {"texts_counted": len(texts)}})
    return {
        "out": str(path),
        "tokens": len(vectors),
        "dimensions": dimensions,
        "megabytes": round(vectors.nbytes / 1e6, 1),
    }


def load_teacher(reference: str, layers: Sequence[int], dimensions: int) -> TransformerEncoder:
    """The transformer that is to be distilled.

    Raises:
        SettingsError: if it is static already, or has fewer columns than are wanted.
    """
    encoder = load_encoder(reference, 256, layers)
    if not isinstance(encoder, TransformerEncoder):
        raise SettingsError(f"{reference} is a static encoder already")
    check_dimensions(encoder, dimensions, "dimensions")
    return encoder


def check_dimensions(encoder: TransformerEncoder, dimensions: int, name: str) -> None:
    """Refuse more columns than there are to choose from; ``name`` is that of the setting."""
    if dimensions > encoder.dimensions:
        raise SettingsError(f"{name} ({dimensions}) must be at most the encoder's ({encoder.dimensions})")


def token_vectors(
    encoder: TransformerEncoder,
    documents: Sequence[Tokens],
    dimensions: int,
    advance: Callable[[int], object] | None = None,
) -> NDArray[np.float32]:
    """A vector for every token of ``encoder``.

    Args:
        encoder: the transformer; the mean of the layers it reads is taken.
        documents: token ids of the texts that frequencies are counted on; none: by rank.
        dimensions: principal components that are kept, at most the encoder's dimensions.
        advance: called with the number of tokens done, for a progress bar.
    Returns:
        float32[tokens, dimensions]; the tokenizer's marks have zero vectors.
    Raises:
        SettingsError: if the tokenizer's ids have holes, so that a table would not be one row a token.
    """
    size = encoder.tokenizer.get_vocab_size()
    if max(encoder.tokenizer.get_vocab().values()) != size - 1:
        raise SettingsError(f"the tokenizer of {encoder.reference} numbers its {size} tokens with holes")
    marks = encoder.tokenize([""])[0]
    middle = len(marks) // 2
    alone = [[*marks[:middle], token, *marks[middle:]] for token in range(size)]
    vectors = principal_components(encoder.embed(alone, advance=advance).mean(axis=1), dimensions)
    weights = rarity(documents, size) if documents else rarity_by_rank(size)
    vectors *= weights[:, None].astype(np.float32)
    vectors[sorted(set(marks))] = 0
    return vectors


def rarity(documents: Sequence[Tokens], size: int) -> NDArray[np.float64]:
    """Weight a / (a + p) of every token, with p its share of all tokens (add-one smoothed)."""
    counts = np.ones(size)
    for tokens in documents:
        np.add.at(counts, np.asarray(tokens, np.int64), 1)
    return _weights(counts)


def rarity_by_rank(size: int) -> NDArray[np.float64]:
    """The same where nothing was counted: vocabularies list common tokens first, and p falls as 1 / rank (Zipf)."""
    return _weights(1 / np.arange(2, size + 2))


def principal_components(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """``vectors`` on their first principal axes; the sign of an axis is fixed, so the result is the same every time."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    chosen = axes[:, ::-1][:, :dimensions]
    chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    return np.asarray(centred @ chosen, np.float32)


def _weights(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(SMOOTHING / (SMOOTHING + counts / counts.sum()))
