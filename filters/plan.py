"""A plan: what a job will read, keep, take and cost, predicted from a random sample of its input.

The sample goes through the job's own steps (:mod:`filters.stages`): pieces take the place of the input files. What the
steps find, and the CPU seconds that they take, is projected to the whole (:mod:`filters.projection`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import content_key, lock, write_json
from filters import cascading, corpus, educational, sampling, stages
from filters.estimates import Estimate, exactly
from filters.inputs import InputFile, input_files
from filters.job import Job
from filters.measuring import Measured, measure
from filters.outcome import key_of
from filters.plan_settings import Planning
from filters.projection import hours, total
from filters.records import LOST
from filters.timing import MACHINE, MACHINE_ONE_STEP, MOST_UNIT_SECONDS, UNIT_SECONDS, at_any_time

SERIAL = ("deduplicate",)
"""Steps of one process."""
_BYTES_READ, _BYTES_SIGNED, _BYTES_SCORED = 40, 300, 16
"""A document in memory, one whose signature is compared, and a score on disk (docs/filters.md)."""
_SIGNATURE_BYTES = 224
_CLUSTERING_SECONDS = Estimate(1.2e-5, 0.5e-5, 1.2e-5)
"""CPU seconds a document, measured on ten million (docs/duplicates.md): a sample would measure its own overhead. On a
few thousand, whose keys lie in a cache, it is half of that."""
_FEW_STRATA = 10

Predictions = dict[str, Estimate]


def make_plans(job: Job, planning: Planning) -> dict[str, dict[str, Any]]:
    """Predict what :func:`filters.stages.run_all` will find, and publish each plan as ``plan.json`` of its corpus.

    Returns:
        The plan of each corpus directory.
    Raises:
        InputError: if the input is missing, or nothing in the sample passes the rules.
        BusyError: if another job works on the same output.
    """
    places, job = job.places(), job.resolved().placed()
    output, files = Path(job.output), input_files(job.input)
    sizes = [file.size for file in files]
    if not sum(sizes):
        raise InputError(f"the input holds no document: {len(files)} files matched {', '.join(job.input)}")
    digest = educational.load_scorer(job.classifier).digest
    corpus.check_output(output)
    with lock(output):
        sample = sampling.draw(sizes, planning.bytes_to_read(sum(sizes)), planning.seed)
        scans = sampling.units(files, sample.pieces, job.scan_settings())
        sampled = job.model_copy(update={"max_lost_fraction": 1.0, "quotas": None, "when_short": "keep_all"})
        prepared = replace(
            stages.prepare(sampled, [], digest, None),
            files=[InputFile("", f"sample {number}", unit.amount) for number, unit in enumerate(scans)],
            sha256=[unit.key for unit in scans],
            scans=scans,
        )
        work = output / corpus.WORK / "plan" / content_key([unit.key for unit in scans])
        for other in work.parent.glob("*"):
            if other != work:
                shutil.rmtree(other)
        gathered = stages.gather(prepared, work, sampling.scan_pieces)
        digests = {"classifier": digest, **prepared.program, "first_stage": cascading.first_stage_digest(job)}
        evals = prepared.evals.sha256 if prepared.evals else {}
        plans = {}
        for place, one in zip(places, job.corpora(), strict=True):
            measured = measure(one, planning, sample, sizes, gathered=gathered, digest=digest, work=work)
            comparable = not planning.for_other_input and one.quotas is None
            plans[place] = {
                "kind": "plan",
                "key": key_of(one.corpus_settings(), digests, _named(files), evals.items()) if comparable else None,
                "sample": _described(sample, measured, sizes, planning.seed),
                **_predicted(one, planning, sizes, measured),
            }
            write_json(Path(one.output) / corpus.PLAN, plans[place])
    return plans


def _named(files: Sequence[InputFile]) -> list[tuple[str, int]]:
    return [(file.name, file.size) for file in files]


def _described(sample: sampling.Sample, measured: Measured, sizes: Sequence[int], seed: int) -> dict[str, Any]:
    base = sum(piece.stop - piece.start for piece in sample.pieces)
    return {
        "seed": seed,
        "bytes": base,
        "fraction": base / sum(sizes),
        "pieces": len(sample.pieces),
        "strata": len(sample.sizes),
        "documents": len(measured.reasons),
        "scored": len(measured.scores),
    }


def _predicted(job: Job, planning: Planning, sizes: Sequence[int], measured: Measured) -> dict[str, Any]:
    """Everything that is predicted, by name, and what to be warned of."""
    found = _documents(planning, measured)
    steps = _seconds(job, planning, measured, found, files=len(sizes))
    workers = job.executor.workers or len(sizes)  # a cluster may have room for all files at a time
    largest_share = 0.0 if planning.for_other_input else max(sizes) / sum(sizes)
    for step, seconds in steps.items():
        found[f"core_hours.{step}"] = at_any_time(seconds.scaled(1 / 3600), MACHINE_ONE_STEP)
    found["core_hours"] = at_any_time(total(list(steps.values())).scaled(1 / 3600), MACHINE)
    found["wall_hours"] = at_any_time(hours(steps, SERIAL, workers, largest_share), MACHINE)
    if planning.gpu_documents_s is not None:
        found["gpu_hours"] = found["documents.full_model"].scaled(1 / 3600 / planning.gpu_documents_s)
    found |= _bytes(job, measured, found)
    found |= _costs(planning, found)
    return {
        "workers": workers,
        "predictions": {name: asdict(estimate) for name, estimate in found.items()},
        "seconds_each": {step: timing.each for step, timing in measured.timings.items()},
        "warnings": _warnings(job, planning, measured, found),
    }


def _documents(planning: Planning, measured: Measured) -> Predictions:
    """Documents and tokens along the way of the job."""
    sampled, kept, copies = measured.sampled, measured.kept, measured.copies
    read = exactly(planning.documents) if planning.documents else sampled.total(np.ones(len(measured.reasons)))
    found = {"documents.read": read}
    for reason in sorted({reason for reason in measured.reasons if reason}):
        found[f"documents.dropped.{reason}"] = sampled.total(np.equal(measured.reasons, reason))
    dropped = sampled.survives & ~sampled.originals
    near = float((measured.near & dropped).sum() / max(1, dropped.sum()))
    for reason, share in (("exact_duplicate", 1 - near), ("near_duplicate", near)):
        if dropped.any() and share:
            found[f"documents.dropped.{reason}"] = copies.count.scaled(share)
    if (sampled.originals & ~sampled.unique).any():
        found["documents.dropped.contaminated"] = sampled.contaminated(copies)
    found["documents.scored"] = kept.pool_documents
    found["documents.full_model"] = sampled.unique_total(measured.undecided, copies)
    found["documents.dropped.by_score"] = kept.dropped
    found["documents.kept"] = kept.documents
    found["tokens.scored"] = kept.pool_tokens
    found["tokens.kept"] = kept.tokens
    found["threshold"] = kept.threshold
    found["share.kept"] = kept.documents.scaled(1 / read.value)
    found["share.copies"] = copies.count.scaled(1 / sampled.survivors.value)
    return found


def _seconds(job: Job, planning: Planning, measured: Measured, found: Predictions, files: int) -> Predictions:
    """CPU seconds of every step; each file is a unit of work."""
    survivors, seconds, timings = measured.sampled.survivors, measured.scan_seconds, measured.timings
    read = measured.sampled.design.total_of(seconds, largest=float(seconds.max()))
    begun = Estimate(UNIT_SECONDS * files, 0.0, MOST_UNIT_SECONDS * files)
    steps = {"scan": total([read, begun])}
    through = {"sign": survivors, "decontaminate": survivors, "screen": found["documents.scored"]}
    if planning.gpu_documents_s is None:
        audited = job.cascade.audit_fraction if job.cascade and "screen" in timings else 0.0
        through["score"] = total([found["documents.full_model"], found["documents.scored"].scaled(audited)])
    through["write"] = found["documents.read"]
    steps |= {step: timings[step].projected(count, files) for step, count in through.items() if step in timings}
    if job.deduplicate.minhash:
        begins, each = timings["deduplicate"].seconds, _CLUSTERING_SECONDS
        clustered = Estimate(each.value * survivors.value, each.low * survivors.low, each.high * survivors.high)
        steps["deduplicate"] = total([Estimate(begins, 0.0, begins), clustered])
    return {step: steps[step] for step in stages.STAGES if step in steps}


def _bytes(job: Job, measured: Measured, found: Predictions) -> Predictions:
    """Disk of the corpus and of all, and memory of the whole-job steps."""
    sampled = measured.sampled
    text = measured.text_bytes[sampled.unique] * measured.is_kept
    each = sampled.unique_ratio(text, sampled.tokens[sampled.unique] * measured.is_kept, measured.copies)
    tokens = found["tokens.kept"]
    signed = sampled.survivors.scaled(_SIGNATURE_BYTES if job.deduplicate.minhash else 0)
    compared = sampled.survivors.scaled(_BYTES_SIGNED if job.deduplicate.minhash else 0)
    disk = [sampled.total(measured.text_bytes).scaled(measured.disk_each), signed]
    return {
        "bytes.kept": Estimate(each.value * tokens.value, each.low * tokens.low, each.high * tokens.high).scaled(
            measured.corpus_each
        ),
        "bytes.disk": total([*disk, found["documents.scored"].scaled(_BYTES_SCORED)]),
        "bytes.memory": total([found["documents.read"].scaled(_BYTES_READ), compared]),
    }


def _costs(planning: Planning, found: Predictions) -> Predictions:
    """US dollars, where prices are given; a month of disk."""
    parts = {
        "usd.cores": (planning.price_core_hour, found["core_hours"]),
        "usd.gpus": (planning.price_gpu_hour, found.get("gpu_hours")),
        "usd.disk_month": (planning.price_tb_month, found["bytes.disk"].scaled(1e-12)),
    }
    costs = {name: amount.scaled(price) for name, (price, amount) in parts.items() if price is not None and amount}
    return costs | ({"usd": total(list(costs.values()))} if costs else {})


def _warnings(job: Job, planning: Planning, measured: Measured, found: Predictions) -> list[str]:
    """What stands in the way of the job, and what this sample cannot say."""
    said = []
    pool, budget = measured.kept.eligible_tokens, job.budget_tokens
    if budget is not None and pool.low < budget:
        likely = "cannot" if pool.high < budget else "may not"
        floor = "" if job.min_score is None else f" that score at least {job.min_score:g}"
        said.append(
            f"the input {likely} fill the budget: {budget:,} tokens are wanted, and there are about {pool.value:,.0f} "
            f"({pool.low:,.0f} to {pool.high:,.0f}){floor}; about {budget / max(1.0, pool.value):.1f} times the input "
            "just fills it, with nothing to choose from"
        )
    read = found["documents.read"]
    lost = [name for name in found if name.startswith(f"documents.dropped.{LOST}")]
    if (share := sum(found[name].value for name in lost) / read.value) > job.max_lost_fraction:
        named = ", ".join(name.removeprefix("documents.dropped.") for name in lost)
        said.append(f"about {share:.1%} of the documents are lost ({named}), more than max_lost_fraction allows")
    if not measured.copies.told:
        said.append(
            f"copies: at least {found['share.copies'].low:.1%} of the documents that pass the rules, as within the "
            "sample, and nobody can tell from this sample how many more; the other figures hold for "
            f"{found['share.copies'].value:.1%}: give --duplicate-fraction if you know better"
        )
    if job.quotas is not None:
        said.append("quotas: what is kept is predicted as if the budget were not divided, and not compared with a run")
    if measured.sampled.design.freedom < _FEW_STRATA and np.any(measured.sampled.design.inclusion < 1):
        said.append(f"only {measured.sampled.design.freedom} strata were drawn from: intervals are wide, take more")
    return said
