"""Saved datasets and URLs as input: what is read, what is passed over, what is refused."""

import http.server
import json
import threading
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis.strategies import binary, integers

from common.errors import InputError
from filters.inputs import digests, input_files, read_records
from filters.saved import read_arrow
from tests.filters.crawls import packed, pages

ROWS = {"id": [f"d{n}" for n in range(700)], "text": [f"text {n}" for n in range(700)], "label": list(range(700))}


def texts(source):
    return [
        record.text for file in input_files(str(source)) for record in read_records(file, 1 << 20, lambda size: None)
    ]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A dataset of two splits, one in two tables, saved by the library itself."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("saved") / "set"
    whole = datasets.Dataset.from_dict(ROWS)
    splits = {"train": whole.select(range(600)), "test": whole.select(range(600, 700))}
    datasets.DatasetDict(splits).save_to_disk(str(folder), num_shards={"train": 2, "test": 1})
    return folder


def test_a_saved_dataset_gives_its_rows_in_order_and_nothing_of_its_notes(saved):
    assert [file.name for file in input_files(str(saved))] == [
        "test/data-00000-of-00001.arrow",
        "train/data-00000-of-00002.arrow",
        "train/data-00001-of-00002.arrow",
    ]
    assert texts(saved / "train") == ROWS["text"][:600]
    (file,) = input_files(str(saved / "test"))
    (first, *_, last) = read_records(file, 1 << 20, lambda size: None)
    assert (first.id, first.offset, last.id, last.offset) == ("d600", 0, "d699", 99)


def test_a_table_that_the_dataset_does_not_list_is_not_read(saved, tmp_path):
    import shutil

    copy = shutil.copytree(saved / "test", tmp_path / "copy")
    shutil.copy(copy / "data-00000-of-00001.arrow", copy / "data-00001-of-00002.arrow")
    assert len(texts(copy)) == 100
    assert len(texts(copy / "*.arrow")) == 200  # named by hand
    (copy / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(InputError, match=r"state\.json lists 'data-00000-of-00001\.arrow', which is not there"):
        texts(copy)
    (copy / "state.json").write_text("[1]")
    with pytest.raises(InputError, match=r"state\.json is not what datasets writes: TypeError"):
        texts(copy)


def test_files_of_those_names_beside_no_table_are_documents(tmp_path):
    (tmp_path / "state.json").write_text('{"text": "a poem"}\n')
    assert texts(tmp_path) == ["a poem"]


def arrow_bytes(table, kind=pa.ipc.new_stream):
    sink = pa.BufferOutputStream()
    with kind(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_arrow_files_are_read_as_arrow_streams_are(tmp_path):
    table = pa.table(ROWS)
    (tmp_path / "file.arrow").write_bytes(arrow_bytes(table, pa.ipc.new_file))
    (tmp_path / "stream.arrow").write_bytes(arrow_bytes(table))
    assert texts(tmp_path / "file.arrow") == texts(tmp_path / "stream.arrow") == ROWS["text"]
    (tmp_path / "none.arrow").write_bytes(arrow_bytes(table.select(["label"])))
    with pytest.raises(InputError, match=r"none\.arrow has no column 'text'; it has label"):
        texts(tmp_path / "none.arrow")


@given(place=integers(0, 1 << 20), damage=binary(min_size=1, max_size=8))
def test_a_damaged_arrow_file_is_refused_or_read_and_never_crashes(place, damage):
    import io

    whole = bytearray(arrow_bytes(pa.table({"text": ["a", "b" * 50, None, "d"]})))
    place %= len(whole)
    whole[place : place + len(damage)] = damage
    try:
        found = list(read_arrow(io.BytesIO(bytes(whole)), 1 << 20, "x.arrow"))
    except InputError as error:
        assert "x.arrow" in str(error)
    else:
        assert [record.offset for record in found] == list(range(len(found)))


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, in ranges too as every real store sends them; ``accepts``: what it says of that."""

    accepts = "bytes"

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        path = Path(self.translate_path(self.path))
        if self.accepts != "bytes" or not path.is_file() or "Range" not in self.headers:
            super().do_GET()
            return
        start, end = self.headers["Range"].removeprefix("bytes=").split("-")
        content = path.read_bytes()
        piece = content[int(start) : int(end or len(content)) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(piece) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        self.wfile.write(piece)

    def end_headers(self):
        self.send_header("Accept-Ranges", self.accepts)
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        super().end_headers()

    def log_message(self, *_):
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    """A client that has seen enough hangs up: that is no error to print."""

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("aiohttp")
    handler = type("Handler", (RangeHandler,), {})
    with QuietServer(("127.0.0.1", 0), partial(handler, directory=tmp_path)) as server:
        server.asked, server.kind = [], handler
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_of_a_web_server_is_read_in_ranges_and_its_digest_is_remembered(server, tmp_path):
    (tmp_path / "crawl.warc.gz").write_bytes(packed(pages(30)))
    url = f"http://127.0.0.1:{server.server_port}/crawl.warc.gz"
    (file,) = input_files(url)
    assert (file.name, file.size) == ("crawl.warc.gz", (tmp_path / "crawl.warc.gz").stat().st_size)
    (local,) = input_files(str(tmp_path / "crawl.warc.gz"))
    read = [list(read_records(one, 1 << 20, lambda size: None)) for one in (file, local)]
    assert len(read[0]) == 30 and read[0] == read[1]
    remembered = tmp_path / "inputs.json"
    first = digests([file], remembered, lambda size: None)
    assert first == digests([local], None, lambda size: None)
    server.asked.clear()
    assert digests([file], remembered, lambda size: None) == first
    assert not any(server.asked)  # nothing but its head was asked for


@pytest.mark.parametrize(
    ("accepts", "message"), [("none", "sends files only whole"), ("unknown", "cannot read .* in parts")]
)
def test_a_web_server_that_sends_only_whole_files_is_refused_with_the_remedy(server, tmp_path, accepts, message):
    server.kind.accepts = accepts
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' * 500_000)  # more than one part
    with pytest.raises(InputError, match=f"{message}.*; download it first"):
        digests(input_files(f"http://127.0.0.1:{server.server_port}/a.jsonl"), None, lambda size: None)


def test_a_file_that_a_web_server_does_not_have_is_named(server):
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:\d+/b\.jsonl does not exist"):
        input_files(f"http://127.0.0.1:{server.server_port}/b.jsonl")


def test_an_object_store_is_read_by_glob_and_folder(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/crawl/a.warc.gz", packed(pages(2)))
    store.pipe_file("/bucket/crawl/b.jsonl", json.dumps({"text": "one"}).encode())
    store.pipe_file("/bucket/crawl/_SUCCESS", b"")
    assert [file.name for file in input_files("memory://bucket/crawl")] == ["a.warc.gz", "b.jsonl"]
    assert texts("memory://bucket/crawl/*.jsonl") == ["one"]


def test_a_dataset_of_the_hub_is_named_by_its_path(monkeypatch, tmp_path):
    class Hub(MemoryFileSystem):
        protocol, store, pseudo_dirs = "hf", {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(str(path).replace("hf://", "memory://"))

    fsspec.register_implementation("hf", Hub, clobber=True)
    try:
        pq.write_table(pa.table(ROWS), tmp_path / "0000.parquet")
        place = "/datasets/someone/pages@~parquet/default/train/0000.parquet"
        Hub().pipe_file(place, (tmp_path / "0000.parquet").read_bytes())
        assert texts("hf://datasets/someone/pages@~parquet/default/train/*.parquet") == ROWS["text"]
    finally:
        fsspec.register_implementation("hf", "huggingface_hub.HfFileSystem", clobber=True)


def test_a_kind_of_url_that_nothing_reads_is_refused():
    with pytest.raises(InputError, match=r"nothing://x: .*nothing"):
        input_files("nothing://x")
