"""Champion and challenger: whether a newly trained classifier may take the place of the one in use.

Four questions, answered in one run. What would be kept otherwise (``pool``)? Which sources does it treat otherwise
(``drift``)? Is it better on labels that neither has seen (``paired``)? And, from the last alone: may it replace the
champion? A page shows texts that would be gained and lost, so that a person can disagree (``compare_report``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classifiers import scoring
from classifiers.compare_settings import CompareSettings, Metric
from classifiers.drift import Drift, by_source
from classifiers.labels import Labels, read_labels
from classifiers.model import EducationalClassifier
from classifiers.paired import Gate, Paired, described, gate, new_to_both, paired_figures
from classifiers.pool import Kept, Pool, keep, score_pool
from common.documents import expand
from common.errors import SettingsError


@dataclass(frozen=True)
class Job:
    """Two classifiers, the labels that are new to both, and where the pool lies."""

    champion: EducationalClassifier
    challenger: EducationalClassifier
    labels: Labels
    evidence: dict[str, Any]  # what the figures rest on
    pool: str
    files: list[str]
    settings: CompareSettings

    @property
    def same(self) -> bool:
        """Whether both score alike, whatever the labels."""
        return self.champion.digest == self.challenger.digest

    def work(self) -> int | None:
        """Texts that will be scored, for a progress bar; None if the pool is not local."""
        documents = scoring.count(self.files)
        return None if documents is None else (documents + len(self.labels)) * (1 if self.same else 2)

    def plan(self) -> dict[str, Any]:
        """What would be compared."""
        return {
            "champion": self.champion.digest,
            "challenger": self.challenger.digest,
            "labels": self.evidence["documents"],
            "labels_left_out": self.evidence["left_out"],
            "pool_files": len(self.files),
            "pool_documents": scoring.count(self.files),
        }


@dataclass(frozen=True)
class Comparison:
    """All that is said about two classifiers."""

    job: Job
    pool: Pool
    kept: Kept
    drift: list[Drift]
    figures: dict[Metric, Paired | None]
    gate: Gate

    def document(self) -> dict[str, Any]:
        """Everything as one JSON document."""
        settings = self.job.settings
        rule = {"threshold": settings.threshold} if settings.threshold is not None else {}
        thresholds = dict(zip(("champion", "challenger"), self.kept.thresholds, strict=True))
        return {
            "champion": self.job.champion.digest,
            "challenger": self.job.challenger.digest,
            "gate": asdict(self.gate) | {"passed": self.gate.passed},
            "labels": self.job.evidence,
            "figures": {name: pair and asdict(pair) for name, pair in self.figures.items()},
            "rule": rule or {"keep_fraction": settings.fraction},
            "kept": {name: asdict(amount) for name, amount in self.kept.amounts.items()},
            "lowest_kept_score": {name: value and round(value, 4) for name, value in thresholds.items()},
            "overlap": {unit: self.kept.overlap(unit) for unit in ("documents", "tokens")},
            "drift": [asdict(row) for row in self.drift],
        }


def checked_page(path: Path | None) -> Path | None:
    """``path``, if a page can be written there.

    Raises:
        SettingsError: if it is not a name for a page.
    """
    if path is None:
        return None
    if path.suffix != ".html" or path.is_dir():
        raise SettingsError(f"--page must be a file that ends in .html, got {path}")
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise SettingsError(f"--page {path} cannot be written: {nearest} is not a folder that you may write to")
    return path


def prepare(champion: Path | str, challenger: Path | str, labels: str, pool: str, settings: CompareSettings) -> Job:
    """Load both classifiers and the labels, and find what is wrong with the input before the long work begins.

    Raises:
        InputError: if no label is new to both classifiers, or an input is missing.
    """
    graded = read_labels(labels)
    files = expand(pool)
    first, second = EducationalClassifier.load(champion), EducationalClassifier.load(challenger)
    new = new_to_both(graded, first, second)
    return Job(first, second, new, described(new, graded), pool, files, settings)


def compare(job: Job, threads: int = 1, advance: Callable[[int], object] | None = None) -> Comparison:
    """Measure both on the labels, then on the pool.

    Args:
        job: of :func:`prepare`.
        threads: batches that are scored at a time; nothing depends on it.
        advance: called with the number of texts that one classifier has scored, for a progress bar.
    """
    ours = job.champion.measure(job.labels.texts, threads, advance).scores
    theirs = ours if job.same else job.challenger.measure(job.labels.texts, threads, advance).scores
    figures = paired_figures(job.labels.scores, ours.astype("float64"), theirs.astype("float64"), job.labels.groups)
    decided = gate(figures, job.settings.primary, job.settings.margin)
    pool = score_pool(job.pool, (job.champion, job.challenger), job.settings.source_column, threads, advance)
    kept = keep(pool, job.settings)
    drift = by_source(pool.names, pool.source, pool.scores, kept.masks)
    return Comparison(job, pool, kept, drift, figures, decided)
