"""Lists of strings that are looked for: files of entries, millions of them in one block, and many inside one text."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from common.errors import InputError
from common.settings import Settings

_BLOCK_BYTES = 512


class ListFile(Settings):
    """A file of entries, one a line; lines that begin with # are remarks."""

    file: str = Field(min_length=1, description="path of the file")
    sha256: str | None = Field(default=None, description="of its bytes; a file that differs is refused")

    def read(self) -> list[str]:
        """The entries in lower case.

        Raises:
            InputError: if the file cannot be read as UTF-8, or is not the one that the digest names.
        """
        content = self._bytes()
        if self.sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise InputError(f"{self.file} has changed: its sha256 is no longer {self.sha256}; run the job again")
        try:
            lines = content.decode("utf-8-sig").lower().splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.file} is not UTF-8: {error}") from error
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def resolved(self) -> ListFile:
        """The same with the digest of what the file holds now."""
        return ListFile(file=self.file, sha256=hashlib.sha256(self._bytes()).hexdigest())

    def _bytes(self) -> bytes:
        try:
            return Path(self.file).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {self.file}: {error.strerror}") from error


class SortedLines:
    """A large set of short strings in one block of bytes: 31 bytes a domain, where a Python set takes 120.

    The lines are cut into blocks whose first lines are held as a list: a look-up is a bisection and a short search.

    >>> b"b.example" in SortedLines(b"a.example\\nb.example\\n")
    True

    Args:
        lines: in ascending order, each with a line end.
    """

    def __init__(self, lines: bytes) -> None:
        self._lines = lines
        self._starts = [0] if lines else []
        while lines and (end := lines.find(b"\n", self._starts[-1] + _BLOCK_BYTES) + 1) not in (0, len(lines)):
            self._starts.append(end)
        self._heads = [lines[start : lines.find(b"\n", start)] for start in self._starts]
        self._starts.append(len(lines))

    @classmethod
    def of(cls, entries: Iterable[str]) -> SortedLines:
        """From entries in any order."""
        return cls(b"".join(line + b"\n" for line in sorted({entry.encode("utf-8", "replace") for entry in entries})))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __contains__(self, line: bytes) -> bool:
        block = bisect_right(self._heads, line) - 1
        if block < 0:
            return False
        if self._heads[block] == line:
            return True
        place = self._lines.find(b"\n" + line + b"\n", self._starts[block], self._starts[block + 1])
        return place >= 0 and b"\n" not in line


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the words, as a trie: four times as fast as one long alternation.

    >>> any_of(["cat", "car", "dog"]).pattern
    '(?:ca(?:r|t)|dog)'
    """
    return re.compile(_trie(sorted(words)) or r"(?!)")


def _trie(words: list[str]) -> str:
    """Of two words of which one begins the other, the shorter is found, so the longer needs no branch."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if not word:
            return ""
        branches.setdefault(word[0], []).append(word[1:])
    found = [re.escape(letter) + _trie(rest) for letter, rest in branches.items()]
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})" if found else ""
