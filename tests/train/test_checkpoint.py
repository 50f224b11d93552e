import json

import pytest
import torch

from common.errors import InputError, IntegrityError
from train import checkpoint as checkpoints


def publish(run, step, keep=2, value=1.0, keep_every_steps=None):
    for name in checkpoints.RUN_FILES:
        run.mkdir(exist_ok=True)
        (run / name).write_text(f"{step}\n")
    groups = [(name, {"w": torch.full((3,), value)}) for name in checkpoints.TENSORS]
    return checkpoints.publish(run, {"step": step, "tokens": {"web": step}}, iter(groups), keep, keep_every_steps)


def steps(run):
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())


def test_the_newest_checkpoints_stay_and_older_ones_go(tmp_path):
    for step in (9, 10, 100):
        publish(tmp_path / "run", step)
    assert steps(tmp_path / "run") == [10, 100]


def test_checkpoints_of_every_nth_step_stay_beside_the_newest(tmp_path):
    for step in range(2, 18, 2):
        publish(tmp_path / "run", step, keep=1, keep_every_steps=6)
    assert steps(tmp_path / "run") == [6, 12, 16]


def test_what_was_published_is_loaded(tmp_path):
    loaded = checkpoints.load(publish(tmp_path / "run", 3, value=2.5))
    assert loaded.step == 3
    assert loaded.manifest["tokens"] == {"web": 3}
    assert loaded.tensors("exp_avg")["w"].tolist() == [2.5] * 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_text('{"kind": "training_checkpoint", "step": 9, "files": []}'),
        lambda folder: (folder / "weights.safetensors").unlink(),
        lambda folder: (folder / "exp_avg.safetensors").write_bytes(b"\0" * 100),
        lambda folder: (folder / "ledger.jsonl").write_text("longer\n"),
    ],
    ids=["no manifest", "half a manifest", "nothing listed", "no weights", "moments changed", "ledger changed"],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_word(tmp_path, damage):
    run, said = tmp_path / "run", []
    publish(run, 6)
    damage(publish(run, 9))
    found = checkpoints.newest_valid(run, said.append)
    assert found.step == 6
    assert len(said) == 1
    assert "checkpoint of step 9 is damaged" in said[0]


def test_a_run_without_checkpoints_has_none_and_starts_with_empty_files(tmp_path):
    assert checkpoints.newest_valid(tmp_path / "run", pytest.fail) is None
    (tmp_path / "ledger.jsonl").write_text("old\n")
    checkpoints.rewind(tmp_path, None)
    assert (tmp_path / "ledger.jsonl").read_text() == ""


def test_rewinding_puts_ledger_and_metrics_back_to_the_checkpoint(tmp_path):
    loaded = checkpoints.load(publish(tmp_path, 3))
    (tmp_path / "ledger.jsonl").write_text("3\n4\n5")
    (tmp_path / "metrics.jsonl").unlink()
    checkpoints.rewind(tmp_path, loaded)
    assert [(tmp_path / name).read_text() for name in checkpoints.RUN_FILES] == ["3\n", "3\n"]


def test_a_save_that_fails_leaves_the_checkpoints_as_they_were(tmp_path):
    publish(tmp_path, 3, keep=1)

    def groups():
        yield "weights", {"w": torch.ones(1)}
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        checkpoints.publish(tmp_path, {"step": 6}, groups(), keep=1)
    assert steps(tmp_path) == [3]


def test_a_folder_of_another_kind_or_with_a_path_outside_is_refused(tmp_path):
    folder = publish(tmp_path, 3)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "kind": "corpus"}))
    with pytest.raises(InputError, match="not the manifest of a checkpoint"):
        checkpoints.load(folder)
    outside = [{"path": "../ledger.jsonl", "sha256": ""}, *manifest["files"]]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": outside}))
    with pytest.raises(IntegrityError, match="outside the folder"):
        checkpoints.load(folder)
