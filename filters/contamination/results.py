"""What decontamination found in the whole job: which documents go, which items stand in the corpus.

``contamination.parquet`` has one row for every item in every document, kept or dropped, and one without a document for
every item that cannot be checked. An item without a row is clean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.contamination.settings import ACTIONS, KINDS, Decontaminate
from filters.contamination.stage import EDITS, HITS, ITEMS, Evals

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from filters.pool import Pool

TABLE = "contamination.parquet"
REASON = "contaminated_"
"""A dropped document's reason begins so, and ends with the class of its gravest hit."""
UNCHECKED = "unchecked"
"""Class of an item that cannot be found: question and answer are too short, or nothing but templates."""


@dataclass(frozen=True)
class Contamination:
    """What the units of a job found; a row is one of the pool.

    Attributes:
        settings: of the job.
        evals: its eval files.
        items: columns ``task, item, row, checked``.
        hits: an item in a document each, columns as a unit writes them but ``row`` counted in the pool, ascending.
        edits: for each input file, where the texts lie that spans were cut from.
        edited: rows of those: int64[k].
        edited_tokens: tokens of what is left of them: int64[k].
    """

    settings: Decontaminate
    evals: Evals
    items: pa.Table
    hits: pa.Table
    edits: Sequence[Path]
    edited: NDArray[np.int64]
    edited_tokens: NDArray[np.int64]

    @classmethod
    def read(
        cls, pool: Pool, settings: Decontaminate, evals: Evals, index: Path, units: Sequence[Path]
    ) -> Contamination:
        """Join the results of the units, one an input file."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        def joined(name: str, columns: list[str] | None = None) -> pa.Table:
            tables = [pq.read_table(unit / name, columns=columns) for unit in units]
            starts = pool.starts.tolist()
            return pa.concat_tables(
                table.set_column(0, "row", pc.add(table["row"], start))
                for table, start in zip(tables, starts, strict=False)  # the last start is the end
            )

        edits = joined(EDITS, ["row", "token_count"])
        return cls(
            settings,
            evals,
            pq.read_table(index / ITEMS),
            joined(HITS),
            [unit / EDITS for unit in units],
            np.asarray(edits["row"]),
            np.asarray(edits["token_count"]),
        )

    @cached_property
    def dropped(self) -> pa.Table:
        """The gravest hit of every document that is dropped, as in ``hits``."""
        import numpy as np
        import pyarrow.compute as pc

        found = self.hits.filter(pc.equal(self.hits["action"], ACTIONS.index("document")))
        found = found.sort_by([("row", "ascending"), ("kind", "ascending"), ("share", "descending")])
        _, first = np.unique(np.asarray(found["row"]), return_index=True)
        return found.take(first)

    def applied(self, pool: Pool) -> Pool:
        """The pool with the tokens that are left of documents that were cut."""
        tokens = pool.tokens.copy()
        tokens[self.edited] = self.edited_tokens
        return replace(pool, tokens=tokens)

    def stays(self, rows: int) -> NDArray[np.bool_]:
        """Whether each row is not dropped: bool[rows]."""
        import numpy as np

        mask = np.ones(rows, dtype=np.bool_)
        mask[np.asarray(self.dropped["row"])] = False
        return mask

    def verdicts(self) -> dict[int, dict[str, Any]]:
        """Reason, value, limit and detail of every document that is dropped, by row."""
        return {
            hit["row"]: {
                "reason": f"{REASON}{KINDS[hit['kind']]}",
                "value": hit["share"],
                "limit": self.settings.limit(KINDS[hit["kind"]]),
                "detail": f"{self.items['task'][hit['item']]}/{self.items['item'][hit['item']]}",
            }
            for hit in self.dropped.to_pylist()
        }

    def table(self, ids: Sequence[str], reason: Callable[[int], str | None]) -> pa.Table:
        """``contamination.parquet``.

        Args:
            ids: of the documents, by row.
            reason: why a row was dropped; None if it was kept.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = self.hits["row"].to_pylist()
        found = self.items.take(self.hits["item"])
        lacking = self.items.filter(pc.invert(self.items["checked"]))
        columns = {
            name: pa.concat_arrays(found[name].chunks + lacking[name].chunks) for name in ("task", "item", "row")
        }
        columns |= {
            "class": [KINDS[kind] for kind in self.hits["kind"].to_pylist()] + [UNCHECKED] * len(lacking),
            **{name: self.hits[name].to_pylist() + [None] * len(lacking) for name in ("share", "answered")},
            "action": [ACTIONS[action] for action in self.hits["action"].to_pylist()] + [None] * len(lacking),
            "id": [ids[row] for row in rows] + [None] * len(lacking),
            "reason": [reason(row) for row in rows] + [None] * len(lacking),
        }
        return pa.table(columns, schema=_columns())

    def summary(self, table: pa.Table) -> dict[str, Any]:
        """What a manifest says, given :meth:`table`: by task its items, and of those that stand in the corpus."""
        import pyarrow.compute as pc

        stays = pc.and_(pc.is_null(table["reason"]), pc.equal(table["action"], "count"))
        left = table.filter(stays)
        return {
            "documents": {"dropped": len(self.dropped), "cut": len(self.edited)},
            "tasks": [
                {
                    "task": task,
                    "sha256": self.evals.sha256[task],
                    "items": _count(self.items, task=task),
                    **{kind: _count(table, task=task, **{"class": kind}) for kind in (*KINDS, UNCHECKED)},
                    "items_in_corpus": len(pc.unique(left.filter(pc.equal(left["task"], task))["row"])),
                }
                for task in sorted(self.evals.paths)
            ],
        }


def _count(table: pa.Table, **values: str) -> int:
    import functools

    import pyarrow.compute as pc

    masks = [pc.equal(table[name], value) for name, value in values.items()]
    return int(pc.sum(functools.reduce(pc.and_, masks)).as_py() or 0)


def _columns() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        {
            "task": pa.string(),
            "item": pa.string(),
            "row": pa.int64(),
            "class": pa.string(),
            "share": pa.float32(),
            "answered": pa.bool_(),
            "action": pa.string(),
            "id": pa.string(),
            "reason": pa.string(),
        }
    )
