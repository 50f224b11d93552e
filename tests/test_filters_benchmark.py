"""The benchmark of filters copies crawls faithfully, and its tables follow from what the runs took."""

import re

import pytest

from benchmarks import filters
from filters.inputs import input_files, read_records
from filters.job import Limits
from tests.filters.crawls import http, packed, record

PAGE = "<html><body><p>The cat and the dog of the house sat in the sun on a day in May.</p></body></html>"


@pytest.fixture
def crawl(tmp_path):
    pages = [record(http(PAGE.encode()), f"http://a.example.co.uk/{n}", number=n) for n in range(5)]
    (tmp_path / "pages.warc.gz").write_bytes(packed([record(b"software: test", None, "warcinfo"), *pages]))
    return tmp_path / "*.warc.gz"


def records(folder):
    return [
        one
        for file in input_files((f"{folder}/*.warc.gz",))
        for one in read_records(file, Limits().document_bytes, lambda _: None)
    ]


def test_a_sample_holds_one_page_of_so_many_as_it_was(crawl, tmp_path):
    assert filters.write_crawl(str(crawl), tmp_path / "sample", every=2) == 3
    found = records(tmp_path / "sample")
    assert [(one.html.decode(), one.url, one.charset) for one in found] == [
        (PAGE, f"http://a.example.co.uk/{n}", "utf-8") for n in (0, 2, 4)
    ]


def test_a_copy_shares_no_five_words_with_another(crawl, tmp_path):
    assert filters.write_crawl(str(crawl), tmp_path / "copies", every=5, copies=10) == 10
    shingles = []
    for one in records(tmp_path / "copies"):
        words = re.sub("<[^>]*>", " ", one.html.decode()).split()
        shingles.append({tuple(words[place : place + 5]) for place in range(len(words) - 4)})
    assert len(shingles) == 10
    assert all(not a & b for i, a in enumerate(shingles[1:]) for b in shingles[i + 2 :])


def test_speed_compares_each_run_with_the_one_of_the_peer_beside_it():
    def runs(*seconds):
        return [
            {"CPU seconds": one, "wall seconds": 2 * one, "worker MB": one, "leader MB": 1, "passed": 7, "written": 95}
            for one in seconds
        ]

    row = filters.speed("ours", 100, runs(1, 2, 4), runs(10, 10, 10))
    assert (row["pages/CPU s"], row["pages/s"]) == (50, 25)
    assert (row["times"], row["from"], row["to"], row["times by wall"]) == (5, 2.5, 10, 5)
    assert (row["worker MB"], row["passed rules"], row["no trace"]) == (4, 7, 5)


def test_the_costs_of_steps_and_of_all_else_add_up_to_what_was_spent():
    row = filters.costs("ours", 1000, {"spent": {"scan": 3.0, "score": 1.0}, "CPU seconds": 6.0, "sent": 9})
    assert row == {"ms a page": "ours", "scan": 3.0, "score": 1.0, "other": 2.0, "by the full model": 9}
