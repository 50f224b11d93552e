"""Files that are whole or absent: atomic publishing, sha256 manifests, content keys, locks.

The rule (docs/architecture.md): write beside the final name, fsync, rename, then list it in a manifest with its sha256.
A reader trusts only what a manifest lists. A process may be killed at any moment and the rerun completes.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import BusyError, InputError, IntegrityError

MANIFEST = "manifest.json"
TEMPORARY_PREFIX = ".unfinished-"


def sha256_of(path: Path | str) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_key(*parts: Any) -> str:
    """Address of a piece of work: 32 hex characters of the sha256 over the canonical JSON of ``parts``.

    Give it the digests of the inputs and models and the settings that matter to the result, and nothing else
    (no paths of outputs, no worker counts): equal keys promise equal bytes.
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@contextmanager
def publish_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path``; when the block ends well, fsync it and rename it to ``path``.

    If the block raises, the temporary file is removed and ``path`` is as it was.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(final)
    try:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, final)
        _fsync(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def publish_folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; when the block ends well, fsync its files and rename it to ``path``.

    An existing folder at ``path`` is replaced: it is moved aside first, so that there is never a mixture of the two.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        yield temporary
        for inner in sorted(temporary.rglob("*")):
            _fsync(inner)
        _fsync(temporary)
        if final.exists():
            old = _temporary(final)
            os.replace(final, old)
            os.replace(temporary, final)
            shutil.rmtree(old)
        else:
            os.replace(temporary, final)
        _fsync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path | str, name: str | None = None) -> None:
    """Remove what killed processes left in ``folder``, or only what they left of publishing ``name`` there.

    Call it only while holding the lock that those processes held.
    """
    pattern = "*" if name is None else f"{glob.escape(name)}-{'[0-9a-f]' * 8}"
    for leftover in Path(folder).glob(f"{TEMPORARY_PREFIX}{pattern}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def lock(folder: Path | str) -> Iterator[None]:
    """Hold ``folder`` for this process. The kernel lets go when the process dies, however it dies.

    Raises:
        BusyError: if another process holds it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / ".lock", "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"another process is working on {folder}; wait for it or stop it first") from error
        yield


def write_json(path: Path | str, value: Any) -> None:
    """Publish ``value`` as indented JSON with a final newline."""
    with publish_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """The value in a JSON file.

    Raises:
        InputError: if it is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def file_entries(folder: Path | str, rows: Mapping[str, int]) -> list[dict[str, Any]]:
    """Manifest entries ``{path, sha256, bytes, rows}`` of the files named in ``rows``, relative to ``folder``."""
    root = Path(folder)
    return [
        {"path": name, "sha256": sha256_of(root / name), "bytes": (root / name).stat().st_size, "rows": count}
        for name, count in rows.items()
    ]


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        InputError: if the folder has none, that is, if it was never finished or is something else.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} has no {MANIFEST}: it is not a finished output of edusieve")
    manifest = read_json(path)
    if not isinstance(manifest, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(manifest).__name__}")
    return manifest


def check_files(folder: Path | str, entries: Iterable[Mapping[str, Any]]) -> None:
    """Hold files against their manifest entries.

    Raises:
        IntegrityError: at the first that is missing, differs, or lies outside ``folder``.
    """
    root = Path(folder).resolve()
    for entry in entries:
        path = (root / str(entry["path"])).resolve()
        if not path.is_relative_to(root):
            raise IntegrityError(f"{folder}: the manifest lists {entry['path']!r}, which lies outside the folder")
        if not path.is_file():
            raise IntegrityError(f"{path} is listed in the manifest but missing")
        if sha256_of(path) != entry["sha256"]:
            raise IntegrityError(f"{path} is not the file that the manifest lists: its sha256 differs")


def _temporary(final: Path) -> Path:
    return final.with_name(f"{TEMPORARY_PREFIX}{final.name}-{uuid.uuid4().hex[:8]}")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
