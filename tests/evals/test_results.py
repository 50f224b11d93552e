import numpy as np
import pytest

from common.errors import InputError, IntegrityError, SettingsError
from evals.results import read_all, read_results, write_results
from tests.evals.helpers import made_result

BITS = np.array([1.0, 1.5, 2.0])


def test_what_is_written_is_read_again(tmp_path):
    runs = [made_result("b", BITS), made_result("a", BITS + 1)]
    write_results(tmp_path / "r", runs)
    read = read_results(tmp_path / "r")
    assert list(read) == ["a", "b"]
    for run in runs:
        assert read[run.name].items.equals(run.items)
        assert read[run.name].curve.equals(run.curve)
        for field in ("key", "settings", "data_name", "model_digest", "scoring", "held_out", "trained", "samples"):
            assert getattr(read[run.name], field) == getattr(run, field), field


def test_the_order_of_the_runs_does_not_change_a_byte(tmp_path):
    runs = [made_result("b", BITS), made_result("a", BITS + 1)]
    write_results(tmp_path / "one", runs)
    write_results(tmp_path / "other", runs[::-1])
    for name in ("items.parquet", "curves.parquet", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_results_that_were_changed_are_refused(tmp_path):
    write_results(tmp_path / "r", [made_result("a", BITS)])
    with open(tmp_path / "r" / "items.parquet", "ab") as stream:
        stream.write(b"x")
    with pytest.raises(IntegrityError, match=r"items\.parquet is not the file"):
        read_results(tmp_path / "r")


def test_what_is_no_results_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="none does not exist: make it with `evals run"):
        read_results(tmp_path / "none")
    with pytest.raises(InputError, match="no manifest"):
        read_results(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "token_shards"}')
    with pytest.raises(InputError, match="its manifest says token_shards"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="name at least one results folder"):
        read_all([])


def test_several_folders_are_read_as_one_and_a_name_stands_for_one_result(tmp_path):
    write_results(tmp_path / "one", [made_result("a", BITS), made_result("b", BITS)])
    write_results(tmp_path / "two", [made_result("b", BITS), made_result("c", BITS)])
    assert [run.name for run in read_all([tmp_path / "one", tmp_path / "two"])] == ["a", "b", "c"]
    write_results(tmp_path / "three", [made_result("b", BITS, key="another")])
    with pytest.raises(SettingsError, match="two different results are called 'b'"):
        read_all([tmp_path / "one", tmp_path / "three"])
