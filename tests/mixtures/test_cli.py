import json
import subprocess
import sys

import pytest

from mixtures.cli import main
from tests.mixtures.helpers import documents, make_source, write_jsonl


@pytest.fixture
def data_dir(tmp_path):
    for name, count in (("web", 90), ("code", 40), ("synthetic", 60)):
        make_source(tmp_path / "data", name, count)
    return tmp_path / "data"


def run(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_from_a_corpus_to_a_plan_that_adds_up(tmp_path, capsys):
    for name in ("web", "code"):
        corpus = write_jsonl(tmp_path / f"{name}.jsonl", documents(80, name))
        status, out, _ = run(capsys, "tokenize", corpus, "--out", tmp_path / "data" / name, "--json")
        assert (status, json.loads(out)["kind"]) == (0, "token_shards")
    words = ["show", "web_only", "--data", tmp_path / "data", "--tokens", "12_800", "--context-length", "64"]
    status, out, _ = run(capsys, *words, "--json")
    result = json.loads(out)
    assert status == 0
    assert {row["source"]: row["tokens"] for row in result["sources"]} == {"web": 10_240, "code": 2_560}
    assert sum(row["tokens"] for row in result["sources"]) == result["tokens"] == 12_800
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[2:]] == [["web", "4/5", "10,240"], ["code", "1/5", "2,560"]]


def test_the_table_of_tokenize_gives_documents_tokens_and_losses(tmp_path, capsys):
    corpus = write_jsonl(tmp_path / "c.jsonl", [*documents(50), {"id": "e", "text": ""}])
    status, out, err = run(capsys, "tokenize", corpus, "--out", tmp_path / "web", "--held-out-fraction", "0")
    assert status == 0
    assert out.splitlines()[2].split()[:2] == ["web", "50"]
    assert out.splitlines()[2].split()[-2:] == ["0", "1"]
    assert "no document of 50 was held out" in err


def test_a_second_tokenize_says_that_there_is_nothing_to_do(tmp_path, capsys):
    corpus = write_jsonl(tmp_path / "c.jsonl", documents(50))
    _, first, _ = run(capsys, "tokenize", corpus, "--out", tmp_path / "web")
    status, second, err = run(capsys, "tokenize", corpus, "--out", tmp_path / "web")
    assert (status, second) == (0, first)
    assert "nothing to do" in err


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    corpus = write_jsonl(tmp_path / "c.jsonl", documents(50))
    status, out, _ = run(capsys, "tokenize", corpus, "--out", tmp_path / "web", "--dry-run", "--json")
    assert (status, json.loads(out)["bytes"]) == (0, corpus.stat().st_size)
    assert not (tmp_path / "web").exists()


def test_show_warns_above_four_repeats_and_refuses_above_the_recipes_limit(data_dir, capsys):
    words = ["show", "web", "--data", data_dir, "--context-length", "32", "--tokens"]
    _, out, err = run(capsys, *words, "3200", "--json")
    code = next(row for row in json.loads(out)["sources"] if row["source"] == "code")
    assert (code["repeats"], err) == (1, "")
    passes = code["available_windows"] * 32 * 5
    status, _, err = run(capsys, *words, 6 * passes)
    assert (status, err.count("warning: code is seen 6.0 times")) == (0, 1)
    status, out, err = run(capsys, *words, 17 * passes)
    assert (status, out) == (2, "")
    assert "code would be seen 17.0 times, the mixture allows max_repeats 16" in err


def test_show_gives_every_stage_of_a_schedule_and_warns_of_one_that_is_not_reached(data_dir, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        "sources: {web: 4/5, code: 1/5, synthetic: 0}\n"
        "schedule:\n"
        "  - {from_tokens: 3_200, weights: {web: 2/5, code: 1/5, synthetic: 2/5}}\n"
        "  - {from_tokens: 64_000, weights: {synthetic: 1}}\n"
    )
    words = ["show", tmp_path / "mine.yaml", "--data", data_dir, "--context-length", "32", "--tokens", "6400"]
    _, out, err = run(capsys, *words, "--json")
    result = json.loads(out)
    assert [(row["stage"], row["source"], row["windows"]) for row in result["stages"]] == [
        (1, "web", 80), (1, "code", 20), (2, "web", 40), (2, "code", 20), (2, "synthetic", 40),
    ]  # fmt: skip
    assert {row["source"]: row["windows"] for row in result["sources"]} == {"web": 120, "code": 40, "synthetic": 40}
    last = result["stages"][-1]
    assert (last["from_tokens"], last["weight"], last["tokens"]) == (3_200, "2/5", 1_280)
    assert last["epochs_at_end"] == 40 / result["sources"][2]["available_windows"]
    assert err == "warning: the run ends before the stage that begins at 64,000 tokens\n"
    _, out, _ = run(capsys, *words)
    assert out.splitlines()[2].split()[:6] == ["web", "4/5", "→", "2/5", "→", "0"]
    assert out.splitlines()[-1].split()[:5] == ["2", "3,200", "synthetic", "2/5", "1,280"]


def test_verify_answers_no_with_exit_status_1_and_names_the_file(data_dir, capsys):
    assert run(capsys, "verify", "web", "--data", data_dir)[0] == 0
    shard = data_dir / "code" / "part-00000.ds"
    shard.write_bytes(b"\x07\x07" + shard.read_bytes()[2:])
    status, out, _ = run(capsys, "verify", "web", "--data", data_dir, "--json")
    problems = {row["source"]: row["problem"] for row in json.loads(out)["sources"]}
    assert status == 1
    assert problems["web"] is None
    assert "part-00000.ds is not the file that the manifest lists" in problems["code"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show", "wbe", "--data", ".", "--tokens", "100000"], "give one of phi_1_5, web, web_only"),
        (["show", "web", "--data", "none", "--tokens", "100000"], "the data folder none does not exist"),
        (["show", "web", "--data", ".", "--tokens", "100"], "tokens (100) must be at least one window of 2,048"),
        (["verify", "web", "--data", "none"], "the data folder none does not exist"),
        (["tokenize", "none.jsonl", "--out", "x"], "none.jsonl does not exist"),
        (["tokenize", "none.jsonl", "--out", "x", "--held-out-fraction", "0.9"], "0.5"),
        (["tokenize", "none.jsonl", "--ouut", "x"], "--ouut"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_status_2(words, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_sum_to_one_end_with_status_2_and_the_sum(data_dir, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("sources:\n  web: {weight: 0.5}\n  code: {weight: 0.4}\n")
    status, _, err = run(capsys, "show", tmp_path / "mine.yaml", "--data", data_dir, "--tokens", "100000")
    assert status == 2
    assert "web 1/2 + code 2/5 = 9/10" in err


def test_help_loads_no_heavy_library():
    script = "import sys; from mixtures.cli import main; main(['tokenize', '--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = out.splitlines()[-1]
    assert "'mixtures.settings'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("numpy", "torch", "transformers", "pyarrow", "datatrove"))
