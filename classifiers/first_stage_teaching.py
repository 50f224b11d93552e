"""How a first stage is taught: the full model's scores of unlabelled texts, and what its encoder makes of single words.

A ridge regression on words and pairs is one feature (of texts it was not fitted to, so that the network learns how far
to trust it); topics by latent semantic analysis and the encoder's vectors, both summed over the words, are the others.
Of rare words a few thousand texts say little, but the encoder knows them: see docs/log.md for what that is worth.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.first_stage import (
    HIDDEN,
    MEANINGS,
    PAIRS,
    TOKEN,
    TOPICS,
    WORDS,
    FirstStage,
    manner,
    pairs_of,
    rows_of,
)
from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]

MIN_TEXTS = 100
_FOLDS, _NETWORKS, _RIDGE = 5, 2, 0.15


def teach(
    texts: Sequence[str],
    raw: NDArray[np.float64],
    characters: int,
    embed: Callable[[Sequence[str]], Floats],
    seed: int = 0,
) -> FirstStage:
    """Fit a student.

    Args:
        texts: unlabelled texts; each is cut to ``characters``.
        raw: the full model's raw scores of them, n.
        characters: length of the window.
        embed: what the full model's encoder makes of single words: float32[n, columns].
        seed: of what draws.
    Raises:
        InputError: if there are too few texts.
    """
    if len(texts) < MIN_TEXTS:
        raise InputError(f"a first stage needs at least {MIN_TEXTS} texts to learn from, got {len(texts)}")
    windows = [text[:characters] for text in texts]
    tokens = [TOKEN.findall(window.lower()) for window in windows]
    counts = Counter(word for found in tokens for word in set(found))
    words = tuple(word for word, count in counts.most_common(WORDS) if count > 1)
    row_of = {word: row for row, word in enumerate(words, 1)}
    rows = [rows_of(found, row_of) for found in tokens]
    single, word_rarity = _weighted(_bags(rows, len(words) + 1))
    paired, pair_rarity = _weighted(_bags([pairs_of(found) for found in rows], PAIRS, [len(found) for found in rows]))
    linear, coefficients = _linear(single, paired, raw, seed)
    directions = np.hstack([_topics(single, seed), _meanings(single, np.asarray(embed(words), np.float64))])
    looks = np.array([manner(*each) for each in zip(windows, tokens, rows, strict=True)], np.float32)
    features = np.hstack([single @ directions, linear[:, None], looks]).astype(np.float32)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3)
    hidden, hidden_bias, output = _network((features - mean) / scale, raw, seed)
    vectors = directions * word_rarity[:, None]
    vector_scales = np.maximum(np.abs(vectors).max(axis=0), 1e-9).astype(np.float32) / 127
    return FirstStage(
        characters=characters,
        words=words,
        vectors=np.rint(vectors / vector_scales).astype(np.int8),
        vector_scales=vector_scales,
        word_weights=(coefficients[: len(words) + 1] * word_rarity).astype(np.float16),
        pair_weights=(coefficients[len(words) + 1 :] * pair_rarity).astype(np.float16),
        mean=mean,
        scale=scale,
        hidden=hidden,
        hidden_bias=hidden_bias,
        output=output,
    )


def _bags(rows: Sequence[NDArray[np.int64]], columns: int, lengths: Sequence[int] | None = None) -> csr_matrix:
    """How often each row occurs in a text, by the root of the text's length."""
    from scipy.sparse import csr_matrix

    sizes = np.maximum([len(found) for found in rows] if lengths is None else lengths, 1)
    starts = np.cumsum([0, *(len(found) for found in rows)])
    values = np.repeat(1 / np.sqrt(sizes), np.diff(starts))
    return csr_matrix((values, np.concatenate(rows), starts), shape=(len(rows), columns))  # sums what stands twice


def _weighted(bags: csr_matrix) -> tuple[csr_matrix, NDArray[np.float64]]:
    """The same with rare columns weighing more, and all columns together one; and the weights."""
    from scipy.sparse import diags_array

    bags.sum_duplicates()
    used = np.bincount(bags.indices, minlength=bags.shape[1])
    rarity = 1 + np.log((1 + bags.shape[0]) / (1 + used))
    found = (bags @ diags_array(rarity)).tocsr()
    length = np.sqrt(2 * found.multiply(found).sum() / found.shape[0])
    return found / length, rarity / length


def _linear(
    single: csr_matrix, paired: csr_matrix, raw: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression on words and pairs: predictions for texts it was not fitted to, and its coefficients."""
    from scipy.sparse import hstack
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    both = hstack([single, paired]).tocsr()

    def fitted(places: Any) -> Any:
        return Ridge(alpha=_RIDGE, solver="sparse_cg", tol=1e-3).fit(both[places], raw[places])

    unseen = np.empty(len(raw))
    for inside, outside in KFold(_FOLDS, shuffle=True, random_state=seed).split(raw):
        model = fitted(inside)
        unseen[outside] = both[outside] @ model.coef_
    return unseen, np.asarray(fitted(slice(None)).coef_)


def _topics(single: csr_matrix, seed: int) -> NDArray[np.float64]:
    """Words in the space of the strongest singular vectors of the texts: words + 1, topics."""
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(min(TOPICS, min(single.shape) - 1), random_state=seed).fit(single)
    directions = np.zeros((single.shape[1], TOPICS))
    directions[:, : len(svd.components_)] = svd.components_.T
    return directions


def _meanings(single: csr_matrix, embedded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Embedded words in the directions in which texts differ most: words + 1, meanings."""
    words = np.vstack([np.zeros_like(embedded[:1]), embedded])  # nothing is known of words that are not in the table
    texts = single @ words
    texts -= texts.mean(axis=0)
    _, directions = np.linalg.eigh(texts.T @ texts)  # weakest first
    strongest = directions[:, ::-1][:, :MEANINGS]
    found = np.zeros((len(words), MEANINGS))
    found[:, : strongest.shape[1]] = words @ strongest
    return found


def _network(features: Floats, raw: NDArray[np.float64], seed: int) -> tuple[Floats, Floats, Floats]:
    """One hidden layer that averages several networks: weights, biases, and the output's weights and bias."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    networks = [
        MLPRegressor(
            hidden_layer_sizes=(HIDDEN,),
            alpha=1.0,
            learning_rate_init=2e-3,
            max_iter=60,
            early_stopping=True,
            n_iter_no_change=60,  # the best of all epochs on a tenth of the texts
            random_state=seed + number,
        )
        for number in range(_NETWORKS)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are counted, not tested
        for network in networks:
            network.fit(features, raw)
    return (
        np.hstack([network.coefs_[0] for network in networks]).astype(np.float32),
        np.concatenate([network.intercepts_[0] for network in networks]).astype(np.float32),
        np.concatenate(
            [
                *(network.coefs_[1][:, 0] / _NETWORKS for network in networks),
                [np.mean([network.intercepts_[1][0] for network in networks])],
            ]
        ).astype(np.float32),
    )
