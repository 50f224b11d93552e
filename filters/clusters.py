"""Clusters of copies in a corpus directory: who was dropped for the sake of a document that stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from common.page import Page

REASONS = ("exact_duplicate", "near_duplicate")
_QUOTED_CLUSTERS, _QUOTED_COPIES = 5, 2


def stayed(row: Mapping[str, Any]) -> str:
    """Id of the document that stays for this one: its own, unless it was dropped as a copy."""
    return str(row["detail"] if row["reason"] in REASONS else row["id"])


def copies_of(corpus: Path, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """The dropped copies of documents by the id of each, without their texts: the least similar first."""
    import pyarrow.dataset as ds

    parts = sorted(map(str, corpus.glob("dropped/part-*.parquet")))
    copies: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    if parts and ids:
        wanted = ds.field("reason").isin(REASONS) & ds.field("detail").isin(list(ids))
        columns = ["id", "url", "reason", "value", "detail"]
        for row in ds.dataset(parts).to_table(columns=columns, filter=wanted).to_pylist():
            row["similarity"] = row.pop("value") if row["reason"] == "near_duplicate" else 1.0
            copies[row.pop("detail")].append(row)
    return {name: sorted(found, key=lambda row: (row["similarity"], row["id"])) for name, found in copies.items()}


def show_clusters(page: Page, corpus: Path, manifest: Mapping[str, Any]) -> None:
    """The section of a report on near-duplicates, if there are any."""
    found = manifest["near_duplicates"]
    if not found["clusters"]:
        return
    page.heading("Near-duplicates")
    page.paragraph(
        f"{manifest['counts']['dropped']['near_duplicate']:,} documents are nearly the same as one of "
        f"{found['clusters']:,} that stay. These are the largest clusters; quoted is the one that stays and the copies "
        "that are least like it."
    )
    copies = copies_of(corpus, [cluster["id"] for cluster in found["largest"]])
    rows = [(one["id"], one["near_duplicates"], copies[one["id"]][0]["similarity"]) for one in found["largest"]]
    page.table(("stays", "near-duplicates", "least similarity"), rows)
    quoted = {one["id"]: copies[one["id"]][:_QUOTED_COPIES] for one in found["largest"][:_QUOTED_CLUSTERS]}
    texts = texts_of(corpus, [*quoted, *(copy["id"] for chosen in quoted.values() for copy in chosen)])
    for name, chosen in quoted.items():
        page.heading(f"Stays: {name}", level=3)
        page.sample("the document that stays", texts[name])
        for copy in chosen:
            page.sample(f"similarity {copy['similarity']:.2f} · {copy['url'] or copy['id']}", texts[copy["id"]])


def texts_of(corpus: Path, ids: Collection[str]) -> dict[str, str]:
    """Texts of a few documents by id, kept or dropped."""
    import pyarrow.dataset as ds

    parts = sorted(map(str, [*corpus.glob("part-*.parquet"), *corpus.glob("dropped/part-*.parquet")]))
    found = ds.dataset(parts).to_table(columns=["id", "text"], filter=ds.field("id").isin(list(ids)))
    return dict(zip(found["id"].to_pylist(), found["text"].to_pylist(), strict=True))
