"""What a job reads: names that no machine decides, formats, digests that are remembered."""

import gzip
import os

import pytest

from common.errors import InputError
from filters.inputs import InputFile, digests, input_files, read_records
from tests.filters.crawls import packed, pages


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_names_begin_below_the_folder_that_all_inputs_share(tmp_path, monkeypatch):
    touch(tmp_path / "crawl/2024/a.warc.gz")
    touch(tmp_path / "crawl/2025/a.warc.gz")
    expected = ["2024/a.warc.gz", "2025/a.warc.gz"]
    assert [file.name for file in input_files(str(tmp_path / "crawl"))] == expected
    monkeypatch.chdir(tmp_path / "crawl" / "2024")
    both = [str(tmp_path / "crawl/2025/*.gz"), str(tmp_path / "crawl/2024/*.gz")]
    assert sorted(file.name for file in input_files(both)) == expected
    assert [file.name for file in input_files("a.warc.gz")] == ["a.warc.gz"]


@pytest.mark.parametrize(
    ("name", "kind", "compression"),
    [
        ("a.warc", "warc", ""), ("a.warc.gz", "warc", "gz"), ("a.warc.zst", "warc", "zst"),
        ("a.warc.wet.gz", "wet", "gz"), ("a.jsonl", "jsonl", ""), ("a.json.gz", "json", "gz"),
        ("a.jsonl.zst", "jsonl", "zst"), ("a.parquet", "parquet", ""),
    ],
)  # fmt: skip
def test_the_name_says_the_format(tmp_path, name, kind, compression):
    (file,) = input_files(str(touch(tmp_path / name)))
    assert (file.format, file.compression, file.size) == (kind, compression, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.warc.wat.gz", r"a\.warc\.wat\.gz is a WAT file: it holds metadata and no pages"),
        ("a.csv", r"cannot tell the format of .*a\.csv"),
        ("a.warc.bz2", r"cannot tell the format of .*a\.warc\.bz2"),
    ],
)
def test_files_without_documents_are_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        input_files(str(touch(tmp_path / name)))


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere/x\.warc\.gz does not exist"):
        input_files(str(tmp_path / "nowhere/x.warc.gz"))


def test_a_file_is_read_again_only_if_it_changed(tmp_path, monkeypatch):
    path, remembered = touch(tmp_path / "a.warc.gz", b"one"), tmp_path / "inputs.json"
    first = digests(input_files(str(path)), remembered, lambda size: None)
    monkeypatch.setattr("filters.inputs._sha256", lambda path: "read again")
    assert digests(input_files(str(path)), remembered, lambda size: None) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert digests(input_files(str(path)), remembered, lambda size: None) == ["read again"]


def test_progress_is_told_in_bytes_of_the_file(tmp_path):
    path = touch(tmp_path / "a.warc.gz", packed(pages(50)))
    heard = []
    (file,) = input_files(str(path))
    assert sum(1 for _ in read_records(file, 1 << 20, heard.append)) == 50
    assert heard == sorted(heard) and heard[-1] == file.size == path.stat().st_size


def test_a_file_that_is_no_gzip_is_lost_as_one_stretch(tmp_path):
    (record,) = read_records(InputFile(str(touch(tmp_path / "a.warc.gz", b"<html>" * 9)), "a", 54), 99, lambda n: None)
    assert (record.rejection.reason, record.rejection.value) == ("lost_damaged", 54)
    cut_off = touch(tmp_path / "b.jsonl.gz", gzip.compress(b"{}")[:-9])
    (record,) = read_records(*input_files(str(cut_off)), 99, lambda n: None)
    assert record.rejection.reason == "lost_damaged"


def test_a_file_that_grew_since_the_job_began_is_refused(tmp_path):
    path = touch(tmp_path / "a.warc.gz", packed(pages(2)))
    (file,) = input_files(str(path))
    path.write_bytes(packed(pages(3)))
    with pytest.raises(InputError, match=r"a\.warc\.gz had [\d,]+ bytes when the job began"):
        list(read_records(file, 1 << 20, lambda n: None))
