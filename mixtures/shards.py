"""Token shards: datatrove's layout (``*.ds`` + ``*.ds.index``) with a manifest, read as windows through memory maps.

A ``.ds`` file is uint16 token ids, little-endian, one document after the other, each ending with the end-of-text
token; its ``.index`` is one uint64 a document, the place where it ends. The files of a folder count as one long row of
tokens. Window i of context length L is tokens i·L … i·L + L (inclusive): L inputs and L targets, so that neighbours
share one token, every token but the first is predicted exactly once an epoch, and a window trains on exactly L tokens.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError, IntegrityError, SettingsError
from common.files import check_files, content_key, read_manifest
from common.tokenizer import END_OF_TEXT, VOCABULARY_SIZE, load_tokenizer

KIND = "token_shards"
HELD_OUT = "held_out.parquet"
TOKEN = np.dtype("<u2")
INDEX = np.dtype("<u8")
BLOCK = 1 << 24
"""Tokens that are checked at once: 32 MB."""


class TokenShards:
    """The shards of one source. Opening reads the manifest only; the files are mapped when they are first read.

    Raises:
        InputError: if the folder is not token shards.
        IntegrityError: if the shards were made with another tokenizer, or a file's size is not the manifest's.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"{folder} does not exist: make it with `mixtures tokenize CORPUS --out {folder}`")
        self.manifest = read_manifest(self.folder)
        if self.manifest.get("kind") != KIND:
            raise InputError(f"{folder} is not a folder of token shards: its manifest says {self.manifest.get('kind')}")
        made_with, ours = self.manifest["tokenizer"], load_tokenizer().digest
        if made_with["digest"] != ours:
            raise IntegrityError(
                f"{folder} was tokenized with {made_with['name']} {made_with['digest']:.12}, the model's tokenizer is "
                f"{ours:.12}; run `mixtures tokenize` again"
            )
        self._entries = [entry for entry in self.manifest["files"] if entry["path"].endswith(".ds")]
        for entry in self._entries:
            path = self.folder / entry["path"]
            if not path.is_file() or path.stat().st_size != entry["bytes"]:
                raise IntegrityError(f"{path} is missing or not {entry['bytes']:,} bytes long, as its manifest says")

    @property
    def tokens(self) -> int:
        """Tokens in all files, end-of-text tokens included."""
        return sum(int(entry["bytes"]) for entry in self._entries) // TOKEN.itemsize

    @property
    def content_hash(self) -> str:
        """Identity of the tokens."""
        return str(self.manifest["content_hash"])

    def windows(self, context_length: int, shifted: bool = False) -> int:
        """How many windows of ``context_length`` predicted tokens there are; a rest at the end is left over.

        Args:
            context_length: predicted tokens a window.
            shifted: leave room to cut the windows up to ``context_length`` - 1 tokens later.
        """
        if context_length < 1:
            raise SettingsError(f"the context length must be at least 1, got {context_length}")
        return max(0, self.tokens - (context_length if shifted else 1)) // context_length

    def read(self, window: int, context_length: int, shift: int = 0) -> NDArray[np.uint16]:
        """The ``context_length`` + 1 tokens of a window, all windows being cut ``shift`` tokens later."""
        start = window * context_length + shift
        stop = start + context_length + 1
        if window < 0 or stop > self.tokens:
            raise SettingsError(f"{self.folder} has {self.windows(context_length):,} windows, asked for {window:,}")
        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        pieces = []
        while start < stop:
            offset = start - int(self._starts[number])
            pieces.append(self._maps[number][offset : offset + stop - start])
            start += len(pieces[-1])
            number += 1
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def check(self) -> None:
        """Hold the bytes of the shards against the manifest.

        Raises:
            IntegrityError: at the first file that differs.
        """
        try:
            check_files(self.folder, self._entries)
        except IntegrityError as error:
            raise IntegrityError(f"{error}; make the shards again with `mixtures tokenize`") from error

    def verify(self) -> None:
        """Read everything and hold it against the manifest and the format.

        Raises:
            IntegrityError: at the first thing that is wrong.
        """
        check_files(self.folder, self.manifest["files"])
        for entry, tokens in zip(self._entries, self._maps, strict=True):
            name = self.folder / entry["path"]
            ends = np.fromfile(f"{name}.index", dtype=INDEX).astype(np.int64)
            if len(ends) == 0 or ends[-1] != len(tokens) or (np.diff(ends, prepend=0) < 1).any():
                raise IntegrityError(f"{name}.index does not divide the {len(tokens):,} tokens of its file")
            if not (tokens[ends - 1] == END_OF_TEXT).all():
                raise IntegrityError(f"{name}: a document does not end with the end-of-text token")
            found_ends = largest = 0
            for start in range(0, len(tokens), BLOCK):  # a shard may be larger than memory
                block = tokens[start : start + BLOCK]
                found_ends += int(np.count_nonzero(block == END_OF_TEXT))
                largest = max(largest, int(block.max()))
            if found_ends != len(ends):
                raise IntegrityError(f"{name}: an end-of-text token stands inside a document")
            if largest >= VOCABULARY_SIZE:
                raise IntegrityError(f"{name} holds token id {largest}, the ids end at {VOCABULARY_SIZE - 1}")

    @functools.cached_property
    def _maps(self) -> list[NDArray[np.uint16]]:
        return [np.memmap(self.folder / entry["path"], dtype=TOKEN, mode="r") for entry in self._entries]

    @functools.cached_property
    def _starts(self) -> NDArray[np.int64]:
        sizes = [int(entry["bytes"]) // TOKEN.itemsize for entry in self._entries]
        return np.cumsum([0, *sizes[:-1]], dtype=np.int64)


def content_hash(tokenizer_digest: str, entries: list[dict[str, Any]]) -> str:
    """Identity of the tokens of a folder: its tokenizer and the sha256 of its ``.ds`` files in order."""
    return content_key("tokens", tokenizer_digest, [e["sha256"] for e in entries if e["path"].endswith(".ds")])
