import json
import math
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from evals.cli import main
from tests.evals.conftest import TEXTS
from tests.evals.helpers import write_checkpoint


@pytest.fixture(scope="module")
def results(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "results"
    assert main(["run", *map(str, runs), "--out", str(out), "--sample-tokens", "5"]) == 0
    return out


def call(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_every_held_out_document_of_every_source_has_one_row_a_run(results):
    rows = pq.read_table(results / "items.parquet").to_pylist()
    expected = [
        (run, source, f"{source}-{i:03d}", len(text.encode()))
        for run in ("phi_1_5", "web")
        for source in sorted(TEXTS)
        for i, text in enumerate(TEXTS[source])
    ]
    assert [(r["run"], r["source"], r["document"], r["bytes"]) for r in rows] == expected
    # random weights: every token costs about ln(51,200) nats
    assert all(r["log_probability"] / -r["tokens"] == pytest.approx(math.log(51_200), rel=0.1) for r in rows)


def test_the_results_hold_what_the_page_needs_of_the_runs(results):
    manifest = json.loads((results / "manifest.json").read_text())
    web = manifest["runs"]["web"]
    assert web["settings"]["mixture"] == "web"
    assert web["trained"]["web"] == {"tokens": 6 * 384, "epoch_tokens": 999 // 48 * 48, "content": "c0ffee"}
    assert (web["scoring"]["stride"], web["scoring"]["context_length"]) == (24, 48)
    assert pq.read_table(results / "curves.parquet").num_rows == 12
    assert str(results.parent) not in (results / "manifest.json").read_text()


def test_compare_and_report_work_when_the_runs_are_gone(results, tmp_path, capsys):
    shutil.copytree(results, tmp_path / "elsewhere")
    status, out, _ = call(capsys, "compare", tmp_path / "elsewhere", "--json")
    comparison = json.loads(out)
    assert status == 0
    items = pq.read_table(results / "items.parquet").to_pylist()
    for cell in comparison["measures"]:
        mine = [r for r in items if (r["run"], r["source"]) == (cell["variant"], cell["name"])]
        if cell["name"] == "mean":
            continue
        bits = -sum(r["log_probability"] for r in mine) / math.log(2)
        assert cell["value"] == pytest.approx(bits / sum(r["bytes"] for r in mine), abs=1e-12)
    status, out, _ = call(capsys, "compare", tmp_path / "elsewhere")
    assert status == 0
    assert "No verdict on the recipes is given" in out
    status, _, _ = call(capsys, "report", tmp_path / "elsewhere", "--out", tmp_path / "page.html")
    assert status == 0
    assert "No verdict on the recipes is given" in (tmp_path / "page.html").read_text()


def test_a_second_run_does_nothing_and_another_stride_scores_again(runs, results, tmp_path, capsys):
    out = tmp_path / "results"
    shutil.copytree(results, out)
    before = (out / "items.parquet").stat().st_ino
    status, _, err = call(capsys, "run", *runs, "--out", out, "--sample-tokens", 5)
    assert (status, err.count("nothing to do")) == (0, 2)
    assert (out / "items.parquet").stat().st_ino == before
    status, _, _ = call(capsys, "run", runs[0], "--out", out, "--sample-tokens", 5, "--stride", 12)
    manifest = json.loads((out / "manifest.json").read_text())
    assert {name: run["scoring"]["stride"] for name, run in manifest["runs"].items()} == {"phi_1_5": 24, "web": 12}
    status, _, err = call(capsys, "compare", out)
    assert (status, "scored with stride" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_one_by_one_gives_the_bytes_of_all_at_once(runs, results, tmp_path, capsys):
    for run in runs[::-1]:
        call(capsys, "run", run, "--out", tmp_path / "results", "--sample-tokens", 5)
    for name in ("items.parquet", "curves.parquet", "manifest.json"):
        assert (tmp_path / "results" / name).read_bytes() == (results / name).read_bytes()


def test_earlier_checkpoints_are_scored_with_their_own_weights_and_make_a_curve(runs, tmp_path, capsys):
    run = tmp_path / "runs" / "web"
    shutil.copytree(runs[0], run)
    for step in (2, 4, 6):  # the last is what was exported
        write_checkpoint(run, step, seed=step)
    words = ("run", run, "--data", runs[0].parent.parent / "data", "--out", tmp_path / "r", "--sample-tokens", 1)
    assert call(capsys, *words, "--checkpoints")[0] == 0
    rows = pq.read_table(tmp_path / "r" / "items.parquet").to_pylist()
    scores = {name: [r["log_probability"] for r in rows if r["run"] == name] for name in ("web", "web@2", "web@4")}
    assert {row["run"] for row in rows} == set(scores)
    assert len({tuple(values) for values in scores.values()}) == 3
    described = json.loads((tmp_path / "r" / "manifest.json").read_text())["runs"]["web@2"]
    assert (described["checkpoint_of"], described["trained"]["web"]["tokens"]) == ("web", 2 * 384)
    status, out, _ = call(capsys, "compare", tmp_path / "r", "--average", 2, "--json")
    comparison = json.loads(out)
    assert (status, [variant["runs"] for variant in comparison["variants"]]) == (0, [["web"]])
    curve = {p["tokens"]: p["by_seed"] for p in comparison["curves"] if p["name"] == "web"}
    assert list(curve) == [960, 1920, 2880]
    (measure,) = [m for m in comparison["measures"] if m["name"] == "web"]
    assert measure["value"] == pytest.approx((curve[1920][0] + curve[2880][0]) / 2)
    assert call(capsys, *words, "--checkpoints")[2].count("nothing to do") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "runs"]


def test_a_page_links_to_the_runs_and_takes_the_settings_of_compare(results, runs, tmp_path, capsys):
    out = tmp_path / "page.html"
    words = ("report", results, "--out", out, "--runs", runs[0].parent, "--baseline", "web", "--margin-bits", 0.5)
    assert call(capsys, *words)[0] == 0
    assert out.read_text().count('<a href="./../') == 2
    assert call(capsys, *words[:-4], "--baseline", "wbe")[0] == 2


def test_a_dry_run_says_what_would_be_scored_and_writes_nothing(runs, tmp_path, capsys):
    status, out, _ = call(capsys, "run", *runs, "--out", tmp_path / "r", "--dry-run", "--json")
    assert status == 0
    assert [(row["run"], row["documents"], row["done"]) for row in json.loads(out)["runs"]] == [
        ("web", 6, False),
        ("phi_1_5", 6, False),
    ]
    assert list(tmp_path.iterdir()) == []


def test_max_documents_takes_the_first_of_each_source(runs, tmp_path, capsys):
    call(capsys, "run", runs[0], "--out", tmp_path / "r", "--max-documents", 1, "--sample-tokens", 1)
    rows = pq.read_table(tmp_path / "r" / "items.parquet").to_pylist()
    assert [(row["source"], row["document"]) for row in rows] == [("code", "code-000"), ("web", "web-000")]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "--out", "r"], "name at least one run directory"),
        (["run", "none", "--out", "r"], "the run none does not exist"),
        (["run", "RUN", "--out", "r", "--data", "none"], "the data folder none does not exist"),
        (["run", "RUN", "--out", "r", "--stride", "0"], "stride"),
        (["run", "RUN", "--out", "r", "--stride", "49"], "stride (49) must be from 1 to the context length (48)"),
        (["run", "RUN", "--out", "taken"], "taken exists and is not a results folder"),
        (["compare"], "name at least one results folder"),
        (["compare", "none"], "none does not exist"),
        (["report", "none", "--out", "page.html"], "none does not exist"),
        (["run", "RUN", "--ouut", "r"], "--ouut"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_status_2(words, complaint, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    status, out, err = call(capsys, *(runs[0] if word == "RUN" else word for word in words))
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_help_loads_no_heavy_library():
    script = "import sys; from evals.cli import main; main(['run', '--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = out.splitlines()[-1]
    assert "'evals.settings'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("numpy", "torch", "transformers", "pyarrow", "matplotlib"))
