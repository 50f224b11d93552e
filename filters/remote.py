"""A corpus on an object store, or on any file system without an atomic rename: published by its manifest alone.

The job is done in a folder of its own (``work:``), whole as any other. Then its files are copied to the output, and
the manifest last: a reader trusts only what a manifest lists. The old manifest goes first, so that at no moment one
lists a file that is not there as it says. Nothing is renamed there, and nothing is believed about a copy that was
interrupted: what has arrived is written down in the work folder once the copy has ended, with what the other side says
of the file, and everything else is copied again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common import command
from common.errors import EduSieveError, SettingsError
from common.files import MANIFEST, content_key, read_manifest
from filters.corpus import CONTAMINATION, REPORT, is_ours, is_part


class Target:
    """The place of a corpus on another file system.

    Args:
        url: any URL or folder that fsspec knows.
    Raises:
        SettingsError: if fsspec does not know it, or what it needs for it is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._files, self._root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"output {url}: {error}") from error
        self.url = url

    def check(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            SettingsError: naming what stands in the way.
        """
        strangers = sorted({name.partition("/")[0] for name in self._sizes() if not is_ours(name.partition("/")[0])})
        if strangers:
            raise SettingsError(
                f"output {self.url} holds {strangers[0]!r}, which is not part of a corpus; name a new folder"
            )

    def holds(self, corpus: Path) -> bool:
        """Whether the corpus of a folder is already here, whole as far as sizes tell."""
        sizes = self._sizes()
        manifest = (corpus / MANIFEST).read_bytes()
        return (
            sizes.get(MANIFEST) == len(manifest)
            and all(sizes.get(entry["path"]) == entry["bytes"] for entry in json.loads(manifest)["files"])
            and self._files.cat_file(self._path(MANIFEST)) == manifest
        )

    def publish(self, corpus: Path, journals: Path) -> None:
        """Copy the finished corpus of a folder here; after an interruption, what is missing of it.

        Args:
            corpus: the folder.
            journals: folder of the notes about what has arrived, by URL.
        Raises:
            EduSieveError: if the other side refuses; a rerun goes on from there.
        """
        if self.holds(corpus):
            return
        entries = read_manifest(corpus)["files"]
        journal = _Journal(journals / content_key(self.url))
        try:
            self._remove([MANIFEST])
            arrived = journal.read()
            total = sum(entry["bytes"] for entry in entries)
            with command.progress(total, "B", "publish") as bar:
                for entry in entries:
                    name = entry["path"]
                    if arrived.get(name) != [entry["sha256"], self._state(name)]:
                        self._copy(corpus, name)
                        journal.add(name, entry["sha256"], self._state(name))
                    bar.update(entry["bytes"])
            stale = self._sizes().keys() - {entry["path"] for entry in entries}
            self._remove(name for name in stale if is_part(name) or name == CONTAMINATION)
            self._copy(corpus, REPORT)  # a page to look at, and not listed
            self._copy(corpus, MANIFEST)
        except OSError as error:
            raise EduSieveError(
                f"cannot publish the corpus to {self.url}: {error}; it is whole in {corpus}, and a rerun goes on "
                "with what is missing"
            ) from error

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _copy(self, corpus: Path, name: str) -> None:
        path = self._path(name)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.put_file(str(corpus / name), path)

    def _remove(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            if self._files.exists(self._path(name)):
                self._files.rm_file(self._path(name))

    def _sizes(self) -> dict[str, int]:
        """Size of every file here, by its name below the root."""
        if not self._files.exists(self._root):
            return {}
        self._files.invalidate_cache()
        found: Mapping[str, Any] = self._files.find(self._root, detail=True)
        return {path[len(self._root.rstrip("/")) + 1 :]: entry["size"] for path, entry in found.items()}

    def _state(self, name: str) -> str | None:
        """What changes when a file is written again; None if it is not there."""
        try:
            state: str = self._files.ukey(self._path(name))
        except FileNotFoundError:
            return None
        return state


class _Journal:
    """Which files have arrived, a line each. A torn line, as a kill may leave one, counts for nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, list[str | None]]:
        arrived: dict[str, list[str | None]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                name, sha256, state = json.loads(line)
            except ValueError:
                continue
            arrived[name] = [sha256, state]
        return arrived

    def add(self, name: str, sha256: str, state: str | None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            stream.write(f"\n{json.dumps([name, sha256, state])}\n")
