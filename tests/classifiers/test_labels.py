import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, permutations

from classifiers.labels import folds, gather, near_duplicates, read_labels, write_labels
from common.errors import InputError, SettingsError
from tests.classifiers.helpers import grading, small_labels, text_of_grade
from tests.conftest import shared


def test_several_gradings_of_one_window_are_averaged():
    rows = [{"id": "a", "text": "t", "score": score, "kind": "news"} for score in (2, 3, 3)]
    labels = gather(rows)
    assert (len(labels), labels.scores[0], labels.gradings[0], labels.kinds) == (1, pytest.approx(8 / 3), 3, ("news",))


def test_two_windows_of_one_document_stay_two_examples_of_one_group():
    labels = gather([{"id": "a", "text": "start", "score": 1}, {"id": "a", "text": "end", "score": 4}])
    assert labels.scores.tolist() == [4, 1]
    assert labels.groups.tolist() == [0, 0]


@given(order=permutations(range(12)))
@settings(max_examples=20)
def test_the_order_of_rows_changes_nothing(order):
    rows = [grading(number) for number in range(12)]
    shuffled = gather(rows[i] for i in order)
    assert (shuffled.ids, shuffled.digest) == (gather(rows).ids, gather(rows).digest)
    assert folds(shuffled, 3).tolist() == folds(gather(rows), 3).tolist()


@pytest.mark.parametrize("score", [-0.1, 5.1, math.nan, True, "3", None])
def test_a_score_outside_the_scale_is_refused_by_id(score):
    with pytest.raises(InputError, match="label x7: score must be a number from 0 to 5"):
        gather([{"id": "x7", "text": "t", "score": score}])


def test_a_text_that_is_no_string_is_refused_by_id():
    with pytest.raises(InputError, match="label x7: text must be a string, got NoneType"):
        gather([{"id": "x7", "text": None, "score": 1}])


def test_an_empty_table_is_refused(tmp_path):
    (tmp_path / "l.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no gradings"):
        read_labels(tmp_path / "l.jsonl")


def test_jsonl_and_parquet_give_the_same_labels(tmp_path, labels_file):
    rows = [json.loads(line) for line in labels_file.read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
    assert read_labels(tmp_path / "l.parquet").digest == read_labels(labels_file).digest


def test_written_labels_come_back_as_they_were(tmp_path):
    labels = small_labels(30)
    write_labels(tmp_path / "l.parquet", labels)
    again = read_labels(tmp_path / "l.parquet")
    assert (again.digest, again.kinds) == (labels.digest, labels.kinds)


def test_the_rows_of_a_split_can_be_left_out(tmp_path):
    rows = [grading(n, split="test" if n < 4 else "train") for n in range(10)]
    (tmp_path / "l.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert sorted(read_labels(tmp_path / "l.jsonl", skip_split="test").ids) == [f"d{n}" for n in range(4, 10)]


def test_texts_that_share_half_their_shingles_are_near_duplicates_and_others_are_not():
    base = text_of_grade(2, 1, words=60)
    half, third = base.split()[:30], base.split()[:12]
    texts = [base, base.upper() + " !!", " ".join(half), " ".join([*third, *text_of_grade(4, 9, 60).split()])]
    assert near_duplicates(texts) == [(0, 1), (0, 2), (1, 2)]


def test_near_duplicates_join_along_a_chain():
    words = text_of_grade(3, 5, words=90).split()
    parts = [" ".join(words[i : i + 50]) for i in (0, 20, 40)]
    labels = gather({"id": f"p{i}", "text": part, "score": 1} for i, part in enumerate(parts))
    assert near_duplicates(parts) == [(0, 1), (1, 2)]
    assert len(set(labels.groups.tolist())) == 1


@given(copies=lists(integers(0, 39), max_size=25), count=integers(2, 6), seed=integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_no_group_ever_straddles_a_fold(copies, count, seed):
    rows = [grading(number) for number in range(40)]
    rows += [{**rows[source], "id": f"copy{i}"} for i, source in enumerate(copies)]
    labels = gather(rows)
    fold = folds(labels, count, seed)
    for number in set(labels.groups.tolist()):
        assert len(set(fold[labels.groups == number].tolist())) == 1
    assert set(fold.tolist()) == set(range(count))


def test_every_fold_gets_its_share_of_every_grade():
    labels = small_labels(120)
    fold = folds(labels, 5)
    counts = np.array([np.bincount(labels.scores[fold == k].astype(int), minlength=6) for k in range(5)])
    assert counts.tolist() == [[4] * 6] * 5


@pytest.mark.parametrize("count", [1, 7])
def test_more_folds_than_groups_are_refused(count):
    with pytest.raises(SettingsError, match=rf"\(6\), got {count}"):
        folds(small_labels(6), count)


def test_the_shared_labels_are_1139_documents_without_a_group_across_folds():
    labels = read_labels(shared("labels/labels.jsonl.gz"))
    assert (len(labels), int(labels.gradings.sum()), int((labels.scores >= 3).sum())) == (1139, 1355, 162)
    fold = folds(labels, 5)
    assert all(len(set(fold[labels.groups == g].tolist())) == 1 for g in set(labels.groups.tolist()))
