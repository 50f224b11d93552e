"""Score documents as a stream: bounded memory, and the same bytes for any number of threads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import THRESHOLDS
from common.documents import expand, read_rows
from common.errors import InputError, SettingsError
from common.files import publish_file

if TYPE_CHECKING:
    import pyarrow as pa

    from classifiers.model import EducationalClassifier

BLOCK_DOCUMENTS = 1024
"""Documents that are held at a time: a multiple of the encoder's block, so that batches do not depend on it."""
DESCRIBING = ("share_seen", "characters_per_token")
"""Columns that say how far a score can be trusted: how much of the text was read, and how the encoder took it."""


def count(files: list[str]) -> int | None:
    """Number of documents, for a progress bar; None if a file is not local and would be fetched twice."""
    if any("://" in name for name in files):
        return None
    return sum(1 for name in files for _ in read_rows(name))


def read_blocks(source: str, columns: Sequence[str] = ("id", "text")) -> Iterator[list[dict[str, Any]]]:
    """Documents of ``source`` in order, in blocks of :data:`BLOCK_DOCUMENTS`; every one has ``columns``.

    Raises:
        InputError: if a text is not a string; it names the document.
    """
    rows = (row for name in expand(source) for row in read_rows(name, columns))
    while block := list(islice(rows, BLOCK_DOCUMENTS)):
        for row in block:
            if not isinstance(row["text"], str):
                raise InputError(f"document {row['id']}: text must be a string, got {type(row['text']).__name__}")
        yield block


def score_documents(
    source: str,
    out: Path,
    classifier: EducationalClassifier,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Write a row a document, in the order of the input.

    Columns: ``id, score, probability_1 … probability_5, share_seen, characters_per_token``.

    Args:
        source: JSONL or Parquet: file, folder, glob or URL; columns ``id`` and ``text``.
        out: a Parquet file; whole or absent.
        classifier: what scores.
        threads: batches at a time.
        advance: called with the number of documents done.
    Returns:
        ``{documents, mean_score, at_least_3, classifier, window, out}``; who scored and what was read stand in the
        metadata of the file too.
    """
    import pyarrow.parquet as pq

    if out.suffix != ".parquet":
        raise SettingsError(f"--out must end in .parquet, got {out}")
    window = classifier.description.window.model_dump(mode="json")
    # the file itself says who scored what of each text
    schema = _schema().with_metadata({"classifier": classifier.digest, "window": json.dumps(window)})
    documents, total, kept = 0, 0.0, 0
    with publish_file(out) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for block in read_blocks(source):
            table = _score(block, classifier, threads, advance)
            writer.write_table(table)
            scores = table["score"].to_numpy()
            documents += len(scores)
            total += float(scores.sum(dtype=np.float64))
            kept += int((scores >= 3).sum())
        if not documents:
            raise InputError(f"{source} holds no documents")
    return {
        "documents": documents,
        "mean_score": round(total / documents, 4),
        "at_least_3": kept,
        "classifier": classifier.digest,
        "window": window,
        "out": str(out),
    }


def _score(
    rows: list[dict[str, Any]],
    classifier: EducationalClassifier,
    threads: int,
    advance: Callable[[int], object] | None,
) -> pa.Table:
    import pyarrow as pa

    measured = classifier.measure([row["text"] for row in rows], threads, advance)
    columns: dict[str, Any] = {"id": [str(row["id"]) for row in rows], "score": measured.scores}
    columns |= {_column(t): measured.probabilities[:, t - 1] for t in THRESHOLDS}
    columns |= {name: getattr(measured, name) for name in DESCRIBING}
    return pa.table(columns, schema=_schema())


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = ["score", *map(_column, THRESHOLDS), *DESCRIBING]
    return pa.schema([("id", pa.string()), *((name, pa.float32()) for name in numbers)])


def _column(threshold: int) -> str:
    return f"probability_{threshold}"
