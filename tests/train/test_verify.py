import json
import shutil

import pytest

from mixtures.settings import ORDER_VERSION
from tests.mixtures.helpers import make_source
from tests.train.conftest import STEPS
from train.cli import main
from train.verify import verify


@pytest.fixture
def copied(unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    return tmp_path / "run"


def rewrite(run, step, change):
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    change(lines[step - 1])
    (run / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_true_ledger_is_confirmed_step_by_step(unbroken, capsys):
    assert main(["verify", str(unbroken), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], found["difference"]) == (STEPS, None)
    assert sum(found["tokens"].values()) == STEPS * 128


def test_a_changed_digest_or_count_is_found_at_its_step(copied, capsys):
    rewrite(copied, 7, lambda line: line.update(digest="0" * 32))
    rewrite(copied, 5, lambda line: line["tokens"].update(web=line["tokens"]["web"] + 32))
    assert main(["verify", str(copied), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 4
    assert found["difference"].startswith("step 5: tokens")
    assert "step 7: digest 0000" in str(verify_after(copied, 5).difference)


def test_a_ledger_of_another_version_of_the_order_is_told_as_such(copied):
    rewrite(copied, 3, lambda line: line.update(order=ORDER_VERSION - 1))
    assert verify(copied).difference == f"step 3: order {ORDER_VERSION - 1}, expected {ORDER_VERSION}"


def verify_after(run, step):
    """With step ``step`` set right again."""
    rewrite(run, step, lambda line: line["tokens"].update(web=line["tokens"]["web"] - 32))
    return verify(run)


def test_a_finished_run_whose_ledger_lost_its_end_is_found(copied):
    lines = (copied / "ledger.jsonl").read_text().splitlines(keepends=True)
    (copied / "ledger.jsonl").write_text("".join(lines[:-1]))
    assert verify(copied).difference == "the ledger has 7 steps, the settings say 8"


def test_a_torn_line_is_a_difference(copied):
    with open(copied / "ledger.jsonl", "a", encoding="ascii") as stream:
        stream.write('{"step": 9')
    assert "line 9" in verify(copied).difference


def test_other_shards_give_other_digests(copied, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    make_source(tmp_path / "data", "synthetic", count=70)
    assert "digest" in verify(copied, tmp_path / "data").difference


def test_moved_shards_are_found_with_an_option(copied, data, tmp_path):
    shutil.copytree(data, tmp_path / "moved")
    assert verify(copied, tmp_path / "moved").difference is None
