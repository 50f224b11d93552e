"""One tokenisation of a document, shared by every rule.

Each view (lines, words, n-grams …) is computed when a rule first asks for it and then kept. The definitions are those
of datatrove's filters, including where they differ among themselves: "line" means three things in three rule sets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING

from filters.english import SENTENCE_BREAK, WORD_KINDS, kinds_of, split

if TYPE_CHECKING:
    import numpy as np

_PARAGRAPH_BREAK = re.compile(r"\n{2,}")
_LINE_BREAK = re.compile(r"\n+")
_IS_WORD = bytes(chr(code) in WORD_KINDS for code in range(256))


@dataclass(frozen=True, slots=True)
class Repeats:
    """The n-grams of one length that occur at least twice."""

    positions: np.ndarray
    """Where they start, ascending, int64[m]."""
    groups: np.ndarray
    """Which n-gram starts there, as a dense number, int64[m]."""


class Words:
    """A text and what the rules see in it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """Lines in Python's sense (every Unicode line break), empty ones included."""
        return self.text.splitlines()

    @cached_property
    def line_runs(self) -> list[str]:
        """What lies between runs of newlines; a text that ends with one has an empty last piece."""
        return _LINE_BREAK.split(self.text)

    @cached_property
    def filled_lines(self) -> list[str]:
        """Pieces between single newlines that hold more than white space, as they stand."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What lies between empty lines."""
        return _PARAGRAPH_BREAK.split(self.text.strip())

    @cached_property
    def tokens(self) -> list[str]:
        """Words, numbers and punctuation marks in order, as spaCy's English tokenizer has them."""
        return self._split[0]

    @cached_property
    def words(self) -> int:
        """Number of tokens that are not made of symbols alone."""
        return sum(map(self._split[1].count, WORD_KINDS))

    @cached_property
    def word_characters(self) -> int:
        """Characters of those."""
        return sum(map(len, compress(self.tokens, self._split[1].encode().translate(_IS_WORD))))

    @cached_property
    def alphabetic_tokens(self) -> int:
        """Number of tokens with at least one letter."""
        return self._split[1].count("a")

    @cached_property
    def sentences(self) -> int:
        """Number of sentences; a line end ends one. A line of white space has none."""
        kinds = [kinds for line in self.lines if (kinds := kinds_of(line))]
        return len(kinds) + len(SENTENCE_BREAK.findall("\n".join(kinds)))

    def top_n_gram_characters(self, n: int) -> int:
        """Characters of the most frequent n-gram, spaces between its words included, times its occurrences.

        Of several equally frequent ones, the first. A text shorter than ``n`` tokens has none: 0.
        """
        import numpy as np

        if len(self.tokens) < n:
            return 0
        repeats = self._repeats(n)
        if not len(repeats.positions):
            return int(self._offsets[n]) + n - 1  # each occurs once; the first of them
        counts = np.bincount(repeats.groups)
        first = int(np.argmax(counts[repeats.groups]))
        start = int(repeats.positions[first])
        length = int(self._offsets[start + n] - self._offsets[start]) + n - 1
        return length * int(counts[repeats.groups[first]])

    def repeated_n_gram_characters(self, n: int) -> int:
        """Characters inside n-grams that stood before in the text, none counted twice.

        Walks from left to right; an n-gram seen before is counted and stepped over whole.
        """
        repeats = self._repeats(n)
        seen: set[int] = set()
        characters = next_free = 0
        for position, group in zip(repeats.positions.tolist(), repeats.groups.tolist(), strict=True):
            if position < next_free:
                continue
            if group in seen:
                characters += int(self._offsets[position + n] - self._offsets[position])
                next_free = position + n
            else:
                seen.add(group)
        return characters

    @cached_property
    def _split(self) -> tuple[list[str], str]:
        return split(self.text)

    @cached_property
    def _offsets(self) -> np.ndarray:
        """Characters of tokens before each token, without white space; int64[tokens + 1]."""
        import numpy as np

        lengths = np.fromiter(map(len, self.tokens), np.int64, len(self.tokens))
        return np.concatenate(([0], np.cumsum(lengths)))

    @cached_property
    def _levels(self) -> list[Repeats]:
        """Repeats of 1-grams, 2-grams …, as far as they were asked for."""
        import numpy as np

        numbers = {token: number for number, token in enumerate(dict.fromkeys(self.tokens))}
        ids = np.fromiter(map(numbers.__getitem__, self.tokens), np.int64, len(self.tokens))
        return [_repeated(np.arange(len(ids)), ids)]

    def _repeats(self, n: int) -> Repeats:
        """An (n+1)-gram repeats only where two overlapping n-grams do, so each length looks at fewer places."""
        import numpy as np

        while len(self._levels) < n:
            last = self._levels[-1]
            follows = np.flatnonzero(np.diff(last.positions) == 1)
            pairs = last.groups[follows] * (len(self.tokens) + 1) + last.groups[follows + 1]
            self._levels.append(_repeated(last.positions[follows], pairs))
        return self._levels[n - 1]


def duplicates(pieces: Sequence[str]) -> tuple[int, int]:
    """How many pieces equal an earlier one, and the characters of those."""
    distinct = set(pieces)
    return len(pieces) - len(distinct), sum(map(len, pieces)) - sum(map(len, distinct))


def _repeated(positions: np.ndarray, codes: np.ndarray) -> Repeats:
    import numpy as np

    if not len(positions):
        return Repeats(positions, codes)
    _, groups, counts = np.unique(codes, return_inverse=True, return_counts=True)
    kept = counts[groups] > 1
    return Repeats(positions[kept], groups[kept])
