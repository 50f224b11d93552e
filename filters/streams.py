"""Compressed crawl files as one stream of bytes that survives damage.

A crawl file is a row of gzip members (or zstd frames), usually one a record. Damage to one member must cost that
member: :meth:`MemberStream.restart` goes on at the next place in the file from which something sensible comes.
(The readers of warcio, FastWARC and Python's gzip stop at the first bad byte.)

Memory is bounded by what the reader asks for, never by what the file claims: a bomb is unpacked in small pieces and
given up after ``MAX_RECORD_BYTES``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

MAX_RECORD_BYTES = 1 << 30
"""A record that unpacks to more is left for the next member: it would cost seconds and hold no page."""

_PIECE = 1 << 16
_MAX_PIECE_OUT = 1 << 20
_ZSTD_PIECE = 1 << 12  # zstd has no output limit a call; a block of 128 KiB can come from a few bytes
_MAGIC = {"gz": b"\x1f\x8b\x08", "zst": b"\x28\xb5\x2f\xfd"}


class Damaged(Exception):  # noqa: N818 (no error of the run: the reader counts it and goes on)
    """What the stream stands in cannot be read to its end."""


class _Decoder(Protocol):
    eof: bool
    rest: bytes
    """What was fed but not used yet; after ``eof``, the beginning of the next member."""

    def decode(self, data: bytes) -> bytes: ...


class MemberStream:
    """The unpacked bytes of a file, member after member.

    Args:
        raw: the file, seekable.
        compression: "gz", "zst" or "" for none.
        begins_record: whether bytes can be the beginning of a record; asked at the beginning of members and lines.
        start: offset in the file at which a member begins, or without compression a record.
    """

    def __init__(self, raw: BinaryIO, compression: str, begins_record: Callable[[bytes], bool], start: int = 0) -> None:
        self._raw = raw
        self._compression = compression
        self._begins_record = begins_record
        self._pending = b""  # read from the file, not yet unpacked
        self._buffer = bytearray()  # unpacked, not yet consumed
        self._beginnings: list[int] = []  # places in it at which a record begins in a member of its own
        self._decoder: _Decoder | None = None
        self._member = self._unpacked = 0
        self._broken = False
        self._go_to(start)

    @property
    def position(self) -> int:
        """Offset in the file up to which it has been consumed."""
        return self._raw.tell() - len(self._pending)

    @property
    def here(self) -> int:
        """Offset in the file to seek to for what comes next: its member, or without compression the very byte."""
        return self._member if self._compression else self.position - len(self._buffer)

    def begin(self) -> None:
        """A record begins here: what is unpacked from now on counts against ``MAX_RECORD_BYTES``."""
        self._unpacked = len(self._buffer)

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes without consuming them; fewer at the end of the file."""
        while len(self._buffer) < size and self._fill():
            pass
        return bytes(self._buffer[:size])

    def ahead(self, size: int) -> bytes:
        """As :meth:`peek`, but no further than the end of the current member."""
        return self._ahead_from(0, size)

    def read(self, size: int) -> bytes:
        """Exactly the next ``size`` bytes of one record.

        Raises:
            Damaged: if the file ends before, or another record begins in a member of its own.
        """
        while len(self._buffer) < size:
            self._fill_inside(size - len(self._buffer))
        self._check_inside(size)
        return self._take(size)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes of one record without keeping them; raises as :meth:`read` does."""
        if not self._compression:
            target, end = self.here + size, self._raw.seek(0, 2)
            if target > end:
                raise Damaged(f"the file ends {target - end:,} bytes before the record does")
            self._go_to(target)
            return
        while size:
            if not self._buffer:
                self._fill_inside(size)
            step = min(size, len(self._buffer))
            self._check_inside(step)
            self._drop(step)
            size -= step

    def line(self, max_bytes: int) -> tuple[bytes, int]:
        """The next line, cut to ``max_bytes``, and its whole length with its end; ``(b"", 0)`` when the file ends."""
        kept, length = bytearray(), 0
        while self._buffer or self._fill():
            end = self._buffer.find(b"\n") + 1
            piece = end or len(self._buffer)
            kept += self._buffer[: min(piece, max_bytes - len(kept))]
            length += piece
            self._drop(piece)
            if end:
                break
        return bytes(kept), length

    def pass_line(self) -> None:
        """Pass over the rest of a line, but not over the beginning of a record in a member of its own."""
        while True:
            end, other = self._buffer.find(b"\n") + 1, self._other_record()
            piece = min(end or len(self._buffer), other)
            self._drop(piece)
            if end or piece == other or not self._fill() or self._beginnings == [0]:
                return

    def settle(self) -> None:
        """Pass over line ends in the current member; if it holds nothing else, read its checksum.

        Raises:
            Damaged: if the checksum is wrong or cut off.
        """
        while True:
            self._drop(len(self._buffer) - len(self._buffer.lstrip(b"\r\n")))
            if self._buffer or self._decoder is None or self._decoder.eof or not self._pump():
                return

    def restart(self, resume: int) -> None:
        """After :class:`Damaged`: go on at the next record that begins a line or, if unpacking failed, a member.

        Args:
            resume: where to look from in a file without compression; members are looked for behind the damaged one.
        """
        if not self._compression:
            self._go_to(resume)
        damaged = self._member  # a frame without a checksum may swallow the beginning of the next one
        if not self._broken:
            try:
                while (beginning := self.peek(64)) and not self._begins_record(beginning):
                    self.pass_line()
                return
            except Damaged:  # the next member is damaged too
                pass
        self._enter_member(damaged + 1)

    def enter(self, start: int) -> None:
        """Go to the first record that begins at ``start`` or later, at the beginning of a line or member."""
        if self._compression:
            self._enter_member(start)
            return
        self.enter_line(start)
        while (beginning := self.peek(64)) and not self._begins_record(beginning):
            self.line(0)

    def enter_line(self, start: int) -> None:
        """In a file without compression, go to the first line that begins at ``start`` or later."""
        self._go_to(max(0, start - 1))
        if start:
            self.line(0)

    def _enter_member(self, start: int) -> None:
        """Go to the first member from ``start`` on that begins with a record, or to the end of the file."""
        for offset in self._candidates(start):
            self._go_to(offset)
            try:
                if self._begins_record(self.peek(64)):
                    return
            except Damaged:
                continue
        self._go_to(self._raw.seek(0, 2))

    def _ahead_from(self, place: int, size: int = 64) -> bytes:
        """``size`` bytes from a place in the buffer on; fewer at the end of the current member."""
        end = place + size
        while len(self._buffer) < end and self._decoder is not None and not self._decoder.eof and self._pump():
            pass
        return bytes(self._buffer[place:end])

    def _fill(self) -> bool:
        """Put at least one more byte into the buffer; False at the end of the file."""
        size = len(self._buffer)
        while len(self._buffer) == size:
            if self._decoder is None or self._decoder.eof:
                if not self._open_member():
                    return False
                if self._begins_record(self._ahead_from(size)):
                    self._beginnings.append(size)
            elif not self._pump():
                return False
        return True

    def _fill_inside(self, missing: int) -> None:
        """Fill within a record, which may span members (block gzip), but not one in which another record begins."""
        if not self._fill():
            raise Damaged(f"the file ends {missing:,} bytes before the record does")
        if self._beginnings == [0]:
            raise self._cut_short(missing)

    def _check_inside(self, size: int) -> None:
        """The same for bytes that had been looked at already."""
        if (other := self._other_record()) < size:
            self._drop(other)
            raise self._cut_short(size - other)

    def _other_record(self) -> int:
        """Where in the buffer the next record begins in a member of its own; at its end if none does."""
        return next((place for place in self._beginnings if place), len(self._buffer))

    def _cut_short(self, missing: int) -> Damaged:
        return Damaged(f"the record ends {missing:,} bytes before its length says")

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        self._drop(size)
        return data

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        if self._beginnings:
            self._beginnings = [place - size for place in self._beginnings if place > size]

    def _pump(self) -> bool:
        """Unpack one piece of the current member into the buffer; False if an unpacked file has ended."""
        assert self._decoder is not None
        fresh = b"" if self._pending else self._raw.read(_PIECE)
        try:
            data = self._decoder.decode(self._pending or fresh)
        except Exception as error:  # zlib.error or zstandard.ZstdError; nothing else can be wrong with bytes
            raise self._break(f"unpacking fails: {error}") from error
        finished = not (self._pending or fresh or data)
        self._pending = self._decoder.rest
        self._buffer += data
        self._unpacked += len(data)
        if self._compression and finished and not self._decoder.eof:
            raise self._break("the file ends inside a compressed member")
        if self._compression and self._unpacked > MAX_RECORD_BYTES:
            raise self._break(f"a record unpacks to more than {MAX_RECORD_BYTES:,} bytes")
        return not finished

    def _open_member(self) -> bool:
        """Begin the member that comes next; False at the end of the file."""
        if not self._compression:
            return False
        if self._compression == "gz":
            self._pending = self._pending.lstrip(b"\0")  # zeros may stand between members
        while not self._pending:
            self._pending = self._raw.read(_PIECE)
            if not self._pending:
                self._member = self.position
                return False
            if self._compression == "gz":
                self._pending = self._pending.lstrip(b"\0")
        self._member = self.position
        self._decoder = _DECODERS[self._compression]()
        return True

    def _break(self, reason: str) -> Damaged:
        self._broken = True
        self._buffer.clear()
        self._beginnings.clear()
        return Damaged(reason)

    def _go_to(self, offset: int) -> None:
        self._raw.seek(offset)
        self._pending = b""
        self._buffer.clear()
        self._beginnings.clear()
        self._decoder = None if self._compression else _Plain()
        self._member, self._unpacked, self._broken = offset, 0, False

    def _candidates(self, start: int) -> Iterator[int]:
        """Offsets from ``start`` on at which the magic number of a member stands."""
        magic = _MAGIC[self._compression]
        while True:
            self._raw.seek(start)
            piece = self._raw.read(_MAX_PIECE_OUT)
            found = piece.find(magic)
            while found >= 0:
                yield start + found
                found = piece.find(magic, found + 1)
            if len(piece) < _MAX_PIECE_OUT:
                return
            start += len(piece) - len(magic) + 1


class _Plain:
    def __init__(self) -> None:
        self.eof, self.rest = False, b""

    def decode(self, data: bytes) -> bytes:
        return data


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self.eof, self.rest = False, b""

    def decode(self, data: bytes) -> bytes:
        unpacked = self._inner.decompress(data, _MAX_PIECE_OUT)
        self.eof = self._inner.eof
        self.rest = self._inner.unused_data if self.eof else self._inner.unconsumed_tail
        return unpacked


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._inner = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        self.eof, self.rest = False, b""

    def decode(self, data: bytes) -> bytes:
        unpacked = self._inner.decompress(data[:_ZSTD_PIECE])
        self.eof = self._inner.eof
        self.rest = self._inner.unused_data + data[_ZSTD_PIECE:]
        return unpacked


_DECODERS: dict[str, Callable[[], _Decoder]] = {"gz": _Gzip, "zst": _Zstd}
