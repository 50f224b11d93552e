"""Pieces of a crawl: together they are the crawl, drawn they are a fair part of it."""

import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.inputs import input_files, read_records
from filters.sampling import draw, read_spans
from tests.filters.crawls import packed, pages, prose, record

MAX_BYTES = 1 << 20


def lines(count):
    rows = [{"id": f"d{n}", "text": prose(f"lake {n % 7}") + " " * (n % 50)} for n in range(count)]
    return [json.dumps(row).encode() + b"\n" for row in rows]


def files(folder):
    """The same documents in every form that a crawl comes in, and one file with damage."""
    records = [record(b"software: x", None, "warcinfo", number=999), *pages(40)]
    for compression, suffix in (("gz", "gz"), ("zst", "zst"), ("one", "gz"), ("block", "gz"), ("", "")):
        name = f"{compression or 'plain'}.warc{'.' if suffix else ''}{suffix}"
        (folder / name).write_bytes(packed(records, compression))
    good = packed(records[:20])
    (folder / "damaged.warc.gz").write_bytes(good[:-40] + b"garbage" * 9 + packed(records[20:]))
    broken = [*lines(30), b"not json\n", *lines(3), b'{"id": "last", "text": "no line end"}']
    (folder / "a.jsonl").write_bytes(b"".join(broken))
    (folder / "b.jsonl.gz").write_bytes(packed([b"".join(broken)]))
    (folder / "c.jsonl.zst").write_bytes(packed(broken, "zst"))
    table = pa.table({"id": [f"p{n}" for n in range(50)], "text": [prose(f"pond {n}") for n in range(50)]})
    pq.write_table(table, folder / "d.parquet", row_group_size=7)
    for name, kind in (("e", pa.ipc.new_stream), ("f", pa.ipc.new_file)):
        with kind(folder / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return input_files(str(folder))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return files(tmp_path_factory.mktemp("forms"))


def identity(one):
    return one.id, one.url, one.text, one.html, one.rejection


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_the_pieces_of_a_file_hold_its_records_each_once_and_in_order(crawl, data):
    file = data.draw(st.sampled_from(crawl))
    cuts = data.draw(st.lists(st.integers(1, file.size - 1), unique=True, max_size=8).map(sorted))
    spans = list(pairwise([0, *cuts, file.size]))
    found = [(number, one) for number, one in read_spans(file, spans, MAX_BYTES) if number is not None]
    every = list(read_records(file, MAX_BYTES, lambda done: None))
    assert [identity(one) for _, one in found] == [identity(one) for one in every]
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    for number, span in enumerate(spans):
        alone = [identity(one) for place, one in read_spans(file, [span], MAX_BYTES) if place is not None]
        assert alone == [identity(one) for place, one in found if place == number]


@given(
    sizes=st.lists(st.integers(0, 1 << 22), min_size=1, max_size=9).filter(any),
    wanted=st.integers(1, 1 << 23),
    seed=st.integers(0, 5),
)
def test_two_pieces_are_drawn_of_every_stratum_and_none_twice(sizes, wanted, seed):
    sample = draw(sizes, wanted, seed)
    assert sample == draw(sizes, wanted, seed)
    assert list(sample.strata) == sorted(sample.strata)
    for stratum, there in enumerate(sample.sizes):
        assert sample.strata.count(stratum) == min(2, there)
    places = [(piece.file, piece.start) for piece in sample.pieces]
    assert places == sorted(set(places))
    assert all(0 <= piece.start < piece.stop <= sizes[piece.file] for piece in sample.pieces)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 1])
def test_a_sample_is_about_as_large_as_was_asked(fraction):
    sizes = [3_000_000, 500_000, 9_000_000]
    sample = draw(sizes, round(fraction * sum(sizes)), 0)
    assert sum(piece.stop - piece.start for piece in sample.pieces) == pytest.approx(fraction * sum(sizes), rel=0.05)


def test_another_seed_draws_other_pieces():
    assert draw([1 << 24], 1 << 20, 0).pieces != draw([1 << 24], 1 << 20, 1).pieces
