import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import InputError, IntegrityError
from common.files import file_entries, write_json
from evals.clean import COLUMNS, read_contamination

ROWS = [
    ("piqa", 0, "verbatim", "count", None),  # stands in a document that was kept
    ("piqa", 1, "verbatim", "document", "contaminated verbatim"),  # its document was dropped for it
    ("piqa", 2, "partial", "span", None),  # its lines were cut
    ("piqa", 3, "partial", "count", "low_score"),  # its document was dropped for something else
    ("piqa", 4, "unchecked", None, None),  # could not be looked for
    ("piqa", 5, "verbatim", "document", "contaminated verbatim"),  # dropped here,
    ("piqa", 5, "touched", "count", None),  # and kept there
]


def corpus(folder, rows=ROWS, tasks=("piqa", "boolq")):
    folder.mkdir()
    schema = pa.schema([(n, pa.int64() if n == "row" else pa.string()) for n in COLUMNS])
    table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], schema)
    pq.write_table(table, folder / "contamination.parquet")
    write_json(
        folder / "manifest.json",
        {
            "contamination": {"tasks": [{"task": task} for task in tasks]},
            "files": file_entries(folder, {"contamination.parquet": len(rows)}),
        },
    )
    return folder / "contamination.parquet"


def test_an_item_is_clean_unless_it_stands_in_the_corpus_or_could_not_be_looked_for(tmp_path):
    found = read_contamination([corpus(tmp_path / "web")])
    assert found.clean("piqa", [str(i) for i in range(7)]).tolist() == [False, True, True, True, False, False, True]


def test_a_task_of_which_nothing_was_found_is_clean_and_one_not_looked_for_unknown(tmp_path):
    found = read_contamination([corpus(tmp_path / "web")])
    assert found.clean("boolq", ["0", "1"]).tolist() == [True, True]
    assert found.clean("mmlu", ["0"]) is None


def test_a_file_that_is_asked_about_in_two_ways_is_clean_in_both(tmp_path):
    path = corpus(tmp_path / "web", [("mmlu", 1, "verbatim", "count", None)], tasks=("mmlu",))
    found = read_contamination([path])
    assert found.clean("mmlu_cloze", ["0", "1"]).tolist() == found.clean("mmlu", ["0", "1"]).tolist() == [True, False]


def test_of_several_corpora_every_one_must_be_clean_and_looked_through(tmp_path):
    other = corpus(tmp_path / "code", [("piqa", 6, "verbatim", "count", None)], tasks=("piqa",))
    found = read_contamination([corpus(tmp_path / "web"), other])
    assert np.flatnonzero(found.clean("piqa", [str(i) for i in range(7)])).tolist() == [1, 2, 3]
    assert found.clean("boolq", ["0"]) is None


def test_what_is_no_contamination_of_a_corpus_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.parquet does not exist"):
        read_contamination([tmp_path / "none.parquet"])
    path = corpus(tmp_path / "web")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(IntegrityError, match=r"contamination\.parquet is not the file"):
        read_contamination([path])
    write_json(tmp_path / "web" / "manifest.json", {"files": []})
    with pytest.raises(InputError, match="web is no corpus in which eval items were looked for"):
        read_contamination([path])
