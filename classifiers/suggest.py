"""Pick the documents of a pool whose grades would teach a classifier most.

Grades cost money or patience. Most documents of a crawl are plainly uneducational, and one more of these teaches
nothing; those near the threshold do. But labels of doubtful documents alone would no longer say what the pool is like,
so that some are drawn at random, and every one is written with the probability that it was taken
(:mod:`classifiers.lottery`). What ``benchmarks/suggest.py`` found it worth stands in docs/retrain.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import scoring
from classifiers.labels import Labels, read_labels
from classifiers.lottery import Candidate, KnownTexts, Lottery, Pick
from classifiers.windows import head
from common.errors import InputError, SettingsError
from common.files import publish_file

if TYPE_CHECKING:
    from classifiers.model import EducationalClassifier
    from classifiers.suggestion import Suggestion

CARRIED = ("kind", "source", "split")
"""Columns of the pool that annotate hands on to the labels."""


def checked_out(path: Path) -> Path:
    """``path``, if documents can be written there.

    Raises:
        SettingsError: if it does not end in .jsonl.
    """
    if path.suffix != ".jsonl":
        raise SettingsError(f"--out must end in .jsonl, got {path}")
    return path


def suggest(
    pool: str,
    out: Path,
    classifier: EducationalClassifier,
    settings: Suggestion,
    *,
    labels: str | None = None,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Write the documents to grade next, as ``classifiers annotate --input`` takes them.

    A row has ``id, text`` (the window that is graded), ``reason`` ("random" or "uncertain"), ``inclusion_probability``,
    ``score`` and ``probability`` (P(grade ≥ threshold)) by the classifier, and kind, source and split where known.

    Args:
        pool: documents, JSONL or Parquet.
        out: a .jsonl file; whole or absent.
        classifier: whose doubts count. What it was trained on is passed over.
        settings: how many, and which.
        labels: a labels table; its near-duplicates are passed over as well.
        threads: batches at a time; the bytes do not depend on it.
        advance: called with the number of documents done.
    Returns:
        Counts, and how many of the suggested documents the classifier expects to reach the threshold.
    Raises:
        InputError: if the pool has no document that is new.
    """
    checked_out(out)
    known = KnownTexts(read_labels(labels).texts if labels else ())
    lottery = Lottery(settings.count, settings.random_share, settings.seed)
    documents, new, expected = 0, 0, 0.0
    for block in scoring.read_blocks(pool):
        rows = _new_rows(block, classifier)
        documents, new = documents + len(block), new + len(rows)
        if advance:
            advance(len(block) - len(rows))
        measures = classifier.measure([row["text"] for row in rows], threads, advance)
        chances = measures.probabilities[:, settings.threshold - 1].tolist()
        for row, score, chance in zip(rows, measures.scores.tolist(), chances, strict=True):
            carried = {name: row[name] for name in CARRIED if row.get(name) is not None}
            lottery.offer(Candidate(row["id"], row["text"], chance, {"score": round(score, 4), **carried}))
        expected += sum(chances)
    picks = lottery.draw(known)
    if not picks:
        raise InputError(
            f"{pool} holds nothing new to grade: of {documents:,} documents {documents - new:,} are empty or were "
            "trained on, the others are near-duplicates of labels"
        )
    with publish_file(out) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        for pick in picks:
            stream.write(json.dumps(_row(pick, settings), ensure_ascii=False) + "\n")
    reasons = Counter(pick.reason for pick in picks)
    return {
        "documents": documents,
        "new": new,
        "suggested": len(picks),
        "random": reasons["random"],
        "uncertain": reasons["uncertain"],
        "threshold": settings.threshold,
        "expected_in_new": round(expected / new, 4),
        "expected_in_suggested": round(sum(pick.candidate.chance for pick in picks) / len(picks), 4),
        "classifier": classifier.digest,
        "out": str(out),
    }


def _new_rows(block: list[dict[str, Any]], classifier: EducationalClassifier) -> list[dict[str, Any]]:
    """The documents that have text and were not trained on, with their text cut to the window that is graded."""
    rows = [row | {"id": str(row["id"]), "text": head(row["text"], classifier.description.window)} for row in block]
    ids, texts = (tuple(row[name] for row in rows) for name in ("id", "text"))
    blank, unnamed = np.zeros(len(rows)), ("",) * len(rows)
    learned = classifier.knows(Labels(ids, texts, blank, blank.astype(np.int64), unnamed, unnamed))
    return [row for row, old in zip(rows, learned, strict=True) if row["text"].strip() and not old]


def _row(pick: Pick, settings: Suggestion) -> dict[str, Any]:
    candidate = pick.candidate
    split = {"split": "test"} if settings.hold_out and pick.reason == "random" else {}
    return {
        "id": candidate.id,
        "text": candidate.text,
        "reason": pick.reason,
        # six digits, but never 0: its inverse is a weight
        "inclusion_probability": float(f"{pick.inclusion_probability:.6g}"),
        "probability": round(candidate.chance, 4),
        **candidate.more,
        **split,
    }
