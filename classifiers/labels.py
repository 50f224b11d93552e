"""The labels table in and out, and splits that near-duplicates and second gradings never straddle.

One row is one grading: ``id, text`` (the exact window that was graded), ``score`` 0–5, and where known ``annotator,
kind, source, rubric_sha256, split``. Several gradings of one window are averaged. Two windows belong to one *group* if
they are of the same document or share most of their word 5-grams; a split never divides a group, because a model that
has seen one half of such a pair is graded on its memory.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.documents import read_documents, write_parquet
from common.errors import InputError, SettingsError
from common.files import content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SCORE = 5
SHINGLE_WORDS = 5
MIN_SHARED_FRACTION = 0.5
"""Two windows are near-duplicates if they share this much of the smaller one's shingles."""
MAX_POSTINGS = 200
"""A shingle that stands in more windows than this is boilerplate and proves nothing."""


@dataclass(frozen=True)
class Labels:
    """Graded windows, each once, in the order of their identity (so the order of rows in a file changes nothing)."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    scores: NDArray[np.float64] = field(repr=False)  # mean of the gradings
    gradings: NDArray[np.int64] = field(repr=False)
    kinds: tuple[str, ...]  # "" where unknown
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: NDArray[Any] | Sequence[int]) -> Labels:
        """The windows at ``places`` (indices or a mask)."""
        chosen = np.arange(len(self))[np.asarray(places)]
        return Labels(
            tuple(self.ids[i] for i in chosen),
            tuple(self.texts[i] for i in chosen),
            self.scores[chosen],
            self.gradings[chosen],
            tuple(self.kinds[i] for i in chosen),
            tuple(self.sources[i] for i in chosen),
        )

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """For every window the place of the first window of its group."""
        return group(self.ids, self.texts)

    @property
    def digest(self) -> str:
        """Identity of the windows and their mean scores."""
        return content_key([[i, t, s] for i, t, s in zip(self.ids, self.texts, self.scores.tolist(), strict=True)])


def read_labels(source: str | Path | Sequence[str | Path], skip_split: str | None = None) -> Labels:
    """Read a labels table (JSONL or Parquet; a file, folder or glob).

    Args:
        source: what :func:`common.documents.expand` takes.
        skip_split: leave out the rows whose ``split`` says so.
    Raises:
        InputError: for a score outside 0–5, a text that is not a string, or an empty table; it names the row's id.
    """
    rows = read_documents(source, ("id", "text", "score"))
    return gather(row for row in rows if skip_split is None or row.get("split") != skip_split)


def gather(rows: Any) -> Labels:
    """Average the gradings of each window. ``rows`` are mappings with at least ``id, text, score``."""
    windows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        identity, text, score = str(row["id"]), row["text"], row["score"]
        if not isinstance(text, str):
            raise InputError(f"label {identity}: text must be a string, got {type(text).__name__}")
        valid = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= MAX_SCORE
        if not valid or math.isnan(score):
            raise InputError(f"label {identity}: score must be a number from 0 to {MAX_SCORE}, got {score!r}")
        windows[identity, text].append(row)
    if not windows:
        raise InputError("the labels table holds no gradings")
    ordered = sorted(windows)
    return Labels(
        ids=tuple(identity for identity, _ in ordered),
        texts=tuple(text for _, text in ordered),
        # fsum: the mean must not depend on the order of rows
        scores=np.array([math.fsum(r["score"] for r in windows[key]) / len(windows[key]) for key in ordered]),
        gradings=np.array([len(windows[key]) for key in ordered]),
        kinds=tuple(_majority(windows[key], "kind") for key in ordered),
        sources=tuple(_majority(windows[key], "source") for key in ordered),
    )


def write_labels(path: Path | str, labels: Labels) -> None:
    """Publish averaged labels as Parquet: ``id, text, score, gradings, kind, source``."""
    import pyarrow as pa

    columns = {
        "id": pa.array(labels.ids, pa.string()),
        "text": pa.array(labels.texts, pa.string()),
        "score": pa.array(labels.scores, pa.float64()),
        "gradings": pa.array(labels.gradings, pa.int64()),
        "kind": pa.array(labels.kinds, pa.string()),
        "source": pa.array(labels.sources, pa.string()),
    }
    write_parquet(path, pa.table(columns))


def group(ids: Sequence[str], texts: Sequence[str]) -> NDArray[np.int64]:
    """Group number of every window: windows of one document and near-duplicates share it, also along a chain.

    Returns:
        int64[n]; the number is the place of the group's first window.
    """
    parent = list(range(len(ids)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def join(left: int, right: int) -> None:
        first, second = sorted((root(left), root(right)))
        parent[second] = first

    first_of: dict[str, int] = {}
    for place, identity in enumerate(ids):
        join(first_of.setdefault(identity, place), place)
    for left, right in near_duplicates(texts):
        join(left, right)
    return np.array([root(place) for place in range(len(ids))], np.int64)


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places whose texts share at least half of the smaller one's word 5-grams, case and signs aside."""
    postings: dict[int, list[int]] = defaultdict(list)
    sizes = []
    for place, text in enumerate(texts):
        found = shingles(text)
        sizes.append(len(found))
        for shingle in found:
            postings[shingle].append(place)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for places in postings.values():
        if 1 < len(places) <= MAX_POSTINGS:
            for i, left in enumerate(places):
                for right in places[i + 1 :]:
                    shared[left, right] += 1
    return sorted(
        pair for pair, count in shared.items() if count >= MIN_SHARED_FRACTION * min(sizes[pair[0]], sizes[pair[1]])
    )


def shingles(text: str) -> set[int]:
    """64-bit hashes of the word 5-grams; a text of fewer words is one shingle."""
    words = re.findall(r"\w+", text.lower())
    grams = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return {_hash64(" ".join(words[i : i + SHINGLE_WORDS])) for i in grams}


def folds(labels: Labels, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Fold of every window, 0 … count − 1: groups stay whole, and every fold gets its share of every score.

    Groups are dealt out like cards, ordered by mean score and then by a keyed hash of the group's smallest id, so the
    result depends on the windows and the seed alone.

    Raises:
        SettingsError: if there are fewer groups than folds.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(labels.groups):
        members[int(number)].append(place)
    if not 2 <= count <= len(members):
        raise SettingsError(
            f"folds must be from 2 to the number of independent groups of documents ({len(members)}), got {count}"
        )

    def order(number: int) -> tuple[int, int]:
        places = members[number]
        name = min(labels.ids[i] for i in places)
        return round(float(labels.scores[places].mean())), _hash64(f"{seed}\0{name}")

    fold = np.empty(len(labels), np.int64)
    for turn, number in enumerate(sorted(members, key=order)):
        fold[members[number]] = turn % count
    return fold


def fingerprint(text: str) -> int:
    """63-bit hash of a value, for recognising it again without keeping it."""
    return _hash64(text) >> 1


def _hash64(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _majority(rows: Sequence[dict[str, Any]], name: str) -> str:
    values = [str(row[name]) for row in rows if row.get(name)]
    return max(sorted(set(values)), key=values.count, default="")
