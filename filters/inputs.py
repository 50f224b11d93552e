"""The input files of a job: what they are called, what format they have, what bytes they hold."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from common import documents
from common.errors import InputError
from common.files import read_json, write_json
from filters.records import Record
from filters.saved import only_tables

FORMATS = {
    "warc": ("", "gz", "zst"),
    "wet": ("", "gz", "zst"),
    "jsonl": ("", "gz", "zst"),
    "ndjson": ("", "gz", "zst"),
    "json": ("", "gz", "zst"),
    "parquet": ("",),
    "arrow": ("",),
}
_VERSIONS = ("ETag", "etag", "Content-MD5", "md5Hash", "blob_id", "created", "LastModified", "Last-Modified", "mtime")
"""What the stores that fsspec knows call the version of a file."""
SUFFIXES = tuple(f".{name}{'.' if packed else ''}{packed}" for name, packings in FORMATS.items() for packed in packings)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file, and the unit of a scan.

    Attributes:
        path: to open it with.
        name: the path below the folder that all inputs share: what the corpus calls it on any machine.
        size: in bytes.
    """

    path: str
    name: str
    size: int

    @property
    def format(self) -> str:
        """One of ``FORMATS``."""
        return _split(self.path)[0]

    @property
    def compression(self) -> str:
        """ "gz", "zst" or "" for none."""
        return _split(self.path)[1]


def input_files(source: str | Sequence[str]) -> list[InputFile]:
    """The files that a job reads, in the order of their paths.

    Raises:
        InputError: if there is none, or one is of a kind that holds no documents.
    """
    paths = only_tables(documents.expand(source, suffixes=SUFFIXES))
    for path in paths:
        if _kind(path).startswith("wat"):
            raise InputError(
                f"{path} is a WAT file: it holds metadata and no pages; use the WARC or WET file beside it"
            )
        if not path.endswith(SUFFIXES):
            raise InputError(f"cannot tell the format of {path}: its name ends in none of {', '.join(SUFFIXES)}")
    places = [_absolute(path) for path in paths]
    shared = posixpath.commonpath([posixpath.dirname(place) for place in places])
    return [
        InputFile(path, posixpath.relpath(place, shared), _size(path))
        for path, place in zip(paths, places, strict=True)
    ]


def read_records(file: InputFile, max_bytes: int, consumed: Callable[[int], None], start: int = 0) -> Iterator[Record]:
    """The records of a file in order; ``consumed`` hears of the bytes of the file that are done with.

    With the offset of a record as ``start`` they begin there. What lies before is not read, but for JSONL, whose lines
    have to be counted, and the rows of a Parquet file that are packed together with that one.

    Raises:
        InputError: if the file cannot be read at all, or is not as long as it was when the job began.
    """
    with open_input(file) as raw:
        for record in records_of(raw, file, max_bytes, start):
            if record.offset >= start:
                yield record
            consumed(min(raw.tell(), file.size))


def records_of(raw: BinaryIO, file: InputFile, max_bytes: int, start: int = 0) -> Iterator[Record]:
    """The records of an open file, by the reader of its format; JSONL and Arrow are read from their beginning."""
    from filters.rows import read_jsonl, read_parquet
    from filters.saved import read_arrow
    from filters.warc import read_warc

    if file.format == "parquet":
        return read_parquet(raw, max_bytes, file.path, start)
    if file.format == "arrow":
        return read_arrow(raw, max_bytes, file.path)
    if file.format in ("warc", "wet"):
        return read_warc(raw, file.compression, max_bytes, file.path, start)
    return read_jsonl(raw, file.compression, max_bytes)


def open_input(file: InputFile) -> BinaryIO:
    """The file at its beginning.

    Raises:
        InputError: if it cannot be read, or is not as long as it was when the job began.
    """
    raw = _open(file.path)
    if (size := raw.seek(0, 2)) != file.size:
        raise InputError(f"{file.path} had {file.size:,} bytes when the job began and has {size:,} now; run it again")
    raw.seek(0)
    return raw


def digests(files: Sequence[InputFile], remembered: Path | None, progress: Callable[[int], object]) -> list[str]:
    """sha256 of every file, in order. Those that look unchanged since ``remembered`` was written are not read again.

    ``remembered`` also says where a corpus's input lies (:mod:`filters.replay`); the corpus itself names no machine.
    """
    known: dict[str, Any] = read_json(remembered) if remembered and remembered.exists() else {}
    current, found = {}, []
    for file in files:
        state = state_of(file)
        place = file.path if "://" in file.path else posixpath.abspath(file.path)
        entry = known.get(place)
        if state is None or entry is None or entry["state"] != state:
            entry = {"state": state, "sha256": _sha256(file.path)}
        current[place] = entry
        found.append(entry["sha256"])
        progress(file.size)
    if remembered and current != known:
        write_json(remembered, current)
    return found


def located(path: str, name: str) -> InputFile:
    """The input file of a corpus that lies at ``path``."""
    return InputFile(path, name, _size(path))


def describe(file: InputFile) -> dict[str, Any]:
    """The file as plain values, for :func:`restore`."""
    return asdict(file)


def restore(values: dict[str, Any]) -> InputFile:
    """What :func:`describe` described."""
    return InputFile(**values)


def _absolute(path: str) -> str:
    _, separator, inner = path.partition("://")
    return f"/{inner.lstrip('/')}" if separator else posixpath.abspath(path)


def _kind(path: str) -> str:
    return posixpath.basename(path).removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]


def _split(path: str) -> tuple[str, str]:
    packed = next((packing for packing in ("gz", "zst") if path.endswith(f".{packing}")), "")
    return _kind(path), packed


def _open(path: str) -> BinaryIO:
    import fsspec

    try:
        stream: BinaryIO = fsspec.open(path, "rb").open()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return stream


def _size(path: str) -> int:
    info = _info(path)
    if info["size"] is None or info.get("partial") is False:
        raise InputError(f"the server of {path} sends files only whole, not in parts; download it first")
    return int(info["size"])


def _info(path: str) -> dict[str, Any]:
    from fsspec.core import url_to_fs

    filesystem, inner = url_to_fs(path)
    try:
        info: dict[str, Any] = filesystem.info(inner)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return info


def state_of(file: InputFile) -> list[int | str] | None:
    """What changes when a file is written again; None where the file system cannot say."""
    if "://" in file.path:
        info = _info(file.path)
        versions = [f"{name} {info[name]}" for name in _VERSIONS if info.get(name)]
        return [file.size, *versions] if versions else None
    status = Path(file.path).stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _sha256(path: str) -> str:
    import hashlib

    total = hashlib.sha256()
    try:
        with _open(path) as stream:
            while piece := stream.read(1 << 20):
                total.update(piece)
    except ValueError as error:  # fsspec: the server sent more than the part that it was asked for
        raise InputError(f"cannot read {path} in parts ({error}); download it first") from error
    return total.hexdigest()
