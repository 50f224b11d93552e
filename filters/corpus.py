"""The corpus directory: what it holds, and how one scanned file becomes its part.

``part-NNNNN.parquet`` holds the kept documents of input file N, ``dropped/part-NNNNN.parquet`` every other one with
the reason, the measured value and the limit. ``manifest.json`` lists both and is written last: a directory without it
is not finished. ``report.html`` is a view of them that can be made again at any time, so it is not listed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError, SettingsError
from common.files import MANIFEST, TEMPORARY_PREFIX, file_entries, read_json, read_manifest, write_json
from filters.personal_data import masked_type

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "corpus"
REPORT = "report.html"
PLAN = "plan.json"
"""What ``filters plan`` predicted; no part of the corpus, so the manifest does not list it."""
CONTAMINATION = "contamination.parquet"
"""Eval items that stand in documents, where a job looks for them; made with the decisions."""
WORK = ".work"
KEPT, DROPPED = "kept.parquet", "dropped.parquet"
_OURS = {WORK, ".lock", MANIFEST, REPORT, PLAN, CONTAMINATION, "dropped"}
_PART = re.compile(r"(dropped/)?part-\d+\.parquet")
_OF_A_BUDGET = re.compile(r"\d+[KMBT]?")
"""Folders of corpora that jobs with several budgets left there: another job lets them be."""


def columns() -> pa.Schema:
    """Columns of a kept document."""
    import pyarrow as pa

    return pa.schema(
        {
            "id": pa.string(),
            "text": pa.large_string(),
            "url": pa.string(),
            "source_file": pa.string(),
            "source_offset": pa.int64(),
            "token_count": pa.int64(),
            "masked": masked_type(),
            "score": pa.float32(),
            "scored_by": pa.string(),
            "language": pa.string(),
            "language_probability": pa.float32(),
        }
    )


def dropped_columns() -> pa.Schema:
    """Columns of a dropped document: those of a kept one, and why it is none."""
    import pyarrow as pa

    why = {"reason": pa.string(), "value": pa.float64(), "limit": pa.float64(), "detail": pa.string()}
    return pa.schema([*columns(), *(pa.field(name, kind) for name, kind in why.items())])


def decision_columns() -> pa.Schema:
    """What the whole-job stages decided about each row of one scanned file; nulls where the scan had decided."""
    import pyarrow as pa

    return pa.schema(
        {
            "id_is_unique": pa.bool_(),
            "score": pa.float32(),
            "scored_by": pa.string(),
            "reason": pa.string(),
            "value": pa.float64(),
            "limit": pa.float64(),
            "detail": pa.string(),
        }
    )


def fallback_id(source_file: str, row: int) -> str:
    """Name of a document that brought none along, or one that stands twice in the job."""
    return f"{source_file}#{row}"


def write_file(values: Mapping[str, Any], folder: Path, advance: Callable[[int], None]) -> None:
    """Divide one scanned file into kept and dropped documents (work of a unit)."""
    import pyarrow.parquet as pq

    decisions = pq.read_table(values["decisions"])
    edits = pq.read_table(values["edits"]) if values["edits"] else None
    done = 0
    with _Writer(folder / KEPT, columns()) as kept, _Writer(folder / DROPPED, dropped_columns()) as dropped:
        for batch in pq.ParquetFile(values["documents"]).iter_batches():
            documents = batch if edits is None else _edited(batch, edits, done)
            table = _joined(documents, decisions.slice(done, len(batch)), values["source_file"], done)
            is_kept = table["reason"].is_null()
            kept.write(table.filter(is_kept))
            dropped.write(table.filter(table["reason"].is_valid()))
            done += len(batch)
            advance(done)


def publish(
    output: Path, parts: Sequence[Path], decided: Path, manifest: Mapping[str, Any], write_report: Callable[[], None]
) -> None:
    """Put finished parts in place, then the report, then the manifest that makes them a corpus.

    The old manifest goes first: at no moment does one list files that are not there.

    Args:
        output: the corpus directory.
        parts: the folders of the write stage, one an input file, in order.
        decided: the folder of the decisions.
        manifest: all of the manifest but its files.
        write_report: writes ``report.html``.
    """
    (output / MANIFEST).unlink(missing_ok=True)
    rows: dict[str, int] = {}
    for number, part in enumerate(parts):
        for kind, name in ((KEPT, f"part-{number:05}.parquet"), (DROPPED, f"dropped/part-{number:05}.parquet")):
            if (part / kind).exists():
                _link(part / kind, output / name)
                rows[name] = count_rows(part / kind)
    (output / CONTAMINATION).unlink(missing_ok=True)
    if (decided / CONTAMINATION).exists():
        _link(decided / CONTAMINATION, output / CONTAMINATION)
        rows[CONTAMINATION] = count_rows(output / CONTAMINATION)
    rows = dict(sorted(rows.items()))
    for stale in (*output.glob("part-*.parquet"), *output.glob("dropped/part-*.parquet")):
        if stale.relative_to(output).as_posix() not in rows:
            stale.unlink()
    write_report()
    write_json(output / MANIFEST, {**manifest, "files": file_entries(output, rows)})


def renew_report(output: Path) -> dict[str, Any]:
    """Write a corpus's report again, now with the throughput of its steps; returns the manifest.

    Raises:
        InputError: if ``output`` is no finished corpus.
    """
    from filters.report import write_report

    manifest = read_corpus_manifest(output)
    write_report(output, manifest, with_throughput=True)
    return manifest


def read_corpus_manifest(output: Path) -> dict[str, Any]:
    """The manifest of a corpus directory.

    Raises:
        InputError: if ``output`` is none, not finished, or one of its files is missing or cut short.
    """
    manifest = read_manifest(output)
    if manifest.get("kind") != KIND:
        raise InputError(f"{output} is not a corpus directory: its manifest says {manifest.get('kind')!r}")
    broken = next((entry for entry in manifest["files"] if not _is_whole(output, entry)), None)
    if broken:
        raise InputError(
            f"{output / broken['path']} is not there with the {broken['bytes']:,} bytes that the manifest says; run "
            "the job again to put it back"
        )
    return manifest


def is_finished(output: Path, key: str) -> bool:
    """Whether ``output`` already holds the corpus of this key, whole as far as sizes tell."""
    if not (output / MANIFEST).is_file():
        return False
    manifest = read_json(output / MANIFEST)
    return manifest.get("key") == key and all(_is_whole(output, entry) for entry in manifest["files"])


def _is_whole(output: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file that the manifest lists is there and has its size."""
    path = output / entry["path"]
    return path.is_file() and bool(path.stat().st_size == entry["bytes"])


def check_output(output: Path) -> None:
    """Refuse a folder that holds something else.

    Raises:
        SettingsError: naming what stands in the way.
    """
    if output.exists() and not output.is_dir():
        raise SettingsError(f"output {output} is a file; name a folder")
    names = sorted(entry.name for entry in output.iterdir()) if output.is_dir() else []
    strangers = [name for name in names if not is_ours(name)]
    if strangers:
        raise SettingsError(f"output {output} holds {strangers[0]!r}, which is not part of a corpus; name a new folder")


def is_ours(name: str) -> bool:
    """Whether a name at the top of an output folder is one that corpora leave there."""
    known = name in _OURS or is_part(name) or name.startswith(TEMPORARY_PREFIX)
    return known or _OF_A_BUDGET.fullmatch(name) is not None


def is_part(name: str) -> bool:
    """Whether a name below a corpus directory is one of its tables."""
    return _PART.fullmatch(name) is not None


def work_folder(output: Path) -> Path:
    """The work folder of a corpus: of a job with several budgets it lies above; maybe there is none any more."""
    own = output / WORK
    return own if own.is_dir() else output.resolve().parent / WORK


def count_rows(path: Path) -> int:
    """Rows of a Parquet file."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _edited(batch: pa.RecordBatch, edits: pa.Table, first_row: int) -> pa.RecordBatch:
    """Documents with what decontamination left of them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.asarray(edits["row"]) - first_row
    low, high = np.searchsorted(rows, [0, len(batch)]).tolist()
    replaced = np.zeros(len(batch), np.bool_)
    replaced[rows[low:high]] = True
    for name in ("text", "token_count"):
        field = batch.schema.field(name)
        left = edits[name].slice(low, high - low).cast(field.type).combine_chunks()
        values = pc.replace_with_mask(batch[name], pa.array(replaced), left)
        batch = batch.set_column(batch.schema.get_field_index(name), field, values)
    return batch


def _joined(batch: pa.RecordBatch, decisions: pa.Table, source_file: str, first_row: int) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    documents = pa.Table.from_batches([batch])
    numbered = pa.array([fallback_id(source_file, first_row + row) for row in range(len(batch))])
    values = {
        "id": pc.if_else(decisions["id_is_unique"], documents["own_id"], numbered),
        "source_file": pa.array([source_file] * len(batch)),
        "score": decisions["score"],
        "scored_by": decisions["scored_by"],
    }
    for name in ("reason", "value", "limit", "detail"):
        values[name] = pc.if_else(documents["reason"].is_valid(), documents[name], decisions[name])
    for name in ("text", "url", "source_offset", "token_count", "masked", "language", "language_probability"):
        values[name] = documents[name]
    return pa.table([values[field.name] for field in dropped_columns()], schema=dropped_columns())


class _Writer:
    """A Parquet file that comes into being with its first row."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._file: Any = None

    def write(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        if len(table):
            if self._file is None:
                self._file = pq.ParquetWriter(self._path, self._schema, compression="zstd")
            self._file.write_table(table.select(self._schema.names))

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the file system has no links; the target is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".unfinished-{target.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing
