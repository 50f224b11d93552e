"""Datasets that Hugging Face's ``datasets`` saved, as input of a job; see :mod:`common.arrow`.

A saved folder lists its tables in ``state.json``: those are read and no other, so that what an earlier save left there
is not.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from common.arrow import INFO, SPLITS, STATE, batches, tables_of
from common.errors import InputError
from filters.records import Record
from filters.rows import COLUMNS, from_batch

_NOTES = {STATE, INFO, SPLITS}


def only_tables(paths: Sequence[str]) -> list[str]:
    """``paths`` without the notes of saved datasets, and without tables that such a note does not list.

    Raises:
        InputError: if a note is broken or lists a table that is missing.
    """
    tables = [path for path in paths if path.endswith(".arrow")]
    notes = [
        path
        for path in paths
        if posixpath.basename(path) in _NOTES and any(table.startswith(_folder(path)) for table in tables)
    ]
    listed = {_folder(note): set(tables_of(note)) for note in notes if posixpath.basename(note) == STATE}
    for folder, names in listed.items():
        if missing := sorted(names - {table.removeprefix(folder) for table in tables}):
            raise InputError(f"{folder}{STATE} lists {missing[0]!r}, which is not there; save the dataset again")
    stale = {
        table
        for table in tables
        if _folder(table) in listed and posixpath.basename(table) not in listed[_folder(table)]
    }
    return [path for path in paths if path not in stale and path not in notes]


def read_arrow(raw: BinaryIO, max_bytes: int, name: str) -> Iterator[Record]:
    """The rows of an Arrow stream or file in order; ``offset`` is the row's number, from 0.

    Raises:
        InputError: if it cannot be read or has no column ``text``; nothing of a broken Arrow file can be trusted.
    """
    import pyarrow as pa

    row = 0
    try:
        for batch in batches(raw):
            has = batch.schema.names
            if "text" not in has:
                raise InputError(f"{name} has no column 'text'; it has {', '.join(has)}")
            wanted = batch.select([column for column in COLUMNS if column in has])
            wanted.validate(full=True)  # Arrow believes the offsets in a file
            for place in range(len(wanted)):
                yield from_batch(wanted, place, row, max_bytes)
                row += 1
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {name}: {' '.join(str(error).split())}") from error


def _folder(path: str) -> str:
    """Up to the last slash, which it ends with if there is one."""
    return path[: len(path) - len(posixpath.basename(path))]
