"""A short form of ``python -m benchmarks.filters_kills``, and it would notice a difference."""

import pytest

from benchmarks import filters_kills
from benchmarks.filters_kills import Unbroken, difference, files_of, kill_and_compare, rows_wrong, stage_of
from filters import cascading, educational

KILLS = 4


@pytest.fixture(scope="module", autouse=True)
def scorers():
    with pytest.MonkeyPatch.context() as patch:
        for module in (educational, cascading):  # the benchmark replaces them
            patch.setattr(module, "load_scorer", module.load_scorer)
        yield


@pytest.fixture(scope="module")
def tally(tmp_path_factory):
    return kill_and_compare(tmp_path_factory.mktemp("kills"), KILLS, seed=4)


def test_killed_jobs_end_with_the_bytes_of_unbroken_ones(tally):
    assert tally.wrong == []
    assert sum(tally.killed.values()) >= KILLS
    assert {job for job, _, _ in tally.killed} == {"plain", "cascade"}


def test_every_kill_is_counted_at_its_stage(tally):
    rows = filters_kills.by_stage(tally)
    assert sum(row["all"] for row in rows) == sum(tally.killed.values())
    assert all(row["all"] == sum(count for name, count in row.items() if "," in name) for row in rows)


def test_another_byte_a_missing_file_and_one_left_over_are_noticed(tmp_path):
    for name in ("part-00000.parquet", "manifest.json"):
        (tmp_path / name).write_bytes(b"as it was")
    expected = files_of(tmp_path)
    assert difference(tmp_path, 0, expected) == []
    assert difference(tmp_path, None, expected) == ["the last run ends with None"]
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "part-00000.parquet").write_bytes(b"as it is")
    (tmp_path / ".unfinished-plan").mkdir()
    assert difference(tmp_path, 0, expected) == [
        "manifest.json differs",
        "part-00000.parquet differs",
        ".unfinished-plan is left",
    ]


def test_a_lost_and_a_doubled_row_are_noticed(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets = [*range(filters_kills.RECORDS - 1), 0]
    table = pa.table({"source_file": ["a.warc.gz"] * len(offsets), "source_offset": offsets})
    pq.write_table(table, tmp_path / "part-00000.parquet")
    count = filters_kills.RECORDS
    assert rows_wrong(tmp_path) == ["a.warc.gz at 0 is 2 rows", f"{count - 1} rows of {count} records"]


def test_the_stage_of_a_kill_is_the_one_under_way(tmp_path):
    assert stage_of(tmp_path) == "begin"
    for stage in ("scan", "sign", "score"):
        (tmp_path / ".work" / stage).mkdir(parents=True)
    assert stage_of(tmp_path) == "score"
    (tmp_path / ".work" / "sign" / ".unfinished-plan").mkdir()
    assert stage_of(tmp_path) == "sign"


def test_a_run_that_hangs_is_ended_and_reported(monkeypatch):
    import time

    monkeypatch.setattr(filters_kills, "PATIENCE_S", 0.1)
    process = filters_kills.FORK.Process(target=time.sleep, args=(60,))
    process.start()
    assert filters_kills.ended(process) is None
    assert not process.is_alive()


def test_what_is_wrong_stops_the_kills(tmp_path, monkeypatch):
    monkeypatch.setattr(filters_kills, "unbroken", lambda folder, job: Unbroken({}, {1: 1, 2: 1}, ["it is broken"]))
    tally = kill_and_compare(tmp_path, 3, seed=0)
    assert tally.wrong == ["it is broken"] * 2
    assert not tally.killed
