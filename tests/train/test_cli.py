import json
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.train.conftest import OPTIONS, STEPS, arguments
from train import ledger
from train.cli import main
from train.settings import TrainSettings


def one_line(capsys):
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_options_may_come_from_a_file_and_a_finished_run_says_so(unbroken, data, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**OPTIONS, "data": str(data)}))
    assert main(["--config", str(tmp_path / "run.yaml"), "--out", str(unbroken), "--json"]) == 0
    result, said = capsys.readouterr()
    assert json.loads(result)["step"] == json.loads(result)["steps"] == STEPS
    assert said.count("\n") == 1
    assert "is finished: nothing to do" in said


def test_the_settings_of_a_run_are_whole_and_read_back(unbroken, settings):
    written = TrainSettings.load(unbroken / "settings.yaml")
    assert written == settings.model_copy(update={"precision": "fp32", "attention": "sdpa"})


def test_the_integers_of_the_plan_are_those_of_the_run(unbroken, data, capsys):
    words = arguments(data, unbroken)
    place = words.index("--out")
    assert main(["plan", *words[:place], *words[place + 2 :], "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    entries = ledger.read(unbroken / "ledger.jsonl")
    assert plan["steps"] == len(entries)
    assert {row["source"]: row["tokens"] for row in plan["sources"]} == ledger.totals(entries)
    assert plan["tokens"] == sum(row["tokens"] for row in plan["sources"])
    manifest = json.loads((unbroken / "export" / "manifest.json").read_text())
    assert plan["parameters"] == manifest["parameters"] == 6_804_352
    sizes = [path.stat().st_size for path in (unbroken / "checkpoints" / "step-8").glob("*.safetensors")]
    assert 0 < sum(sizes) - plan["checkpoint_bytes"] < 30_000  # the headers of three files


def test_a_dry_run_writes_nothing(data, tmp_path, capsys):
    assert main([*arguments(data, tmp_path / "run"), "--dry-run"]) == 0
    assert "6,804,352" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--optimizer.lerning-rate", "1"], "Did you mean --optimizer.learning-rate?"),
        (["--model", "giant"], "giant"),
        (["--data", "nowhere"], "the data folder nowhere does not exist"),
        (["--mixture", "webb"], "there is no mixture 'webb'"),
        (["--tokens", "100"], "tokens (100) are fewer than one step"),
        (["--precision", "fp16"], "precision fp16 needs a GPU"),
    ],
)
def test_bad_input_is_one_line_and_status_2_and_nothing_is_written(data, tmp_path, capsys, change, message):
    words = arguments(data, tmp_path / "run")
    if change[0] in words:
        place = words.index(change[0])
        del words[place : place + 2]
    assert main([*words, *change]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("train: ")
    assert message in said[-1]
    assert all(line.startswith("web") for line in said[:-1])  # what the run would have been
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_key_in_the_file_is_answered_with_the_right_one(data, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**OPTIONS, "data": str(data), "tokns": 5}))
    assert main(["--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")]) == 2
    assert "tokns" in one_line(capsys)


def test_shards_of_another_tokenizer_are_refused(data, tmp_path, capsys):
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / "code" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["tokenizer"]["digest"] = "f" * 32
    path.write_text(json.dumps(manifest))
    assert main([*arguments(tmp_path / "data", tmp_path / "run"), "--dry-run"]) == 2
    assert "tokenizer" in one_line(capsys)


def test_damaged_shards_are_refused_before_training_and_by_verify(unbroken, data, tmp_path, capsys):
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / "web" / "part-00000.ds"
    damaged = bytearray(path.read_bytes())
    damaged[10] ^= 1
    path.write_bytes(damaged)
    assert main(arguments(tmp_path / "data", tmp_path / "run")) == 2
    assert not (tmp_path / "run").exists()
    rounding, error = capsys.readouterr().err.splitlines()
    assert "rounded up to whole steps" in rounding
    assert "part-00000.ds is not the file that the manifest lists: its sha256 differs; make the shards again" in error
    assert main(["verify", str(unbroken), "--data", str(tmp_path / "data")]) == 2
    assert "its sha256 differs; make the shards again with `mixtures tokenize`" in capsys.readouterr().err


def test_generate_writes_text_and_needs_a_finished_run(unbroken, broken, capsys):
    assert main(["generate", str(unbroken), "--prompt", "web 1", "--max-new-tokens", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "complete"
    assert main(["generate", str(broken), "--prompt", "web 1"]) == 2
    assert "has no exported model yet" in one_line(capsys)
    assert main(["generate", str(broken.parent), "--prompt", "web 1"]) == 2
    assert "is not a run directory" in one_line(capsys)


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], ["verify", "--help"], ["generate", "--help"]])
def test_help_comes_without_loading_torch(words):
    code = f"import sys; from train.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: train" in done.stdout
