"""WARC and WET: every response is a document or says why not; damage costs the record it hits.

Ours instead of FastWARC's or warcio's reader, because both stop at the first damaged member and neither says what was
lost. The format is ISO 28500: a version line, headers, an empty line, ``Content-Length`` bytes, two line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from common.errors import InputError
from filters import http
from filters.records import LOST_DAMAGED, LOST_UNREADABLE, TOO_LARGE, Record
from filters.streams import Damaged, MemberStream
from filters.verdict import Rejection

_VERSION = re.compile(rb"WARC/\d\.\d+\s")
_LENGTH = re.compile(r"[0-9]{1,18}")
_VERSION_LINE = re.compile(rb"\nWARC/\d\.\d\s")
_VERSION_BYTES = len(b"WARC/1.0\r\n")
_RECORD_END = b"\r\n\r\n"
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_MAX_HEADER_BYTES = 1 << 16
_MAX_HTTP_HEADER_BYTES = 1 << 16
_PAGE_STATUS = range(200, 300)


def read_warc(raw: BinaryIO, compression: str, max_bytes: int, name: str, start: int = 0) -> Iterator[Record]:
    """The documents of a WARC or WET file in order, and a record for every damaged stretch.

    Requests, warcinfo, revisits and the like hold no document and are passed over.

    Args:
        raw: the file, seekable.
        compression: "gz", "zst" or "".
        max_bytes: a larger document is refused, before and after its body is unpacked.
        name: of the file, for errors.
        start: offset of a record, to begin there.
    Raises:
        InputError: if it is a WAT file, which holds metadata and no pages.
    """
    stream = MemberStream(raw, compression, begins_record, start)
    while True:
        offset: int | None = None
        headers: dict[str, str] = {}
        stream.begin()
        try:
            stream.settle()
            if not stream.peek(1):
                return
            resume = (offset := stream.here) + 1
            headers = _headers(stream)
            resume = stream.here
            record = _record(stream, headers, offset, max_bytes, name)
            ends_well = stream.ahead(len(_RECORD_END)) == _RECORD_END  # whatever follows is not its fault
            stream.settle()
            if not ends_well and not _may_follow(stream.ahead(_VERSION_BYTES)):
                raise Damaged("no record follows where Content-Length says that this one ends")
        except Damaged as damage:
            if offset is None:  # not even the first byte of the member could be unpacked
                resume = (offset := stream.here) + 1
            stream.restart(resume)
            skipped = max(0, stream.here - offset)
            record = replace(_place(headers, offset), rejection=Rejection(LOST_DAMAGED, skipped, 0), detail=str(damage))
        if record is not None:
            yield record


def next_record(raw: BinaryIO, compression: str, start: int) -> int:
    """Offset of the first record from byte ``start`` on; with compression, of the first that begins a member."""
    stream = MemberStream(raw, compression, begins_record)
    stream.enter(start)
    return stream.here


def begins_record(data: bytes) -> bool:
    """Whether bytes begin with a WARC version line."""
    return _VERSION.match(data) is not None


def _may_follow(data: bytes) -> bool:
    """Whether what is left of a member is nothing, a record, or the beginning of one that the next member goes on."""
    return begins_record(data) or (len(data) < _VERSION_BYTES and b"WARC/".startswith(data[:5]))


def _headers(stream: MemberStream) -> dict[str, str]:
    """Consume a record's version line and headers."""
    for size in (1024, 8192, _MAX_HEADER_BYTES):
        block = stream.ahead(size)
        if found := _HEADER_END.search(block):
            break
        block = stream.peek(size)  # headers that span members, as block gzip makes them
        if found := _HEADER_END.search(block):
            break
    if not begins_record(block):
        stream.pass_line()
        raise Damaged("a record should begin here")
    if not found or _VERSION_LINE.search(block, 0, found.start()):
        stream.pass_line()
        raise Damaged("its headers do not end")
    stream.read(found.end())
    return http.parse_headers(block[: found.start()].decode("utf-8", "replace").splitlines()[1:])


def _record(stream: MemberStream, headers: dict[str, str], offset: int, max_bytes: int, name: str) -> Record | None:
    """Consume a record's block; None if it is of a type that holds no document."""
    length_text = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length_text):
        raise Damaged(f"its Content-Length is {length_text!r:.40}")
    length, kind = int(length_text), headers.get("warc-type", "").lower()
    if kind == "metadata" and headers.get("content-type", "").startswith("application/json"):
        _refuse_wat(stream.ahead(64), name)
    if kind not in {"response", "conversion", "resource"}:
        stream.skip(length)
        return None
    block = stream.read(min(length, max_bytes + _MAX_HTTP_HEADER_BYTES))
    stream.skip(length - len(block))

    place = _place(headers, offset)
    if kind == "conversion":
        if length > max_bytes:
            return replace(place, rejection=Rejection(TOO_LARGE, length, max_bytes))
        return replace(place, text=block.decode("utf-8", "replace"))
    message = http.Message(200, headers, block) if kind == "resource" else http.parse(block)
    return _page(message, headers, place, length - len(block), max_bytes)


def _page(message: http.Message, headers: dict[str, str], place: Record, unread: int, max_bytes: int) -> Record:
    """The page of a response, or why it is none; ``unread`` bytes of the block were skipped."""
    if message.status is None:
        return replace(place, rejection=Rejection("not_http", 0, 1), detail=headers.get("content-type"))
    if message.status not in _PAGE_STATUS:
        return replace(place, rejection=Rejection("http_status", message.status, _PAGE_STATUS[-1]))
    size = len(message.body) + unread
    try:
        body = http.unpacked_body(message, max_bytes)
    except http.BodyTooLargeError:
        body, size = message.body, max(size, max_bytes + 1)
    except http.UnreadableBodyError as error:
        return replace(place, rejection=Rejection(LOST_UNREADABLE, len(message.body), 0), detail=str(error))
    content_type = message.content_type or headers.get("warc-identified-payload-type", "").lower()
    if not http.looks_like_html(content_type, body):
        return replace(place, rejection=Rejection("not_html", 0, 1), detail=content_type or "no content type")
    if unread or size > max_bytes:
        return replace(place, rejection=Rejection(TOO_LARGE, size, max_bytes))
    return replace(place, html=body, charset=message.charset)


def _place(headers: dict[str, str], offset: int) -> Record:
    own_id = _unbracketed(headers.get("warc-record-id", "")).removeprefix("urn:uuid:")
    url = _unbracketed(headers.get("warc-target-uri", ""))
    return Record(offset, own_id or None, url or None)


def _unbracketed(value: str) -> str:
    return value[1:-1] if value.startswith("<") and value.endswith(">") else value


def _refuse_wat(beginning: bytes, name: str) -> None:
    if b'"Container"' in beginning or b'"Envelope"' in beginning:
        raise InputError(f"{name} is a WAT file: it holds metadata and no pages; use the WARC or WET file beside it")
