"""JSONL and Parquet: rows with ``text`` and, where they have them, ``id`` and ``url``.

A line that is no JSON object with a text is counted as lost and kept aside; datatrove skips it without a count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from common.errors import InputError
from filters.records import LOST_DAMAGED, LOST_MALFORMED, TOO_LARGE, Record
from filters.streams import Damaged, MemberStream
from filters.verdict import Rejection

_JSON_BYTES_PER_BYTE = 3  # é may be written \u00e9; a longer line would cost memory without holding a text
_BATCH_ROWS, _BATCH_BYTES = 256, 32 << 20
COLUMNS = ("id", "url", "text")


def read_jsonl(
    raw: BinaryIO, compression: str, max_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[Record]:
    """The rows of a JSONL file in order; ``offset`` is the row's number, from 0.

    Of a file without compression also only the rows that begin in the bytes from ``start`` to ``stop``; numbers then
    begin with 0 there.
    """
    stream = MemberStream(raw, compression, begins_record=lambda data: data.lstrip()[:1] == b"{")
    if start:
        stream.enter_line(start)
    max_line = _JSON_BYTES_PER_BYTE * max_bytes
    row = -1
    while True:
        row += 1
        stream.begin()
        if stop is not None and stream.here >= stop:
            return
        try:
            line, length = stream.line(max_line)
        except Damaged as damage:
            damaged = stream.here
            stream.restart(damaged + 1)
            yield Record(row, rejection=Rejection(LOST_DAMAGED, stream.here - damaged, 0), detail=str(damage))
            continue
        if length == 0:
            return
        if length > max_line:
            yield Record(row, rejection=Rejection(TOO_LARGE, length, max_bytes))
        elif line.strip():
            yield _from_line(line, row, max_bytes)


def read_parquet(raw: BinaryIO, max_bytes: int, name: str, start: int = 0) -> Iterator[Record]:
    """The rows of a Parquet file in order, from those on that are packed together with row ``start``.

    Damage costs the rest of its row group, each row of which is counted.

    Raises:
        InputError: if its footer cannot be read, so that nobody knows how many rows it holds, or it has no column
            ``text``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(raw, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {name}: {_said(error)}") from error
    has = file.schema_arrow.names
    if "text" not in has:
        raise InputError(f"{name} has no column 'text'; it has {', '.join(has)}")
    columns = [column for column in COLUMNS if column in has]
    end = 0
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        row, end, damage = end, end + group.num_rows, "the row group ends early"
        if end <= start:
            continue
        try:
            for batch in file.iter_batches(_batch_rows(group), row_groups=[number], columns=columns):
                for place in range(min(len(batch), end - row)):
                    yield from_batch(batch, place, row, max_bytes)
                    row += 1
        except (OSError, pa.ArrowException) as error:
            damage = _said(error)
        if not 0 <= end - row <= raw.seek(0, 2):  # a row that takes less than a byte is not believed without its bytes
            raise InputError(f"cannot read {name}: its row group {number} claims {group.num_rows:,} rows")
        for lost in range(row, end):
            yield Record(lost, rejection=Rejection(LOST_DAMAGED, 1, 0), detail=damage)


def _batch_rows(group: Any) -> int:
    """How many rows of a row group are unpacked at once: few where texts may be long."""
    largest = max(int(group.column(place).total_uncompressed_size) for place in range(group.num_columns))
    return min(_BATCH_ROWS, max(1, _BATCH_BYTES * int(group.num_rows) // max(1, largest)))


def from_batch(batch: Any, place: int, row: int, max_bytes: int) -> Record:
    """The document in one place of a batch of a table."""
    try:
        values = {name: column[place].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
        return _from_row(values, row, max_bytes)
    except ValueError as error:  # bytes that are no UTF-8 in a column of strings
        return _malformed(row, str(error), "")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())


def _from_line(line: bytes, row: int, max_bytes: int) -> Record:
    try:
        values = json.loads(line.strip().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return _malformed(row, str(error), line.decode("utf-8", "replace"))
    if not isinstance(values, dict):
        return _malformed(row, f"a {type(values).__name__}, not an object", line.decode("utf-8", "replace"))
    return _from_row(values, row, max_bytes)


def _from_row(values: dict[str, Any], row: int, max_bytes: int) -> Record:
    own_id, url, text = (values.get(name) for name in COLUMNS)
    own_id = str(own_id) if isinstance(own_id, str | int) else None
    url = url if isinstance(url, str) else None
    if not isinstance(text, str):
        missing = "no text" if text is None else f"its text is a {type(text).__name__}"
        return Record(row, own_id, url, rejection=Rejection(LOST_MALFORMED, 0, 1), detail=missing)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        return Record(row, own_id, url, rejection=Rejection(TOO_LARGE, size, max_bytes))
    return Record(row, own_id, url, text=text)


def _malformed(row: int, detail: str, line: str) -> Record:
    return Record(row, text=line.strip(), rejection=Rejection(LOST_MALFORMED, 0, 1), detail=detail)
