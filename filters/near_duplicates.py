"""Near-duplicates over the whole job: every document that is dropped is alike one that stays.

Documents are taken in the job's order. One that is alike a document that stays is dropped and names it; else it stays
itself. So no chain of small differences drops a document for one that it does not resemble (datatrove keeps one of
each connected component), no two that stay were found alike, and how files are divided among workers cannot matter.

Only documents that agree on a whole bucket are compared. The buckets are sorted one after the other, and only of
documents that share one is more held than a key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import command
from common.files import content_key
from filters.job import MinHash
from filters.minhash import KEYS, MARKS, SOURCES, estimates
from filters.program import sources
from filters.scan import DOCUMENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from filters.executors import Unit
    from filters.pool import Pool

_MAX_COMPARED = 64
"""Documents of one bucket that later ones are compared with. Pages of one template may share a bucket by the thousand
without being alike; those that are alike share other buckets too."""


def signature_units(pool: Pool, settings: MinHash | None) -> list[Unit]:
    """Units that sign the documents of a pool, for :func:`filters.minhash.sign_file`; no settings, no units.

    A file without a survivor has none. The least similarity is no part of a signature: a new one signs nothing again.
    """
    from filters.executors import Unit

    if settings is None:
        return []
    values = settings.model_dump(exclude={"min_similarity"})
    units = []
    for file, folder in enumerate(pool.files):
        if count := int(pool.survives[pool.rows(file)].sum()):
            key = content_key("sign", sources(*SOURCES), folder.name, values)
            units.append(Unit(key, {"documents": str(folder / DOCUMENTS), "count": count, "settings": values}, count))
    return units


def first_alike(
    files: Sequence[Path], chosen: NDArray[np.bool_], min_similarity: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each document the one that stays for it: itself, or the earlier one that it is most alike.

    Args:
        files: folders of signatures, in the job's order.
        chosen: bool[n], which of all their documents take part; the others point to themselves.
        min_similarity: documents are alike from here on, inclusive.
    Returns:
        int64[n], places among all documents; float32[n], the estimated similarity to that one, NaN where it is itself.
    """
    first, similarity = np.arange(len(chosen)), np.full(len(chosen), np.nan, dtype=np.float32)
    places = np.flatnonzero(chosen)
    if len(places) > 1:
        members, groups = _groups(files, places)
        rows = places[members]
        leaders, similarity[rows] = _leaders(groups, _marks(files, rows), min_similarity)
        first[rows] = rows[leaders]
    return first, similarity


def _groups(files: Sequence[Path], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which documents share a bucket with another one.

    Returns:
        members: int64[m], their positions in ``places``, ascending.
        groups: int64[m, buckets], one number for all that share a bucket, in no other bucket the same; -1: alone.
    """
    columns = [np.load(file / KEYS, mmap_mode="r") for file in files]
    total, shared, numbers = 0, [], []
    for bucket in range(len(columns[0])):
        keys = np.concatenate([column[bucket] for column in columns])[places]
        order = np.argsort(keys)
        ordered = keys[order]
        begins = np.ones(len(keys), dtype=bool)
        begins[1:] = ordered[1:] != ordered[:-1]
        together = ~(begins & np.append(begins[1:], True))
        shared.append(order[together])
        numbers.append(total + np.cumsum(begins[together]) - 1)
        total += int(begins[together].sum())
    members = np.unique(np.concatenate(shared))
    groups = np.full((len(members), len(shared)), -1)
    for bucket, (rows, found) in enumerate(zip(shared, numbers, strict=True)):
        groups[np.searchsorted(members, rows), bucket] = found
    return members, groups


def _marks(files: Sequence[Path], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Marks of some documents: uint8[m, orders]."""
    found, start = [], 0
    for file in files:
        marks = np.load(file / MARKS, mmap_mode="r")
        low, high = np.searchsorted(rows, (start, start + len(marks)))
        found.append(marks[rows[low:high] - start])
        start += len(marks)
    return np.concatenate(found)


def _leaders(
    groups: NDArray[np.int64], marks: NDArray[np.uint8], min_similarity: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each member the one that stays for it, and how alike they are (NaN: it stays itself)."""
    members = len(groups)
    leaders, similarity = np.arange(members), np.full(members, np.nan, dtype=np.float32)
    by_agreement = estimates(marks.shape[1])
    first_kept = np.full(groups.max(initial=-1) + 1, -1)  # of each group; nearly all have one at most
    also_kept: defaultdict[int, list[int]] = defaultdict(list)
    with command.progress(members, "doc", "near-duplicates") as bar:
        for member in range(members):
            bar.update()
            own = groups[member]
            own = own[own >= 0]
            kept = first_kept[own]
            compared = set(kept[kept >= 0].tolist())
            for group in own.tolist() if also_kept else ():
                compared.update(also_kept.get(group, ()))
            if compared:
                candidates = sorted(compared)
                agreement = np.count_nonzero(marks[candidates] == marks[member], axis=1)
                best = int(agreement.argmax())
                if by_agreement[agreement[best]] >= min_similarity:
                    leaders[member], similarity[member] = candidates[best], by_agreement[agreement[best]]
                    continue
            first_kept[own[kept < 0]] = member
            for group in own[kept >= 0].tolist():
                if len(also_kept[group]) < _MAX_COMPARED:
                    also_kept[group].append(member)
    return leaders, similarity
