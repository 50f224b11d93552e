"""Which documents to grade next: a draw by uncertainty, and a small one at random, both of known probability.

Each draw ranks documents by u / w, for a keyed hash u, uniform on (0, 1], and a weight w, and takes the smallest:
priority sampling (Duffield, Lund and Thorup 2007, "Priority sampling for estimation of arbitrary subset sums", J. ACM
54). Given the luck of all others, a document was taken with probability min(1, w τ), where τ is the priority that it
had to stay below; so sums over the pool can be estimated without bias from the few that are graded, each counted
1 / probability times. A draw needs no totals: the pool passes by once, in any order, and little of it stays in memory.

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
REASONS: tuple[Reason, ...] = ("random", "uncertain")


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
        self._count, self._at_random = count, round(count * random_share)
        self._held: dict[Reason, list[_Ticket]] = {reason: [] for reason in REASONS}
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
        at_random = self._draw("random", self._at_random, known)
        uncertain = self._draw("uncertain", self._count - len(at_random.winners), known, at_random)
        # Had a document that was drawn at random had no luck, the runner-up would stand in its place. Would the other
        # draw still have needed all of its winners?
        spared = uncertain.next if at_random.runner_up in uncertain.winners else uncertain.last
        limits: dict[Reason, tuple[float, float]] = {
            "random": (at_random.next, spared),
            "uncertain": (at_random.last, uncertain.next),
        }

        def pick(candidate: Candidate, reason: Reason) -> Pick:
            """With the probability of one draw or the other, given the luck of all other documents."""
            one, other = (
                min(1.0, candidate.weight(w) * limit) for w, limit in zip(REASONS, limits[reason], strict=True)
            )
            return Pick(candidate, reason, 1 - (1 - one) * (1 - other))

        drawn = zip(REASONS, (at_random, uncertain), strict=True)
        return [pick(candidate, reason) for reason, found in drawn for candidate in found.winners.values()]

    def _draw(self, reason: Reason, places: int, known: KnownTexts, before: _Drawn | None = None) -> _Drawn:
        """Fill the places of one draw with documents that an earlier one did not take."""
        found = _Drawn()
        held = sorted(self._held[reason], reverse=True) if places else []
        for ticket in held:
            name = (ticket.id, ticket.text)
            if name in found.winners or (before and name in before.winners) or known.resembles(ticket.text):
                continue
            found.next = -ticket.negative_priority
            if len(found.winners) == places:
                found.runner_up = name
                return found
            found.winners[name], found.last = ticket.candidate, found.next
            known.add(ticket.text)
        if places:  # nobody was left out, or nobody that is still known
            found.next = math.inf if len(held) < self._most else -held[-1].negative_priority
            found.last = found.next
        return found

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


@dataclass
class _Drawn:
    """Who won in one draw; the priority of the last winner, and of the first who did not win."""

    winners: dict[tuple[str, str], Candidate] = field(default_factory=dict)  # by id and text
    last: float = 0.0
    next: float = 0.0
    runner_up: tuple[str, str] | None = None


@dataclass(frozen=True, order=True)
class _Ticket:
    """Of two tickets the greater one is drawn first."""

    negative_priority: float
    id: str
    text: str
    candidate: Candidate = field(compare=False)
