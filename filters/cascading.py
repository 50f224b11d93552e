"""Which documents of a job are scored by what: the first stage sees all, the full model as few as the promise allows.

The threshold of a budget is not known before the documents are scored. So it goes in rounds: guess the threshold from
what is known, have the full model score what is undecided there, cut, and look again, until nothing is undecided at
the threshold that the cut finds. Scores of the full model only add up, so it ends; mostly after two or three rounds.
Each round depends on the documents alone, and a text has one score: workers, kills and earlier runs change nothing.

Quotas have a threshold each: each has its own band and its own promise, within its own tokens. Of several budgets each
goes through rounds of its own over the same stored scores, so that its corpus is the one that it would have alone.

Afterwards an audit has the full model score some of the documents that the first stage decided, drawn by their tokens.
It changes no decision: it measures how many are wrong on this very crawl, and stops the job if that is surely more
than promised.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError, IntegrityError
from common.files import content_key, publish_file
from filters.educational import ROWS, SCORES, load_scorer, score_file, screen_file
from filters.program import sources
from filters.quotas import Groups
from filters.selection import cut_scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from filters.executors import Unit, Work
    from filters.job import Job
    from filters.pool import Pool, Texts

    Cuts = list[tuple[float, int]]  # a group each: threshold and kept tokens
    Mask = NDArray[np.bool_]
    Values = NDArray[np.float32]

ASKED = "asked"
"""Folder of the lists of rows that units work on."""
MIN_DRAWS = 50
"""Documents an audit draws at least, about."""


@dataclass(frozen=True)
class Scores:
    """Scores of a pool.

    Attributes:
        values: by which the documents are cut: the full model's where it saw one, else the first stage's; NaN for rows
            that are not scored: float32[n].
        by_full: rows that the full model scored: bool[n].
        cascade: figures of the cascade; None if the full model scored all.
    """

    values: Values
    by_full: Mask
    cascade: Mapping[str, Any] | None

    @cached_property
    def key(self) -> str:
        """Identity of the scores."""
        content = hashlib.sha256(self.values.tobytes() + self.by_full.tobytes()).hexdigest()
        return content_key("scores", content, self.cascade)


class Store:
    """Scores of one kind on disk, a folder for each lot of rows of a file that were asked for together."""

    def __init__(self, job: Job, pool: Pool, digest: str, stage: Path, work: Work) -> None:
        self._job, self._pool, self._stage, self._work = job, pool, stage, work
        made_by = sources("educational.py")
        self._keys = [content_key(stage.name, made_by, texts.key, digest) for texts in pool.texts]

    def read(self, wanted: Mask, what: str) -> Values:
        """Scores of the rows ``wanted``, NaN elsewhere; those that no run has scored yet are scored now."""
        import numpy as np

        from filters.executors import run_units

        lots = self._lots()
        files = list(zip(self._keys, self._pool.texts, strict=True))
        units = [unit for key, texts in files if (unit := self._missing(key, texts, wanted, lots.get(key, ())))]
        warm_up = load_scorer(self._job.classifier).warm_up
        run_units(self._stage, units, self._work, self._job.executor, what=what, measure="doc", warm_up=warm_up)
        lots = self._lots()
        values = np.full(len(self._pool), np.nan, np.float32)
        for key, texts in files:
            part, inside = np.full(len(texts.rows), np.nan, np.float32), wanted[texts.rows] & texts.valid
            for folder in lots.get(key, ()) if inside.any() else ():
                part[np.load(folder / ROWS)] = np.load(folder / SCORES)
            if not np.isfinite(part[inside]).all():
                raise IntegrityError(f"the classifier gave {texts.name} a score that is not a finite number")
            values[texts.rows[inside]] = part[inside]
        return values

    def folders(self) -> list[Path]:
        """The folders of all scores of these documents that there are."""
        return [folder for key, lots in self._lots().items() if key in self._keys for folder in lots]

    def _lots(self) -> dict[str, list[Path]]:
        """The folders there are, by the key of their file."""
        found: dict[str, list[Path]] = {}
        for folder in sorted(self._stage.glob("*-*")):
            found.setdefault(folder.name.partition("-")[0], []).append(folder)
        return found

    def _missing(self, key: str, texts: Texts, wanted: Mask, lots: Sequence[Path]) -> Unit | None:
        """The work on those rows of a file that are wanted and not in any of its lots."""
        import numpy as np

        from filters.executors import Unit

        lacking = wanted[texts.rows] & texts.valid
        for folder in lots if lacking.any() else ():
            lacking[np.load(folder / ROWS)] = False
        rows = np.flatnonzero(lacking)
        if not len(rows):
            return None
        key = f"{key}-{hashlib.sha256(rows.tobytes()).hexdigest()[:32]}"
        asked = self._stage.parent / ASKED / f"{key}.npy"
        with publish_file(asked) as temporary, temporary.open("wb") as stream:
            np.save(stream, rows)
        values = {"documents": str(texts.path), "rows": str(asked), "classifier": self._job.classifier}
        return Unit(key, values, len(rows))


def first_stage_digest(job: Job) -> str | None:
    """Identity of the first stage of a job; None if it has none."""
    cascade = load_scorer(job.classifier).cascade
    return cascade.digest if cascade is not None and job.cascade is not None else None


def score(job: Job, pool: Pool, groups: Groups, digest: str, work: Path) -> Scores:
    """Score the documents of a job.

    Args:
        job: says what is kept, and what the cascade promises.
        pool: all rows.
        groups: which rows compete for which part of the budget; the others are not scored.
        digest: of the full model.
        work: folder of the stages.
    Raises:
        InputError: if the audit finds more wrong decisions than promised.
    """
    cascade, unique = load_scorer(job.classifier).cascade, groups.of >= 0
    full = Store(job, pool, digest, work / "score", score_file)
    if cascade is None or job.cascade is None:
        return Scores(full.read(unique, "score"), unique, None)
    first = screened(job, pool, cascade.digest, work).read(unique, "first stage")
    return _Rounds(job, pool, groups, full, first).run()


def screened(job: Job, pool: Pool, digest: str, work: Path) -> Store:
    """The scores of the first stage of this digest."""
    return Store(job, pool, digest, work / "screen", screen_file)


class _Rounds:
    """The rounds of one job; columns hold the documents of its groups only."""

    def __init__(self, job: Job, pool: Pool, groups: Groups, full: Store, first: Values) -> None:
        import numpy as np

        cascade = load_scorer(job.classifier).cascade
        assert cascade is not None and job.cascade is not None
        self._job, self._pool, self._promise, self._cascade, self._store = job, pool, job.cascade, cascade, full
        self._rows = np.flatnonzero(groups.of >= 0)
        self._groups = groups.take(self._rows)
        self._members = [np.flatnonzero(self._groups.of == number) for number in range(len(groups.names))]
        self._tokens, self._first = pool.tokens[self._rows], first[self._rows]
        self._ids = pool.ids().of(self._rows)
        self._full = np.full(len(self._rows), np.nan, np.float32)

    def run(self) -> Scores:
        import numpy as np

        cuts = self._guess()
        rounds, known, has_cut = 0, np.zeros(len(self._rows), np.bool_), False
        while True:
            undecided, expected_error = self._undecided(cuts)
            missing = undecided & ~known
            if missing.any():
                rounds += 1
                known |= missing
                self._full[missing] = self._ask(missing, "score")
            elif has_cut:
                break
            cuts = self._cut(np.where(known, self._full, self._first))
            has_cut = True
        kept_tokens = max(1, sum(kept for _, kept in cuts))
        audit = self._audit(known, [threshold for threshold, _ in cuts], kept_tokens)
        figures = {
            "first_stage": self._cascade.digest,
            "error_fraction": self._promise.error_fraction,
            "confidence": self._promise.confidence,
            "rounds": rounds,
            "scored_by_full": int(known.sum()),
            "full_fraction": float(known.mean()),
            "expected_error_fraction": expected_error / kept_tokens,
            "audit": audit,
        }
        values = np.full(len(self._pool), np.nan, np.float32)
        by_full = np.zeros(len(self._pool), np.bool_)
        values[self._rows] = np.where(known, self._full, self._first)
        by_full[self._rows] = known
        return Scores(values, by_full, figures)

    def _undecided(self, cuts: Cuts) -> tuple[Mask, float]:
        """Documents that no first stage may decide at these thresholds, and tokens that it is expected to get wrong."""
        import numpy as np

        undecided, expected_error = np.zeros(len(self._rows), np.bool_), 0.0
        for rows, (threshold, kept_tokens) in zip(self._members, cuts, strict=True):
            band = self._cascade.band(self._first[rows], self._tokens[rows], threshold, kept_tokens, self._promise)
            undecided[rows] = band.undecided
            expected_error += band.expected_error
        return undecided, expected_error

    def _guess(self) -> Cuts:
        """Threshold and kept tokens of each group, from the first stage alone."""
        cuts = []
        for rows, budget in zip(self._members, self._groups.budgets, strict=True):
            first, tokens, floor = self._first[rows], self._tokens[rows], self._job.min_score
            there = tokens.sum() if floor is None else self._cascade.chance_above(first, floor) @ tokens
            if budget is None or budget >= there:
                cuts.append((floor or 0.0, int(there)))
            else:
                expected = self._cascade.expected_threshold(first, self._full[rows], tokens, budget)
                cuts.append((max(floor or 0.0, expected), budget))
        return cuts

    def _cut(self, scores: Values) -> Cuts:
        """Threshold and kept tokens of each group by what is known."""
        there, found = cut_scores(scores, self._tokens, self._ids, self._groups, self._job.min_score)
        cuts = []
        for number, rows in enumerate(self._members):
            threshold, kept_tokens = float(found.thresholds[number]), int(found.kept_tokens[number])
            if kept_tokens == there.tokens[number]:  # the budget decides nothing
                threshold = self._job.min_score or 0.0
            elif not kept_tokens:
                threshold = float(scores[rows].max(initial=0))
            cuts.append((threshold, kept_tokens))
        return cuts

    def _ask(self, chosen: Mask, what: str) -> Values:
        """The full model's scores of some documents, in order."""
        import numpy as np

        wanted = np.zeros(len(self._pool), np.bool_)
        wanted[self._rows[chosen]] = True
        return self._store.read(wanted, what)[self._rows[chosen]]

    def _audit(self, known: Mask, thresholds: list[float], kept: int) -> dict[str, Any] | None:
        """Draw, score and judge documents that the first stage decided; None if there is none or none is wanted."""
        import numpy as np

        from classifiers.cascade_audit import draw, judge

        places = np.flatnonzero(~known)
        if not len(places) or not self._promise.audit_fraction:
            return None
        draws = max(MIN_DRAWS, math.ceil(self._promise.audit_fraction * len(self._rows)))
        tokens = self._tokens[places]
        drawn = draw(self._pool.ids().of(self._rows[places]), tokens, draws)
        chosen = np.zeros(len(self._rows), np.bool_)
        chosen[places[drawn]] = True
        reaches = np.array(thresholds, np.float32)[self._groups.of[chosen]]
        wrong = np.zeros(len(places), np.bool_)
        wrong[drawn] = (self._ask(chosen, "audit") >= reaches) != (self._first[chosen] >= reaches)
        found = judge(tokens, drawn, wrong, draws, self._promise.confidence)
        if found.low > self._promise.error_fraction * kept:
            raise InputError(
                f"the first stage is not to be trusted on these documents: of {found.documents} that it decided and "
                f"the full model scored after all, {found.wrong} are decided otherwise; with confidence "
                f"{self._promise.confidence:g} that is at least {found.low / kept:.1%} of the kept tokens, where "
                f"cascade.error_fraction allows {self._promise.error_fraction:.1%}; make the cascade again with "
                "documents of this crawl (classifiers cascade --calibration), or set cascade: null"
            )
        return {
            "documents": found.documents,
            "wrong": found.wrong,
            "error_fraction": found.tokens / kept,
            "low": found.low / kept,
            "high": found.high / kept,
        }
