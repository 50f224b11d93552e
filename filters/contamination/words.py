"""Words as contamination sees them: lower case, without punctuation, accents, hidden characters or line breaks.

What is printed on another page, with other quotes and breaks, gives the same words. A word is known by 64 bits of
hash and never becomes a string: all words of a text are hashed at once, several times as fast as splitting it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PIECE_CHARACTERS = 1 << 16
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_MARKS = "\u00ad\u200b\u200c\u200d\u2060\ufeff" + "".join(map(chr, range(0x300, 0x370)))
"""What may stand inside a word without being seen: soft hyphens, zero widths, accents that combine."""
_MARK = 1
_SINGLE = range(0x3040, 0xA000)
"""Scripts without spaces (kana, Chinese characters): each character counts as a word."""


class Words(NamedTuple):
    """The words of a text in order: their hashes, and where each begins and ends in the text."""

    codes: NDArray[np.uint64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


def words_of(text: str) -> Words:
    """The words of a text; equal words have equal codes.

    >>> found = words_of("Caf\u00e9, CAFE")
    >>> bool(found.codes[0] == found.codes[1]), found.begins.tolist(), found.ends.tolist()
    (True, [0, 6], [4, 10])
    """
    import numpy as np

    pieces = [_piece(text[begin:end], begin) for begin, end in _cuts(text)]
    return pieces[0] if len(pieces) == 1 else Words(*map(np.concatenate, zip(*pieces, strict=True)))


def n_gram_hashes(codes: NDArray[np.uint64], lengths: Sequence[int]) -> dict[int, NDArray[np.uint64]]:
    """For each n of ``lengths`` the hashes of the n-grams that start at word 0, 1, 2 …

    None where the text is shorter. They are polynomials in the words' codes modulo 2**64, so that the hash of a long
    n-gram is made of those of its two halves.
    """
    import numpy as np

    known = {1: codes}

    def hashes(n: int) -> NDArray[np.uint64]:
        if n not in known:
            left = 1 << ((n - 1).bit_length() - 1)
            right = n - left
            places = max(0, len(codes) - n + 1)
            shifted = hashes(left)[:places] * np.uint64(pow(_BASE, right, 1 << 64))
            known[n] = shifted + hashes(right)[left : left + places]
        return known[n]

    return {n: hashes(n) for n in lengths}


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers with their bits stirred, one to one (the end of SplitMix64, Steele et al. 2014)."""
    import numpy as np

    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Pieces of a text, cut at spaces: what is held beside a text must not grow with it."""
    begin = 0
    while len(text) - begin > _PIECE_CHARACTERS:
        space = text.rfind(" ", begin, begin + _PIECE_CHARACTERS)
        end = space + 1 if space >= begin else begin + _PIECE_CHARACTERS
        yield begin, end
        begin = end
    yield begin, len(text)


def _piece(text: str, offset: int) -> Words:
    import numpy as np

    letters, places = _letters()[_code_points(text)], None
    if not text.isascii() and (letters == _MARK).any():
        places = np.flatnonzero(letters != _MARK)
        letters = letters[places]
    begins, ends = _edges(letters)
    powers, inverses = _powers()
    total = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.cumsum(letters * powers[: len(letters)], out=total[1:])
    codes = mixed((total[ends] - total[begins]) * inverses[begins])
    if places is not None and len(ends):
        begins, ends = places[begins], places[ends - 1] + 1
    return Words(codes, begins + offset, ends + offset)


def _code_points(text: str) -> NDArray[Any]:
    """uint32[characters]; those beyond the basic plane (emoji above all) count as no letters."""
    import numpy as np

    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.minimum(np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32), 0xFFFF)


def _edges(letters: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words begin and end: at the edges of runs of letters, and around every single one."""
    import numpy as np

    inside = np.zeros(len(letters) + 2, dtype=bool)
    np.not_equal(letters, 0, out=inside[1:-1])
    edge = inside[1:] != inside[:-1]
    if not (letters >= _SINGLE.start).any():
        places = np.flatnonzero(edge)
        return places[::2], places[1::2]
    single = np.zeros(len(letters) + 2, dtype=bool)
    single[1:-1] = (letters >= _SINGLE.start) & (letters < _SINGLE.stop)
    edge |= single[1:] | single[:-1]
    return np.flatnonzero(edge & inside[1:]), np.flatnonzero(edge & inside[:-1])


@functools.cache
def _letters() -> NDArray[np.uint16]:
    """What each character counts as: a letter or digit without case and accent, 0 between words, or a mark."""
    import numpy as np

    table = np.zeros(1 << 16, dtype=np.uint16)
    for point in range(0xFFFF):
        plain = next(filter(str.isalnum, unicodedata.normalize("NFKD", chr(point))), "")
        table[point] = min(ord(plain.lower()[0]), 0xFFFF) if plain else 0
    table[list(map(ord, _MARKS))] = _MARK
    return table


@functools.cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse modulo 2**64, one for each place of a piece."""
    import numpy as np

    def powers(base: int) -> NDArray[np.uint64]:
        table = np.full(_PIECE_CHARACTERS + 1, base, dtype=np.uint64)
        table[0] = 1
        return np.cumprod(table, dtype=np.uint64)

    return powers(_BASE), powers(pow(_BASE, -1, 1 << 64))
