"""The further labels of the default classifier join with their texts, and only with those that were graded."""

import json

import pytest

from benchmarks.pool_labels import GRADINGS, join
from common.errors import InputError
from tests.conftest import shared


def test_every_grading_finds_the_window_that_was_graded():
    rows = list(join(str(shared("labels/pool.jsonl.gz"))))
    assert len(rows) == len(GRADINGS.read_text(encoding="utf-8").splitlines()) - 1
    assert {row["score"] for row in rows} == set(range(6))
    assert max(len(row["text"]) for row in rows) == 1500


def test_another_text_under_a_graded_id_is_refused(tmp_path):
    gradings, pool = tmp_path / "gradings.tsv", tmp_path / "pool.jsonl"
    gradings.write_text("id\twindow_sha256\tscore\tkind\tannotator\na\t000000000000\t3\thowto\tx\n")
    pool.write_text(json.dumps({"id": "a", "text": "Another text."}) + "\n")
    with pytest.raises(InputError, match="the text of a is not the one that was graded"):
        list(join(str(pool), gradings))


def test_a_pool_that_lacks_a_graded_document_is_refused(tmp_path):
    gradings, pool = tmp_path / "gradings.tsv", tmp_path / "pool.jsonl"
    gradings.write_text("id\twindow_sha256\tscore\tkind\tannotator\na\t000000000000\t3\thowto\tx\n")
    pool.write_text(json.dumps({"id": "b", "text": "Some text."}) + "\n")
    with pytest.raises(InputError, match="lacks 1 graded documents, among them a"):
        list(join(str(pool), gradings))
