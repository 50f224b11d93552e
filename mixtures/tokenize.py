"""Corpus → token shards, each document exactly once.

A unit of work is one input file (or a thousand, where each file is a document). A unit is published whole under a key
made of its bytes and the settings, so that a killed run continues where it was; the folder of shards appears at the
end, at once. A keyed hash of the document's id decides whether the document is held out for evaluation: the choice
does not depend on the order, the other documents, or how the corpus is cut into files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.documents import expand, read_rows
from common.errors import InputError, IntegrityError
from common.files import (
    MANIFEST,
    content_key,
    file_entries,
    lock,
    publish_folder,
    read_json,
    read_manifest,
    remove_unfinished,
    write_json,
)
from common.tokenizer import END_OF_TEXT, NAME, load_tokenizer
from mixtures.settings import TokenizeSettings
from mixtures.shards import HELD_OUT, KIND, TOKEN, content_hash

FORMAT_VERSION = 1
FILES_A_UNIT = 1_000
BATCH_DOCUMENTS = 1_000
BATCH_CHARACTERS = 8_000_000
_HELD_OUT_KEY = b"edusieve held-out documents 1"

Report = Callable[[int], Any]


@dataclass(frozen=True)
class Unit:
    """Input files that are tokenized together."""

    key: str
    files: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    key: str
    units: list[Unit]
    expected_tokens: int | None
    is_done: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of all inputs, as they lie on disk."""
        return sum(unit.size_bytes for unit in self.units)


def plan(corpus: str, out: Path, settings: TokenizeSettings) -> Plan:
    """Find and hash the inputs.

    Raises:
        InputError: if the corpus is missing or empty, or ``out`` is a folder of something else.
        IntegrityError: if a corpus directory does not hold the files that its manifest lists.
    """
    expected_tokens = None
    if settings.text_files is not None:
        groups, listed = _text_file_groups(corpus, settings.text_files), {}
    elif (Path(corpus) / MANIFEST).is_file():
        manifest = read_manifest(corpus)
        listed = {str(Path(corpus) / path): digest for path, digest in _kept_files(corpus, manifest)}
        groups = [(path,) for path in sorted(listed)]
        expected_tokens = manifest.get("kept_tokens")
    else:
        groups, listed = [(path,) for path in expand(corpus)], {}

    common = [FORMAT_VERSION, load_tokenizer().digest, settings.model_dump(exclude={"threads"})]
    units = []
    for files in groups:
        digests = [_sha256(path) for path in files]
        for path, digest in zip(files, digests, strict=True):
            if listed and listed[path] != digest:
                raise IntegrityError(f"{path} is not the file that the manifest of {corpus} lists: its sha256 differs")
        # where a file is a document, its name is its id
        names = [_relative(path, corpus) for path in files] if settings.text_files else []
        units.append(Unit(content_key(*common, digests, names), files, sum(map(_size, files))))
    key = content_key(*common, [unit.key for unit in units])
    return Plan(key, units, expected_tokens, is_done=_key_at(out) == key)


def tokenize(
    corpus: str, out: Path, settings: TokenizeSettings, work: Plan | None = None, report: Report | None = None
) -> dict[str, Any]:
    """Write the shards of ``corpus`` to ``out``; if they are there already, nothing is done.

    Args:
        corpus: corpus directory; JSONL or Parquet file, folder, glob or URL; or a folder of text files.
        out: folder to publish; its name is the name of the source in a mixture.
        settings: see :class:`TokenizeSettings`.
        work: the :func:`plan`, if it was made already.
        report: is called with the number of tokens after each batch.
    Returns:
        The manifest.
    Raises:
        InputError: if a document has no text, the text is not a string, or no document is left for the shards.
        BusyError: if another process writes the same ``out``.
    """
    work = work or plan(corpus, out, settings)
    if work.is_done:
        return read_manifest(out)
    workshop = out.parent / f".tokenizing-{out.name}"
    with lock(workshop):
        remove_unfinished(workshop)
        remove_unfinished(out.parent, out.name)
        try:
            for unit in work.units:
                if not (workshop / unit.key).exists():
                    _tokenize_unit(unit, corpus, workshop / unit.key, settings, report)
                elif report:
                    report(read_json(workshop / unit.key / "unit.json")["tokens"])
            manifest = _assemble(work, workshop, out, settings)
        except InputError:
            # what is finished is kept for the next run, unless the next run could not use it
            if len(work.units) == 1 or all((workshop / unit.key).exists() for unit in work.units):
                shutil.rmtree(workshop)
            raise
        shutil.rmtree(workshop)
    return manifest


def is_held_out(document_id: str, fraction: float) -> bool:
    """Whether a document is kept out of training: by its id alone."""
    digest = hashlib.blake2b(document_id.encode("utf-8", "surrogatepass"), key=_HELD_OUT_KEY, digest_size=8).digest()
    return int.from_bytes(digest, "little") < int(fraction * 2**64)


def in_a_row(documents: Sequence[NDArray[np.uint32]]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The tokens of documents one after the other, each with its end-of-text token, uint16[n]; and where each ends."""
    ends = np.cumsum([len(tokens) + 1 for tokens in documents], dtype=np.int64)
    row = np.empty(ends[-1] if len(ends) else 0, dtype=TOKEN)
    for tokens, end in zip(documents, ends.tolist(), strict=True):
        row[end - 1 - len(tokens) : end - 1] = tokens
    row[ends - 1] = END_OF_TEXT
    return row, ends


def _tokenize_unit(unit: Unit, corpus: str, folder: Path, settings: TokenizeSettings, report: Report | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    tokenizer = load_tokenizer()
    skipped: Counter[str] = Counter()
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    documents = held_out_documents = 0
    with publish_folder(folder) as temporary:
        shard = TokenizedFile(str(temporary), "tokens.ds", token_size=TOKEN.itemsize)
        with pq.ParquetWriter(temporary / HELD_OUT, schema, compression="zstd") as held_out_writer:
            for batch in _batches(_documents(unit, corpus, settings, skipped)):
                held_out = [is_held_out(name, settings.held_out_fraction) for name, _ in batch]
                encoded = tokenizer.encode_batch([text for _, text in _where(batch, held_out, False)], settings.threads)
                tokens, ends = in_a_row(encoded)
                shard.write_bytes(tokens.tobytes(), ends.tolist())
                documents += len(encoded)
                if kept_out := _where(batch, held_out, True):
                    rows = [{"id": _clean(name), "text": _clean(text)} for name, text in kept_out]
                    held_out_writer.write_table(pa.Table.from_pylist(rows, schema))
                    held_out_documents += len(rows)
                if report:
                    report(len(tokens))
        shard.close()
        counts = {"tokens": len(shard), "documents": documents, "held_out": held_out_documents}
        write_json(temporary / "unit.json", counts | {"skipped": dict(sorted(skipped.items()))})


def _assemble(work: Plan, workshop: Path, out: Path, settings: TokenizeSettings) -> dict[str, Any]:
    """Publish the units as one folder. They are linked, not moved, so that a kill here costs nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    skipped: Counter[str] = Counter()
    rows: dict[str, int] = {}
    tokens = documents = held_out_documents = 0
    with publish_folder(out) as temporary:
        schema = pa.schema([("id", pa.string()), ("text", pa.string())])
        with pq.ParquetWriter(temporary / HELD_OUT, schema, compression="zstd") as writer:
            for unit in work.units:
                folder = workshop / unit.key
                counts = read_json(folder / "unit.json")
                for batch in pq.ParquetFile(folder / HELD_OUT).iter_batches():
                    writer.write_batch(batch)
                if counts["tokens"]:
                    name = f"part-{len(rows) // 2:05d}.ds"
                    for source, target in (("tokens.ds", name), ("tokens.ds.index", f"{name}.index")):
                        _link(folder / source, temporary / target)
                        rows[target] = counts["documents"]
                tokens += counts["tokens"]
                documents += counts["documents"]
                held_out_documents += counts["held_out"]
                skipped.update(counts["skipped"])
        if not documents:
            losses = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
            raise InputError(
                f"no document is left for the shards: {held_out_documents:,} held out"
                + (f", skipped: {losses}" if losses else "")
            )
        entries = file_entries(temporary, rows | {HELD_OUT: held_out_documents})
        manifest = {
            "kind": KIND,
            "key": work.key,
            "tokenizer": {"name": NAME, "digest": load_tokenizer().digest},
            "tokens": tokens,
            "documents": documents,
            "content_hash": content_hash(load_tokenizer().digest, entries),
            "held_out": {"documents": held_out_documents, "fraction": settings.held_out_fraction},
            "skipped": dict(sorted(skipped.items())),
            "settings": settings.model_dump(exclude={"threads"}),
            "files": entries,
        }
        write_json(temporary / MANIFEST, manifest)
    return manifest


def _documents(unit: Unit, corpus: str, settings: TokenizeSettings, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    """(id, text) of every document of a unit; what cannot be used is counted in ``skipped``."""
    for path in unit.files:
        for name, text in _text_file(path, corpus, skipped) if settings.text_files else _rows(path, settings):
            if text:
                yield name, text
            else:
                skipped["empty"] += 1


def _rows(path: str, settings: TokenizeSettings) -> Iterator[tuple[str, str]]:
    columns = (settings.id_column, settings.text_column)
    for number, row in enumerate(read_rows(path, columns), start=1):
        name, text = row[settings.id_column], row[settings.text_column]
        if settings.id_column == settings.text_column and isinstance(text, str):
            name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if not isinstance(text, str):
            raise InputError(
                f"{path}, document {number}: {settings.text_column!r} must hold a string, got {text!r:.60}; "
                "name the right column with --text-column"
            )
        if not isinstance(name, str | int):
            raise InputError(f"{path}, document {number}: {settings.id_column!r} must hold an id, got {name!r:.60}")
        yield str(name), text


def _text_file(path: str, corpus: str, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    try:
        yield _relative(path, corpus), Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        skipped["not_utf8"] += 1


def _batches(documents: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document[1])
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _where(batch: list[tuple[str, str]], marks: Sequence[bool], wanted: bool) -> list[tuple[str, str]]:
    return [document for document, mark in zip(batch, marks, strict=True) if mark is wanted]


def _text_file_groups(corpus: str, pattern: str) -> list[tuple[str, ...]]:
    folder = Path(corpus)
    if not folder.is_dir():
        raise InputError(f"{corpus} is not a folder; with --text-files CORPUS is the folder to search")
    files = sorted(str(path) for path in folder.rglob(pattern) if path.is_file())
    if not files:
        raise InputError(f"{corpus} holds no file that matches {pattern!r}")
    return [tuple(files[i : i + FILES_A_UNIT]) for i in range(0, len(files), FILES_A_UNIT)]


def _kept_files(corpus: str, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, sha256) of the kept documents of a corpus directory."""
    kept = [e for e in manifest.get("files", []) if "/" not in e["path"] and e["path"].endswith(".parquet")]
    if not kept:
        raise InputError(f"{corpus} is a finished output of another kind: its manifest lists no documents (*.parquet)")
    return ((entry["path"], entry["sha256"]) for entry in kept)


def _key_at(out: Path) -> str | None:
    """Key of the shards that lie at ``out``; none, if nothing does or a file was lost."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MANIFEST).is_file() or read_manifest(out).get("kind") != KIND:
        raise InputError(f"{out} exists and is not a folder of token shards; give --out another name")
    manifest = read_manifest(out)
    whole = all(
        (out / e["path"]).is_file() and (out / e["path"]).stat().st_size == e["bytes"] for e in manifest["files"]
    )
    return str(manifest["key"]) if whole else None


def _sha256(path: str) -> str:
    import fsspec

    with fsspec.open(path, "rb") as stream:
        total = hashlib.sha256()
        while block := stream.read(1 << 20):
            total.update(block)
        return total.hexdigest()


def _size(path: str) -> int:
    from fsspec.core import url_to_fs

    filesystem, inner = url_to_fs(path)
    return int(filesystem.size(inner))


def _relative(path: str, corpus: str) -> str:
    return Path(path).relative_to(corpus).as_posix()


def _clean(text: str) -> str:
    """A lone surrogate has no UTF-8 form; the encoder replaces it likewise."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
