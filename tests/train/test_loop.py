import json
import shutil
import signal
from fractions import Fraction

import pytest
import torch

from common.errors import BusyError, InputError, IntegrityError, SettingsError
from common.files import lock
from tests.mixtures.helpers import folder_bytes, make_source
from tests.train.conftest import STEPS, arguments, assert_same_run, losses, start, wait_for_step
from train import checkpoint as checkpoints
from train.engine import DivergedError
from train.loop import EXIT_STOPPED, train
from train.loss import LanguageModel


def test_the_loss_falls_from_that_of_a_uniform_guess(unbroken):
    first, *_, last = losses(unbroken)
    assert abs(first - 10.84) < 0.05  # ln 51,200
    assert last < first - 0.3


def test_metrics_and_tensorboard_tell_every_step(unbroken):
    rows = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["tokens"] for row in rows] == [128 * step for step in range(1, STEPS + 1)]
    assert {row["learning_rate"] for row in rows} == {1e-3}
    assert all(row["tokens_per_second"] > 0 for row in rows)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(unbroken / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(1, STEPS + 1))
    assert [event.value for event in board.Scalars("loss")] == pytest.approx(losses(unbroken))


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


def test_a_killed_run_goes_on_and_equals_the_unbroken_one(unbroken, settings, data, tmp_path):
    run = tmp_path / "killed"
    process = start(arguments(data, run))
    wait_for_step(run, 4, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert train(settings, run).made_steps < STEPS
    assert_same_run(run, unbroken)


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


def test_two_processes_equal_one_and_one_goes_on_where_two_stopped(unbroken, settings, data, tmp_path):
    run = tmp_path / "two"
    process = start(arguments(data, run), processes=2)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert losses(run) == pytest.approx(losses(unbroken), abs=1e-5)
    assert (run / "ledger.jsonl").read_bytes() == (unbroken / "ledger.jsonl").read_bytes()
    shutil.rmtree(run / "export")
    shutil.rmtree(run / "checkpoints" / "step-8")
    assert train(settings, run).made_steps == 2
    assert losses(run) == pytest.approx(losses(unbroken), abs=1e-5)


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
