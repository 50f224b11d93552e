"""A pool of documents scored by two classifiers, and what each of them would keep of it.

The pool passes by once; of a document stay two scores, its tokens, its source and a hash of its id: 32 bytes. Texts
that a page quotes are fetched afterwards by their place.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import scoring
from classifiers.resolution import check_resolution
from common.errors import InputError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.compare_settings import Rule
    from classifiers.model import EducationalClassifier

    Scores = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SOURCE_COLUMN = "source"
UNNAMED = "(not named)"
_TIE_KEY = b"edusieve budget cut 1"  # that of filters.budget: equal scores fall the same way in a real cut


@dataclass(frozen=True)
class Pool:
    """What is remembered of every document, in the order of the input."""

    scores: tuple[Scores, Scores]  # of the champion and the challenger, n each
    tokens: NDArray[np.int64]  # of the training tokenizer, n
    ties: NDArray[np.uint64]  # keyed hash of the id, n
    source: NDArray[np.int64]  # place in names, n
    names: tuple[str, ...]  # of the sources; one if the pool names none

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Amount:
    """So much text."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class Kept:
    """What both would keep."""

    masks: tuple[Mask, Mask]  # of the champion and the challenger, n each
    thresholds: tuple[float | None, float | None]  # lowest score that is kept; None if nothing is
    amounts: dict[str, Amount]  # pool, champion, challenger, both, gained, lost

    @property
    def gained(self) -> Mask:
        """Kept by the challenger only."""
        return self.masks[1] & ~self.masks[0]

    @property
    def lost(self) -> Mask:
        """Kept by the champion only."""
        return self.masks[0] & ~self.masks[1]

    def overlap(self, unit: str) -> float | None:
        """What both keep of what either keeps (Jaccard index), in "documents" or "tokens"; None if nothing is kept."""
        both, gained, lost = (getattr(self.amounts[name], unit) for name in ("both", "gained", "lost"))
        return round(both / (both + gained + lost), 4) if both + gained + lost else None


def score_pool(
    source: str,
    classifiers: tuple[EducationalClassifier, EducationalClassifier],
    source_column: str | None = None,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> Pool:
    """Score and count every document once with each classifier.

    Args:
        source: JSONL or Parquet with ``id`` and ``text``: file, folder, glob or URL.
        classifiers: champion and challenger; if they are the same, one of them scores.
        source_column: every document must have it; None: ``source`` where a document has it.
        threads: batches at a time; nothing depends on it.
        advance: called with the number of documents that one classifier has done.
    Raises:
        InputError: if the pool is empty or a document lacks a column.
    """
    from common.tokenizer import load_tokenizer

    champion, challenger = classifiers
    tokenizer, names = load_tokenizer(), dict[str, int]()
    parts: list[tuple[NDArray[Any], ...]] = []
    for block in scoring.read_blocks(source, ("id", "text", *([source_column] if source_column else []))):
        texts = [row["text"] for row in block]
        ours = champion.measure(texts, threads, advance).scores
        same = challenger.digest == champion.digest
        theirs = ours if same else challenger.measure(texts, threads, advance).scores
        tokens = np.array([tokenizer.count(text) for text in texts], np.int64)
        ties = np.array([tie(row["id"]) for row in block], np.uint64)
        origins = (_source_of(row, source_column or SOURCE_COLUMN) for row in block)
        numbers = np.array([names.setdefault(name, len(names)) for name in origins], np.int64)
        parts.append((ours, theirs, tokens, ties, numbers))
    if not parts:
        raise InputError(f"{source} holds no documents")
    ours, theirs, tokens, ties, numbers = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Pool((ours, theirs), tokens, ties, numbers, tuple(names))


def keep(pool: Pool, rule: Rule) -> Kept:
    """What each classifier would keep of the pool.

    Raises:
        SettingsError: if not one document fits the share.
        InputError: if the scores are too coarse for the decision.
    """
    masks = tuple(_kept(pool, scores, rule) for scores in pool.scores)
    if rule.threshold is None and not all(mask.any() for mask in masks):
        total = int(pool.tokens.sum())
        raise SettingsError(
            f"keep_fraction {rule.fraction:g} of the pool's {total:,} tokens holds not one document; raise it or add "
            "documents to the pool"
        )
    for whose, scores, mask in zip(("the champion", "the challenger"), pool.scores, masks, strict=True):
        if mask.any():
            lowest_kept = float(scores[mask].min()) if rule.threshold is None else rule.threshold
            check_resolution(scores, mask, pool.tokens, lowest_kept, whose)
    ours, theirs = masks
    chosen = {
        "pool": np.ones(len(pool), np.bool_),
        "champion": ours,
        "challenger": theirs,
        "both": ours & theirs,
        "gained": theirs & ~ours,
        "lost": ours & ~theirs,
    }
    lowest = [float(s[m].min()) if m.any() else None for s, m in zip(pool.scores, masks, strict=True)]
    amounts = {name: Amount(int(mask.sum()), int(pool.tokens[mask].sum())) for name, mask in chosen.items()}
    return Kept((ours, theirs), (lowest[0], lowest[1]), amounts)


def kept_at_share(
    scores: Scores, tokens: NDArray[np.int64], ties: NDArray[np.uint64], fraction: float
) -> NDArray[np.bool_]:
    """The longest run of the highest scores whose tokens fit the share: the rule of ``filters.budget.cut``.

    Args:
        scores: n.
        tokens: n.
        ties: the lower goes first among equal scores, n.
        fraction: of all tokens, rounded down to whole tokens.
    """
    budget = math.floor(Fraction(str(fraction)) * int(tokens.sum()))
    order = np.lexsort((ties, -scores))
    fitting = int(np.searchsorted(np.cumsum(tokens[order]), budget, side="right"))
    kept = np.zeros(len(scores), np.bool_)
    kept[order[:fitting]] = True
    return kept


def draw(pool: Pool, mask: Mask, count: int, seed: int = 0) -> list[int]:
    """At most ``count`` places of ``mask`` at random; which ones does not depend on the order of the pool."""
    places = np.flatnonzero(mask)
    places = places[np.argsort(pool.ties[places], kind="stable")]
    return [int(place) for place in np.random.default_rng(seed).permutation(places)[:count]]


def fetch(source: str, pool: Pool, places: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The rows at ``places``, read again.

    Raises:
        InputError: if the pool is no longer the one that was scored.
    """
    wanted, found, start = set(places), dict[int, dict[str, Any]](), 0
    for block in scoring.read_blocks(source) if wanted else ():
        for place in sorted(wanted & set(range(start, start + len(block)))):
            if tie(block[place - start]["id"]) != int(pool.ties[place]):
                break
            found[place] = block[place - start]
        start += len(block)
        if start > max(wanted):
            break
    if len(found) < len(wanted):
        raise InputError(f"{source} changed while it was read; compare again when nothing writes to it")
    return found


def tie(identity: object) -> int:
    """Keyed hash of an id that decides between equal scores, as in ``filters.budget``."""
    # a lone surrogate may stand in an id that came from a damaged page
    content = str(identity).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=16, key=_TIE_KEY).digest()[:8], "big")


def _kept(pool: Pool, scores: Scores, rule: Rule) -> Mask:
    if rule.threshold is not None:
        return scores >= np.float32(rule.threshold)
    return kept_at_share(scores, pool.tokens, pool.ties, rule.fraction)


def _source_of(row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    return UNNAMED if value is None or value == "" else str(value)
