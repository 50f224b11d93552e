import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BusyError, InputError, IntegrityError
from common.files import (
    check_files,
    content_key,
    file_entries,
    lock,
    publish_file,
    publish_folder,
    read_json,
    read_manifest,
    remove_unfinished,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_published_file_is_whole(tmp_path: Path) -> None:
    with publish_file(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert [(p.name, p.read_text()) for p in (tmp_path / "deep").iterdir()] == [("a.txt", "whole")]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="midway"), publish_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_published_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for content, names in (("1", ["a", "b"]), ("2", ["c"])):
        with publish_folder(tmp_path / "out") as temporary:
            for name in names:
                (temporary / name).write_text(content)
    assert [(p.name, p.read_text()) for p in sorted((tmp_path / "out").iterdir())] == [("c", "2")]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(RuntimeError, match="midway"), publish_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("new")
        raise RuntimeError("midway")
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def _publish_and_die(folder: str) -> None:
    with publish_file(Path(folder) / "a.txt") as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_publishes_nothing_and_its_leftover_is_removed(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=_publish_and_die, args=(str(tmp_path),))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert not (tmp_path / "a.txt").exists()
    assert len(list(tmp_path.iterdir())) == 1
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_one_name_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    for name in ("web-0123abcd", "web-2-0123abcd", "code-0123abcd"):
        (tmp_path / f".unfinished-{name}").mkdir()
    remove_unfinished(tmp_path, "web")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".unfinished-code-0123abcd",
        ".unfinished-web-2-0123abcd",
    ]


@given(JSON, JSON)
def test_content_keys_are_equal_exactly_when_the_values_are(left: Any, right: Any) -> None:
    def shape(value: Any) -> Any:  # 1, 1.0 and True are equal in Python but not as settings
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        return [shape(inner) for inner in value] if isinstance(value, list) else (type(value).__name__, value)

    assert (content_key(left) == content_key(right)) == (shape(left) == shape(right))


def test_a_content_key_does_not_depend_on_the_order_of_keys() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key("a", "b") != content_key("ab")


def test_a_manifest_catches_changed_missing_and_outside_files(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "part").write_text("rows")
    entries = file_entries(folder, {"part": 4})
    assert entries[0]["rows"] == 4
    assert entries[0]["bytes"] == 4
    check_files(folder, entries)

    (folder / "part").write_text("rowz")
    with pytest.raises(IntegrityError, match=r"part is not the file .* sha256 differs"):
        check_files(folder, entries)
    (folder / "part").unlink()
    with pytest.raises(IntegrityError, match="part is listed in the manifest but missing"):
        check_files(folder, entries)
    with pytest.raises(IntegrityError, match=r"'\.\./secret', which lies outside"):
        check_files(folder, [{"path": "../secret", "sha256": ""}])


def test_a_folder_without_manifest_is_not_an_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no manifest\.json: it is not a finished output"):
        read_manifest(tmp_path)


def test_json_is_published_and_broken_json_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, 2.5, None]}
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match=r"b\.json is not valid JSON"):
        read_json(tmp_path / "b.json")


def _hold(folder: str, held: Any, release: Any) -> None:
    with lock(folder):
        held.set()
        release.wait(30)


def test_a_lock_refuses_a_second_process_and_dies_with_its_holder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), held, release))
    holder.start()
    assert held.wait(30)
    with pytest.raises(BusyError, match="another process is working on"), lock(tmp_path):
        pass
    holder.kill()
    holder.join()
    with lock(tmp_path):
        pass
