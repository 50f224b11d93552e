"""Random pieces of a job's input, read and scanned as the job itself would.

The bytes of every file are cut into pieces of one size, and every record belongs to the piece that it begins in. So the
records of all pieces are those of the job, each once, and a random sample of pieces speaks for the whole (cluster
sampling; Cochran 1977, "Sampling Techniques", ch. 9). The pieces are taken in the order of the job and divided into
strata, runs of neighbours, of each of which two are drawn: strata are ranges of a large file, or groups of files.

Where records begin members or lines of their own, reading begins in the middle of a file. A file that is one
compressed stream has to be unpacked from its beginning; a record begins where its reader stood when the one before
ended. The rows of a Parquet file are taken to lie evenly over its bytes.
"""

from __future__ import annotations

import itertools
import random
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from common.files import content_key, write_json
from filters import scan
from filters.inputs import InputFile, describe, open_input, records_of, restore, state_of
from filters.isolation import Isolated
from filters.program import sources
from filters.records import Record

if TYPE_CHECKING:
    from filters.executors import Unit

PIECES = "pieces.json"
_PIECES, _MIN_PIECE_BYTES, _MAX_PIECE_BYTES = 64, 1 << 12, 1 << 20
_MAX_UNITS, _MIN_UNIT_BYTES = 8, 4 << 20
_A_STRATUM = 2
_MADE_BY = ("sampling.py", "isolation.py")

Span = tuple[int, int]
"""Bytes of a file, from the first to before the second."""


@dataclass(frozen=True)
class Piece:
    """A span of the ``file``-th input file."""

    file: int
    start: int
    stop: int


@dataclass(frozen=True)
class Sample:
    """Pieces that were drawn, in the order of the job.

    Attributes:
        pieces: the pieces.
        strata: of each its stratum, from 0.
        sizes: pieces that there are in each stratum; of two or fewer all are drawn.
    """

    pieces: Sequence[Piece]
    strata: Sequence[int]
    sizes: Sequence[int]


def draw(file_bytes: Sequence[int], sample_bytes: int, seed: int) -> Sample:
    """Draw pieces of about ``sample_bytes`` together from files of these sizes; two of each stratum.

    >>> draw([1 << 20, 0, 1 << 20], 1 << 14, seed=0).sizes
    [256, 256]
    """
    size = min(max(sample_bytes // _PIECES, _MIN_PIECE_BYTES), _MAX_PIECE_BYTES)
    ends = list(itertools.accumulate(-(-length // size) for length in file_bytes))
    there = ends[-1]
    wanted = round(there * sample_bytes / sum(file_bytes))
    strata = there if wanted >= there else max(1, wanted // _A_STRATUM)
    bounds = [there * place // strata for place in range(strata + 1)]
    generator = random.Random(seed)
    pieces, owners = [], []
    for stratum, (low, high) in enumerate(itertools.pairwise(bounds)):
        for number in sorted(generator.sample(range(low, high), min(_A_STRATUM, high - low))):
            file = bisect_right(ends, number)
            start = size * (number - (ends[file - 1] if file else 0))
            pieces.append(Piece(file, start, min(start + size, file_bytes[file])))
            owners.append(stratum)
    return Sample(pieces, owners, [high - low for low, high in itertools.pairwise(bounds)])


def read_spans(file: InputFile, spans: Sequence[Span], max_bytes: int) -> Iterator[tuple[int | None, Record]]:
    """The records of some spans of a file, each with the number of its span.

    Args:
        file: the file.
        spans: ascending and apart.
        max_bytes: of a document; larger ones are refused.
    Yields:
        Number and record. Without a number: a record that had to be read on the way, and is none of theirs.
    """
    with open_input(file) as raw:
        if (reader := _middle_reader(raw, file, max_bytes)) is not None:
            for number, (start, stop) in enumerate(spans):
                yield from ((number, record) for record in reader(start, stop))
            return
        raw.seek(0)
        records, number = records_of(raw, file, max_bytes), 0
        while number < len(spans):
            begins = min(raw.tell(), file.size - 1)
            if (record := next(records, None)) is None:
                return
            while number < len(spans) and begins >= spans[number][1]:
                number += 1
            inside = number < len(spans) and begins >= spans[number][0]
            yield (number if inside else None), record


def units(files: Sequence[InputFile], pieces: Sequence[Piece], settings: Mapping[str, Any]) -> list[Unit]:
    """Units of the scan of some pieces, for :func:`scan_pieces`: a few neighbours together.

    What they read is named by path, size and time of change: a digest would have to read all of it.
    """
    from filters.executors import Unit

    found = []
    there = sum(piece.stop - piece.start for piece in pieces)
    each = -(-len(pieces) // min(_MAX_UNITS, max(1, there // _MIN_UNIT_BYTES)))
    for first in range(0, len(pieces), each):
        lots = []
        for file, chosen in itertools.groupby(pieces[first : first + each], key=lambda piece: piece.file):
            spans = [(piece.start, piece.stop) for piece in chosen]
            lots.append({"file": describe(files[file]), "state": state_of(files[file]), "spans": spans})
        key = content_key("sample", scan.program(), sources(*_MADE_BY), settings, lots)
        amount = sum(piece.stop - piece.start for piece in pieces[first : first + each])
        found.append(Unit(key, {"lots": lots, "settings": settings}, amount))
    return found


def scan_pieces(values: Mapping[str, Any], folder: Path, advance: Callable[[int], None]) -> None:
    """Scan pieces into ``folder/documents.parquet``, as :func:`filters.scan.scan_file` scans a file (work of a unit).

    Beside it ``pieces.json`` says how many rows each piece has, and how many CPU seconds it took.
    """
    settings = scan.ScanSettings.parse(values["settings"])
    lots = [(restore(lot["file"]), [(start, stop) for start, stop in lot["spans"]]) for lot in values["lots"]]
    rows = [0] * sum(len(spans) for _, spans in lots)
    seconds = [0.0] * len(rows)

    def records() -> Iterator[Record]:
        first, done = 0, 0
        for file, spans in lots:
            before = _cpu_seconds(examine)
            for number, record in read_spans(file, spans, settings.limits.document_bytes):
                if number is not None:
                    yield record
                    rows[first + number] += 1
                    seconds[first + number] += _cpu_seconds(examine) - before
                before = _cpu_seconds(examine)
            first += len(spans)
            done += sum(stop - start for start, stop in spans)
            advance(done)

    with scan.isolated_examiner(settings) as examine:
        scan.write_documents(folder / scan.DOCUMENTS, records(), examine, settings.limits)
    write_json(folder / PIECES, {"rows": rows, "seconds": seconds})


def _cpu_seconds(examine: Isolated[Any, Any]) -> float:
    return time.process_time() + examine.cpu_seconds


def _middle_reader(raw: BinaryIO, file: InputFile, max_bytes: int) -> Callable[[int, int], Iterator[Record]] | None:
    """Reads the records of one span; None if this file cannot be read from the middle."""
    from filters.rows import read_jsonl, read_parquet
    from filters.warc import next_record, read_warc

    if file.format == "parquet":
        import pyarrow.parquet as pq

        rows = pq.ParquetFile(raw).metadata.num_rows
        return lambda start, stop: _between(
            read_parquet(raw, max_bytes, file.path, first := -(-start * rows // file.size)),
            first,
            -(-stop * rows // file.size),
        )
    if file.format in ("warc", "wet"):
        if file.compression and not _records_begin_members(raw, file, max_bytes):
            return None

        def records(start: int, stop: int) -> Iterator[Record]:
            first = next_record(raw, file.compression, start)
            found = read_warc(raw, file.compression, max_bytes, file.path, first)
            return _between(found if first < stop else iter(()), first, stop)

        return records
    if file.format != "arrow" and not file.compression:
        return lambda start, stop: read_jsonl(raw, "", max_bytes, start, stop)
    return None


def _between(records: Iterator[Record], start: int, stop: int) -> Iterator[Record]:
    """Of records in order those with an offset from ``start`` to before ``stop``."""
    before = itertools.takewhile(lambda record: record.offset < stop, records)
    return itertools.dropwhile(lambda record: record.offset < start, before)


def _records_begin_members(raw: BinaryIO, file: InputFile, max_bytes: int) -> bool:
    """Whether the second document of a file can be found from its offset alone."""
    from filters.warc import read_warc

    head = list(itertools.islice(read_warc(raw, file.compression, max_bytes, file.path), 2))
    if len(head) < 2 or head[0].offset == head[1].offset:
        return False
    entered = next(read_warc(raw, file.compression, max_bytes, file.path, head[1].offset), None)
    return entered == head[1]
