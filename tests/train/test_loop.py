import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction

import pytest
import torch
from deepspeed.accelerator import get_accelerator

from common.errors import BusyError, InputError, IntegrityError, SettingsError
from common.files import lock
from mixtures import open_blend
from tests.conftest import REPOSITORY
from tests.mixtures.helpers import folder_bytes, make_source
from tests.train.conftest import OPTIONS, STEPS, arguments, assert_same_run, losses, start, wait_for_step
from train import checkpoint as checkpoints
from train import engine
from train.engine import DivergedError
from train.loop import EXIT_STOPPED, train
from train.loss import LanguageModel
from train.model import SIZES
from train.run import claim
from train.settings import CheckpointSettings, TrainSettings


def test_the_loss_falls_from_that_of_a_uniform_guess(unbroken):
    first, *_, last = losses(unbroken)
    assert abs(first - 10.84) < 0.05  # ln 51,200
    assert last < first - 0.3


def test_metrics_and_tensorboard_tell_every_step(unbroken, settings):
    rows = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["tokens"] for row in rows] == [128 * step for step in range(1, STEPS + 1)]
    assert {row["learning_rate"] for row in rows} == {1e-3}
    assert all(row["tokens_per_second"] > 0 for row in rows)
    flops = SIZES["nano"].training_flops(128, 32)
    peaks = [flops * row["tokens_per_second"] / 128 / row["mfu"] for row in rows]
    assert peaks == pytest.approx([peaks[0]] * STEPS)  # one measured peak a run
    assert all(0 < row["mfu"] < 1 and row["gradient_norm"] > 0 for row in rows)
    blend = open_blend("web", settings.data, 32, seed=1).blend
    for name, windows in blend.windows.items():
        seen = [blend.counts(0, 4 * step)[name] / windows for step in range(1, STEPS + 1)]
        assert [row[f"epochs/{name}"] for row in rows] == pytest.approx(seen)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(unbroken / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(1, STEPS + 1))
    for name in ("loss", "gradient_norm", "mfu", "epochs/web"):
        assert [event.value for event in board.Scalars(name)] == pytest.approx([row[name] for row in rows])


def test_a_resumed_run_equals_the_unbroken_one_to_the_last_digit(broken, unbroken, settings):
    outcome = train(settings, broken)
    assert outcome.made_steps == STEPS - 6
    assert_same_run(broken, unbroken)


def test_a_damaged_newest_checkpoint_is_passed_over_and_the_run_comes_out_the_same(broken, unbroken, settings, capsys):
    path = broken / "checkpoints" / "step-6" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    outcome = train(settings, broken)
    assert outcome.made_steps == STEPS - 3
    assert "checkpoint of step 6 is damaged" in capsys.readouterr().err
    assert_same_run(broken, unbroken)
    assert checkpoints.load(broken / "checkpoints" / "step-6").step == 6  # it was made anew


def test_every_loss_of_a_run_that_is_killed_again_and_again_is_that_of_the_unbroken_one(settings, tmp_path):
    """The short form of benchmarks/train_kills.py."""
    often = settings.model_copy(update={"checkpoint": CheckpointSettings(every_steps=2)})
    claim(tmp_path, often)
    command = [sys.executable, "-m", "tests.train.kills", str(tmp_path / "settings.yaml"), str(tmp_path), "4", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["killed"] == 4
    assert counts["killed_inside_a_checkpoint"] >= 1
    assert counts["losses_compared"] > STEPS
    assert (counts["attempts_with_another_loss"], counts["verified_steps"], counts["difference"]) == (0, STEPS, None)
    assert counts["finished_well"] and counts["same_ledger"] and counts["same_model"]


def test_sigterm_saves_the_step_and_exits_with_the_status_of_try_again(unbroken, settings, data, tmp_path):
    run = tmp_path / "stopped"
    process = start(arguments(data, run))
    wait_for_step(run, 1, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=240)
    assert process.returncode == EXIT_STOPPED == 75
    assert "stopped and saved after step" in said
    step = len(losses(run))
    assert checkpoints.newest_valid(run, pytest.fail).step == step < STEPS
    assert train(settings, run).made_steps == STEPS - step
    assert_same_run(run, unbroken)


def test_two_processes_equal_one_and_runs_go_on_from_two_to_one_and_from_one_to_two(
    unbroken, broken, settings, data, tmp_path
):
    two = tmp_path / "two"
    for run in (two, broken):
        _, said = start(arguments(data, run), processes=2).communicate(timeout=400)
        assert "finished: the model is in" in said
    assert "going on after step 6" in said
    for run in (two, broken):
        assert losses(run) == pytest.approx(losses(unbroken), abs=1e-5)
        assert (run / "ledger.jsonl").read_bytes() == (unbroken / "ledger.jsonl").read_bytes()
    assert losses(broken)[:6] == losses(unbroken)[:6]
    shutil.rmtree(two / "export")
    shutil.rmtree(two / "checkpoints" / "step-8")
    assert train(settings, two).made_steps == 2
    assert losses(two) == pytest.approx(losses(unbroken), abs=1e-5)


def test_a_finished_run_does_nothing(unbroken, settings):
    before = folder_bytes(unbroken)
    outcome = train(settings, unbroken)
    assert (outcome.made_steps, outcome.loss) == (0, losses(unbroken)[-1])
    assert folder_bytes(unbroken) == before


def test_a_missing_export_is_made_again_without_training(unbroken, settings, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    (run / "export" / "model.safetensors").write_bytes(b"damaged")
    assert train(settings, run).made_steps == 0
    assert_same_run(run, unbroken)


def test_a_directory_of_other_settings_is_refused_by_name_and_left_alone(unbroken, settings):
    before = folder_bytes(unbroken)
    other = settings.model_copy(update={"seed": 7, "context_length": 16})
    with pytest.raises(SettingsError, match=r"context_length: 32 → 16; seed: 1 → 7"):
        train(other, unbroken)
    assert folder_bytes(unbroken) == before


def test_a_directory_that_is_no_run_is_refused_and_left_alone(settings, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a run directory"):
        train(settings, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_runs_in_one_directory_are_refused(settings, tmp_path):
    with lock(tmp_path / "run"), pytest.raises(BusyError, match="another process is working on"):
        train(settings, tmp_path / "run")


def test_other_shards_under_a_begun_run_are_refused(broken, settings, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "web")
    make_source(tmp_path / "data", "web", count=61)
    with pytest.raises(IntegrityError, match=r"not those that .*step-6 was trained on"):
        train(settings.model_copy(update={"data": tmp_path / "data"}), broken)


def test_a_finished_run_on_other_shards_is_not_passed_off_as_done(unbroken, settings, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "code")
    make_source(tmp_path / "data", "code", count=61)
    with pytest.raises(IntegrityError, match=r"not those that .*unbroken was trained on"):
        train(settings.model_copy(update={"data": tmp_path / "data"}), unbroken)


def test_more_repeats_than_the_mixture_allows_are_refused_before_anything_is_written(settings, tmp_path):
    half = str(Fraction(1, 2))
    recipe = {"sources": {"web": {"weight": half, "max_repeats": 1}, "code": {"weight": half}}}
    (tmp_path / "once.yaml").write_text(json.dumps(recipe))
    long = settings.model_copy(update={"mixture": str(tmp_path / "once.yaml"), "tokens": 10**7})
    with pytest.raises(SettingsError, match="max_repeats 1"):
        train(long, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_the_last_checkpoint_stays(broken, unbroken, settings, monkeypatch):
    whole = LanguageModel.forward
    calls = []

    def forward(self, tokens):
        calls.append(1)
        return whole(self, tokens) * (torch.nan if len(calls) > 2 else 1)

    before = folder_bytes(broken / "checkpoints")
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "forward", forward)
        with pytest.raises(DivergedError, match="the loss is nan at step 8"):
            train(settings, broken)
    assert folder_bytes(broken / "checkpoints") == before
    assert len(losses(broken)) == 7
    train(settings, broken)
    assert_same_run(broken, unbroken)


def overflow_at_first(monkeypatch):
    """Make the gradient of the first micro-step infinite; the loss is as it was."""
    whole, calls = LanguageModel.forward, []

    def forward(self, tokens):
        loss = whole(self, tokens)
        calls.append(1)
        if len(calls) == 1:
            loss.register_hook(lambda gradient: gradient * torch.inf)
        return loss

    monkeypatch.setattr(LanguageModel, "forward", forward)


def test_a_gradient_that_is_no_number_stops_the_run_even_if_the_loss_is_one(broken, settings, monkeypatch):
    before = folder_bytes(broken / "checkpoints")
    overflow_at_first(monkeypatch)
    with pytest.raises(DivergedError, match="the norm of the gradient is inf at step 7"):
        train(settings, broken)
    assert folder_bytes(broken / "checkpoints") == before


def test_a_skipped_fp16_update_takes_its_data_all_the_same_and_is_counted(unbroken, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(get_accelerator(), "is_fp16_supported", lambda: True)  # slow on a CPU, and enough for two steps
    monkeypatch.setattr(engine, "resolved", lambda settings: settings)
    overflow_at_first(monkeypatch)
    half = {"precision": "fp16", "attention": "sdpa", "tokens": 2 * 128, "data": settings.data}
    train(TrainSettings.parse({**OPTIONS, **half}), tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["skipped_updates"] for row in rows] == [1, 1]
    assert [row["gradient_norm"] is None for row in rows] == [True, False]
    lines = (unbroken / "ledger.jsonl").read_text().splitlines()[:2]
    assert (tmp_path / "run" / "ledger.jsonl").read_text().splitlines() == lines
