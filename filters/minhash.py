"""MinHash signatures: how much two texts have in common, from a few bytes of each (Broder 1997).

A text becomes the set of its runs of five words (shingles). The Jaccard similarity of two sets is the share of random
orders of all shingles in which both sets have the same first one. 14 buckets of 8 orders each stand for those orders,
as in datatrove and FineWeb: texts that agree on a whole bucket are compared, which finds a pair of similarity s with
probability 1 - (1 - s^8)^14, and the share of all 112 orders on which they agree estimates the similarity.

Words are normalised as datatrove normalises them: lower case, every number 0, no punctuation, no diacritics. Its words
go through spaCy and its shingles through Python, one by one, which is nearly all of its cost; here both are arrays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.contamination.words import mixed, n_gram_hashes, words_of
from filters.job import MinHash

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS, MARKS = "keys.npy", "marks.npy"
SOURCES = ("minhash.py", "contamination/words.py")
"""Source files that decide a signature."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_BLOCK_SHINGLES = 256  # × 112 orders × 8 bytes stay in a core's own cache
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LARGEST = np.uint64(2**64 - 1)


def shingles(text: str, words: int) -> NDArray[np.uint64]:
    """Hashes of all runs of ``words`` words of a text, in order: uint64[n].

    A text of fewer words is one shingle; so is one without a word, which is alike its equals only.
    """
    codes = words_of(_NUMBER.sub("0", text)).codes
    if not len(codes):
        return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=8).digest(), dtype=np.uint64)
    length = min(words, len(codes))
    return mixed(n_gram_hashes(codes, [length])[length])


class Signer:
    """Signatures of one setting."""

    def __init__(self, settings: MinHash) -> None:
        self._settings = settings
        orders = settings.buckets * settings.hashes
        numbers = mixed(np.arange(1, 2 * orders + 1, dtype=np.uint64))
        self._factors, self._shifts = numbers[:orders] | np.uint64(1), numbers[orders:]
        self._scratch = np.empty((_BLOCK_SHINGLES, orders), dtype=np.uint64)

    def minima(self, text: str) -> NDArray[np.uint64]:
        """The smallest hash of the text's shingles in every order x → ax + b modulo 2^64: uint64[buckets × hashes]."""
        smallest = np.full(len(self._factors), _LARGEST)
        found = shingles(text, self._settings.words)
        for start in range(0, len(found), _BLOCK_SHINGLES):
            block = found[start : start + _BLOCK_SHINGLES, None]
            ordered = self._scratch[: len(block)]
            np.multiply(block, self._factors, out=ordered)
            np.add(ordered, self._shifts, out=ordered)
            np.minimum(smallest, ordered.min(axis=0), out=smallest)
        return smallest

    def keys(self, minima: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """One hash a bucket, equal where all minima of the bucket are: uint64[buckets]."""
        keys = np.zeros(self._settings.buckets, dtype=np.uint64)
        for column in minima.reshape(self._settings.buckets, -1).T:
            keys = mixed(keys * _FACTOR + column)
        return keys

    def marks(self, minima: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """One byte of each minimum: enough to estimate on how many two texts agree (see :func:`estimates`)."""
        return mixed(minima).astype(np.uint8)  # mixed: the low byte of ax + b hangs on that of x alone, in every order


def estimates(orders: int) -> NDArray[np.float64]:
    """Similarity of two texts by the number of orders on which their marks agree: float64[orders + 1].

    Marks of one byte agree by chance in 1 of 256 orders, which is taken off (Li & König 2010, "b-bit minwise hashing").

    >>> estimates(112)[[0, 56, 112]].round(3).tolist()
    [0.0, 0.498, 1.0]
    """
    chance = 2.0**-8
    return np.clip((np.arange(orders + 1) / orders - chance) / (1 - chance), 0, 1)


def sign_file(values: Mapping[str, Any], folder: Path, advance: Callable[[int], None]) -> None:
    """Sign the documents of one scanned file that were not refused (work of a unit).

    Writes ``keys.npy``, uint64[buckets, n], and ``marks.npy``, uint8[n, buckets × hashes]: 224 bytes a document.
    """
    settings = MinHash.parse(values["settings"])
    count, signer = values["count"], Signer(settings)
    keys = _new_array(folder / KEYS, np.uint64, (settings.buckets, count))
    marks = _new_array(folder / MARKS, np.uint8, (count, settings.buckets * settings.hashes))
    for row, text in enumerate(_texts(values["documents"])):
        minima = signer.minima(text)
        keys[:, row], marks[row] = signer.keys(minima), signer.marks(minima)
        advance(row + 1)
    keys.flush()
    marks.flush()


def _texts(documents: str) -> Iterator[str]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(documents).iter_batches(batch_size=1000, columns=["text", "reason"]):
        for text in batch.filter(batch["reason"].is_null())["text"]:
            yield text.as_py()


def _new_array(path: Path, kind: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """An array that is written as a file: memory does not depend on the documents of an input file."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
