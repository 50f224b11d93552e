"""A filter job from its files to its corpus: scan → sign → deduplicate → decontaminate → score → cut → write.

Scan, sign, score and write work on one input file at a time and run on an executor; deduplicate and cut see the whole
job, but only its columns of hashes, signatures, scores and token counts. Every result lies in
``OUTPUT/.work/<stage>/<key>``, named by what decides it: a rerun reuses it, another budget cuts and writes again,
another rule scans again. A job that is killed at any moment leaves whole results or none, and the next run goes on
from them.
"""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import command
from common.errors import InputError
from common.files import content_key, lock, read_json, read_manifest, remove_unfinished, sha256_of
from filters import cascading, corpus, decisions, educational, scan
from filters.contamination.results import Contamination, decontaminate
from filters.contamination.stage import Evals
from filters.corpus import WORK
from filters.inputs import InputFile, describe, digests, input_files
from filters.job import Job
from filters.minhash import sign_file
from filters.near_duplicates import signature_units
from filters.personal_data import masked_counts
from filters.pool import Pool
from filters.program import sources
from filters.quotas import Groups, group_rows
from filters.records import LOST
from filters.remote import Target
from filters.selection import check_supply, supply
from filters.spending import SECONDS, record_spending

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from filters.executors import Unit, Work

_SUMMARIZED = ("kept_tokens", "unfilled_tokens", "threshold", "ties", "scored", "scored_tokens", "quotas")
STAGES = ("scan", "sign", "deduplicate", "decontaminate", "screen", "score", "cut", "write")


@dataclass(frozen=True)
class Prepared:
    """A job whose inputs, classifier and settings were found and checked."""

    job: Job
    files: Sequence[InputFile]
    sha256: Sequence[str]
    scorer_digest: str
    program: Mapping[str, Any]
    scans: Sequence[Unit]
    evals: Evals | None

    @property
    def key(self) -> str:
        """Address of the corpus: all that decides its bytes."""
        return content_key(
            "corpus",
            self.job.corpus_settings(),
            [(file.name, digest) for file, digest in zip(self.files, self.sha256, strict=True)],
            self.scorer_digest,
            cascading.first_stage_digest(self.job),
            self.program,
            self.evals and self.evals.key,
            sources("*.py"),
        )


def run(job: Job) -> Mapping[str, Any]:
    """Make the corpus of a job that has one, or find it made; returns its manifest. See :func:`run_all`."""
    (manifest,) = run_all(job).values()
    return manifest


def run_all(job: Job) -> dict[str, Mapping[str, Any]]:
    """Make every corpus of a job, or find it made.

    Returns:
        The manifest of each corpus directory.
    Raises:
        InputError: if the input is missing, of the wrong kind, empty, or too much of it is lost.
        SettingsError: if a budget is larger than the pool, or nothing is kept.
        BusyError: if another job works on the same output.
    """
    places, targets = job.places(), _targets(job)
    job = job.resolved().placed()
    output = Path(job.output)
    files = input_files(job.input)
    _check_quotas(job, files)
    scorer_digest = educational.load_scorer(job.classifier).digest
    corpus.check_output(output)
    with lock(output):
        _clear_away(output)
        prepared = prepare(job, files, scorer_digest, output / WORK / "inputs.json")
        corpora = _each(prepared)
        for one in corpora:
            corpus.check_output(Path(one.job.output))
            _clear_away(Path(one.job.output))
        missing = [one for one in corpora if not corpus.is_finished(Path(one.job.output), one.key)]
        if missing:
            _make(prepared, missing, output / WORK)
        for folder, target in targets.items():
            target.publish(Path(folder), journals=output / WORK / "published")
        return {place: read_manifest(folder) for place, folder in places.items()}


def preview(job: Job) -> dict[str, Any]:
    """What a run would do, without writing anything; raises as :func:`run` does before its first stage."""
    from filters.executors import is_done

    place, targets = job.output, _targets(job)
    job = job.resolved().placed()
    output = Path(job.output)
    files = input_files(job.input)
    _check_quotas(job, files)
    corpus.check_output(output)
    prepared = prepare(job, files, educational.load_scorer(job.classifier).digest, None)
    corpora = _each(prepared)
    return {
        "output": place,
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "scanned": sum(is_done(output / WORK / "scan", unit) for unit in prepared.scans),
        "finished": all(corpus.is_finished(Path(one.job.output), one.key) for one in corpora)
        and all(target.holds(Path(folder)) for folder, target in targets.items()),
        "key": ", ".join(one.key for one in corpora),
    }


def prepare(job: Job, files: Sequence[InputFile], scorer_digest: str, remembered: Path | None) -> Prepared:
    """Read what decides the result: the digests of the inputs and of the program, and the units of the scan."""
    from filters.executors import Unit

    total = sum(file.size for file in files)
    with command.progress(total, "B", "reading digests") as bar:
        sha256 = digests(files, remembered, bar.update)
    program, settings = scan.program(), job.scan_settings()
    scans = [
        Unit(content_key("scan", program, settings, digest, file.format, file.compression),
             {"file": describe(file), "settings": settings}, file.size)
        for file, digest in zip(files, sha256, strict=True)
    ]  # fmt: skip
    evals = Evals.find(job.decontaminate) if job.decontaminate else None
    return Prepared(job, files, sha256, scorer_digest, program, scans, evals)


def _each(prepared: Prepared) -> list[Prepared]:
    """The same for each corpus of the job."""
    return [replace(prepared, job=job) for job in prepared.job.corpora()]


def _targets(job: Job) -> dict[str, Target]:
    """Where each corpus is copied to, by the folder in which it is made; none if they are made in their places.

    Raises:
        SettingsError: if something else is there.
    """
    if job.work is None:
        return {}
    targets = {folder: Target(place) for place, folder in job.places().items()}
    for target in targets.values():
        target.check()
    return targets


def _check_quotas(job: Job, files: Sequence[InputFile]) -> None:
    if job.quotas is not None:
        job.quotas.check(
            {"language": job.language.keep if job.language else (), "source": [file.name for file in files]}
        )


@dataclass(frozen=True)
class Gathered:
    """The documents of a job before any is scored.

    Attributes:
        pool: their columns.
        copies: which of them are copies.
        contamination: which of them hold eval items; None if nobody looked.
        unique: rows that may be kept: neither refused, nor copies, nor dropped for what they hold: bool[n].
        signed: folders of the signatures.
        deduplicated: folder of what decided about copies.
    """

    pool: Pool
    copies: decisions.Copies
    contamination: Contamination | None
    unique: NDArray[np.bool_]
    signed: Sequence[Path]
    deduplicated: Path


def gather(prepared: Prepared, work: Path, scan_work: Work = scan.scan_file) -> Gathered:
    """Scan the input and find the copies in it; ``scan_work`` does the units of the scan.

    Raises:
        InputError: as :func:`check_losses` does, or if nothing is left.
    """
    import numpy as np

    from filters.executors import run_units

    job = prepared.job
    run_units(
        work / "scan",
        prepared.scans,
        scan_work,
        job.executor,
        what="scan",
        measure="B",
        warm_up=lambda: scan.Examiner(scan.ScanSettings.parse(job.scan_settings())),
    )
    pool = Pool.read([work / "scan" / unit.key for unit in prepared.scans], [file.name for file in prepared.files])
    check_losses(pool, job)

    scan_keys = [unit.key for unit in prepared.scans]
    sign_units = signature_units(pool, job.deduplicate.minhash)
    run_units(work / "sign", sign_units, sign_file, job.executor, what="sign", measure="doc")
    signed = [work / "sign" / unit.key for unit in sign_units]
    deduplicated = decisions.deduplicate(pool, job.deduplicate, scan_keys, signed, work / "deduplicate")
    copies = decisions.Copies.read(deduplicated, job.deduplicate)
    unique = copies.first == np.arange(len(pool))

    found = decontaminate(pool, job, prepared.evals, work / "decontaminate")
    if found:
        pool, unique = found.applied(pool), unique & found.stays(len(pool))
        if not unique.any():
            raise InputError("every document that is no copy holds an eval item; look at the settings of decontaminate")
    return Gathered(pool, copies, found, unique, signed, deduplicated)


def decide(job: Job, gathered: Gathered, groups: Groups, scores: cascading.Scores, work: Path) -> Path:
    """Decide about every document; where the decisions lie."""
    found = gathered.contamination
    return decisions.decide(
        gathered.pool,
        gathered.copies,
        groups,
        scores,
        job,
        contamination=found,
        inputs=[gathered.deduplicated.name, found and found.key, scores.key],
        stage=work / "cut",
    )


def write(job: Job, gathered: Gathered, decided: Sequence[Path], work: Path) -> list[list[Path]]:
    """Write the kept and the dropped documents of every corpus; the folders of its parts."""
    from filters.executors import run_units

    units = [_write_units(gathered.pool, folder, gathered.contamination) for folder in decided]
    every = [unit for one in units for unit in one]
    run_units(work / "write", every, corpus.write_file, job.executor, what="write", measure="doc")
    return [[work / "write" / unit.key for unit in one] for one in units]


def _make(prepared: Prepared, corpora: Sequence[Prepared], work: Path) -> None:
    """Read, deduplicate and score once, and write every corpus; none is written if one of them cannot be."""
    from filters.report import write_report

    gathered = gather(prepared, work)
    pool = gathered.pool
    groups = [group_rows(one.job, pool, gathered.unique) for one in corpora]
    for one, parts in zip(corpora, groups, strict=True):  # before the dear stage, not after it
        check_supply(one.job, parts, supply(parts, pool.tokens, None, None))

    decided, cascades = [], []
    for one, parts in zip(corpora, groups, strict=True):
        scores = cascading.score(one.job, pool, parts, prepared.scorer_digest, work)
        decided.append(decide(one.job, gathered, parts, scores, work))
        cascades.append(scores.cascade)

    written = write(prepared.job, gathered, decided, work)
    for one, folder, cascade, folders in zip(corpora, decided, cascades, written, strict=True):
        output = Path(one.job.output)
        manifest = _manifest(one, pool, read_json(folder / decisions.SUMMARY), cascade)
        manifest["masked"] = masked_counts([part / corpus.KEPT for part in folders])
        _record_spending(one, gathered, folders, work)
        corpus.publish(output, folders, folder, manifest, functools.partial(write_report, output, manifest))
    shutil.rmtree(work / cascading.ASKED, ignore_errors=True)
    _prune(work / "cut", {folder.name for folder in decided})
    _prune(work / "write", {part.name for folders in written for part in folders})


def _record_spending(one: Prepared, gathered: Gathered, parts: Sequence[Path], work: Path) -> None:
    """Keep what all took that a corpus is made of."""
    job, pool, digest = one.job, gathered.pool, one.scorer_digest
    first_stage = cascading.first_stage_digest(job)
    made = {
        "scan": pool.files,
        "sign": gathered.signed,
        "deduplicate": [gathered.deduplicated],
        "decontaminate": [path.parent for path in (work / "decontaminate").glob(f"*/{SECONDS}")],
        "screen": cascading.screened(job, pool, first_stage, work).folders() if first_stage else [],
        "score": cascading.Store(job, pool, digest, work / "score", educational.score_file).folders(),
        "write": parts,
    }
    record_spending(work, one.key, {step: folders for step, folders in made.items() if folders})


def check_losses(pool: Pool, job: Job) -> None:
    """Stop a job that reads nothing or loses too much.

    Raises:
        InputError: naming the losses by reason.
    """
    if not len(pool):
        raise InputError(f"the input holds no document: {len(pool.files)} files matched {', '.join(job.input)}")
    lost = {reason: count for reason, count in pool.refused.most_common() if reason.startswith(LOST)}
    total = sum(lost.values())
    if total > job.max_lost_fraction * len(pool):
        named = ", ".join(f"{reason} {count:,}" for reason, count in lost.items())
        raise InputError(
            f"{total:,} of {len(pool):,} documents were lost ({total / len(pool):.1%}), more than max_lost_fraction "
            f"{job.max_lost_fraction:g} allows: {named} (the first: {pool.first_loss()}); replace what is damaged, or "
            "raise the limit: what was read is kept, so a rerun is quick"
        )
    if not pool.survives.any():
        named = ", ".join(f"{reason} {count:,}" for reason, count in pool.refused.most_common(5))
        raise InputError(f"of {len(pool):,} documents none is left to score: {named}")


def _write_units(pool: Pool, decided: Path, contamination: Contamination | None) -> list[Unit]:
    from filters.executors import Unit

    units = []
    for file, folder in enumerate(pool.files):
        table, rows = decided / decisions.table_name(file), pool.rows(file)
        edits = contamination.edits.get(file) if contamination else None
        made_of = [folder.name, sha256_of(table), edits and sha256_of(edits)]
        key = content_key("write", sources("corpus.py"), pool.names[file], made_of)
        values = {
            "documents": str(folder / scan.DOCUMENTS),
            "decisions": str(table),
            "edits": edits and str(edits),
            "source_file": pool.names[file],
        }
        units.append(Unit(key, values, rows.stop - rows.start))
    return units


def _manifest(
    prepared: Prepared, pool: Pool, summary: Mapping[str, Any], cascade: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All of the manifest but its files."""
    job, dropped = prepared.job, pool.refused + Counter(summary["dropped"])
    inputs = [
        {
            "name": file.name,
            "sha256": digest,
            "bytes": file.size,
            "read": pool.rows(number).stop - pool.rows(number).start,
            "kept": summary["kept_by_file"][number],
        }
        for number, (file, digest) in enumerate(zip(prepared.files, prepared.sha256, strict=True))
    ]
    return {
        "kind": corpus.KIND,
        "key": prepared.key,
        "counts": {
            "read": len(pool),
            "kept": summary["kept"],
            "dropped": dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
        },
        "budget_tokens": job.budget_tokens,
        "min_score": job.min_score,
        **{name: summary[name] for name in _SUMMARIZED},
        "near_duplicates": summary["near_duplicates"],
        "contamination": summary["contamination"],
        "cascade": cascade,
        "settings": job.corpus_settings(),
        "digests": {"classifier": prepared.scorer_digest, **prepared.program},
        "inputs": inputs,
    }


def _clear_away(output: Path) -> None:
    """Remove what a killed run left half-done. The lock is held, so it is nobody's work."""
    for folder in (output, output / "dropped", output / WORK, *(output / WORK / stage for stage in STAGES)):
        remove_unfinished(folder)


def _prune(stage: Path, used: set[str]) -> None:
    """Cutting and writing again is cheap, and each budget would leave a copy of the corpus behind."""
    for folder in stage.iterdir():
        if folder.name not in used:
            shutil.rmtree(folder)
