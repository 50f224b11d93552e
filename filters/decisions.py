"""What the job as a whole decides: which documents are copies, and which the budget keeps.

The decisions about each input file are published as a small table beside each other, row by row as the file was
scanned; the write stage joins them with the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.resolution import check_resolution
from common.errors import SettingsError
from common.files import content_key, publish_folder, write_json
from filters.budget import cut
from filters.corpus import decision_columns
from filters.job import Job
from filters.pool import Ids, Pool
from filters.program import sources

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

REASONS = (None, "exact_duplicate", "below_threshold", "tie_at_threshold", "below_min_score")
_UNDECIDED, _COPY, _BELOW, _TIE, _BELOW_MIN = range(len(REASONS))
FIRST, SUMMARY = "first.npy", "cut.json"


def table_name(file: int) -> str:
    """Name of the decisions about the ``file``-th input."""
    return f"{file:05}.parquet"


def deduplicate(pool: Pool, exact: bool, scan_keys: Sequence[str], stage: Path) -> Path:
    """Publish ``first.npy``: for every row the first row with the same text, -1 where the scan refused it."""
    import numpy as np

    folder = stage / content_key("deduplicate", sources("pool.py", "duplicates.py"), exact, list(scan_keys))
    if not folder.is_dir():
        first = pool.first_copies() if exact else np.where(pool.survives, np.arange(len(pool)), -1)
        with publish_folder(folder) as temporary:
            np.save(temporary / FIRST, first)
    return folder


@dataclass(frozen=True)
class Selection:
    """Which of the scored rows are kept, and at which score."""

    kept: NDArray[np.bool_]  # a row of the pool
    threshold: float
    ties: int


def select(pool: Pool, scored: NDArray[np.bool_], scores: NDArray[np.float32], job: Job) -> Selection:
    """Apply the job's budget or its lowest score.

    Args:
        pool: all rows.
        scored: bool[n], those that have a score.
        scores: float32[n].
        job: says ``budget_tokens`` or ``min_score``.
    Raises:
        SettingsError: if the budget is larger than the pool or nothing is kept.
        InputError: if the scores are too coarse for the decision.
    """
    import numpy as np

    rows = np.flatnonzero(scored)
    kept = np.zeros(len(pool), dtype=bool)
    if job.budget_tokens is not None:
        chosen = cut(scores[rows], pool.tokens[rows], pool.ids().of(rows), job.budget_tokens)
        if not chosen.kept.any():
            best = int(rows[np.argmax(scores[rows])])
            raise SettingsError(
                f"budget_tokens is {job.budget_tokens:,}, too little for the best document, which has "
                f"{int(pool.tokens[best]):,} tokens"
            )
        check_resolution(scores[rows], chosen.kept, pool.tokens[rows], chosen.threshold)
        kept[rows[chosen.kept]] = True
        return Selection(kept, chosen.threshold, chosen.ties)
    assert job.min_score is not None
    kept[rows] = scores[rows] >= np.float32(job.min_score)
    if not kept.any():
        best_score = float(scores[rows].max())
        raise SettingsError(
            f"min_score {job.min_score:g} keeps no document: the best of {len(rows):,} documents has {best_score:.3f}"
        )
    threshold = scores[kept].min()
    check_resolution(scores[rows], kept[rows], pool.tokens[rows], job.min_score)
    return Selection(kept, float(threshold), int((scores[rows] == threshold).sum()))


def decide(
    pool: Pool, first: NDArray[np.int64], scores: NDArray[np.float32], job: Job, *, inputs: Any, stage: Path
) -> Path:
    """Publish the decision about every row.

    Args:
        pool: all rows.
        first: as :func:`deduplicate` gives it.
        scores: float32[n], NaN where there is none.
        job: says what to keep.
        inputs: keys of all that decided ``first`` and ``scores``.
        stage: folder of the stage.
    Returns:
        A folder with one table an input file, and ``cut.json``.
    """
    import numpy as np
    import pyarrow.parquet as pq

    made_by = sources("decisions.py", "budget.py", "pool.py")
    folder = stage / content_key("cut", made_by, inputs, list(pool.names), job.budget_tokens, job.min_score)
    if folder.is_dir():
        return folder
    scored = first == np.arange(len(pool))
    selection = select(pool, scored, scores, job)
    verdicts = _verdicts(first, scored, scores, selection, job)
    limit = selection.threshold if job.min_score is None else job.min_score
    with publish_folder(folder) as temporary:
        for file, table in enumerate(_tables(pool, first, scores, verdicts, limit)):
            pq.write_table(table, temporary / table_name(file), compression="zstd")
        counts = np.bincount(verdicts, minlength=len(REASONS))
        summary = {
            "threshold": selection.threshold,
            "ties": selection.ties,
            "kept": int(selection.kept.sum()),
            "kept_tokens": int(pool.tokens[selection.kept].sum()),
            "scored": int(scored.sum()),
            "scored_tokens": int(pool.tokens[scored].sum()),
            "dropped": {reason: int(counts[code]) for code, reason in enumerate(REASONS) if reason and counts[code]},
            "kept_by_file": [int(selection.kept[pool.rows(file)].sum()) for file in range(len(pool.files))],
        }
        write_json(temporary / SUMMARY, summary)
    return folder


def _verdicts(
    first: NDArray[np.int64], scored: NDArray[np.bool_], scores: NDArray[np.float32], selection: Selection, job: Job
) -> NDArray[np.int8]:
    """Code of the reason for every row; undecided are the kept ones and those that the scan refused."""
    import numpy as np

    verdicts = np.full(len(first), _UNDECIDED, dtype=np.int8)
    verdicts[(first >= 0) & ~scored] = _COPY
    lost = scored & ~selection.kept
    if job.budget_tokens is None:
        verdicts[lost] = _BELOW_MIN
    else:
        verdicts[lost] = np.where(scores[lost] < np.float32(selection.threshold), _BELOW, _TIE)
    return verdicts


def _tables(
    pool: Pool,
    first: NDArray[np.int64],
    scores: NDArray[np.float32],
    verdicts: NDArray[np.int8],
    limit: float,
) -> Iterator[pa.Table]:
    """The decisions, one table a file."""
    import numpy as np
    import pyarrow as pa

    copies = np.bincount(first[first >= 0], minlength=len(pool))
    ids = pool.ids()
    for file in range(len(pool.files)):
        rows = pool.rows(file)
        codes, score, original = verdicts[rows], scores[rows], first[rows]
        copy, decided = codes == _COPY, codes != _UNDECIDED
        value = np.where(copy, copies[original], score)
        columns = {
            "id_is_unique": pool.id_is_unique[rows],
            "score": pa.array(score, mask=np.isnan(score)),
            "reason": pa.array([REASONS[code] for code in codes], pa.string()),
            "value": pa.array(value, pa.float64(), mask=~decided),
            "limit": pa.array(np.where(copy, 1.0, limit), mask=~decided),
            "detail": pa.array(_originals(ids, original, copy), pa.string()),
        }
        yield pa.table(columns, schema=decision_columns())


def _originals(ids: Ids, first: NDArray[np.int64], copy: NDArray[np.bool_]) -> list[str | None]:
    """For every copy the id of the document that stayed, asked for in ascending order."""
    import numpy as np

    places = np.flatnonzero(copy)
    details: list[str | None] = [None] * len(first)
    for place in places[np.argsort(first[places], kind="stable")]:
        details[place] = ids[int(first[place])]
    return details
