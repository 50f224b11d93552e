"""What was planned beside what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import command
from common.files import content_key, read_json
from common.page import Page
from filters.clusters import REASONS as COPIES
from filters.contamination.settings import CONTAMINATED
from filters.corpus import PLAN, work_folder
from filters.spending import spent_on

_BY_SCORE = ("below_threshold", "tie_at_threshold", "below_min_score")
_DROPPED = "documents.dropped."


def key_of(
    settings: Mapping[str, Any],
    digests: Mapping[str, Any],
    inputs: Sequence[tuple[str, int]],
    evals: Iterable[tuple[str, str]],
) -> str:
    """Which corpus a plan is for.

    Args:
        settings: of the job.
        digests: of its program and classifier.
        inputs: names and sizes of its files, of which a plan does not read the whole.
        evals: task and sha256 of the eval files that it looks for.
    """
    return content_key("plan", settings, digests, inputs, sorted(evals))


def plan_text(plan: Mapping[str, Any]) -> str:
    """A plan for people."""
    sample = plan["sample"]
    rows = [
        {"predicted": name, **{end: _rounded(value) for end, value in ends.items()}}
        for name, ends in plan["predictions"].items()
    ]
    lead = (
        f"from {sample['documents']:,} documents in {sample['pieces']} pieces, {sample['fraction']:.2g} of the bytes "
        f"(seed {sample['seed']}); 95% intervals; hours on the clock at {plan['workers']} workers"
    )
    return "\n".join([command.table(rows), "", lead, *(f"note: {warning}" for warning in plan["warnings"])])


def outcome_text(corpus: Path, manifest: Mapping[str, Any]) -> str:
    """Predicted beside actual, to be printed after a run; "" if there was no plan for it."""
    rows = outcome_rows(corpus, manifest, taken(corpus, manifest))
    if not rows:
        return ""
    told = [row["inside"] for row in rows if row["inside"] is not None]
    shown = [{name: _rounded(value) for name, value in row.items()} for row in rows]
    return f"\n\n{command.table(shown)}\n{sum(told)} of {len(told)} figures lie in their 95% intervals"


def show_outcome(page: Page, corpus: Path, manifest: Mapping[str, Any], with_taken: bool) -> None:
    """The section of a report on the plan, if there was one; without what it took, no machine changes its bytes."""
    rows = outcome_rows(corpus, manifest, taken(corpus, manifest) if with_taken else None)
    if rows:
        page.heading("Planned and found")
        page.paragraph("Predicted by filters plan from a sample, with 95% intervals, and what came out.")
        page.table(tuple(rows[0]), [[_rounded(value) for value in row.values()] for row in rows])


def outcome_rows(
    corpus: Path, manifest: Mapping[str, Any], taken: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """What was predicted and what it became, a row a figure; none if the plan is for another job.

    Args:
        corpus: the corpus directory.
        manifest: of it.
        taken: hours and bytes, if they are to be compared.
    """
    if not (corpus / PLAN).is_file():
        return []
    plan = read_json(corpus / PLAN)
    inputs = [(entry["name"], entry["bytes"]) for entry in manifest["inputs"]]
    evals = [(task["task"], task["sha256"]) for task in (manifest["contamination"] or {"tasks": ()})["tasks"]]
    digests = {**manifest["digests"], "first_stage": (manifest["cascade"] or {"first_stage": None})["first_stage"]}
    if plan["key"] != key_of(manifest["settings"], digests, inputs, evals):
        return []
    found = {**counted(manifest), **(taken or {})}
    rows = []
    for name, ends in plan["predictions"].items():
        value = found.get(name, 0 if name.startswith(_DROPPED) else None)
        inside = None if value is None else ends["low"] <= value <= ends["high"]
        rows.append({"figure": name, "predicted": ends["value"], "low": ends["low"], "high": ends["high"]})
        rows[-1] |= {"found": value, "inside": inside}
    return rows


def counted(manifest: Mapping[str, Any]) -> dict[str, float]:
    """The documents and tokens of a corpus under the names of a plan."""
    counts, cascade = manifest["counts"], manifest["cascade"]
    dropped = counts["dropped"]
    copies = sum(dropped.get(reason, 0) for reason in COPIES)
    contaminated = sum(count for reason, count in dropped.items() if reason.startswith(CONTAMINATED))
    return {
        "documents.read": counts["read"],
        **{f"{_DROPPED}{reason}": count for reason, count in dropped.items() if reason not in _BY_SCORE},
        f"{_DROPPED}contaminated": contaminated,
        f"{_DROPPED}by_score": sum(dropped.get(reason, 0) for reason in _BY_SCORE),
        "documents.scored": manifest["scored"],
        "documents.full_model": cascade["scored_by_full"] if cascade else manifest["scored"],
        "documents.kept": counts["kept"],
        "tokens.scored": manifest["scored_tokens"],
        "tokens.kept": manifest["kept_tokens"],
        "threshold": manifest["threshold"],
        "share.kept": counts["kept"] / counts["read"],
        "share.copies": copies / (manifest["scored"] + contaminated + copies),
    }


def taken(corpus: Path, manifest: Mapping[str, Any]) -> dict[str, float]:
    """Hours and bytes of a finished corpus under the names of a plan; hours where the work folder still has them."""
    kept = sum(entry["bytes"] for entry in manifest["files"] if entry["path"].startswith("part-"))
    found: dict[str, float] = {"bytes.kept": kept}
    if spent := spent_on(work_folder(corpus), manifest["key"]):
        hours = {f"core_hours.{step}": seconds / 3600 for step, seconds in spent["cpu_seconds"].items()}
        found |= hours | {"core_hours": sum(hours.values()), "bytes.disk": spent["bytes"]}
    return found


def _rounded(value: Any) -> Any:
    """Counts without decimals, and small figures with four digits that mean something."""
    if not isinstance(value, float):
        return value
    return round(value) if abs(value) >= 100 or value.is_integer() else float(f"{value:.3g}")
