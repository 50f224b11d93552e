"""The further labels of the default classifier: windows of an unlabelled pool, with their grades.

    python -m benchmarks.pool_labels --pool pool.jsonl.gz --out pool-labels.parquet
    classifiers train --labels labels.jsonl.gz --extend pool-labels.parquet --out classifiers/default

``pool_gradings.tsv`` holds what is ours: the id of a pool document, a hash of the window that was read, its grade, kind
and annotator. The texts belong to others and stay in the pool; this joins the two. A language model gave the grades,
reading every window by the rubric of the first labels; windows at 2 and above were read twice, by different annotators.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import command
from common.documents import read_documents, write_parquet
from common.errors import InputError

GRADINGS = Path(__file__).with_name("pool_gradings.tsv")
WINDOW_CHARACTERS = 1500


def main(arguments: Sequence[str] | None = None) -> None:
    import pyarrow as pa

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", required=True, help="documents: id, text, source")
    parser.add_argument("--out", required=True, type=Path, help="labels table to write: .parquet")
    options = parser.parse_args(arguments)
    rows = list(join(options.pool))
    write_parquet(options.out, pa.Table.from_pylist(rows))
    result = {"gradings": len(rows), "documents": len({row["id"] for row in rows}), "out": str(options.out)}
    command.emit(result, command.table([result]), False)


def join(pool: str, gradings: Path = GRADINGS) -> Iterator[dict[str, str | int]]:
    """Rows of a labels table: ``id, text, score, kind, annotator, source``.

    Raises:
        InputError: if a graded document is not in the pool, or its window is another text.
    """
    wanted: dict[str, list[dict[str, str]]] = {}
    with gradings.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            wanted.setdefault(row["id"], []).append(row)
    for document in read_documents(pool):
        window = str(document["text"])[:WINDOW_CHARACTERS]
        for row in wanted.pop(str(document["id"]), []):
            if hashlib.sha256(window.encode("utf-8", "surrogatepass")).hexdigest()[:12] != row["window_sha256"]:
                raise InputError(f"{pool}: the text of {row['id']} is not the one that was graded")
            yield {
                "id": row["id"],
                "text": window,
                "score": int(row["score"]),
                "kind": row["kind"],
                "annotator": row["annotator"],
                "source": str(document.get("source") or ""),
            }
    if wanted:
        raise InputError(f"{pool} lacks {len(wanted):,} graded documents, among them {min(wanted)}")


if __name__ == "__main__":
    main()
