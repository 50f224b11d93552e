"""Grade windows of documents with language models, by the rubric, into a labels table.

The run may be killed at any moment; the next one asks only for what the journal beside the labels does not hold. When
nothing is missing, or money ran out, the labels, the failures and a manifest are written, each in one piece.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from classifiers.agreement import agreement
from classifiers.assignment import CARRIED, Annotator, Extract, Plan, failed
from classifiers.endpoint import read_key
from classifiers.grading import Outcome, grade_all, meter_of, prompt_bytes
from classifiers.journal import Journal, Ledger, Problem, read_events
from classifiers.prompt import PROMPT_SHA256, Grade, messages
from classifiers.rubric import RUBRIC_SHA256
from common import command
from common.errors import SettingsError
from common.files import file_entries, publish_file, write_json

if TYPE_CHECKING:
    from tqdm import tqdm

BLOCK_ROWS = 4096
SHAPING = ("model", "gradings", "temperature", "max_reply_tokens", "extra", "characters", "sample", "seed")
"""Settings that shape the labels, for the manifest; the others say how fast they come, and from where."""


def preview(plan: Plan, out: Path) -> dict[str, Any]:
    """What a run would ask for and cost at most, without a request or a file: for ``--dry-run``."""
    ledger, _ = read_events(journal_path(out))
    meter = meter_of(plan.settings, ledger)
    requests = tokens = 0
    usd = 0.0
    for _, extract, annotator in plan.pending(ledger):
        size = prompt_bytes(messages(extract.text))
        requests += 1
        tokens += meter.tokens(annotator.model, size)
        usd += meter.at_most(annotator.model, size, plan.settings.max_reply_tokens)
    return {
        "documents": plan.documents,
        "empty": plan.empty,
        "graded_before": len(ledger.grades),
        "requests": requests,
        "prompt_tokens_about": tokens,
        "usd_at_most": round(usd, 4) if plan.settings.price_in else None,
        "usd_before": round(ledger.paid_usd, 4),
        "out": str(out),
    }


def annotate(plan: Plan, out: Path, bar: tqdm[Any] | None = None) -> dict[str, Any]:
    """Ask for every grading that is missing, then write the labels, the failures and a manifest.

    Args:
        plan: what to grade; see :func:`make_plan`.
        out: labels table, ``.parquet``, ``.jsonl`` or ``.jsonl.gz``; the other files stand beside it.
        bar: is told of every grading that is done, and of the cost.
    Returns:
        What the manifest holds: ``counts``, ``cost``, ``agreement``, …; ``stopped`` says why a run is not complete.
    Raises:
        EndpointError: if the server refuses. The journal keeps what was graded; nothing else is written.
    """

    def progress(done: int, state: str) -> None:
        if bar is not None:
            bar.set_postfix_str(state, refresh=False)
            bar.update(done)

    checked_out(out)
    secret = read_key(plan.settings.api_key_env)
    with Journal(journal_path(out)) as journal:
        outcome = grade_all(plan, journal, secret, progress)
        return _write(plan, out, journal.ledger, outcome)


def exit_status(result: dict[str, Any], max_failed_fraction: float) -> int:
    """0 if all was graded but for a tolerable fraction; 1 if gradings are missing or too many failed."""
    counts = result["counts"]
    finished = counts["gradings"] + counts["failed"]
    return int(bool(result["stopped"]) or counts["failed"] > max_failed_fraction * finished)


def summary(result: dict[str, Any], out: Path) -> str:
    """A result as text: counts and cost, scores of every annotator, agreement, and why the run stopped if it did."""
    cost = result["cost"]
    spent = f"{cost['requests']:,} requests, {cost['prompt_tokens']:,} + {cost['reply_tokens']:,} tokens"
    lines = [command.table([result["counts"]]), "", command.table(result["annotators"])]
    lines += ["", command.table(result["agreement"])] if result["agreement"] else []
    lines += ["", f"cost so far: {cost['paid_usd']:.4f} USD ({spent})"]
    if cost["unanswered"]:
        at_most = f"{cost['maybe_paid_usd_at_most']:.4f} USD"
        lines.append(f"{cost['unanswered']} requests got no answer; they may have cost up to {at_most} more")
    if result["stopped"]:
        lines.append(f"stopped: {result['stopped']}; {result['counts']['ungraded']:,} gradings are missing")
        lines.append("run the same command with a higher limit to go on: nothing is asked or paid twice")
    return "\n".join([*lines, f"labels: {out}"])


def checked_out(out: Path) -> Path:
    """``out``, if labels can be written there.

    Raises:
        SettingsError: if its name says no format.
    """
    if not out.name.endswith((".parquet", ".jsonl", ".jsonl.gz")):
        raise SettingsError(f"--out must end in .parquet, .jsonl or .jsonl.gz, got {out}")
    return out


def journal_path(out: Path) -> Path:
    """The journal of a labels table. ``.ndjson``, because a folder of labels is read by its ``.jsonl`` files."""
    return _beside(out, "journal.ndjson")


def _beside(out: Path, what: str) -> Path:
    name = out.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet")
    return out.with_name(f"{name}.{what}")


def _write(plan: Plan, out: Path, ledger: Ledger, outcome: Outcome) -> dict[str, Any]:
    counts: Counter[str] = Counter(windows=0, gradings=0, failed=0, ungraded=0)
    scores: dict[str, Counter[int]] = {annotator.name: Counter() for annotator in plan.settings.annotators}
    comparable: list[dict[str, Any]] = []
    failures = _beside(out, "failures.ndjson")
    with rows_writer(out) as keep, rows_writer(failures) as set_aside:
        for extract in plan.extracts():
            counts["windows"] += 1
            for annotator in plan.settings.annotators:
                key = plan.key(extract, annotator)
                grade, problems = ledger.grades.get(key), ledger.problems.get(key, [])
                if grade is not None:
                    counts["gradings"] += 1
                    scores[annotator.name][grade.score] += 1
                    keep(_row(extract, annotator, grade))
                    if len(scores) > 1:
                        who = {"annotator": annotator.name, "score": grade.score}
                        comparable.append({"id": extract.id, "text": extract.sha256} | who)
                elif failed(problems) or key in outcome.given_up:
                    counts["failed"] += 1
                    set_aside(_failure(extract, annotator, problems, outcome.given_up.get(key)))
                else:
                    counts["ungraded"] += 1
    settings = plan.settings.model_dump(mode="json", include=set(SHAPING))
    manifest = {
        "kind": "labels",
        "rubric_sha256": RUBRIC_SHA256,
        "prompt_sha256": PROMPT_SHA256,
        "settings": {name: settings[name] for name in SHAPING},
        "stopped": outcome.stopped,
        "counts": {"documents": plan.documents, "empty": plan.empty, **counts},
        "cost": ledger.cost(),
        "annotators": [_distribution(name, counted) for name, counted in scores.items()],
        "agreement": agreement(comparable),
        "files": file_entries(out.parent, {out.name: counts["gradings"], failures.name: counts["failed"]}),
    }
    write_json(_beside(out, "manifest.json"), manifest)
    return manifest


def _row(extract: Extract, annotator: Annotator, grade: Grade) -> dict[str, Any]:
    said = {"score": grade.score, "reason": grade.reason, "annotator": annotator.name, "rubric_sha256": RUBRIC_SHA256}
    return {"id": extract.id, "text": extract.text} | said | extract.carried


def _failure(extract: Extract, annotator: Annotator, problems: list[Problem], given_up: str | None) -> dict[str, Any]:
    last = problems[-1] if problems else Problem("")
    what = {"problem": given_up or last.problem, "reply": last.reply, "replies": len(problems)}
    return {"id": extract.id, "window_sha256": extract.sha256, "annotator": annotator.name} | what


def _distribution(name: str, scores: Counter[int]) -> dict[str, Any]:
    total = sum(scores.values())
    mean = round(sum(score * n for score, n in scores.items()) / total, 4) if total else None
    return {"annotator": name, "gradings": total, "mean": mean} | {str(grade): scores[grade] for grade in range(6)}


@contextmanager
def rows_writer(path: Path) -> Iterator[Callable[[dict[str, Any]], object]]:
    """Publish rows at ``path`` as they come, in bounded memory; the format follows the name."""
    with publish_file(path) as temporary, contextlib.ExitStack() as stack:
        if path.suffix == ".parquet":
            yield stack.enter_context(_parquet_writer(temporary))
            return
        stream: IO[bytes] = stack.enter_context(temporary.open("wb"))
        if path.suffix == ".gz":  # without a name and a time: the same rows, the same bytes
            stream = stack.enter_context(cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=stream, mtime=0)))
        yield lambda row: stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Callable[[dict[str, Any]], object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "text", "score", "reason", "annotator", "rubric_sha256", *CARRIED)
    schema = pa.schema([(name, pa.int64() if name == "score" else pa.string()) for name in names])
    block: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(block, schema=schema))
            block.clear()

        def write(row: dict[str, Any]) -> None:
            block.append(row)
            if len(block) == BLOCK_ROWS:
                flush()

        yield write
        flush()
