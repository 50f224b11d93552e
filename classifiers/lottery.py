"""Which documents to grade next: a draw by uncertainty, and a small one at random, both of known probability.

Each draw ranks documents by u / w, for a keyed hash u, uniform on (0, 1], and a weight w, and takes the smallest:
priority sampling (Duffield, Lund and Thorup 2007, "Priority sampling for estimation of arbitrary subset sums", J. ACM
54). Given the priority τ of the first that was left out, a document was taken with probability min(1, w τ), so that
sums over the pool can be estimated without bias from the few that are graded, each counted 1 / probability times. A
draw needs no totals: the pool passes by once, in any order, and few documents more than are wanted stay in memory.

The weight at random is 1; of uncertainty it is the square of 4 p (1 − p), where p is the classifier's P(grade ≥ t).
Drawing by weight, rather than taking the very highest, spreads over the doubtful range; the highest are much alike.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from classifiers.labels import MAX_POSTINGS, MIN_SHARED_FRACTION, shingles

SPARE = 4
"""Documents that are held for each that is wanted, because near-duplicates drop out."""

Reason = Literal["random", "uncertain"]


@dataclass(frozen=True)
class Candidate:
    """A document that may be graded."""

    id: str
    text: str  # the window
    chance: float  # P(grade ≥ t), by the classifier
    more: Mapping[str, Any] = field(default_factory=dict)  # what is written beside it

    def weight(self, reason: Reason) -> float:
        """How much a draw wants it: 1 at most."""
        return 1.0 if reason == "random" else (4 * self.chance * (1 - self.chance)) ** 2


@dataclass(frozen=True)
class Pick:
    """A document to grade."""

    candidate: Candidate
    reason: Reason
    inclusion_probability: float


class Lottery:
    """Takes documents one by one, and remembers those that may win."""

    def __init__(self, count: int, random_share: float, seed: int = 0) -> None:
        """A lottery of ``count`` documents, of which ``random_share`` are drawn at random."""
        self._places: dict[Reason, int] = {"random": round(count * random_share), "uncertain": count}
        self._held: dict[Reason, list[_Ticket]] = {"random": [], "uncertain": []}
        self._most = SPARE * count + 1
        self._key = str(seed).encode()

    def offer(self, candidate: Candidate) -> None:
        """Let a document take part in both draws."""
        for reason, held in self._held.items():
            weight = candidate.weight(reason)
            if weight > 0:
                priority = self._luck(reason, candidate) / weight
                heapq.heappush(held, _Ticket(-priority, candidate.id, candidate.text, candidate))
            if len(held) > self._most:
                heapq.heappop(held)

    def draw(self, known: KnownTexts) -> list[Pick]:
        """The documents to grade, those drawn at random first. Fewer than wanted if there are no more.

        Args:
            known: texts that need no further grade; what is drawn is added to it.
        """
        drawn: dict[tuple[str, str], tuple[Candidate, Reason]] = {}
        limits = {reason: self._draw(reason, drawn, known) for reason in self._held}

        def probability(candidate: Candidate) -> float:
            missed = [1 - min(1.0, candidate.weight(reason) * limit) for reason, limit in limits.items()]
            return 1 - math.prod(missed)

        return [Pick(candidate, reason, probability(candidate)) for candidate, reason in drawn.values()]

    def _draw(self, reason: Reason, drawn: dict[tuple[str, str], tuple[Candidate, Reason]], known: KnownTexts) -> float:
        """Fill the places of one draw; give the priority of the first document that found none, 0 without places."""
        if len(drawn) >= self._places[reason]:
            return 0.0
        held = sorted(self._held[reason], reverse=True)
        for ticket in held:
            name = (ticket.id, ticket.text)
            if name in drawn or known.resembles(ticket.text):
                continue
            if len(drawn) >= self._places[reason]:
                return -ticket.negative_priority
            drawn[name] = (ticket.candidate, reason)
            known.add(ticket.text)
        return math.inf if len(held) < self._most else -held[-1].negative_priority

    def _luck(self, reason: Reason, candidate: Candidate) -> float:
        """Uniform on (0, 1], the same for the same document, window and seed."""
        name = f"{reason}\0{candidate.id}\0{candidate.text}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=8, key=self._key).digest()
        return (int.from_bytes(digest, "big") + 1) / 2**64


class KnownTexts:
    """Recognises near-duplicates of the texts it was told, as :func:`classifiers.labels.near_duplicates` does."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._postings: dict[int, list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Remember ``text``."""
        found = shingles(text)
        for shingle in found:
            self._postings[shingle].append(len(self._sizes))
        self._sizes.append(len(found))

    def resembles(self, text: str) -> bool:
        """Whether ``text`` shares half of the smaller one's word 5-grams with one of them."""
        found = shingles(text)
        shared = Counter(place for shingle in found for place in self._telling(shingle))
        return any(n >= MIN_SHARED_FRACTION * min(len(found), self._sizes[place]) for place, n in shared.items())

    def _telling(self, shingle: int) -> Iterator[int]:
        places = self._postings.get(shingle, ())
        return iter(places if len(places) <= MAX_POSTINGS else ())


@dataclass(frozen=True, order=True)
class _Ticket:
    """Of two tickets the greater one is drawn first."""

    negative_priority: float
    id: str
    text: str
    candidate: Candidate = field(compare=False)
