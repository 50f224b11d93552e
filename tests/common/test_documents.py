import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from common.documents import expand, read_documents, read_rows, write_parquet
from common.errors import InputError

ROWS = [{"id": "a", "text": "first\u2028line"}, {"id": "b", "text": "zweite ü"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def write_all_formats(folder: Path) -> None:
    (folder / "1.jsonl").write_bytes(LINES)
    (folder / "2.jsonl.gz").write_bytes(gzip.compress(LINES))
    (folder / "3.jsonl.zst").write_bytes(zstandard.compress(LINES))
    write_parquet(folder / "4.parquet", pa.Table.from_pylist(ROWS))


@pytest.mark.parametrize("name", ["1.jsonl", "2.jsonl.gz", "3.jsonl.zst", "4.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write_all_formats(tmp_path)
    assert list(read_rows(str(tmp_path / name), ["id", "text"])) == ROWS


def test_a_folder_a_glob_and_a_list_name_files_sorted_and_once(tmp_path: Path) -> None:
    write_all_formats(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / ".hidden.jsonl").write_bytes(LINES)
    (tmp_path / "_dropped").mkdir()
    (tmp_path / "_dropped" / "5.jsonl").write_bytes(LINES)
    all_four = [str(tmp_path / name) for name in ("1.jsonl", "2.jsonl.gz", "3.jsonl.zst", "4.parquet")]
    assert expand(tmp_path) == all_four
    assert expand(str(tmp_path / "*.jsonl*")) == all_four[:3]
    assert expand([tmp_path / "4.parquet", tmp_path]) == all_four
    assert len(list(read_documents(tmp_path))) == 8


def test_paths_below_the_working_folder_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all_formats(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert expand(str(tmp_path / "1.jsonl")) == ["1.jsonl"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.jsonl", "absent.jsonl does not exist"),
        ("*.parquet", "matches no file"),
        (".", "holds no"),
        ([], "no input was named"),
    ],
)
def test_nothing_to_read_is_an_error(tmp_path: Path, source: str | list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(str(tmp_path / source) if isinstance(source, str) else source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"id": "a", "text": "x"}\nnot json\n', r"a\.jsonl, after line 2"),
        ("b.jsonl", b'{"id": "a"}\n', r"b\.jsonl, line 1: no field 'text'; it has id"),
        ("c.jsonl", b"[1]\n", "line 1: expected a JSON object, got list"),
        ("d.jsonl.gz", gzip.compress(LINES, mtime=0)[:-9], "after line"),
        ("e.parquet", b"PAR1 nonsense", r"cannot read .*e\.parquet"),
        ("g.arrow", b"no stream", r"cannot read .*g\.arrow"),
        ("f.csv", b"id,text\n", r"cannot tell the format of .*f\.csv"),
    ],
)
def test_an_unreadable_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_rows(str(tmp_path / name), ["id", "text"]))


def test_a_parquet_without_the_column_lists_what_it_has(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"id": ["a"], "body": ["x"]}))
    with pytest.raises(InputError, match="no column 'text'; it has id, body"):
        list(read_rows(str(tmp_path / "a.parquet"), ["id", "text"]))


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        write_parquet(tmp_path / name, pa.Table.from_pylist(ROWS))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
