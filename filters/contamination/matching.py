"""Which eval items stand in a text, how much of each, and where.

An item's *lead* is its question, or where that is shorter than 5 words its answer; the other of the two is looked for
within 60 words of it. The share is that of the lead's words that lie in matched n-grams (templates aside):

- ``verbatim``: at least 80%, and the other part stands near, if the item has one;
- ``partial``: at least 50%;
- ``passage``: less, but at least 50% of the passage that belongs to the question; the share is of its words;
- ``touched``: less of the lead or the passage, or at least 50% of a long answer without its question.

A question of 5 to 7 words, or an answer of 5 to 12 that leads, is too common to count without the other part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from filters.contamination.index import ALONE, N
from filters.contamination.settings import KINDS
from filters.contamination.words import words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from filters.contamination.index import Index

    Span = tuple[int, int]

NEAR_WORDS = 60
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Hit:
    """An item in a text.

    Attributes:
        item: its number in the index.
        kind: one of ``KINDS``.
        share: of the lead's words that were found; of the passage's, where that is all.
        answered: whether the other part stands near; None if the item has none.
        spans: where what was found begins and ends in the text, in characters.
    """

    item: int
    kind: str
    share: float
    answered: bool | None
    spans: tuple[Span, ...]


def hits(index: Index, text: str, verbatim_share: float = 0.8, partial_share: float = 0.5) -> list[Hit]:
    """The items that stand in a text, each once, by number."""
    import numpy as np

    words = words_of(text)
    found: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for place, part, inner, length in index.stretches(words.codes):
        found[part].append((place, inner, length))
    if not found:
        return []
    looked_at = _Text(index, words.codes, dict(found))
    best: dict[int, Hit] = {}
    for reading in index.readings[np.isin(index.readings[:, 1:], list(found)).any(axis=1)].tolist():
        hit = _judged(looked_at, reading, verbatim_share, partial_share)
        if hit and (hit.item not in best or _gravity(hit) < _gravity(best[hit.item])):
            best[hit.item] = hit
    return [
        replace(hit, spans=tuple((int(words.begins[begin]), int(words.ends[end - 1])) for begin, end in hit.spans))
        for _, hit in sorted(best.items())
    ]


def lines_without(text: str, spans: Iterable[Span]) -> str:
    """A text without the lines that spans touch."""
    kept, begin = [], 0
    touched = sorted(spans)
    for line in text.splitlines(keepends=True):
        end = begin + len(line)
        while touched and touched[0][1] <= begin:
            touched.pop(0)
        if not touched or touched[0][0] >= end:
            kept.append(line)
        begin = end
    return "".join(kept).strip()


@dataclass(frozen=True)
class _Text:
    """A text beside the index: ``found`` has (place in the text, place in the part, words) of each part's n-grams."""

    index: Index
    codes: NDArray[np.uint64]
    found: dict[int, list[tuple[int, int, int]]]

    def share(self, part: int) -> float:
        """Of the part's words that n-grams can match, those that they did."""
        import numpy as np

        if part not in self.found:
            return 0.0
        covered = np.zeros(self.index.lengths[part], dtype=bool)
        for _, inner, length in self.found[part]:
            covered[inner : inner + length] = True
        return float(covered.sum() / self.index.matchable[part])

    def spans(self, part: int) -> list[Span]:
        """Where n-grams of a part stand, in words."""
        return [(place, place + length) for place, _, length in self.found.get(part, ())]

    def near(self, part: int, others: list[Span]) -> list[Span]:
        """Where a part stands within reach of others: whole, or of a long one at least half."""
        import numpy as np

        if part < 0:
            return []
        if self.index.lengths[part] >= N:
            spans = self.spans(part) if self.share(part) >= _HALF else []
        else:
            words = self.index.part(part)
            spans = [
                (place, place + len(words))
                for place in np.flatnonzero(self.codes == words[0]).tolist()
                if np.array_equal(self.codes[place : place + len(words)], words)
            ]
        reach = [(begin - NEAR_WORDS, end + NEAR_WORDS) for begin, end in others]
        return [span for span in spans if any(low < span[1] and span[0] < high for low, high in reach)]


def _judged(text: _Text, reading: list[int], verbatim_share: float, partial_share: float) -> Hit | None:
    item, question, answer, passage = reading
    leading = text.index.lead(question, answer)
    other = answer if leading == question else question
    share, spans = text.share(leading), text.spans(leading)
    beside = text.near(other, spans)
    answered = bool(beside) if other >= 0 else None
    alone = text.index.lengths[leading] >= (ALONE if leading == question else N)
    if not (alone or beside):
        share = 0.0
    of_passage = text.share(passage)
    if share >= partial_share:
        whole = share >= verbatim_share and answered is not False
        return Hit(item, "verbatim" if whole else "partial", share, answered, (*spans, *beside))
    if of_passage:
        kind = "passage" if of_passage >= partial_share else "touched"
        return Hit(item, kind, of_passage, answered, tuple(text.spans(passage)))
    if share:
        return Hit(item, "touched", share, answered, (*spans, *beside))
    if leading == question and text.index.lengths[answer] >= N and text.share(answer) >= partial_share:
        return Hit(item, "touched", 0.0, True, tuple(text.spans(answer)))
    return None


def _gravity(hit: Hit) -> tuple[int, float]:
    return KINDS.index(hit.kind), -hit.share
