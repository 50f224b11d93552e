import json
import shutil
from pathlib import Path

import pytest

from common.errors import InputError, IntegrityError, SettingsError
from evals.runs import described, loss_curve, open_held_out, open_run, same_name, trained_sources, trained_tokens
from tests.evals.helpers import CONTEXT, write_source


@pytest.fixture
def run(runs, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(runs[0], tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_says_what_it_is(runs):
    opened = open_run(runs[0])
    assert (opened.name, opened.context_length, opened.settings["mixture"]) == ("web", CONTEXT, "web")
    assert trained_tokens(opened) == {"web": 6 * 384, "code": 6 * 96}
    assert [line["loss"] for line in loss_curve(opened)] == pytest.approx([10.9, 10.8, 10.7, 10.6, 10.5, 10.4])
    assert trained_sources(opened) == {"web": (20, "c0ffee"), "code": (20, "c0ffee")}


def test_a_step_that_a_resumed_run_wrote_again_counts_once_and_the_last_line_wins(run):
    with open(run / "ledger.jsonl", "a") as ledger, open(run / "metrics.jsonl", "a") as metrics:
        print(json.dumps({"step": 6, "tokens": {"web": 380, "code": 100}, "digest": "1"}), file=ledger)
        print(json.dumps({"step": 6, "tokens": 2880, "loss": 5.0}), file=metrics)
    assert trained_tokens(open_run(run)) == {"web": 5 * 384 + 380, "code": 5 * 96 + 100}
    assert loss_curve(open_run(run))[-1] == {"step": 6, "tokens": 2880, "loss": 5.0}


def test_equal_weights_have_equal_digests_and_others_not(runs, run):
    assert open_run(run).model_digest == open_run(runs[0]).model_digest
    assert open_run(runs[1]).model_digest != open_run(runs[0]).model_digest


def test_damaged_weights_are_refused_by_name(run):
    weights = run / "export" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
    with pytest.raises(IntegrityError, match=r"model\.safetensors is not the file"):
        open_run(run)


@pytest.mark.parametrize("missing", ["settings.yaml", "ledger.jsonl", "metrics.jsonl", "export/manifest.json"])
def test_what_is_no_finished_run_is_refused_with_what_is_missing(run, missing):
    (run / missing).unlink()
    with pytest.raises(InputError, match=f"has no {missing}"):
        open_run(run)


def test_a_missing_run_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="none does not exist"):
        open_run(tmp_path / "none")


@pytest.mark.parametrize("line", ["{", "[]", '{"tokens": {}}'])
def test_a_damaged_log_line_is_refused_by_number(run, line):
    (run / "ledger.jsonl").write_text('{"step": 1, "tokens": {}}\n' + line + "\n")
    with pytest.raises(InputError, match=r"ledger\.jsonl, line 2"):
        trained_tokens(open_run(run))


def test_held_out_documents_of_every_source_are_found_and_empty_ones_passed_over(tmp_path):
    for name, texts in (("web", ["a", "b"]), ("code", ["c"]), ("empty", [])):
        write_source(tmp_path, name, texts)
    assert [(h.source, h.documents) for h in open_held_out(tmp_path)] == [("code", 1), ("web", 2)]


def test_held_out_documents_that_were_changed_are_refused(tmp_path):
    write_source(tmp_path, "web", ["a", "b"])
    with open(tmp_path / "web" / "held_out.parquet", "ab") as stream:
        stream.write(b"x")
    with pytest.raises(IntegrityError, match=r"held_out\.parquet is not the file"):
        open_held_out(tmp_path)


def test_a_data_folder_without_held_out_documents_is_refused_with_the_remedy(tmp_path):
    write_source(tmp_path, "web", [])
    with pytest.raises(InputError, match=r"no held-out documents .*--held-out-fraction"):
        open_held_out(tmp_path)
    with pytest.raises(InputError, match="none does not exist; name it with --data"):
        open_held_out(tmp_path / "none")


def test_settings_are_described_flat_and_without_places():
    settings = {"mixture": "web", "data": "/home/x", "batch": {"windows": 8}, "checkpoint": {"keep": 2}}
    assert described(settings) == {"mixture": "web", "batch.windows": 8}


def test_two_runs_of_one_name_are_refused(runs, tmp_path):
    shutil.copytree(runs[0], tmp_path / "web")
    opened = [open_run(runs[0]), open_run(tmp_path / "web")]
    with pytest.raises(SettingsError, match="have the same name 'web'"):
        same_name(opened)
    same_name([opened[0], open_run(Path(runs[0].parent / ".." / runs[0].parent.name / "web"))])
