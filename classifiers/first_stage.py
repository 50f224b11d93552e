"""A first guess at the full model's score, from words alone: thousands of documents a second.

It is a student: fitted to the scores that the full model gave unlabelled texts, it needs no labels. A text is cut to
the window and split by one regular expression into words, single digits and signs, and line breaks. Each word has a
row of a small table: its part in some topics (latent semantic analysis of the texts it learned from), what the full
model's encoder makes of the word alone (principal components; the idea of model2vec), and a weight. Each pair of
neighbours has a weight. They are added up over the text and divided by the root of its length; that and a few shares
of capitals, digits and the like go through one hidden layer.

Everything is computed text by text, so an estimate does not depend on what else is estimated.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]
    Floats = NDArray[np.float32]

WORDS, PAIRS, HIDDEN = 10_000, 1 << 16, 128
TOPICS, MEANINGS = 32, 56
"""Columns of the table of words: by the company they keep, and by what the full model makes of them."""
COLUMNS = TOPICS + MEANINGS
TOKEN = re.compile(r"[a-z]+|\S|\n")
_SIGNS = ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " \t", "\n", ".", ",", "?", "!", ":;-")
_CLASSES = np.zeros(256, np.intp)  # of a byte: its place in _SIGNS, from 1
for _number, _signs in enumerate(_SIGNS, 1):
    _CLASSES[[ord(_sign) for _sign in _signs]] = _number


@dataclass(frozen=True)
class FirstStage:
    """The fitted student. Row 0 of a table stands for every word that is not in it."""

    characters: int  # of a text that are read
    words: tuple[str, ...]  # of rows 1 …
    vectors: NDArray[np.int8]  # words + 1, columns
    vector_scales: Floats  # columns
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
        tokens = TOKEN.findall(text.lower())
        rows = rows_of(tokens, self._row)
        share = np.float32(1 / np.sqrt(max(1, len(rows))))
        vectors, words, pairs = self._tables
        features = np.empty(len(self.mean), np.float32)
        features[:COLUMNS] = vectors.take(rows, axis=0).sum(axis=0) * share
        features[COLUMNS] = (words[rows].sum() + pairs[pairs_of(rows)].sum()) * share
        features[COLUMNS + 1 :] = manner(text, tokens, rows)
        inward, bias = self._inward
        units = np.maximum(features @ inward + bias, 0)
        return float(units @ self.output[:-1] + self.output[-1])

    @cached_property
    def _row(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words, 1)}

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats]:
        """Vectors and weights of words, and weights of pairs, unpacked."""
        vectors = self.vectors.astype(np.float32) * self.vector_scales
        return vectors, self.word_weights.astype(np.float32), self.pair_weights.astype(np.float32)

    @cached_property
    def _inward(self) -> tuple[Floats, Floats]:
        """The hidden layer for features as they are, not standardised."""
        weights = self.hidden / self.scale[:, None]
        return weights, self.hidden_bias - self.mean @ weights

    def arrays(self) -> Arrays:
        """What :meth:`from_arrays` takes."""
        tables = ("vectors", "vector_scales", "word_weights", "pair_weights")
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
            shapes = (stage.vectors.shape, stage.word_weights.shape, stage.pair_weights.shape, stage.hidden.shape)
            rows, features = len(stage.words) + 1, len(stage.mean)
            wanted = ((rows, COLUMNS), (rows,), (PAIRS,), (features, len(stage.output) - 1))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise IntegrityError(f"the first stage does not hold the arrays it should: {error}") from error
        if shapes != wanted:
            raise IntegrityError(f"the arrays of the first stage have shapes {shapes}, expected {wanted}")
        return stage


def rows_of(tokens: Sequence[str], row_of: dict[str, int]) -> NDArray[np.int64]:
    """Rows of the tables."""
    return np.fromiter(map(row_of.get, tokens, itertools.repeat(0)), np.int64, len(tokens))


def pairs_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of neighbours in a table of hashed pairs."""
    return (rows[:-1] * 1_000_003 + rows[1:] * 7919) % PAIRS


def manner(text: str, tokens: Sequence[str], rows: NDArray[np.int64]) -> list[float]:
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
