"""Datasets that Hugging Face's ``datasets`` saved (``save_to_disk``), and Arrow files in general.

The library itself is not needed: its tables are Arrow streams, and its notes are JSON.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from common.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
"""Notes of a saved dataset: its tables, its description; and above several splits, their names."""
_FILE_MAGIC = b"ARROW1"


def tables_of(note: str) -> list[str]:
    """The tables that ``state.json`` lists, beside which it lies.

    Raises:
        InputError: if it is not what ``datasets`` writes.
    """
    names = _read(note, lambda found: [str(entry["filename"]) for entry in found["_data_files"]])
    for name in names:
        if name != posixpath.basename(name) or name in ("", ".", ".."):
            raise InputError(f"{note} lists {name!r}, which is no file beside it")
    return names


def splits_of(note: str) -> list[str]:
    """The splits that ``dataset_dict.json`` names; see :func:`tables_of`."""
    return _read(note, lambda found: [str(name) for name in found["splits"]])


def batches(raw: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow stream or file as it claims they are: Arrow believes the offsets in it until they are
    validated."""
    import pyarrow as pa

    magic = raw.read(len(_FILE_MAGIC))
    raw.seek(0)
    if magic == _FILE_MAGIC:
        file = pa.ipc.open_file(raw)
        yield from (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        yield from pa.ipc.open_stream(raw)


def _read(note: str, names: Callable[[Any], list[str]]) -> list[str]:
    import fsspec

    try:
        with fsspec.open(note, "rb") as stream:
            found = names(json.load(stream))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note} is not what datasets writes: {type(error).__name__}: {error}") from error
    if not found:
        raise InputError(f"{note} is not what datasets writes: it names nothing")
    return found
