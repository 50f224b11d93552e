"""A first guess at the full model's score, from words alone: thousands of documents a second.

It is a student: fitted to the scores that the full model gave unlabelled texts, it needs no labels. A text is cut to
the window and split by one regular expression into words, single digits and signs, and line breaks. Each word has a
row of a small table (its part in 48 topics, by latent semantic analysis, and a weight), each pair of neighbours a
weight; they are added up over the text and divided by the root of its length. That and a few shares of capitals,
digits and the like go through one hidden layer.

Everything is computed text by text, so an estimate does not depend on what else is estimated.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Arrays = dict[str, NDArray[Any]]
    Floats = NDArray[np.float32]

WORDS, TOPICS, PAIRS, HIDDEN = 12_000, 48, 1 << 16, 128
MIN_TEXTS = 100
_FOLDS, _NETWORKS, _RIDGE = 5, 2, 0.15
_TOKEN = re.compile(r"[a-z]+|\S|\n")
_SIGNS = ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " \t", "\n", ".", ",", "?", "!", ":;-")
_CLASSES = np.zeros(256, np.intp)  # of a byte: its place in _SIGNS, from 1
for _number, _signs in enumerate(_SIGNS, 1):
    _CLASSES[[ord(_sign) for _sign in _signs]] = _number


@dataclass(frozen=True)
class FirstStage:
    """The fitted student. Row 0 of a table stands for every word that is not in it."""

    characters: int  # of a text that are read
    words: tuple[str, ...]  # of rows 1 …
    topics: NDArray[np.int8]  # words + 1, topics
    topic_scales: Floats  # topics
    word_weights: NDArray[np.float16]  # words + 1
    pair_weights: NDArray[np.float16]  # hashed pairs
    mean: Floats  # of what the hidden layer reads: features
    scale: Floats  # the same
    hidden: Floats  # features, units
    hidden_bias: Floats  # units
    output: Floats  # units + 1: weights, and the bias last

    def estimate(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Estimates of the full model's raw scores, float64[n]."""
        return np.array([self._estimate(text) for text in texts], np.float64)

    def _estimate(self, text: str) -> float:
        text = text[: self.characters]
        tokens = _TOKEN.findall(text.lower())
        rows = _rows(tokens, self._row)
        share = np.float32(1 / np.sqrt(max(1, len(rows))))
        vectors, words, pairs = self._tables
        features = np.empty(len(self.mean), np.float32)
        features[:TOPICS] = vectors.take(rows, axis=0).sum(axis=0) * share
        features[TOPICS] = (words[rows].sum() + pairs[_pairs(rows)].sum()) * share
        features[TOPICS + 1 :] = _manner(text, tokens, rows)
        inward, bias = self._inward
        units = np.maximum(features @ inward + bias, 0)
        return float(units @ self.output[:-1] + self.output[-1])

    @cached_property
    def _row(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words, 1)}

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats]:
        """Topics and weights of words, and weights of pairs, unpacked."""
        vectors = self.topics.astype(np.float32) * self.topic_scales
        return vectors, self.word_weights.astype(np.float32), self.pair_weights.astype(np.float32)

    @cached_property
    def _inward(self) -> tuple[Floats, Floats]:
        """The hidden layer for features as they are, not standardised."""
        weights = self.hidden / self.scale[:, None]
        return weights, self.hidden_bias - self.mean @ weights

    def arrays(self) -> Arrays:
        """What :meth:`from_arrays` takes."""
        tables = ("topics", "topic_scales", "word_weights", "pair_weights")
        layers = ("mean", "scale", "hidden", "hidden_bias", "output")
        own: Arrays = {
            "characters": np.array([self.characters], np.int32),
            "words": np.frombuffer(" ".join(self.words).encode(), np.uint8),
        }
        return own | {name: getattr(self, name) for name in (*tables, *layers)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> FirstStage:
        """The student that arrays of a classifier directory hold.

        Raises:
            IntegrityError: if they do not fit together.
        """
        values: dict[str, Any] = dict(arrays)
        try:
            values["characters"] = int(arrays["characters"][0])
            values["words"] = tuple(arrays["words"].tobytes().decode().split(" "))
            stage = cls(**values)
            shapes = (stage.topics.shape, stage.word_weights.shape, stage.pair_weights.shape, stage.hidden.shape)
            rows, features = len(stage.words) + 1, len(stage.mean)
            wanted = ((rows, TOPICS), (rows,), (PAIRS,), (features, len(stage.output) - 1))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise IntegrityError(f"the first stage does not hold the arrays it should: {error}") from error
        if shapes != wanted:
            raise IntegrityError(f"the arrays of the first stage have shapes {shapes}, expected {wanted}")
        return stage


def teach(texts: Sequence[str], raw: NDArray[np.float64], characters: int, seed: int = 0) -> FirstStage:
    """Fit a student.

    Args:
        texts: unlabelled texts; each is cut to ``characters``.
        raw: the full model's raw scores of them, n.
        characters: length of the window.
        seed: of what draws.
    Raises:
        InputError: if there are too few texts.
    """
    if len(texts) < MIN_TEXTS:
        raise InputError(f"a first stage needs at least {MIN_TEXTS} texts to learn from, got {len(texts)}")
    windows = [text[:characters] for text in texts]
    tokens = [_TOKEN.findall(window.lower()) for window in windows]
    counts = Counter(word for found in tokens for word in set(found))
    words = tuple(word for word, count in counts.most_common(WORDS) if count > 1)
    row_of = {word: row for row, word in enumerate(words, 1)}
    rows = [_rows(found, row_of) for found in tokens]
    single, word_rarity = _weighted(_bags(rows, len(words) + 1))
    paired, pair_rarity = _weighted(_bags([_pairs(found) for found in rows], PAIRS, [len(found) for found in rows]))
    linear, coefficients = _linear(single, paired, raw, seed)
    topics, directions = _topics(single, seed)
    manner = np.array([_manner(*each) for each in zip(windows, tokens, rows, strict=True)], np.float32)
    features = np.hstack([topics, linear[:, None], manner]).astype(np.float32)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3)
    hidden, hidden_bias, output = _network((features - mean) / scale, raw, seed)
    vectors = directions * word_rarity[:, None]
    topic_scales = np.maximum(np.abs(vectors).max(axis=0), 1e-9).astype(np.float32) / 127
    return FirstStage(
        characters=characters,
        words=words,
        topics=np.rint(vectors / topic_scales).astype(np.int8),
        topic_scales=topic_scales,
        word_weights=(coefficients[: len(words) + 1] * word_rarity).astype(np.float16),
        pair_weights=(coefficients[len(words) + 1 :] * pair_rarity).astype(np.float16),
        mean=mean,
        scale=scale,
        hidden=hidden,
        hidden_bias=hidden_bias,
        output=output,
    )


def _rows(tokens: Sequence[str], row_of: dict[str, int]) -> NDArray[np.int64]:
    return np.fromiter(map(row_of.get, tokens, itertools.repeat(0)), np.int64, len(tokens))


def _pairs(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of neighbours in a table of hashed pairs."""
    return (rows[:-1] * 1_000_003 + rows[1:] * 7919) % PAIRS


def _manner(text: str, tokens: Sequence[str], rows: NDArray[np.int64]) -> list[float]:
    """How a text looks: length, signs and capitals by character, word length, repetition, rare words, longest line."""
    plain = text.encode("ascii", "ignore")
    length, count = max(1, len(text)), max(1, len(tokens))
    signs = np.bincount(_CLASSES[np.frombuffer(plain, np.uint8)], minlength=len(_SIGNS) + 1) / length
    return [
        np.log1p(len(text)),
        *signs[1:],
        1 - len(plain) / length,
        length / count,
        len(set(tokens)) / count,
        float(np.count_nonzero(rows == 0)) / count,
        float(np.count_nonzero(rows > WORDS // 8)) / count,
        max(map(len, text.split("\n"))) / length,
    ]


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


def _topics(single: csr_matrix, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Texts and words in the space of the strongest singular vectors: n, topics and words, topics."""
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(min(TOPICS, min(single.shape) - 1), random_state=seed).fit(single)
    directions = np.zeros((single.shape[1], TOPICS))
    directions[:, : len(svd.components_)] = svd.components_.T
    return single @ directions, directions


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
