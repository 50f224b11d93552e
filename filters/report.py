"""``report.html``: where the documents went, how they scored, and what stands on both sides of the cut."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.page import Page
from filters import funnel
from filters.clusters import show_clusters
from filters.corpus import REPORT
from filters.funnel import HISTOGRAM_BINS, MAX_SCORE, Share, Tally
from filters.outcome import show_outcome
from filters.personal_data import PLACEHOLDERS
from filters.records import LOST
from filters.throughput import show_throughput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_ROWS = 25


def write_report(corpus: Path, manifest: Mapping[str, Any], with_throughput: bool = False) -> None:
    """Publish ``corpus/report.html`` from the parts that lie there; without throughput, they alone decide its bytes."""
    tally = funnel.tally(corpus)
    counts, threshold = manifest["counts"], manifest["threshold"]
    page = Page("Corpus report", _lead(manifest))
    page.facts(
        [
            ("documents read", counts["read"]),
            ("documents kept", counts["kept"]),
            ("tokens kept", manifest["kept_tokens"]),
            ("token budget", manifest["budget_tokens"]),
            ("threshold, 0 to 5", threshold),
            ("documents lost", sum(measured.dropped for reason, measured in tally.reasons.items() if _lost(reason))),
        ]
    )
    _funnel(page, manifest)
    _quotas(page, manifest["quotas"])
    show_outcome(page, corpus, manifest, with_taken=with_throughput)
    _scores(page, tally, threshold)
    _cascade(page, manifest["cascade"])
    _contamination(page, manifest.get("contamination"))
    _reasons(page, tally)
    _masked(page, manifest)
    page.heading("Around the cut")
    page.paragraph("The kept documents with the lowest scores, then the dropped ones with the highest.")
    _samples(page, "Just kept", tally.above, _texts(corpus.glob("part-*.parquet"), tally.above))
    _samples(page, "Just dropped", tally.below, _texts(corpus.glob("dropped/part-*.parquet"), tally.below))
    show_clusters(page, corpus, manifest)
    for title, name, shares in (
        ("By domain", "domain", tally.by_domain),
        ("By language", "language", tally.by_language),
        ("By file", "file", tally.by_file),
    ):
        _shares(page, title, name, shares)
    _losses(page, tally)
    if with_throughput:
        show_throughput(page, corpus)
    _settings(page, manifest)
    page.write(corpus / REPORT)


def funnel_rows(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The funnel as a table: what each step dropped and what was left."""
    counts = manifest["counts"]
    left, rows = counts["read"], []
    rules = [name for entry in manifest["settings"]["rules"] for name in entry]
    for step, dropped in funnel.steps(counts["dropped"], rules):
        left -= dropped
        rows.append({"step": step, "dropped": dropped, "left": left, "left_fraction": left / counts["read"]})
    return rows


def _lead(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    budget, least = manifest["budget_tokens"], manifest["min_score"]
    goals = [f"of a budget of {budget:,} tokens"] if budget else []
    goals += [] if least is None else [f"at scores of at least {least:g}"]
    if manifest["unfilled_tokens"]:
        goals.append(f"{manifest['unfilled_tokens']:,} tokens short for want of documents")
    goal = ", ".join(goals)
    return (
        f"{counts['kept']:,} of {counts['read']:,} documents ({counts['kept'] / counts['read']:.1%}) were kept: "
        f"{manifest['kept_tokens']:,} tokens {goal}."
    )


def _funnel(page: Page, manifest: Mapping[str, Any]) -> None:
    page.heading("Where the documents went")
    rows = [(row["step"], row["dropped"], row["left"], _percent(row["left_fraction"])) for row in funnel_rows(manifest)]
    page.table(("step", "dropped", "left", "% of all"), [("read", None, manifest["counts"]["read"], 100.0), *rows])


def _quotas(page: Page, quotas: Sequence[Mapping[str, Any]]) -> None:
    if quotas:
        page.heading("Quotas")
        page.paragraph("Each part of the budget is cut by itself. Tokens there: of documents that reached the cut.")
        names = {"budget_tokens": "tokens allowed", "tokens": "tokens there", "kept_tokens": "tokens kept"}
        page.table([names.get(name, name) for name in quotas[0]], [tuple(quota.values()) for quota in quotas])


def _scores(page: Page, tally: Tally, threshold: float) -> None:
    page.heading("Scores")
    edges = [MAX_SCORE * place / HISTOGRAM_BINS for place in range(HISTOGRAM_BINS + 1)]
    kept = [tally.kept_scores[place] for place in range(HISTOGRAM_BINS)]
    every = [tally.dropped_scores[place] + kept[place] for place in range(HISTOGRAM_BINS)]

    def draw(axes: Axes) -> None:
        axes.stairs(every, edges, fill=True, color="#b9c0c7", label="dropped")
        axes.stairs(kept, edges, fill=True, color="#1a6b72", label="kept")
        axes.axvline(threshold, color="#b3541e", linewidth=1.2, label=f"threshold {threshold:.3f}")
        axes.set(xlim=(0, MAX_SCORE), xlabel="educational score", ylabel="documents")
        axes.legend(frameon=False)

    page.figure(draw, f"Scores of the {sum(every):,} documents that passed all rules and are no copies.")


def _cascade(page: Page, cascade: Mapping[str, Any] | None) -> None:
    if cascade is None:
        return
    page.heading("First stage and full model")
    page.paragraph(
        f"The full model scored {cascade['scored_by_full']:,} of these documents ({cascade['full_fraction']:.1%}); the "
        f"first stage decided the others. Promised: of the kept tokens at most {cascade['error_fraction']:.1%} decided "
        f"otherwise than by the full model, with confidence {cascade['confidence']:g}; expected from the calibration "
        f"documents: {cascade['expected_error_fraction']:.2%}."
    )
    audit = cascade["audit"]
    if audit:
        page.paragraph(
            f"Audit: of {audit['documents']:,} documents that the first stage decided, drawn by their tokens, the full "
            f"model decides {audit['wrong']:,} otherwise. On these documents that makes {audit['error_fraction']:.2%} "
            f"of the kept tokens: at least {audit['low']:.2%} and at most {audit['high']:.2%}, each with that "
            "confidence."
        )


def _contamination(page: Page, found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    page.heading("Eval items")
    documents = found["documents"]
    page.paragraph(
        f"{documents['dropped']:,} documents were dropped for the eval items they hold, and lines were cut from "
        f"{documents['cut']:,}. Counted are items in documents, dropped ones and copies too; the last column counts "
        "the items that still stand in the corpus. Unchecked items are too short, or too common, to be found."
    )
    page.table(
        tuple(name for name in found["tasks"][0] if name != "sha256"),
        [tuple(value for name, value in row.items() if name != "sha256") for row in found["tasks"]],
    )
    if found["commonest"]:
        page.paragraph(
            "Items that stand in the most documents: a phrase that everybody uses would stand here.", small=True
        )
        page.table(("item", "documents"), [(row["item"], row["documents"]) for row in found["commonest"]])


def _reasons(page: Page, tally: Tally) -> None:
    page.heading("Every reason")
    page.paragraph("What was measured where a document was dropped, beside the limit that it did not keep.", small=True)
    rows = [
        (reason, measured.dropped, *(_median_and_limit(measured) if _is_bound(reason) else (None, None)))
        for reason, measured in sorted(tally.reasons.items(), key=lambda item: (-item[1].dropped, item[0]))
    ]
    page.table(("reason", "dropped", "median value", "limit"), rows)


def _masked(page: Page, manifest: Mapping[str, Any]) -> None:
    if manifest["settings"]["personal_data"] is None:
        return
    page.heading("Personal data")
    counts = manifest["masked"]
    rows = [(kind, PLACEHOLDERS[kind], counts[kind]["found"], counts[kind]["documents"]) for kind in counts]
    page.table(("kind", "placeholder", "masked in kept documents", "documents"), rows)


def _is_bound(reason: str) -> bool:
    """Whether the reason compares a measure with a bound; the median of status codes or byte counts says nothing."""
    return "_min_" in reason or "_max_" in reason or reason.startswith("below_")


def _median_and_limit(measured: funnel.Limits) -> tuple[float, Any]:
    return statistics.median(measured.values), _limits(measured.limits)


def _shares(page: Page, title: str, name: str, shares: Mapping[str, Share]) -> None:
    page.heading(title)
    ordered = sorted(shares.items(), key=lambda item: (-item[1].read, item[0]))
    rows = [
        (label, share.read, share.kept, _percent(share.kept / share.read), share.kept_tokens)
        for label, share in ordered[:_SHOWN_ROWS]
    ]
    page.table((name, "read", "kept", "% kept", "tokens kept"), rows)
    if len(ordered) > _SHOWN_ROWS:
        page.paragraph(f"The {_SHOWN_ROWS} largest of {len(ordered):,}.", small=True)


def _samples(page: Page, title: str, rows: list[dict[str, Any]], texts: Mapping[str, str]) -> None:
    page.heading(title, level=3)
    for row in rows:
        name = row["url"] or row["id"]
        page.sample(f"{row['score']:.3f} · {row['token_count']:,} tokens · {name}", texts.get(row["id"], ""))
    if not rows:
        page.paragraph("None.", small=True)


def _losses(page: Page, tally: Tally) -> None:
    page.heading("Losses")
    if not tally.losses:
        page.paragraph("None: every document of the input was read to its end.")
        return
    page.paragraph("Documents that nobody decided to drop. They lie in dropped/ under these reasons.")
    page.table(
        ("reason", "file", "offset", "detail"),
        [(row["reason"], row["source_file"], row["source_offset"], row["detail"]) for row in tally.losses],
    )


def _settings(page: Page, manifest: Mapping[str, Any]) -> None:
    import yaml

    page.heading("Settings")
    page.sample("the job, with every bound written out", yaml.safe_dump(manifest["settings"], sort_keys=False))
    page.table(("digest", "value"), [("classifier", manifest["digests"]["classifier"]), ("corpus", manifest["key"])])


def _texts(parts: Any, rows: list[dict[str, Any]]) -> dict[str, str]:
    """The texts of a few documents by id."""
    import pyarrow.dataset as ds

    listed = [str(part) for part in sorted(parts)]
    if not listed or not rows:
        return {}
    chosen = ds.dataset(listed).to_table(
        columns=["id", "text"], filter=ds.field("id").isin([row["id"] for row in rows])
    )
    return dict(zip(chosen["id"].to_pylist(), chosen["text"].to_pylist(), strict=True))


def _limits(limits: set[float]) -> float | str:
    low, high = min(limits), max(limits)
    return low if low == high else f"{low:g} … {high:g}"


def _percent(fraction: float) -> float:
    return round(100 * fraction, 1)


def _lost(reason: str) -> bool:
    return reason.startswith(LOST)
