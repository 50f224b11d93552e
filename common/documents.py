"""Documents in and out: JSONL (plain, gz, zst) and Parquet; a file, a folder, a glob, a list, or fsspec URLs.

A dataset that the library ``datasets`` saved to disk is read as it lies there, without the library.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.arrow import INFO, SPLITS, STATE, batches, splits_of, tables_of
from common.errors import InputError
from common.files import publish_file

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
_GLOB_SIGNS = "*?["
_WEB = ("http://", "https://")


def expand(source: str | Path | Sequence[str | Path], suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """The files that ``source`` names, sorted, each once.

    A folder stands for every file below it with one of ``suffixes``; names that start with a dot or an underscore are
    passed over, and so are hidden files that a glob matches. A URL (``s3://…``, ``hf://…``) is listed through fsspec.
    A folder that ``Dataset.save_to_disk`` wrote stands for the Arrow files that belong to it, not for its caches.

    Raises:
        InputError: if a path does not exist or nothing matches, or it is a saved dataset of several splits; it names
            the path.
    """
    from fsspec.core import url_to_fs

    listed = [source] if isinstance(source, str | Path) else list(source)
    found: set[str] = set()
    for item in map(str, listed):
        try:
            filesystem, path = url_to_fs(item)
        except (ImportError, ValueError) as error:  # fsspec, of a kind of URL it does not know or has no client for
            raise InputError(f"{item}: {error}") from error
        if any(sign in item for sign in _GLOB_SIGNS):
            matches = [n for n in filesystem.glob(path) if not Path(n).name.startswith(".") and not filesystem.isdir(n)]
        elif item.startswith(_WEB) and item.endswith(tuple(suffixes)) and filesystem.exists(path):
            matches = [path]  # to ask whether it is a folder would download it and look for links
        elif ".arrow" not in suffixes and filesystem.isdir(path) and (saved := _saved_dataset(filesystem, path, item)):
            matches = saved
        elif filesystem.isdir(path):
            matches = [name for name in filesystem.find(path) if _is_document_file(name, path, suffixes)]
        elif filesystem.exists(path):
            matches = [path]
        else:
            raise InputError(f"{item} does not exist")
        if not matches and filesystem.isdir(path):
            raise InputError(f"the folder {item} holds no file that ends in one of {', '.join(suffixes)}")
        if not matches:
            raise InputError(f"{item} matches no file")
        found |= {_local_name(name) if "://" not in item else filesystem.unstrip_protocol(name) for name in matches}
    if not found:
        raise InputError("no input was named")
    return sorted(found)


def read_rows(path: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one JSONL or Parquet file, in order; every row must have at least ``columns``.

    Raises:
        InputError: naming the file and the line or column, if it cannot be read.
    """
    if path.endswith(".parquet"):
        yield from _parquet_rows(path, columns)
        return
    if path.endswith(".arrow"):
        yield from _arrow_rows(path, columns)
        return
    if not path.removesuffix(".gz").removesuffix(".zst").endswith((".jsonl", ".json", ".ndjson")):
        raise InputError(f"cannot tell the format of {path}: expected one of {', '.join(SUFFIXES)}")
    number = 0
    try:
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
                yield _choose(row, columns, f"{path}, line {number}")
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}, after line {number}: {error}") from error


def read_documents(
    source: str | Path | Sequence[str | Path], columns: Sequence[str] = ("id", "text")
) -> Iterator[dict[str, Any]]:
    """Rows of every file that ``source`` names, with at least ``columns``; see :func:`expand` and :func:`read_rows`."""
    for path in expand(source):
        yield from read_rows(path, columns)


def write_parquet(path: Path | str, table: pa.Table) -> None:
    """Publish a table as Parquet with zstd compression; the same table gives the same bytes."""
    import pyarrow.parquet as pq

    with publish_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _saved_dataset(filesystem: AbstractFileSystem, folder: str, item: str) -> list[str]:
    """The files of a dataset that was saved to ``folder`` with ``datasets``; none, if it is something else."""
    whole = filesystem.unstrip_protocol(folder) if "://" in item else folder
    if filesystem.exists(f"{folder}/{SPLITS}"):
        splits = splits_of(f"{whole}/{SPLITS}")
        raise InputError(f"{item} is a dataset with the splits {', '.join(splits)}: name one, {item}/{splits[0]}")
    if not all(filesystem.exists(f"{folder}/{name}") for name in (STATE, INFO)):
        return []
    return [f"{folder}/{name}" for name in tables_of(f"{whole}/{STATE}")]


def _is_document_file(name: str, folder: str, suffixes: Sequence[str]) -> bool:
    inner = name[len(folder) :].strip("/").split("/")
    return name.endswith(tuple(suffixes)) and not any(part.startswith((".", "_")) for part in inner)


def _local_name(name: str) -> str:
    """Relative to the working folder where the file lies below it, so that keys and tables do not name machines."""
    path = Path(name)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _lines(path: str) -> Iterator[bytes]:
    import fsspec

    if path.endswith(".zst"):
        import zstandard

        with fsspec.open(path, "rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            yield from io.BufferedReader(stream, 1 << 20)
    else:
        with fsspec.open(path, "rb", compression="gzip" if path.endswith(".gz") else None) as stream:
            yield from stream


def _parquet_rows(path: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fsspec.open(path, "rb") as stream:
            file = pq.ParquetFile(stream)
            missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _arrow_rows(path: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    import fsspec
    import pyarrow as pa

    try:
        with fsspec.open(path, "rb") as stream:
            for batch in batches(stream):
                missing = sorted(set(columns or ()) - set(batch.schema.names))
                if missing:
                    raise InputError(f"{path} has no column {missing[0]!r}; it has {', '.join(batch.schema.names)}")
                batch.validate(full=True)
                for start in range(0, len(batch), 1024):
                    yield from batch.slice(start, 1024).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _choose(row: dict[str, Any], columns: Sequence[str] | None, where: str) -> dict[str, Any]:
    for name in columns or ():
        if name not in row:
            raise InputError(f"{where}: no field {name!r}; it has {', '.join(row)}")
    return row
