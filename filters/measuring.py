"""A sample of a job goes through the job's own steps; what they find in it and what they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files import read_json
from filters import cascading, copies, corpus, educational, sampling, stages
from filters.copies import CopiesOfAll
from filters.estimates import Design, spread_over
from filters.plan_settings import Planning
from filters.projection import Kept, Sampled, keep
from filters.quotas import group_rows
from filters.scan import DOCUMENTS
from filters.spending import SECONDS, seconds_of
from filters.timing import Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from filters.job import Job

_AS_IF_DOCUMENTS = 200_000


@dataclass(frozen=True)
class Measured:
    """What was measured in a sample.

    Attributes:
        sampled: its documents.
        reasons: why the scan refused a row, None if it did not: object[rows].
        near: rows that are near-duplicates: bool[rows].
        text_bytes: of each row: int64[rows].
        scan_seconds: CPU seconds of each piece: float64[pieces].
        copies: in the whole job.
        scores: of the unique rows: float32[unique].
        kept: what the cut will keep.
        undecided: unique rows that the full model has to score in the whole job: bool[unique].
        timings: of the steps after the scan.
        disk_each: bytes of the scan and of the corpus on disk, a byte of text.
        corpus_each: bytes of the kept parts, a byte of kept text.
    """

    sampled: Sampled
    reasons: NDArray[np.object_]
    near: NDArray[np.bool_]
    text_bytes: NDArray[np.int64]
    scan_seconds: NDArray[np.float64]
    copies: CopiesOfAll
    scores: NDArray[np.float32]
    kept: Kept
    undecided: NDArray[np.bool_]
    timings: Mapping[str, Timing]
    disk_each: float
    corpus_each: float

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Unique rows that reach the threshold: bool[unique]."""
        return self.scores >= np.float32(self.kept.threshold.value)


def measure(
    job: Job,
    planning: Planning,
    sample: sampling.Sample,
    sizes: Sequence[int],
    *,
    gathered: stages.Gathered,
    digest: str,
    work: Path,
) -> Measured:
    """Score, cut and write a gathered sample, as its job would.

    Args:
        job: as its user wrote it, with one budget at most.
        planning: what the prediction is for.
        sample: the pieces.
        sizes: of the input files.
        gathered: its documents.
        digest: of the classifier.
        work: folder of the stages.
    """
    pool, folders = gathered.pool, gathered.pool.files
    counted = [read_json(folder / sampling.PIECES) for folder in folders]
    rows = np.array([count for one in counted for count in one["rows"]])
    piece, survivors = spread_over(rows), np.flatnonzero(pool.survives)
    sampled = Sampled(
        design=_design(planning, sample, sizes, rows),
        piece=piece,
        survives=pool.survives,
        originals=gathered.copies.first == np.arange(len(pool)),
        unique=gathered.unique,
        tokens=pool.tokens,
    )

    found = (
        copies.estimate(
            sampled.design,
            piece[survivors],
            np.searchsorted(survivors, gathered.copies.first[survivors]),
            sampled.survivors.value,
        )
        if planning.duplicate_fraction is None
        else copies.assumed(planning.duplicate_fraction, sampled.survivors.value)
    )
    own_job = _for_sample(job, sampled, found)
    groups = group_rows(own_job, pool, gathered.unique)
    scores = cascading.score(own_job, pool, groups, digest, work)
    own = scores.values[gathered.unique]
    kept = keep(sampled, own, found, job.budget_tokens, job.min_score)

    lowest = min(kept.threshold.value, float(own.max()))
    cut = own_job.model_copy(update={"budget_tokens": None, "min_score": lowest})
    decided = stages.decide(cut, gathered, group_rows(cut, pool, gathered.unique), scores, work)
    (parts,) = stages.write(cut, gathered, [decided], work)
    reasons, text_bytes = _columns(folders)
    kept_text = int(text_bytes[gathered.unique & (scores.values >= np.float32(lowest))].sum())
    kept_bytes = _size(part / corpus.KEPT for part in parts)
    written = kept_bytes + _size(part / corpus.DROPPED for part in parts)
    return Measured(
        sampled=sampled,
        reasons=reasons,
        near=~np.isnan(gathered.copies.similarity),
        text_bytes=text_bytes,
        scan_seconds=np.array([seconds for one in counted for seconds in one["seconds"]]),
        copies=found,
        scores=own,
        kept=kept,
        undecided=_undecided(job, sampled, kept, gathered=gathered, work=work),
        timings=_timings(gathered, parts, work),
        disk_each=(_size(folder / DOCUMENTS for folder in folders) + written) / max(1, int(text_bytes.sum())),
        corpus_each=kept_bytes / max(1, kept_text),
    )


def _design(planning: Planning, sample: sampling.Sample, sizes: Sequence[int], rows: NDArray[np.int64]) -> Design:
    """The draw, and what is known of the whole: its bytes, or its documents."""
    if planning.documents is not None:
        base, whole = rows.astype(np.float64), planning.documents
    else:
        base = np.array([piece.stop - piece.start for piece in sample.pieces], dtype=np.float64)
        whole = planning.total_bytes or sum(sizes)
    return Design(np.array(sample.strata), np.array(sample.sizes), base, float(whole))


def _for_sample(job: Job, sampled: Sampled, found: CopiesOfAll) -> Job:
    """The job with the part of its budget that falls on the sample; quotas would be too small to mean anything."""
    job = job.model_copy(update={"quotas": None, "when_short": "keep_all"})
    if job.budget_tokens is None:
        return job
    weights, _ = sampled.thinned(found.count.value)
    tokens = sampled.tokens[sampled.unique]
    share = min(1.0, job.budget_tokens / max(1.0, float(weights @ tokens)))
    return job.model_copy(update={"budget_tokens": max(1, int(share * int(tokens.sum())))})


def _undecided(job: Job, sampled: Sampled, kept: Kept, *, gathered: stages.Gathered, work: Path) -> NDArray[np.bool_]:
    """What the first stage will leave to the full model in the whole job.

    Not what it left in the sample: how far it is trusted depends on how many tokens there are, so the documents of the
    sample are taken several times, as if they were a large job.
    """
    unique = gathered.unique
    cascade = educational.load_scorer(job.classifier).cascade
    if cascade is None or job.cascade is None:
        return np.ones(int(unique.sum()), np.bool_)
    store = cascading.screened(job, gathered.pool, cascade.digest, work)
    first, tokens = store.read(unique, "first stage")[unique], sampled.tokens[unique]
    there = kept.pool_documents.value / len(first)
    times = max(1, min(round(there), _AS_IF_DOCUMENTS // len(first)))
    kept_tokens = int(kept.tokens.value / max(1e-9, kept.pool_tokens.value) * int(tokens.sum())) * times
    band = cascade.band(np.tile(first, times), np.tile(tokens, times), kept.threshold.value, kept_tokens, job.cascade)
    return band.undecided[: len(first)]


def _timings(gathered: stages.Gathered, parts: Sequence[Path], work: Path) -> dict[str, Timing]:
    """What every step after the scan took that the job has."""
    survivors = int(gathered.pool.survives.sum())
    steps: dict[str, tuple[Sequence[Path], int]] = {
        "deduplicate": ([gathered.deduplicated], survivors),
        "write": (parts, len(gathered.pool)),
    }
    if gathered.signed:
        steps["sign"] = gathered.signed, survivors
    if gathered.contamination is not None:
        steps["decontaminate"] = _timed(work / "decontaminate"), survivors
    for step in ("screen", "score"):
        if lots := _timed(work / step):
            steps[step] = lots, sum(len(np.load(lot / educational.ROWS)) for lot in lots)
    return {step: Timing(seconds_of(folders), len(folders), count) for step, (folders, count) in steps.items()}


def _timed(stage: Path) -> list[Path]:
    return [path.parent for path in stage.glob(f"*/{SECONDS}")]


def _columns(folders: Sequence[Path]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Reason and bytes of text of every row."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    reasons, sizes = [], []
    for folder in folders:
        for batch in pq.ParquetFile(folder / DOCUMENTS).iter_batches(columns=["reason", "text"]):
            reasons += batch["reason"].to_pylist()
            sizes += pc.fill_null(pc.binary_length(batch["text"]), 0).to_pylist()
    return np.array(reasons, dtype=object), np.array(sizes, dtype=np.int64)


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())
