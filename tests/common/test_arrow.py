"""Notes and tables of saved datasets come from anybody: each damage is one error that names the file."""

import json

import pyarrow as pa
import pytest

from common.arrow import splits_of, tables_of
from common.documents import expand, read_documents
from common.errors import InputError


@pytest.fixture
def saved(tmp_path):
    """A dataset as ``save_to_disk`` leaves it."""
    with pa.ipc.new_stream(tmp_path / "data-0.arrow", pa.schema([("id", pa.string()), ("text", pa.string())])) as out:
        out.write_table(pa.table({"id": ["a", "b"], "text": ["one", "two"]}))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}))
    (tmp_path / "dataset_info.json").write_text("{}")
    return tmp_path


def test_only_the_listed_tables_are_read(saved):
    (saved / "cache-1.arrow").write_bytes(b"of an earlier map")
    assert [row["text"] for row in read_documents(str(saved))] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"state\.json is not what datasets writes: JSONDecodeError"),
        (b"\xff", r"state\.json is not what datasets writes: UnicodeDecodeError"),
        (b"[]", "not what datasets writes: TypeError"),
        (b"{}", "not what datasets writes: KeyError: '_data_files'"),
        (b'{"_data_files": 3}', "not what datasets writes: TypeError"),
        (b'{"_data_files": []}', "it names nothing"),
        (b'{"_data_files": [3]}', "not what datasets writes: TypeError"),
        (b'{"_data_files": [{"filename": "../secret.arrow"}]}', r"lists '\.\./secret\.arrow', which is no file beside"),
    ],
)
def test_a_damaged_note_is_one_error(saved, content, message):
    (saved / "state.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        expand(str(saved))
    with pytest.raises(InputError, match=message):
        tables_of(str(saved / "state.json"))


def test_a_note_of_splits_without_splits_is_one_error(saved):
    (saved / "dataset_dict.json").write_text('{"splits": []}')
    with pytest.raises(InputError, match=r"dataset_dict\.json is not what datasets writes: it names nothing"):
        expand(str(saved))
    with pytest.raises(InputError, match="it names nothing"):
        splits_of(str(saved / "dataset_dict.json"))


def test_offsets_that_lie_are_refused_before_they_are_read(saved):
    whole = bytearray((saved / "data-0.arrow").read_bytes())
    place = whole.index(b"onetwo") - 64  # offsets of the texts: 0, 3, 6
    offsets = whole.index((3).to_bytes(4, "little") + (6).to_bytes(4, "little"), place)
    whole[offsets : offsets + 4] = (1 << 30).to_bytes(4, "little")
    (saved / "data-0.arrow").write_bytes(whole)
    with pytest.raises(InputError, match=r"cannot read .*data-0\.arrow"):
        list(read_documents(str(saved)))
